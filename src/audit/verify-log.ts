/**
 * Reads a log directory from the first leaf to the last and has it judged (verify.ts). Memory stays bounded by one
 * block of 256 leaves and one file of the live tail; every file of the log is read, and a file that does not belong
 * there is a problem too.
 * Shell: reads the log directory; changes nothing.
 */
import fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  openCheckpoint,
  parseVerifierKey,
  renderVerifierKey,
  type VerifierKey,
} from './checkpoint.ts';
import { TEMPORARY } from './disk.ts';
import {
  CHECKPOINT,
  HISTORY,
  leafFacts,
  OPEN_CALLS,
  type OpenCalls,
  parseJson,
  parseOpenCalls,
  VERIFIER_KEY,
  walName,
  walNumber,
} from './layout.ts';
import { checkTileFiles, readDirectory, readFile } from './log-files.ts';
import { decodeBundle, decodeTile, tilePath } from './tile.ts';
import { type FullTile, type Hash, hashLeaf, LEAF_BYTES_MAX, TILE_WIDTH } from './tree.ts';
import {
  advance,
  checkAtSize,
  checkEnding,
  checkLeaf,
  type LogCheck,
  LogProblem,
  type NamedCheckpoint,
  newLogCheck,
  type Problem,
  WRONG_ROOT,
} from './verify.ts';

export interface VerifyReport {
  readonly ok: boolean;
  /** What is wrong first; null when nothing is. */
  readonly problem: Problem | null;
  readonly origin: string;
  /** Leaves read, and of those the ones under a signature. */
  readonly size: number;
  readonly signed: number;
  readonly root: string | null;
  readonly checkpoints: number;
  readonly decisions: number;
  readonly outcomes: number;
  readonly lifecycle: number;
  readonly boots: number;
  readonly openCalls: number;
  /** False when the log is being written or its writer died: then a torn end and open calls are no problem. */
  readonly closed: boolean;
  readonly tornBytes: number;
  readonly warnings: readonly string[];
}

/** The folder or the key cannot be read at all: nothing is said about the log. */
export class Unreadable extends Error {
  override readonly name = 'Unreadable';
}

interface Reading {
  readonly directory: string;
  check: LogCheck;
  readonly origin: string;
  /** Leaves of the block that is not sealed yet, for its partial tiles. */
  tail: Buffer[];
  /** The file each of them stands in. */
  tailFiles: string[];
  sealed: number;
}

/** How often a log is read again because its writer published a checkpoint meanwhile. */
const ATTEMPTS_MAX = 5;

/** @param key text form of the public key; null takes the one in the folder, which proves less. Throws Unreadable. */
export async function verifyLog(directory: string, key: string | null): Promise<VerifyReport> {
  const newest = () => readFile(join(directory, CHECKPOINT))?.toString() ?? null;
  for (let attempt = 1; ; attempt += 1) {
    const before = newest();
    const report = verifyOnce(directory, key);
    if (report.ok || attempt === ATTEMPTS_MAX || newest() === before) return report;
    await sleep(20);
  }
}

function verifyOnce(directory: string, key: string | null): VerifyReport {
  const { verifier, vkey, warnings } = verifierOf(directory, key);
  const check = newLogCheck([], vkey, null);
  const reading: Reading = {
    directory,
    check,
    origin: verifier.name,
    tail: [],
    tailFiles: [],
    sealed: 0,
  };
  let [problem, torn]: [Problem | null, { file: string; bytes: number } | null] = [null, null];
  let checkpoints = 0;
  try {
    const signed = readCheckpoints(directory, verifier);
    checkpoints = signed.length;
    reading.check = newLogCheck(signed, vkey, readOpenCalls(directory));
    checkAtSize(reading.check);
    readSealed(reading);
    requireSealed(reading);
    torn = readTail(reading);
    checkEnding(reading.check, { torn });
    checkTileFiles({ directory, check: reading.check, tail: reading.tail, sealed: reading.sealed });
  } catch (error) {
    if (!(error instanceof LogProblem)) throw error;
    problem = locateInTail(reading, error.problem);
  }
  return report(reading.check, { problem, torn, checkpoints, warnings, origin: verifier.name });
}

function report(
  check: LogCheck,
  found: Pick<VerifyReport, 'problem' | 'checkpoints' | 'warnings' | 'origin'> & {
    torn: { bytes: number } | null;
  },
): VerifyReport {
  const { torn, ...rest } = found;
  const last = check.checkpoints[check.done - 1];
  return {
    ok: found.problem === null,
    ...rest,
    size: check.frontier.size,
    signed: last?.size ?? 0,
    root: last?.root.toString('hex') ?? null,
    ...check.counts,
    openCalls: check.open.size,
    closed: check.lastEvent === 'stop',
    tornBytes: torn?.bytes ?? 0,
  };
}

