/**
 * Reads a bundle archive: one gzip member holding a tar of plain files, in the ustar form with pax paths that OPA
 * writes. The archive is not trusted: sizes, ratio, entries and names are bounded before anything is unpacked, and
 * whatever could be read in two ways (links, duplicates, `..`, trailing bytes) is refused. Pure.
 */
import { crc32, inflateRawSync } from 'node:zlib';
import { refuseBundle } from './bundle-error.ts';

export interface ArchiveLimits {
  /** Bytes of the archive. Default 16 MiB. */
  readonly packedBytesMax: number;
  /** Bytes of the tar inside. Default 64 MiB. */
  readonly unpackedBytesMax: number;
  /** Unpacked bytes per packed byte, above the first MiB. Default 100. */
  readonly ratioMax: number;
  /** Files and directories. Default 1024. */
  readonly entriesMax: number;
}

const MiB = 1024 * 1024;

export const ARCHIVE_LIMITS: ArchiveLimits = {
  packedBytesMax: 16 * MiB,
  unpackedBytesMax: 64 * MiB,
  ratioMax: 100,
  entriesMax: 1024,
};

const BLOCK = 512;
const PATH_MAX = 256;
const PAX_BYTES_MAX = 64 * 1024;

/**
 * @param file name of the archive for errors.
 * @returns content by path, without a leading slash.
 * @throws BundleRefused `archive_invalid`, `archive_too_large`, `archive_path`, `archive_link`, `archive_entry`,
 *   `archive_duplicate`
 */
export function readArchive(
  packed: Uint8Array,
  file = 'bundle.tar.gz',
  limits: ArchiveLimits = ARCHIVE_LIMITS,
): ReadonlyMap<string, Uint8Array> {
  if (packed.length > limits.packedBytesMax) {
    refuseBundle(
      'archive_too_large',
      { file },
      `${packed.length} bytes`,
      `at most ${limits.packedBytesMax}`,
    );
  }
  return readTar(gunzip(packed, file, limits), file, limits);
}

function gunzip(packed: Uint8Array, file: string, limits: ArchiveLimits): Buffer {
  const start = gzipHeaderBytes(packed, file);
  const unpackedMax = Math.min(
    limits.unpackedBytesMax,
    Math.max(MiB, packed.length * limits.ratioMax),
  );
  const { buffer, engine } = inflate(packed.subarray(start), unpackedMax, file);
  const trailer = start + engine.bytesWritten;
  if (packed.length !== trailer + 8) {
    refuseBundle('archive_invalid', { file }, 'bytes after the gzip member', 'one gzip member');
  }
  const view = new DataView(packed.buffer, packed.byteOffset + trailer, 8);
  const intact =
    view.getUint32(0, true) === crc32(buffer) &&
    view.getUint32(4, true) === buffer.length % 2 ** 32;
  if (!intact) refuseBundle('archive_invalid', { file }, 'a wrong gzip checksum', 'an intact file');
  return buffer;
}

/** RFC 1952 member header. */
function gzipHeaderBytes(packed: Uint8Array, file: string): number {
  const flags = packed[3] as number;
  const known = packed[0] === 0x1f && packed[1] === 0x8b && packed[2] === 8 && (flags & 0xe0) === 0;
  if (packed.length < 18 || !known) {
    refuseBundle('archive_invalid', { file }, 'no gzip header', 'a tar archive packed with gzip');
  }
  let at = 10;
  if ((flags & 4) !== 0) at += 2 + (packed[at] as number) + (packed[at + 1] as number) * 256;
  for (const flag of [8, 16]) {
    if ((flags & flag) === 0) continue;
    const end = packed.indexOf(0, at);
    at = end === -1 ? packed.length : end + 1;
  }
  return at + ((flags & 2) !== 0 ? 2 : 0);
}

interface Inflated {
  readonly buffer: Buffer;
  readonly engine: { readonly bytesWritten: number };
}

function inflate(deflated: Uint8Array, bytesMax: number, file: string): Inflated {
  try {
    const options = { info: true, maxOutputLength: bytesMax };
    return inflateRawSync(deflated, options) as unknown as Inflated;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
      return refuseBundle('archive_too_large', { file }, 'more when unpacked', `${bytesMax} bytes`);
    }
    return refuseBundle('archive_invalid', { file }, 'a broken gzip stream', 'an intact file');
  }
}

