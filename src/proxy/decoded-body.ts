/**
 * The content of a body behind its content coding, for looking at results; what travels on stays coded as it is. A small
 * body can hold gigabytes, so unpacking ends at a cap. Pure.
 */
import {
  brotliDecompressSync,
  gunzipSync,
  inflateSync,
  type ZlibOptions,
  zstdDecompressSync,
} from 'node:zlib';

type Decoder = (bytes: Uint8Array, options: ZlibOptions) => Uint8Array;

const DECODERS: ReadonlyMap<string, Decoder> = new Map<string, Decoder>([
  ['gzip', gunzipSync],
  ['x-gzip', gunzipSync],
  ['deflate', inflateSync],
  ['br', (bytes, { maxOutputLength = 0 }) => brotliDecompressSync(bytes, { maxOutputLength })],
  ['zstd', (bytes, { maxOutputLength = 0 }) => zstdDecompressSync(bytes, { maxOutputLength })],
]);

/**
 * @param coding one content coding (RFC 9110 section 8.4.1), lower case; null for none.
 * @returns null when the coding is not known, the body is broken, or the content is longer than `bytesMax`.
 */
export function decodedBody(
  bytes: Uint8Array,
  coding: string | null,
  bytesMax: number,
): Uint8Array | null {
  if (coding === null) return bytes.length > bytesMax ? null : bytes;
  const decode = DECODERS.get(coding);
  if (decode === undefined) return null;
  try {
    return decode(bytes, { maxOutputLength: bytesMax });
  } catch {
    // Broken or too long: a content that nobody can look at.
    return null;
  }
}
