/**
 * Finding things in a log: its entries in order, and the proof that one of them is in it. Reads only; what is read is
 * not verified here, except that a proof is checked before it is handed out.
 * Shell: reads the log directory.
 */
import fs from 'node:fs';
import { join } from 'node:path';
import { openCheckpoint, parseVerifierKey } from './checkpoint.ts';
import { CHECKPOINT, leafFacts, parseJson, VERIFIER_KEY, walName, walNumber } from './layout.ts';
import { linesOfFile, readBounded } from './line-file.ts';
import { readDirectory, readFile } from './log-files.ts';
import { renderProof, verifyProof } from './proof.ts';
import { decodeBundle, decodeTile, nodesFromTiles, tilePath } from './tile.ts';
import { type Hash, inclusionProof, TILE_WIDTH } from './tree.ts';

/** What an entry bundle can hold of one leaf, and of all its leaves with their lengths. */
const LEAF_BYTES_MAX = 65_535;
const BUNDLE_BYTES_MAX = TILE_WIDTH * (2 + LEAF_BYTES_MAX);

/** The log cannot be read, or has no such entry. */
export class LogUnreadable extends Error {
  override readonly name = 'LogUnreadable';
}

export interface LogLine {
  readonly index: number;
  readonly line: string;
  readonly entry: Readonly<Record<string, unknown>>;
}

/** All entries in order, sealed or not. Lines that are no entries are left out: `verify` is for those. */
export function* linesOf(directory: string): Generator<LogLine> {
  if (!fs.existsSync(directory)) throw new LogUnreadable(`${directory}: no such directory`);
  let next = 0;
  for (const leaf of rawLeaves(directory)) {
    const line = leaf.toString();
    const entry = parseJson(line);
    const facts = leafFacts(entry);
    if (facts === null || facts.seq < next) continue;
    next = facts.seq + 1;
    yield { index: facts.seq, line, entry: entry as Record<string, unknown> };
  }
}

function* rawLeaves(directory: string): Generator<Buffer> {
  for (let index = 0; ; index += 1) {
    const path = tilePath({ level: 'entries', index, width: TILE_WIDTH });
    const bytes = readBounded(join(directory, path), BUNDLE_BYTES_MAX);
    if (bytes === null) break;
    yield* decodeBundle(bytes, TILE_WIDTH) ?? [];
  }
  const numbers = readDirectory(directory)
    .map(walNumber)
    .filter((n) => n !== null);
  for (const number of numbers.sort((a, b) => a - b)) {
    for (const line of linesOfFile(join(directory, walName(number)), LEAF_BYTES_MAX)) {
      yield line.bytes;
    }
  }
}

export interface Proved {
  readonly index: number;
  /** The entry: what the proof is about. */
  readonly line: string;
  /** tlog-proof text. */
  readonly proof: string;
}

/** Proves that the decision with this id is in the log under its newest checkpoint. Throws LogUnreadable. */
export function proveDecision(directory: string, decisionId: string): Proved {
  const found = findDecision(directory, decisionId);
  const verifier = parseVerifierKey(text(directory, VERIFIER_KEY));
  if (verifier === null) throw new LogUnreadable(`${VERIFIER_KEY}: not a verifier key`);
  const checkpoint = text(directory, CHECKPOINT);
  const opened = openCheckpoint(checkpoint, verifier);
  if (!opened.ok) throw new LogUnreadable(`${CHECKPOINT}: ${opened.detail}`);
  const { size } = opened.checkpoint;
  if (found.index >= size) {
    throw new LogUnreadable(
      `decision ${decisionId} is leaf ${found.index}, the checkpoint signs ${size}`,
    );
  }
  const nodeAt = nodesFromTiles((level, index) => tileAt(directory, size, level, index));
  const hashes = inclusionProof(found.index, size, nodeAt);
  const proof = renderProof({ index: found.index, hashes, checkpoint });
  const verdict = verifyProof(proof, Buffer.from(found.line), verifier);
  if (!verdict.ok) throw new LogUnreadable(`the log does not prove it: ${verdict.detail}`);
  return { index: found.index, line: found.line, proof };
}

function findDecision(directory: string, decisionId: string): LogLine {
  for (const found of linesOf(directory)) {
    const { decision_id, egret } = found.entry as {
      decision_id: unknown;
      egret: { kind: unknown };
    };
    if (egret.kind === 'decision' && decision_id === decisionId) return found;
  }
  throw new LogUnreadable(`${directory}: no decision ${decisionId}`);
}

/** A full tile, or the partial one of a tree of this size. */
function tileAt(directory: string, size: number, level: number, index: number): readonly Hash[] {
  const count = Math.floor(size / TILE_WIDTH ** level);
  for (const width of [TILE_WIDTH, Math.min(TILE_WIDTH, count - index * TILE_WIDTH)]) {
    const bytes = readFile(join(directory, tilePath({ level, index, width })));
    const hashes = bytes === null ? null : decodeTile(bytes, width);
    if (hashes !== null) return hashes;
  }
  throw new LogUnreadable(`${tilePath({ level, index, width: TILE_WIDTH })}: missing or malformed`);
}

function text(directory: string, name: string): string {
  const bytes = readFile(join(directory, name));
  if (bytes === null) throw new LogUnreadable(`${join(directory, name)}: no such file`);
  return bytes.toString();
}
