/**
 * Reads a directory as one consistent bundle: either its only `*.tar.gz`, whole or in pieces, or an unpacked bundle tree
 * with `.manifest`.
 * Follows the `..data` link of a mounted ConfigMap, so an atomic swap is seen as a whole. A directory that changes
 * while it is read is read again; what was read is never a mixture. Bounded. Shell: reads files.
 */
import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { type FileHandle, open, readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { BundleContent } from './activation.ts';
import { filesDigest } from './activation.ts';
import { ARCHIVE_LIMITS, readArchive } from './archive.ts';
import { archiveOfPiece, inOrder } from './archive-pieces.ts';
import { BundleRefused, bundleError, refuseBundle } from './bundle-error.ts';
import { MANIFEST_FILE } from './manifest.ts';

/** What the file system says about the bundle without reading it; equal text means: very likely unchanged. */
export interface Listing {
  readonly fingerprint: string;
  /** Newest modification in milliseconds since 1970. */
  readonly modifiedMs: number;
  readonly files: readonly ListedFile[];
  /** The archive that the files are pieces of, in their order; null when they are none. */
  readonly pieceOf: string | null;
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
    const target = await configMapTarget(directory);
    // A swap takes the old directory away, perhaps while it is listed: then the list may lack files.
    const swapped = async () => (await configMapTarget(directory)) !== target;
    try {
      const listing = await listOnce(target);
      if (!(await swapped())) return listing;
      if (attempt === ATTEMPTS) return unstable();
    } catch (error) {
      if (attempt === ATTEMPTS || !(await swapped())) throw refusal(error);
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
 * Reads what `listDirectory` lists. An archive is whole when its file did not change while it was read; a tree is
 * whole when afterwards the directory still lists the same, or was swapped for another.
 * @throws BundleRefused as `listDirectory` and `readArchive`; `source_unstable` when it kept changing.
 */
export async function readSnapshot(directory: string): Promise<BundleContent> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const before = await listDirectory(directory);
    const contents = await readListed(before);
    if (contents === null) continue;
    const [first] = before.files;
    if (first !== undefined && isArchive(first.path)) {
      return unpacked(first.path, contents.get(first.path) as Uint8Array);
    }
    const after = await listDirectory(directory);
    // After a swap each file was still read whole, and what a swap replaces is not edited in place.
    const swapped = before.directory !== after.directory;
    if (swapped || before.fingerprint === after.fingerprint) {
      return before.pieceOf === null
        ? { files: contents, digest: filesDigest(contents) }
        : unpacked(before.pieceOf, Buffer.concat([...contents.values()]));
    }
  }
  return unstable();
}

function unstable(): never {
  const found = `changes during ${ATTEMPTS} reads`;
  return refuseBundle(
    'source_unstable',
    { file: 'bundle' },
    found,
    'files that are swapped at once',
  );
}

async function configMapTarget(directory: string): Promise<string> {
  for (const path of [join(directory, '..data'), directory]) {
    try {
      return await realpath(path);
    } catch (error) {
      const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
      if (!missing || path === directory) throw refusal(error);
    }
  }
  return directory;
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

  /** The files that make the bundle: one archive, its pieces, or everything. */
  listing(): Pick<Listing, 'files' | 'modifiedMs' | 'pieceOf'> {
    const modifiedMs = this.#modifiedMs;
    const all = this.#files;
    const archives = all.filter(({ path }) => isArchive(path));
    const pieces = Map.groupBy(all, ({ path }) => archiveOfPiece(path));
    pieces.delete(null);
    const unpacked = all.some(({ path }) => path === MANIFEST_FILE);
    const wanted = `one *.tar.gz, whole or in pieces, or an unpacked bundle with ${MANIFEST_FILE}`;
    const found = [
      ...archives.map(({ path }) => path),
      ...[...pieces.keys()].map((archive) => `pieces of ${archive}`),
      ...(unpacked ? [MANIFEST_FILE] : []),
    ];
    if (found.length > 1) {
      refuseBundle('source_ambiguous', { file: 'bundle' }, found.join(', '), wanted);
    }
    if (found.length === 0) {
      refuseBundle('source_missing', { file: 'bundle' }, 'no bundle in the directory', wanted);
    }
    const [[archive, parts] = [null, []]] = pieces;
    if (archive === null) {
      return { files: unpacked ? all : archives, modifiedMs, pieceOf: null };
    }
    const byPath = new Map(parts.map((part) => [part.path, part]));
    const files = inOrder(archive, [...byPath.keys()]).map(
      (path) => byPath.get(path) as ListedFile,
    );
    return { files, modifiedMs, pieceOf: archive };
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
    const facts = await statOf(join(root, inner));
    if (facts === null || !facts.isFile()) continue;
    const { size, mtimeNs } = facts;
    const file = { path: inner, bytes: Number(size) };
    entries.add(file, identityOf(facts), Number(mtimeNs / 1_000_000n));
  }
}

/** Null when the file vanished after its directory was read, such as one that was renamed. */
async function statOf(path: string): Promise<BigIntStats | null> {
  try {
    return await stat(path, { bigint: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

const identityOf = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats) =>
  [dev, ino, size, mtimeNs, ctimeNs].join(' ');

/** Null when a file vanished, or changed while it was read. */
async function readListed({ directory, files }: Listing): Promise<Map<string, Uint8Array> | null> {
  const contents = new Map<string, Uint8Array>();
  let bytesLeft = ARCHIVE_LIMITS.unpackedBytesMax;
  for (const { path } of files) {
    const content = await readWhole(join(directory, path), bytesLeft);
    if (content === null) return null;
    bytesLeft -= content.length;
    contents.set(path, content);
  }
  return contents;
}

function unpacked(path: string, packed: Uint8Array): BundleContent {
  const digest = `sha256:${createHash('sha256').update(packed).digest('hex')}`;
  return { files: readArchive(packed, path), digest };
}

async function readWhole(path: string, bytesMax: number): Promise<Uint8Array | null> {
  let handle: FileHandle | null = null;
  try {
    handle = await open(path, 'r');
    const before = await handle.stat({ bigint: true });
    if (before.size > bytesMax) return null; // it grew since it was listed; the next listing refuses it
    const buffer = Buffer.alloc(Number(before.size));
    for (let filled = 0; filled < buffer.length; ) {
      const { bytesRead } = await handle.read(buffer, filled, buffer.length - filled, filled);
      if (bytesRead === 0) return null;
      filled += bytesRead;
    }
    const after = await handle.stat({ bigint: true });
    return identityOf(before) === identityOf(after) ? buffer : null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw refusal(error);
  } finally {
    await handle?.close();
  }
}

/** What a failed system call means for the bundle; anything else is a mistake of ours and stays what it is. */
function refusal(error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (error instanceof BundleRefused || typeof code !== 'string') return error;
  const missing = code === 'ENOENT' || code === 'ENOTDIR';
  const kind = missing ? 'source_missing' : 'source_unreadable';
  return new BundleRefused([bundleError(kind, { file: 'bundle' }, code, 'a readable directory')]);
}
