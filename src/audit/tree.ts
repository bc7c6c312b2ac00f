/**
 * The Merkle tree of RFC 6962 over SHA-256: leaf and node hashes, a frontier that grows leaf by leaf and keeps only
 * the right edge (256-wide, as the tiles on disk), and inclusion and consistency proofs with their verification.
 * Sizes and indexes are exact up to 2^53. Verification trusts nothing: a bad proof is `false`, never a throw. Pure.
 */
import { hash } from 'node:crypto';

/** 32 bytes. */
export type Hash = Buffer;

export const HASH_BYTES = 32;
/** Leaves of a tile and children of a node one tile level up: the height 8 of tlog-tiles. */
export const TILE_WIDTH = 256;
/** Longest leaf: an entry bundle gives lengths in 16 bits. */
export const LEAF_BYTES_MAX = 65_535;
/** No proof of a tree below 2^53 leaves is longer. */
const PROOF_HASHES_MAX = 64;

/** Reused input of the hash function; filled and read inside one synchronous call. */
const leafInput = Buffer.alloc(1 + LEAF_BYTES_MAX);
const nodeInput = Buffer.alloc(1 + 2 * HASH_BYTES, 1);

/** SHA-256. The detour over a string is twice as fast as asking for a buffer. */
export function sha256(bytes: Uint8Array): Hash {
  return Buffer.from(hash('sha256', bytes, 'binary'), 'latin1');
}

/** @param leaf at most LEAF_BYTES_MAX bytes. */
export function hashLeaf(leaf: Uint8Array): Hash {
  leafInput.set(leaf, 1);
  return sha256(leafInput.subarray(0, 1 + leaf.length));
}

export function hashNode(left: Hash, right: Hash): Hash {
  nodeInput.set(left, 1);
  nodeInput.set(right, 1 + HASH_BYTES);
  return sha256(nodeInput);
}

/** Root of the tree without leaves. */
export const EMPTY_ROOT: Hash = sha256(Buffer.alloc(0));

/** The right edge of a tree: what is needed to grow it and to know its root. */
export interface Frontier {
  size: number;
  /** `levels[l]` holds the roots of the full tiles of level l-1 (leaf hashes for l = 0) that fill no tile yet. */
  readonly levels: Hash[][];
}

/** A tile that became full. */
export interface FullTile {
  readonly level: number;
  readonly index: number;
  readonly hashes: readonly Hash[];
}

export const emptyFrontier = (): Frontier => ({ size: 0, levels: [] });

/** Adds one leaf hash. @returns the tiles it completed, lowest level first; most of the time none. */
export function grow(frontier: Frontier, leafHash: Hash): readonly FullTile[] {
  frontier.size += 1;
  let edge = levelOf(frontier, 0);
  edge.push(leafHash);
  if (edge.length < TILE_WIDTH) return [];
  const full: FullTile[] = [];
  let covered = frontier.size;
  for (let level = 0; edge.length === TILE_WIDTH; level += 1) {
    covered /= TILE_WIDTH;
    full.push({ level, index: covered - 1, hashes: edge });
    frontier.levels[level] = [];
    const parent = perfectRoot(edge, 0, TILE_WIDTH);
    edge = levelOf(frontier, level + 1);
    edge.push(parent);
  }
  return full;
}

function levelOf(frontier: Frontier, level: number): Hash[] {
  let edge = frontier.levels[level];
  if (edge === undefined) {
    edge = [];
    frontier.levels[level] = edge;
  }
  return edge;
}

/** Root of the whole tree. Cost: at most 255 hashes a level. */
export function rootOf(frontier: Frontier): Hash {
  const peaks: Hash[] = [];
  for (const edge of frontier.levels.toReversed()) {
    for (let start = 0; start < edge.length; ) {
      const width = powerAtMost(edge.length - start);
      peaks.push(perfectRoot(edge, start, width));
      start += width;
    }
  }
  const last = peaks.pop();
  return last === undefined
    ? EMPTY_ROOT
    : peaks.reduceRight((right, left) => hashNode(left, right), last);
}

/** Root of `width` hashes from `start` on; the width is a power of two. */
export function perfectRoot(hashes: readonly Hash[], start: number, width: number): Hash {
  let row = hashes.slice(start, start + width);
  while (row.length > 1) {
    const next: Hash[] = [];
    for (let i = 0; i < row.length; i += 2) next.push(hashNode(row[i] as Hash, row[i + 1] as Hash));
    row = next;
  }
  return row[0] as Hash;
}

