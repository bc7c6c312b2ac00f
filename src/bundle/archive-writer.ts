/**
 * Writes bundle archives: a tar (POSIX ustar) inside gzip, reproducible to the byte. Entries stand in the order
 * given, with time 0, owner 0 and mode 0600, as OPA writes them; the gzip header holds no time and no platform.
 * The compressed bytes depend on the zlib of the runtime, the tar inside does not. Pure.
 */
import { gzipSync } from 'node:zlib';

const BLOCK_BYTES = 512;
const NAME_BYTES_MAX = 100;
const GZIP_OPERATING_SYSTEM_OFFSET = 9;
/** "Unknown" in RFC 1952. */
const GZIP_OPERATING_SYSTEM = 255;

/**
 * @param entries name and content; names are relative, ASCII and at most 100 bytes long.
 * @throws RangeError for a name that does not fit, which is a mistake of the caller.
 */
export function writeArchive(entries: readonly (readonly [string, Uint8Array])[]): Uint8Array {
  const archive = gzipSync(writeTar(entries), { level: 9 });
  archive[GZIP_OPERATING_SYSTEM_OFFSET] = GZIP_OPERATING_SYSTEM;
  return archive;
}

export function writeTar(entries: readonly (readonly [string, Uint8Array])[]): Uint8Array {
  const blocks = entries.flatMap(([name, content]) => [
    header(name, content.length),
    content,
    new Uint8Array(-content.length & (BLOCK_BYTES - 1)),
  ]);
  return Buffer.concat([...blocks, new Uint8Array(2 * BLOCK_BYTES)]);
}

/** Field offsets are those of struct posix_header. */
function header(name: string, bytes: number): Uint8Array {
  if (!/^[!-~]+$/.test(name) || name.length > NAME_BYTES_MAX || name.startsWith('/')) {
    throw new RangeError(`archive entry ${JSON.stringify(name)}: expected a relative ASCII name`);
  }
  const block = Buffer.alloc(BLOCK_BYTES);
  block.write(name, 0, 'ascii');
  block.write(octal(0o600, 7), 100, 'ascii');
  block.write(octal(0, 7), 108, 'ascii');
  block.write(octal(0, 7), 116, 'ascii');
  block.write(octal(bytes, 11), 124, 'ascii');
  block.write(octal(0, 11), 136, 'ascii');
  block.write(' '.repeat(8), 148, 'ascii');
  block.write('0', 156, 'ascii');
  block.write('ustar\u000000', 257, 'ascii');
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${octal(sum, 6)}\u0000 `, 148, 'ascii');
  return block;
}

const octal = (value: number, digits: number) => value.toString(8).padStart(digits, '0');
