/**
 * Judges a log leaf by leaf: form of each entry, order, clocks, the pairing of forwarded calls with their outcomes,
 * and the root at every signed size. Nothing read is trusted; the first thing that does not fit is named. The
 * reading is in verify-log.ts. Pure.
 */
import { isCanonical } from './canonical.ts';
import type { Checkpoint } from './checkpoint.ts';
import { ENTRY_BYTES_MAX } from './entry.ts';
import {
  CHECKPOINT,
  type LeafFacts,
  leafFacts,
  OPEN_CALLS,
  type OpenCalls,
  parseJson,
  renderOpenCalls,
} from './layout.ts';
import { emptyFrontier, type Frontier, type FullTile, grow, type Hash, rootOf } from './tree.ts';

export interface Problem {
  /** File in the log directory. */
  readonly file: string;
  /** Leaf it was found at; null when it is about no single leaf. */
  readonly index: number | null;
  readonly detail: string;
}

/** What is wrong with the log; thrown by the reading loop and caught by its caller. */
export class LogProblem extends Error {
  override readonly name = 'LogProblem';
  readonly problem: Problem;

  constructor(file: string, index: number | null, detail: string) {
    super(`${file}${index === null ? '' : `, leaf ${index}`}: ${detail}`);
    this.problem = { file, index, detail };
  }
}

/** A leaf that has the right form. */
export interface CheckedLeaf extends LeafFacts {
  readonly bootId: string;
  readonly monoNs: number;
  /** Text form of the public key in a start leaf; null in all others. */
  readonly vkey: string | null;
}

/** Of a checkpoint that the leaves contradict. */
export const WRONG_ROOT = 'the leaves do not have the signed root';

/** Open calls that are remembered at once: far more than a sidecar can have under way. */
const OPEN_MAX = 1_000_000;
const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Form of one leaf, judged alone. @returns what is wrong as a sentence, or the facts of it. */
export function checkLeaf(leaf: Buffer, index: number, origin: string): CheckedLeaf | string {
  if (leaf.length > ENTRY_BYTES_MAX)
    return `${leaf.length} bytes, expected ${ENTRY_BYTES_MAX} at most`;
  const text = decode(leaf);
  if (text === null) return 'not UTF-8';
  const value = parseJson(text);
  const facts = leafFacts(value);
  if (facts === null) return 'not an entry of version 1';
  if (facts.seq !== index) return `seq is ${facts.seq}, expected ${index}`;
  if (!isCanonical(text, value)) return 'not in canonical form';
  const { egret, timestamp } = value as { egret: Record<string, unknown>; timestamp: unknown };
  const { log, boot_id: bootId, mono_ns: monoNs } = egret;
  if (log !== origin) return `belongs to log ${String(log)}, expected ${origin}`;
  if (typeof timestamp !== 'string' || !isTime(timestamp))
    return 'timestamp is not RFC 3339 in UTC';
  if (typeof bootId !== 'string' || typeof monoNs !== 'number')
    return 'boot_id or mono_ns is missing';
  return { ...facts, bootId, monoNs, vkey: vkeyOf(facts, egret) };
}

const isTime = (text: string) => TIMESTAMP.test(text) && !Number.isNaN(Date.parse(text));

function decode(leaf: Buffer): string | null {
  try {
    return utf8.decode(leaf);
  } catch {
    return null;
  }
}

function vkeyOf(facts: LeafFacts, egret: Record<string, unknown>): string | null {
  if (facts.event !== 'start') return null;
  const { detail } = egret['lifecycle'] as { detail?: { vkey?: unknown } };
  return typeof detail?.vkey === 'string' ? detail.vkey : '';
}

/** The state of the judgement between two leaves. */
export interface LogCheck {
  readonly frontier: Frontier;
  /** Forwarded calls without an outcome yet. */
  readonly open: Set<string>;
  readonly counts: { decisions: number; outcomes: number; lifecycle: number; boots: number };
  /** Signed states, ascending by size; those up to the current size are done. */
  readonly checkpoints: readonly NamedCheckpoint[];
  readonly vkey: string;
  /** What the file of open calls says, to be compared at its size; null when there is none. */
  readonly openCalls: OpenCalls | null;
  done: number;
  bootId: string | null;
  monoNs: number;
  /** Event of the last leaf; null when it is no lifecycle leaf. */
  lastEvent: string | null;
}

export interface NamedCheckpoint extends Checkpoint {
  readonly file: string;
}

export function newLogCheck(
  checkpoints: readonly NamedCheckpoint[],
  vkey: string,
  openCalls: OpenCalls | null,
): LogCheck {
  return {
    frontier: emptyFrontier(),
    open: new Set(),
    counts: { decisions: 0, outcomes: 0, lifecycle: 0, boots: 0 },
    checkpoints: [...checkpoints].sort((a, b) => a.size - b.size),
    vkey,
    openCalls,
    done: 0,
    bootId: null,
    monoNs: 0,
    lastEvent: null,
  };
}