function verifierOf(directory: string, key: string | null) {
  const path = join(directory, VERIFIER_KEY);
  const own = readFile(path)?.toString() ?? null;
  if (own === null && !fs.existsSync(directory))
    throw new Unreadable(`${directory}: no such directory`);
  const text = key ?? own;
  if (text === null) throw new Unreadable(`${path}: no such file; expected a log, or give its key`);
  const verifier = parseVerifierKey(text);
  if (verifier === null)
    throw new Unreadable(`${key === null ? path : 'key'}: expected name+id+key of Ed25519`);
  const vkey = renderVerifierKey(verifier.name, verifier.key);
  const warnings: string[] = [];
  if (key === null)
    warnings.push('the key is the one in the folder: it proves only that the folder fits together');
  else if (own?.trim() !== vkey) warnings.push('log.vkey in the folder is missing or another key');
  return { verifier, vkey, warnings };
}

function readCheckpoints(directory: string, verifier: VerifierKey): NamedCheckpoint[] {
  const history = readDirectory(join(directory, HISTORY))
    .filter((name) => !name.endsWith(TEMPORARY))
    .map((name) => `${HISTORY}/${name}`);
  const signed: NamedCheckpoint[] = [];
  for (const file of [...history, CHECKPOINT]) {
    const note = readFile(join(directory, file));
    if (note === null) continue;
    const opened = openCheckpoint(note.toString(), verifier);
    if (!opened.ok) throw new LogProblem(file, null, opened.detail);
    const { checkpoint } = opened;
    if (!Buffer.from(note.toString()).equals(note)) throw new LogProblem(file, null, 'not UTF-8');
    if (file !== CHECKPOINT && file !== `${HISTORY}/${checkpoint.size}`) {
      throw new LogProblem(file, null, `signed for ${checkpoint.size} leaves, unlike its name`);
    }
    signed.push({ ...checkpoint, file });
  }
  return signed;
}

function readOpenCalls(directory: string): OpenCalls | null {
  const bytes = readFile(join(directory, OPEN_CALLS));
  const calls = bytes === null ? null : parseOpenCalls(bytes.toString());
  if (bytes !== null && calls === null) throw new LogProblem(OPEN_CALLS, null, 'malformed');
  return calls;
}

/** Entry bundles and full tiles, in order, until there is no next bundle. */
function readSealed(reading: Reading): void {
  for (let index = 0; ; index += 1) {
    const file = tilePath({ level: 'entries', index, width: TILE_WIDTH });
    const bytes = readFile(join(reading.directory, file));
    if (bytes === null) return;
    const leaves = decodeBundle(bytes, TILE_WIDTH);
    const first = index * TILE_WIDTH;
    if (leaves === null) throw new LogProblem(file, first, 'not 256 entries with their lengths');
    const hashes = readTile(reading, { level: 0, index }, first);
    leaves.forEach((leaf, i) => {
      const hash = hashLeaf(leaf);
      if (!hash.equals(hashes[i] as Hash)) {
        const tile = tilePath({ level: 0, index, width: TILE_WIDTH });
        throw new LogProblem(file, first + i, `the entry does not have the hash in ${tile}`);
      }
      const tiles = takeLeaf(reading, leaf, hash, file);
      for (const tile of tiles.slice(1)) compareTile(reading, tile, first + i);
    });
    reading.sealed += TILE_WIDTH;
  }
}

/** A checkpoint is signed only when every full block below it is sealed. */
function requireSealed({ check, sealed }: Reading): void {
  const size = check.checkpoints.find(({ file }) => file === CHECKPOINT)?.size ?? 0;
  if (sealed + TILE_WIDTH > size) return;
  const file = tilePath({ level: 'entries', index: sealed / TILE_WIDTH, width: TILE_WIDTH });
  throw new LogProblem(
    file,
    sealed,
    `missing, although ${CHECKPOINT} is signed for ${size} leaves`,
  );
}

function takeLeaf(reading: Reading, leaf: Buffer, hash: Hash, file: string): readonly FullTile[] {
  const { check, origin } = reading;
  const index = check.frontier.size;
  const checked = checkLeaf(leaf, index, origin);
  if (typeof checked === 'string') throw new LogProblem(file, index, checked);
  return advance(check, checked, hash, file);
}

