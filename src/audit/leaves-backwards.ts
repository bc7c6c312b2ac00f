/**
 * The entries of a log that is being written, from the newest to the oldest, in blocks and in little memory, while the
 * journal goes on: first the live tail, then the sealed tiles. What is read is not verified here.
 * Shell: reads the log directory.
 */
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { leafFacts, parseJson, walName, walNumber } from './layout.ts';
import { type LinesBlock, linesBackwards } from './lines-backwards.ts';
import { decodeBundle, tilePath } from './tile.ts';
import { TILE_WIDTH } from './tree.ts';

/** What an entry bundle can hold of one leaf, and of all its leaves with their lengths. */
const LEAF_BYTES_MAX = 65_535;
const BUNDLE_BYTES_MAX = TILE_WIDTH * (2 + LEAF_BYTES_MAX);
/** Enough for usual entries, and kept from bundle to bundle. */
const BUFFER_BYTES = 512 * 1024;

/** @param sealed how many of the first leaves stand in tiles, by the journal. */
export async function* leavesBackwards(
  directory: string,
  sealed: () => number,
): AsyncGenerator<LinesBlock> {
  let lowest: string | null = null;
  const numbers = (await readdir(directory)).map(walNumber).filter((number) => number !== null);
  for (const number of numbers.sort((a, b) => b - a)) {
    for await (const block of linesBackwards(join(directory, walName(number)), LEAF_BYTES_MAX)) {
      lowest = block.lines.at(-1)?.toString() ?? lowest;
      yield block;
    }
  }
  // Live tails are removed only when their leaves are sealed, so tiles go on where they begin.
  const facts = lowest === null ? null : leafFacts(parseJson(lowest));
  yield* sealedBackwards(directory, facts?.seq ?? sealed());
}

/** @param end number of the entry after the first one that is wanted. */
async function* sealedBackwards(directory: string, end: number): AsyncGenerator<LinesBlock> {
  let buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  for (let index = Math.ceil(end / TILE_WIDTH) - 1; index >= 0; index -= 1) {
    const path = join(directory, tilePath({ level: 'entries', index, width: TILE_WIDTH }));
    const size = await sizeOf(path);
    // The log goes on only while it is whole; older entries were taken away.
    if (size === null) return;
    if (size > buffer.length) buffer = Buffer.allocUnsafe(size);
    const bytes = await readInto(buffer.subarray(0, size), path);
    const leaves = decodeBundle(bytes, TILE_WIDTH) ?? [];
    const lines = leaves.slice(0, end - index * TILE_WIDTH).reverse();
    yield { lines, bytes: bytes.length };
  }
}

/** Null when it is no entry bundle. */
async function sizeOf(path: string): Promise<number | null> {
  const facts = await stat(path).catch(() => null);
  return facts?.isFile() === true && facts.size <= BUNDLE_BYTES_MAX ? facts.size : null;
}

async function readInto(buffer: Buffer, path: string): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