/** Largest power of two that is at most n (n >= 1). */
function powerAtMost(n: number): number {
  let power = 1;
  while (power * 2 <= n) power *= 2;
  return power;
}

/** Root of the perfect subtree number `index` at height `level` (2^level leaves). */
export type NodeAt = (level: number, index: number) => Hash;

/** Merkle tree hash of the leaves `start` (inclusive) to `end`; start is where an RFC 6962 split may fall. */
export function rangeRoot(start: number, end: number, nodeAt: NodeAt): Hash {
  if (end === start) return EMPTY_ROOT;
  const width = powerAtMost(end - start);
  if (width === end - start) return nodeAt(Math.log2(width), start / width);
  return hashNode(rangeRoot(start, start + width, nodeAt), rangeRoot(start + width, end, nodeAt));
}

/** PATH(index, D[0:size]) of RFC 6962 2.1.1: sibling of the leaf first. Needs index < size. */
export function inclusionProof(index: number, size: number, nodeAt: NodeAt): Hash[] {
  const proof: Hash[] = [];
  let [start, end] = [0, size];
  while (end - start > 1) {
    const middle = start + splitOf(end - start);
    if (index < middle) {
      proof.push(rangeRoot(middle, end, nodeAt));
      end = middle;
    } else {
      proof.push(rangeRoot(start, middle, nodeAt));
      start = middle;
    }
  }
  return proof.reverse();
}

/** PROOF(from, D[0:to]) of RFC 6962 2.1.2. Needs 0 < from <= to; empty when they are equal. */
export function consistencyProof(from: number, to: number, nodeAt: NodeAt): Hash[] {
  const proof: Hash[] = [];
  let [start, end, known] = [0, to, true];
  while (from !== end) {
    const middle = start + splitOf(end - start);
    if (from <= middle) {
      proof.push(rangeRoot(middle, end, nodeAt));
      end = middle;
    } else {
      proof.push(rangeRoot(start, middle, nodeAt));
      start = middle;
      known = false;
    }
  }
  if (!known) proof.push(rangeRoot(start, end, nodeAt));
  return proof.reverse();
}

/** Largest power of two below n (n >= 2). */
const splitOf = (n: number) => powerAtMost(n - 1);

/** RFC 9162 2.1.3.2. */
export function verifyInclusion(
  leaf: { readonly hash: Hash; readonly index: number },
  tree: { readonly size: number; readonly root: Hash },
  proof: readonly Hash[],
): boolean {
  if (!isIndex(leaf.index) || !isIndex(tree.size) || leaf.index >= tree.size) return false;
  if (proof.length > PROOF_HASHES_MAX) return false;
  let [fn, sn, root] = [leaf.index, tree.size - 1, leaf.hash];
  for (const sibling of proof) {
    if (sn === 0) return false;
    if (isOdd(fn) || fn === sn) {
      root = hashNode(sibling, root);
      while (!isOdd(fn) && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      root = hashNode(root, sibling);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  return sn === 0 && root.equals(tree.root);
}

/** RFC 9162 2.1.4.2: is the newer tree the older one with leaves added? */
export function verifyConsistency(
  older: { readonly size: number; readonly root: Hash },
  newer: { readonly size: number; readonly root: Hash },
  proof: readonly Hash[],
): boolean {
  if (!isIndex(older.size) || !isIndex(newer.size) || older.size > newer.size) return false;
  if (proof.length > PROOF_HASHES_MAX) return false;
  if (older.size === newer.size) return proof.length === 0 && older.root.equals(newer.root);
  if (older.size === 0) return proof.length === 0 && older.root.equals(EMPTY_ROOT);
  const path = powerAtMost(older.size) === older.size ? [older.root, ...proof] : proof;
  const [first, ...rest] = path;
  if (first === undefined) return false;
  let [fn, sn] = [older.size - 1, newer.size - 1];
  while (isOdd(fn)) [fn, sn] = [half(fn), half(sn)];
  let [oldRoot, newRoot] = [first, first];
  for (const sibling of rest) {
    if (sn === 0) return false;
    if (isOdd(fn) || fn === sn) {
      [oldRoot, newRoot] = [hashNode(sibling, oldRoot), hashNode(sibling, newRoot)];
      while (!isOdd(fn) && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      newRoot = hashNode(newRoot, sibling);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  return sn === 0 && oldRoot.equals(older.root) && newRoot.equals(newer.root);
}

const isOdd = (n: number) => n % 2 === 1;
const half = (n: number) => Math.floor(n / 2);
const isIndex = (n: number) => Number.isSafeInteger(n) && n >= 0;
