/**
 * Recovery: reads what a former run left in the directory and says from where the log goes on. Keeps every whole
 * line of the live tail, cuts off a torn end, and demands that the tree has the root of the newest checkpoint. A log
 * that contradicts its own checkpoint is never continued: the caller puts it aside and starts a new one.
 * Shell: reads the log directory; changes nothing in it.
 */
import fs from 'node:fs';
import { join } from 'node:path';
import { type Checkpoint, openCheckpoint, type VerifierKey } from './checkpoint.ts';
import { readIfThere } from './disk.ts';
import {
  CHECKPOINT,
  HISTORY,
  type LeafFacts,
  leafFacts,
  OPEN_CALLS,
  parseJson,
  parseOpenCalls,
  walName,
  walNumber,
} from './layout.ts';
import { decodeBundle, decodeTile, tilePath } from './tile.ts';
import {
  emptyFrontier,
  type Frontier,
  grow,
  hashLeaf,
  LEAF_BYTES_MAX,
  perfectRoot,
  rootOf,
  TILE_WIDTH,
} from './tree.ts';

/** A file of the live tail as far as it is whole. */
export interface WalFile {
  readonly number: number;
  /** Bytes of whole, well-formed lines; what follows is to be cut off. */
  readonly bytes: number;
  readonly bytesCut: number;
  readonly lines: number;
  /** First leaf index after this file. */
  readonly end: number;
}

export interface Recovered {
  readonly ok: true;
  /** Of the sealed leaves only. */
  readonly frontier: Frontier;
  /** Leaves after the sealed ones, in order. */
  readonly tail: readonly Buffer[];
  readonly wals: readonly WalFile[];
  readonly open: ReadonlySet<string>;
  /** True when the last leaf says that the log was closed, or there is no leaf. */
  readonly clean: boolean;
  readonly checkpoint: Checkpoint | null;
}

export interface Damaged {
  readonly ok: false;
  readonly detail: string;
  readonly checkpoint: Checkpoint | null;
}

class Damage extends Error {}

export async function recover(
  directory: string,
  verifier: VerifierKey,
): Promise<Recovered | Damaged> {
  const checkpoint = await newestCheckpoint(directory, verifier);
  if (!checkpoint.ok) return { ok: false, detail: checkpoint.detail, checkpoint: null };
  const newest = checkpoint.newest;
  try {
    return await rebuild(directory, newest);
  } catch (error) {
    if (!(error instanceof Damage)) throw error;
    return { ok: false, detail: error.message, checkpoint: newest };
  }
}

type Newest = { ok: true; newest: Checkpoint | null } | { ok: false; detail: string };

/** The newest of the checkpoint and its history; each file that is read must be signed. */
async function newestCheckpoint(directory: string, verifier: VerifierKey): Promise<Newest> {
  const sizes = listIfThere(join(directory, HISTORY))
    .filter((name) => /^(0|[1-9][0-9]{0,15})$/.test(name))
    .map(Number);
  const last = sizes.length === 0 ? [] : [join(HISTORY, String(Math.max(...sizes)))];
  let newest: Checkpoint | null = null;
  for (const name of [CHECKPOINT, ...last]) {
    const note = await readIfThere(join(directory, name));
    if (note === null) continue;
    const opened = openCheckpoint(note.toString(), verifier);
    if (!opened.ok) return { ok: false, detail: `${name}: ${opened.detail}` };
    if (newest === null || opened.checkpoint.size > newest.size) newest = opened.checkpoint;
  }
  return { ok: true, newest };
}