function readTar(
  tar: Buffer,
  file: string,
  limits: ArchiveLimits,
): ReadonlyMap<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  let entries = 0;
  let paxPath: string | null = null;
  let at = 0;
  for (; at + BLOCK <= tar.length && tar[at] !== 0; ) {
    const header = readHeader(tar.subarray(at, at + BLOCK), file);
    if (header.bytes > limits.unpackedBytesMax) {
      const wanted = `at most ${limits.unpackedBytesMax}`;
      refuseBundle('archive_too_large', { file }, `a file of ${header.bytes} bytes`, wanted);
    }
    const content = tar.subarray(at + BLOCK, at + BLOCK + header.bytes);
    if (content.length !== header.bytes) {
      refuseBundle('archive_invalid', { file }, 'a file that is cut off', 'an intact archive');
    }
    at += BLOCK + Math.ceil(header.bytes / BLOCK) * BLOCK;
    if (++entries > limits.entriesMax) {
      refuseBundle('archive_too_large', { file }, 'more entries', `at most ${limits.entriesMax}`);
    }
    if (header.kind === 'x') {
      paxPath = readPaxPath(content, file);
      continue;
    }
    const path = checkedPath(paxPath ?? header.path, header.kind === '5', file);
    paxPath = null;
    if (header.kind === '5') continue;
    if (header.kind !== '0') {
      refuseKind(path, header.kind, file);
    }
    if (files.has(path))
      refuseBundle('archive_duplicate', { file }, `${path} twice`, 'one of each');
    files.set(path, content);
  }
  checkEnd(tar, at, file);
  return files;
}

function refuseKind(path: string, kind: string, file: string): never {
  const wanted = 'plain files and directories only';
  if (kind === '1' || kind === '2')
    refuseBundle('archive_link', { file }, `${path}, a link`, wanted);
  const found = `${path} of tar type ${JSON.stringify(kind)}`;
  return refuseBundle('archive_entry', { file }, found, wanted);
}

function checkEnd(tar: Buffer, at: number, file: string): void {
  if (at + 2 * BLOCK > tar.length) {
    refuseBundle('archive_invalid', { file }, 'no end of archive', 'two empty blocks');
  }
  if (tar.subarray(at).some((byte) => byte !== 0)) {
    refuseBundle('archive_invalid', { file }, 'bytes after the end', 'nothing more');
  }
}

/** POSIX.1-2001 ustar header; size and checksum are octal. */
function readHeader(block: Buffer, file: string) {
  const text = (start: number, length: number) => {
    const field = block.subarray(start, start + length);
    const end = field.indexOf(0);
    return field.toString('utf8', 0, end === -1 ? length : end);
  };
  const octal = (start: number, length: number) => {
    const digits = text(start, length).trim();
    return /^[0-7]{1,11}$/.test(digits) ? Number.parseInt(digits, 8) : Number.NaN;
  };
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 0x20 : (block[i] as number);
  const bytes = octal(124, 12);
  if (octal(148, 8) !== sum || Number.isNaN(bytes) || !text(257, 6).startsWith('ustar')) {
    refuseBundle('archive_invalid', { file }, 'a broken tar header', 'a ustar header');
  }
  const gnu = text(257, 8).startsWith('ustar '); // GNU keeps other things where ustar has the prefix
  const prefix = gnu ? '' : text(345, 155);
  const path = prefix === '' ? text(0, 100) : `${prefix}/${text(0, 100)}`;
  const kind = block[156] === 0 ? '0' : String.fromCharCode(block[156] as number);
  return { path, bytes, kind };
}

/** Records that do not change what is read. */
const PAX_HARMLESS = new Set([
  'mtime',
  'atime',
  'ctime',
  'uid',
  'gid',
  'uname',
  'gname',
  'comment',
]);

/** The `path` of a pax header for the next entry; null when it has none. */
function readPaxPath(content: Buffer, file: string): string | null {
  const broken = (found: string) =>
    refuseBundle('archive_entry', { file }, found, 'a pax header with a path or times');
  if (content.length > PAX_BYTES_MAX) broken('a pax header that is too large');
  let path: string | null = null;
  for (let at = 0; at < content.length; ) {
    const match = /^([1-9][0-9]{0,5}) ([^=]{1,64})=/.exec(content.toString('utf8', at, at + 80));
    const end = match === null ? 0 : at + Number(match[1]);
    if (match === null || end > content.length || content[end - 1] !== 0x0a)
      broken('a bad pax record');
    const [head = '', , key = ''] = match as RegExpExecArray;
    if (at + head.length >= end) broken('a bad pax record');
    if (key === 'path') path = content.toString('utf8', at + head.length, end - 1);
    else if (!PAX_HARMLESS.has(key)) broken(`pax record ${key}`);
    at = end;
  }
  return path;
}

/** @returns the path without `/` or `./` in front. */
function checkedPath(path: string, directory: boolean, file: string): string {
  const plain = path.replace(/^(?:\.?\/)+/, '').replace(directory ? /\/$/ : /(?!)/, '');
  if (directory && (plain === '' || plain === '.')) return '';
  const parts = plain.split('/');
  const bad = parts.some((part) => part === '' || part === '.' || part === '..');
  if (bad || plain.length > PATH_MAX || /[\p{Cc}\\\ufffd]/u.test(plain)) {
    const found = JSON.stringify(path.slice(0, PATH_MAX));
    refuseBundle('archive_path', { file }, found, 'a path inside of the bundle');
  }
  return plain;
}