/** Takes the next leaf into the log. Throws LogProblem. @returns the tiles that are full now. */
export function advance(
  check: LogCheck,
  leaf: CheckedLeaf,
  hash: Hash,
  file: string,
): readonly FullTile[] {
  checkOrder(check, leaf, file);
  checkPairing(check, leaf, file);
  check.lastEvent = leaf.event;
  const tiles = grow(check.frontier, hash);
  checkAtSize(check);
  return tiles;
}

/** A boot begins with its start leaf, which names the log's key; inside a boot the monotonic clock never goes back. */
function checkOrder(check: LogCheck, leaf: CheckedLeaf, file: string): void {
  if (leaf.bootId !== check.bootId) {
    if (leaf.event !== 'start') throw new LogProblem(file, leaf.seq, 'a boot without a start leaf');
    check.counts.boots += 1;
  } else if (leaf.event === 'start' || leaf.monoNs < check.monoNs) {
    throw new LogProblem(file, leaf.seq, 'the order of boots or their clocks is broken');
  }
  if (leaf.vkey !== null && leaf.vkey !== check.vkey) {
    throw new LogProblem(file, leaf.seq, `the start leaf names the key ${leaf.vkey}`);
  }
  check.bootId = leaf.bootId;
  check.monoNs = leaf.monoNs;
}

function checkPairing(check: LogCheck, leaf: CheckedLeaf, file: string): void {
  const { open, counts } = check;
  if (leaf.kind === 'lifecycle') counts.lifecycle += 1;
  if (leaf.kind === 'decision') counts.decisions += 1;
  if (leaf.opens !== null) {
    if (open.has(leaf.opens))
      throw new LogProblem(file, leaf.seq, 'a second decision for an open call');
    if (open.size >= OPEN_MAX) throw new LogProblem(file, leaf.seq, 'over a million open calls');
    open.add(leaf.opens);
  }
  if (leaf.closes === null) return;
  counts.outcomes += 1;
  if (!open.delete(leaf.closes)) {
    throw new LogProblem(file, leaf.seq, 'an outcome without a forwarded call that is open');
  }
}

/**
 * Compares what was signed at this size. This also proves that the signed states are consistent with each other:
 * every root is recomputed from the same leaves.
 */
export function checkAtSize(check: LogCheck): void {
  const { frontier, openCalls, open } = check;
  if (
    openCalls?.size === frontier.size &&
    renderOpenCalls(openCalls) !== renderOpenCalls({ size: frontier.size, open: [...open] })
  ) {
    throw new LogProblem(
      OPEN_CALLS,
      null,
      `these were not the open calls at ${frontier.size} leaves`,
    );
  }
  for (; ; check.done += 1) {
    const next = check.checkpoints[check.done];
    if (next === undefined || next.size > frontier.size) return;
    if (next.size === frontier.size && rootOf(frontier).equals(next.root)) continue;
    throw new LogProblem(next.file, null, WRONG_ROOT);
  }
}

export interface Ending {
  /** Bytes after the last whole line of the live tail, and the file. */
  readonly torn: { readonly file: string; readonly bytes: number } | null;
}

/** What must hold after the last leaf. A log that was closed has nothing open, torn or unsigned. */
export function checkEnding(check: LogCheck, { torn }: Ending): void {
  const missing = check.checkpoints[check.done];
  if (missing !== undefined) {
    const detail = `signed for ${missing.size} leaves, found ${check.frontier.size}`;
    throw new LogProblem(missing.file, check.frontier.size, detail);
  }
  const newest = check.checkpoints.findLast(({ file }) => file === CHECKPOINT);
  if (check.frontier.size > 0 && newest === undefined) {
    throw new LogProblem(CHECKPOINT, null, 'missing, so nothing is signed');
  }
  const latest = check.checkpoints.at(-1);
  if (latest !== undefined && latest.size > (newest?.size ?? 0)) {
    throw new LogProblem(CHECKPOINT, null, `older than ${latest.file}`);
  }
  if (
    check.checkpoints.length > 0 &&
    (check.openCalls?.size ?? Number.POSITIVE_INFINITY) > check.frontier.size
  ) {
    throw new LogProblem(OPEN_CALLS, null, 'missing, or about leaves that are not there');
  }
  if (check.lastEvent !== 'stop') return;
  const closed = 'although the log was closed';
  if (check.open.size > 0) {
    const [first] = check.open;
    throw new LogProblem(
      'checkpoint',
      null,
      `${check.open.size} calls have no outcome ${closed}, first ${first}`,
    );
  }
  if (torn !== null)
    throw new LogProblem(torn.file, null, `${torn.bytes} bytes after the last line ${closed}`);
  const signed = check.checkpoints.at(-1)?.size ?? 0;
  if (signed < check.frontier.size) {
    throw new LogProblem('checkpoint', signed, `leaves after ${signed} are not signed ${closed}`);
  }
}