async function rebuild(directory: string, checkpoint: Checkpoint | null): Promise<Recovered> {
  const signed = checkpoint?.size ?? 0;
  const firstBlock = Math.floor(signed / TILE_WIDTH);
  const calls = await openCallsBefore(directory, firstBlock * TILE_WIDTH, checkpoint !== null);
  const frontier = await frontierAt(directory, firstBlock);
  const check = rootCheck(checkpoint);
  check(frontier);
  const open = new Set(calls.open);
  const take = (leaf: Buffer, facts: LeafFacts) => {
    if (facts.seq >= calls.size) track(open, facts);
    return leaf;
  };
  for (let block = firstBlock; ; block += 1) {
    const leaves = await sealedBlock(directory, block);
    if (leaves === null) break;
    leaves.forEach((leaf, i) => {
      take(leaf, factsAt(leaf, block * TILE_WIDTH + i));
      grow(frontier, hashLeaf(leaf));
      check(frontier);
    });
  }
  const sealed = frontier.size;
  const wal = await readWals(directory, sealed, signed);
  const grown = structuredCopy(frontier);
  for (const { leaf, facts } of wal.leaves) {
    take(leaf, facts);
    grow(grown, hashLeaf(leaf));
    check(grown);
  }
  if (grown.size < signed) {
    throw new Damage(`the checkpoint is signed for ${signed} leaves, found ${grown.size}`);
  }
  const last = wal.leaves.at(-1)?.facts ?? (await lastSealed(directory, sealed));
  return {
    ok: true,
    frontier,
    tail: wal.leaves.map(({ leaf }) => leaf),
    wals: wal.files,
    open,
    clean: last === null || last.event === 'stop',
    checkpoint,
  };
}

/** A call is open from its forwarded decision to its outcome. */
export function track(open: Set<string>, facts: Pick<LeafFacts, 'opens' | 'closes'>): void {
  if (facts.opens !== null) open.add(facts.opens);
  if (facts.closes !== null) open.delete(facts.closes);
}

/** Compares the root when the tree has the size of the checkpoint. */
function rootCheck(checkpoint: Checkpoint | null): (frontier: Frontier) => void {
  return (frontier) => {
    if (checkpoint === null || frontier.size !== checkpoint.size) return;
    if (rootOf(frontier).equals(checkpoint.root)) return;
    throw new Damage(`the root of ${checkpoint.size} leaves is not the one the checkpoint signs`);
  };
}

/** The right edge of a tree of whole tiles, from at most 255 tiles a level. */
async function frontierAt(directory: string, blocks: number): Promise<Frontier> {
  const frontier: Frontier = { size: blocks * TILE_WIDTH, levels: [[]] };
  for (let level = 0, full = blocks; full > 0; level += 1) {
    const roots = [];
    for (let index = full - (full % TILE_WIDTH); index < full; index += 1) {
      const name = tilePath({ level, index, width: TILE_WIDTH });
      const bytes = await readIfThere(join(directory, name));
      const hashes = bytes === null ? null : decodeTile(bytes, TILE_WIDTH);
      if (hashes === null) throw new Damage(`${name}: missing or not 256 hashes`);
      roots.push(perfectRoot(hashes, 0, TILE_WIDTH));
    }
    frontier.levels.push(roots);
    full = Math.floor(full / TILE_WIDTH);
  }
  return frontier;
}

/** The leaves of a block that is sealed whole: bundle, tile and every tile above that it completes. */
async function sealedBlock(directory: string, block: number): Promise<Buffer[] | null> {
  const bytes = await readIfThere(
    join(directory, tilePath({ level: 'entries', index: block, width: TILE_WIDTH })),
  );
  for (let level = 0, index = block; ; level += 1) {
    const name = tilePath({ level, index, width: TILE_WIDTH });
    if (bytes === null || !fs.existsSync(join(directory, name))) return null;
    if (index % TILE_WIDTH !== TILE_WIDTH - 1) break;
    index = Math.floor(index / TILE_WIDTH);
  }
  const leaves = decodeBundle(bytes, TILE_WIDTH);
  if (leaves === null) throw new Damage(`entry bundle ${block}: not 256 entries`);
  return leaves;
}

async function lastSealed(directory: string, sealed: number): Promise<LeafFacts | null> {
  if (sealed === 0) return null;
  const leaves = await sealedBlock(directory, sealed / TILE_WIDTH - 1);
  const last = leaves?.at(-1);
  return last === undefined ? null : factsAt(last, sealed - 1);
}

