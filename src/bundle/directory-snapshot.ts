/**
 * Reads a directory as one consistent bundle: either its only `*.tar.gz`, or an unpacked bundle tree with `.manifest`.
 * Follows the `..data` link of a mounted ConfigMap, so an atomic swap is seen as a whole. A directory that changes
 * while it is read is read again; what was read is never a mixture. Bounded. Shell: reads files.
 */
import { createHash } from 'node:crypto';
import { type FileHandle, open, readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { BundleContent } from './activation.ts';
import { filesDigest } from './activation.ts';
import { ARCHIVE_LIMITS, readArchive } from './archive.ts';
import { BundleRefused, refuseBundle } from './bundle-error.ts';
import { MANIFEST_FILE } from './manifest.ts';

/** What the file system says about the bundle without reading it; equal text means: very likely unchanged. */
export interface Listing {
  readonly fingerprint: string;
  /** Newest modification in milliseconds since 1970. */
  readonly modifiedMs: number;
  readonly files: readonly ListedFile[];
  /** Directory that holds the files: the target of `..data` when there is one. */
  readonly directory: string;
}

interface ListedFile {
  /** Path in the bundle. */
  readonly path: string;
  readonly bytes: number;
}

const ATTEMPTS = 5;
const HIDDEN_FILES = new Set([MANIFEST_FILE, '.signatures.json']);
const DEPTH_MAX = 16;

/** @throws BundleRefused `source_missing`, `source_unreadable`, `source_ambiguous`, `archive_too_large` */
export async function listDirectory(directory: string): Promise<Listing> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await listOnce(await configMapTarget(directory));
    } catch (error) {
      // A swap may take away what was about to be listed; only what stays away is missing.
      const vanished = (error as NodeJS.ErrnoException).code === 'ENOENT';
      if (!vanished || attempt === ATTEMPTS) throw refusal(error);
    }
  }
}

async function listOnce(directory: string): Promise<Listing> {
  const entries = new Entries();
  await list(directory, '', 0, entries);
  const fingerprint = `${directory}\n${entries.lines.join('\n')}`;
  return { ...entries.listing(), fingerprint, directory };
}

/**
 * Reads what `listDirectory` lists.
 * @throws BundleRefused as `listDirectory` and `readArchive`; `source_unstable` when it kept changing.
 */
export async function readSnapshot(directory: string): Promise<BundleContent> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const before = await listDirectory(directory);
    const content = await readListed(before);
    const after = await listDirectory(directory);
    if (content !== null && before.fingerprint === after.fingerprint) return content;
  }
  const found = `changes during ${ATTEMPTS} reads`;
  return refuseBundle(
    'source_unstable',
    { file: 'bundle' },
    found,
    'files that are swapped at once',
  );
}

async function configMapTarget(directory: string): Promise<string> {
  try {
    return await realpath(join(directory, '..data'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  return realpath(directory);
}

/** Owns the list of files while the directory is walked. */
class Entries {
  readonly lines: string[] = [];
  readonly #files: ListedFile[] = [];
  #bytes = 0;
  #modifiedMs = 0;

  add(file: ListedFile, identity: string, modifiedMs: number): void {
    this.#files.push(file);
    this.lines.push(`${JSON.stringify(file.path)} ${identity}`);
    this.#bytes += file.bytes;
    this.#modifiedMs = Math.max(this.#modifiedMs, modifiedMs);
    const { entriesMax, unpackedBytesMax } = ARCHIVE_LIMITS;
    if (this.#files.length <= entriesMax && this.#bytes <= unpackedBytesMax) return;
    const wanted = `at most ${entriesMax} files and ${unpackedBytesMax} bytes`;
    refuseBundle('archive_too_large', { file: 'bundle' }, 'more', wanted);
  }

  /** The files that make the bundle: one archive, or everything. */
  listing(): Pick<Listing, 'files' | 'modifiedMs'> {
    const archives = this.#files.filter(({ path }) => isArchive(path));
    const unpacked = this.#files.some(({ path }) => path === MANIFEST_FILE);
    const wanted = `one *.tar.gz, or an unpacked bundle with ${MANIFEST_FILE}`;
    if (archives.length > 1 || (archives.length === 1 && unpacked)) {
      const found = [...archives.map(({ path }) => path), ...(unpacked ? [MANIFEST_FILE] : [])];
      refuseBundle('source_ambiguous', { file: 'bundle' }, found.join(', '), wanted);
    }
    if (archives.length === 0 && !unpacked) {
      refuseBundle('source_missing', { file: 'bundle' }, 'no bundle in the directory', wanted);
    }
    return { files: unpacked ? this.#files : archives, modifiedMs: this.#modifiedMs };
  }
}

const isArchive = (path: string) => path.endsWith('.tar.gz') && !path.includes('/');

async function list(root: string, path: string, depth: number, entries: Entries): Promise<void> {
  const found = await readdir(join(root, path), { withFileTypes: true });
  for (const entry of found.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const { name } = entry;
    if (name.startsWith('.') && !(HIDDEN_FILES.has(name) && path === '')) continue;
    const inner = path === '' ? name : `${path}/${name}`;
    if (entry.isDirectory()) {
      if (depth < DEPTH_MAX) await list(root, inner, depth + 1, entries);
      else refuseBundle('archive_too_large', { file: inner }, 'deeper directories', `${DEPTH_MAX}`);
      continue;
    }
    const facts = await stat(join(root, inner), { bigint: true });
    if (!facts.isFile()) continue;
    const { dev, ino, size, mtimeNs, ctimeNs } = facts;
    const identity = [dev, ino, size, mtimeNs, ctimeNs].join(' ');
    entries.add({ path: inner, bytes: Number(size) }, identity, Number(mtimeNs / 1_000_000n));
  }
}

/** Null when a file vanished or changed its size in the meantime. */
async function readListed({ directory, files }: Listing): Promise<BundleContent | null> {
  const contents = new Map<string, Uint8Array>();
  for (const { path, bytes } of files) {
    const content = await readExactly(join(directory, path), bytes);
    if (content === null) return null;
    contents.set(path, content);
  }
  const [first] = files;
  if (first === undefined || !isArchive(first.path)) {
    return { files: contents, digest: filesDigest(contents) };
  }
  const packed = contents.get(first.path) as Uint8Array;
  const digest = `sha256:${createHash('sha256').update(packed).digest('hex')}`;
  return { files: readArchive(packed, first.path), digest };
}

async function readExactly(path: string, bytes: number): Promise<Uint8Array | null> {
  let handle: FileHandle | null = null;
  try {
    handle = await open(path, 'r');
    // One byte more than listed shows that it grew, and bounds what is read.
    const buffer = Buffer.alloc(bytes + 1);
    let filled = 0;
    while (filled <= bytes) {
      const { bytesRead } = await handle.read(buffer, filled, bytes + 1 - filled, filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return filled === bytes ? buffer.subarray(0, bytes) : null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw refusal(error);
  } finally {
    await handle?.close();
  }
}

function refusal(error: unknown): BundleRefused {
  if (error instanceof BundleRefused) return error;
  const code = (error as NodeJS.ErrnoException).code ?? 'an error';
  const missing = code === 'ENOENT' || code === 'ENOTDIR';
  try {
    return refuseBundle(
      missing ? 'source_missing' : 'source_unreadable',
      { file: 'bundle' },
      code,
      'a readable directory',
    );
  } catch (refused) {
    return refused as BundleRefused;
  }
}