function readTile(reading: Reading, at: { level: number; index: number }, leaf: number): Hash[] {
  const file = tilePath({ ...at, width: TILE_WIDTH });
  const bytes = readFile(join(reading.directory, file));
  const hashes = bytes === null ? null : decodeTile(bytes, TILE_WIDTH);
  if (hashes === null)
    throw new LogProblem(file, leaf, bytes === null ? 'missing' : 'not 256 hashes');
  return hashes;
}

function compareTile(reading: Reading, tile: FullTile, leaf: number): void {
  const found = readTile(reading, tile, leaf);
  const bad = found.findIndex((hash, i) => !hash.equals(tile.hashes[i] as Hash));
  if (bad < 0) return;
  const file = tilePath({ level: tile.level, index: tile.index, width: TILE_WIDTH });
  const width = TILE_WIDTH ** tile.level;
  const first = (tile.index * TILE_WIDTH + bad) * width;
  throw new LogProblem(file, first, `hash ${bad} is not that of its subtree`);
}

/** The live tail: lines that are sealed already must be the same, the next ones continue the log. */
function readTail(reading: Reading): { file: string; bytes: number } | null {
  const numbers = readDirectory(reading.directory)
    .map(walNumber)
    .filter((n) => n !== null)
    .sort((a, b) => a - b);
  let torn: { file: string; bytes: number } | null = null;
  for (const number of numbers) {
    const file = walName(number);
    const bytes = readFile(join(reading.directory, file)) ?? Buffer.alloc(0);
    if (bytes.length > 0 && torn !== null) {
      throw new LogProblem(
        torn.file,
        null,
        `${torn.bytes} bytes after the last line, and ${file} goes on`,
      );
    }
    const rest = readLines(reading, file, bytes);
    if (rest > 0) torn = { file, bytes: rest };
  }
  return torn;
}

/** A wrong root says only that something is wrong; the tiles say which leaf of the live tail it is. */
function locateInTail(reading: Reading, problem: Problem): Problem {
  if (problem.detail !== WRONG_ROOT) return problem;
  const { directory, check, tail, tailFiles, sealed } = reading;
  const newest = check.checkpoints.find(({ file }) => file === CHECKPOINT)?.size ?? 0;
  for (const [i, leaf] of tail.entries()) {
    const index = Math.floor((sealed + i) / TILE_WIDTH);
    const width = Math.min(TILE_WIDTH, newest - index * TILE_WIDTH);
    const bytes =
      width < 1 ? null : readFile(join(directory, tilePath({ level: 0, index, width })));
    const known =
      bytes === null ? undefined : decodeTile(bytes, width)?.[(sealed + i) % TILE_WIDTH];
    if (known === undefined || known.equals(hashLeaf(leaf))) continue;
    const detail = `the line does not have the hash in its tile, and ${problem.file} is signed for another`;
    return { file: tailFiles[i] ?? '', index: sealed + i, detail };
  }
  return problem;
}

/** @returns bytes after the last line feed. */
function readLines(reading: Reading, file: string, bytes: Buffer): number {
  let at = 0;
  let seq: number | null = null;
  for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, at)) {
    const leaf = bytes.subarray(at, end);
    seq = seq === null ? firstSeq(reading, leaf, file) : seq + 1;
    if (seq < reading.sealed) compareSealed(reading, leaf, seq, file);
    else if (seq < reading.check.frontier.size)
      throw new LogProblem(file, seq, 'the leaf is there twice');
    else {
      if (leaf.length > LEAF_BYTES_MAX) throw new LogProblem(file, seq, 'longer than an entry');
      takeLeaf(reading, leaf, hashLeaf(leaf), file);
      reading.tail.push(leaf);
      reading.tailFiles.push(file);
    }
    at = end + 1;
  }
  return bytes.length - at;
}

/** A file of the tail may begin before the sealed end, never after the last leaf. */
function firstSeq(reading: Reading, leaf: Buffer, file: string): number {
  const { size } = reading.check.frontier;
  const seq = leafFacts(parseJson(leaf.toString()))?.seq ?? size;
  if (seq <= size) return seq;
  throw new LogProblem(file, size, `leaves ${size} to ${seq - 1} are missing`);
}

function compareSealed(reading: Reading, leaf: Buffer, seq: number, file: string): void {
  const index = Math.floor(seq / TILE_WIDTH);
  const hashes = readTile(reading, { level: 0, index }, seq);
  if (leaf.length <= LEAF_BYTES_MAX && hashLeaf(leaf).equals(hashes[seq % TILE_WIDTH] as Hash))
    return;
  throw new LogProblem(file, seq, 'the line differs from the sealed entry');
}