function factsAt(leaf: Buffer, seq: number): LeafFacts {
  const facts = leafFacts(parseJson(leaf.toString()));
  if (facts?.seq !== seq) throw new Damage(`leaf ${seq}: not the entry with this seq`);
  return facts;
}

interface WalLeaf {
  readonly leaf: Buffer;
  readonly facts: LeafFacts;
}

/** All whole lines from `sealed` on. A bad line is a torn end when no checkpoint covers it, and damage otherwise. */
async function readWals(
  directory: string,
  sealed: number,
  signed: number,
): Promise<{ files: WalFile[]; leaves: WalLeaf[] }> {
  const numbers = (await fs.promises.readdir(directory))
    .map(walNumber)
    .filter((n) => n !== null)
    .sort((a, b) => a - b);
  const files: WalFile[] = [];
  const leaves: WalLeaf[] = [];
  let [next, torn]: [number | null, boolean] = [null, false];
  for (const number of numbers) {
    const bytes = await fs.promises.readFile(join(directory, walName(number)));
    const found: WholeLines = torn ? { ...NO_LINES, next } : wholeLines(bytes, next);
    next = found.next;
    torn ||= found.bytes < bytes.length;
    if (torn && (next ?? sealed) < signed) {
      throw new Damage(
        `${walName(number)}: no valid line at byte ${found.bytes}, leaf ${next ?? sealed}`,
      );
    }
    const first = found.leaves[0]?.facts.seq ?? next ?? sealed;
    if (first > sealed + leaves.length) {
      throw new Damage(`${walName(number)}: starts at leaf ${first}, expected ${sealed} at most`);
    }
    leaves.push(...found.leaves.filter(({ facts }) => facts.seq >= sealed));
    files.push({
      number,
      bytes: found.bytes,
      bytesCut: bytes.length - found.bytes,
      lines: found.leaves.length,
      end: next ?? sealed,
    });
  }
  return { files, leaves };
}

interface WholeLines {
  readonly leaves: readonly WalLeaf[];
  readonly bytes: number;
  readonly next: number | null;
}

const NO_LINES: WholeLines = { leaves: [], bytes: 0, next: null };

/** Lines up to the first that is torn, no entry, or not the next one. @param next null: any seq may come first. */
function wholeLines(bytes: Buffer, next: number | null): WholeLines {
  const leaves: WalLeaf[] = [];
  let at = 0;
  for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, at)) {
    const leaf = bytes.subarray(at, end);
    const facts = leafFacts(parseJson(leaf.toString()));
    if (leaf.length > LEAF_BYTES_MAX || facts === null || (next !== null && facts.seq !== next))
      break;
    leaves.push({ leaf, facts });
    next = facts.seq + 1;
    at = end + 1;
  }
  return { leaves, bytes: at, next };
}

/** What is known about open calls without reading the sealed leaves again; otherwise they are read. */
async function openCallsBefore(
  directory: string,
  sealed: number,
  hasCheckpoint: boolean,
): Promise<{ open: readonly string[]; size: number }> {
  const bytes = hasCheckpoint ? await readIfThere(join(directory, OPEN_CALLS)) : null;
  const calls = bytes === null ? null : parseOpenCalls(bytes.toString());
  if (calls !== null && calls.size >= sealed) return calls;
  const open = new Set<string>();
  for (let block = 0; block * TILE_WIDTH < sealed; block += 1) {
    const leaves = await sealedBlock(directory, block);
    if (leaves === null) throw new Damage(`entry bundle ${block}: missing`);
    leaves.forEach((leaf, i) => {
      track(open, factsAt(leaf, block * TILE_WIDTH + i));
    });
  }
  return { open: [...open], size: sealed };
}

function listIfThere(path: string): string[] {
  return fs.existsSync(path) ? fs.readdirSync(path) : [];
}

function structuredCopy(frontier: Frontier): Frontier {
  return { size: frontier.size, levels: frontier.levels.map((edge) => [...edge]) };
}

export const nothingRecovered = (): Recovered => ({
  ok: true,
  frontier: emptyFrontier(),
  tail: [],
  wals: [],
  open: new Set(),
  clean: true,
  checkpoint: null,
});
