/**
 * Reading the files of a log without changing them, for those who check it: nothing about their content is trusted.
 * Shell: reads the log directory.
 */
import fs from 'node:fs';
import { join } from 'node:path';
import { isMissing } from './disk.ts';
import { CHECKPOINT, TILES } from './layout.ts';
import {
  decodeBundle,
  decodeTile,
  encodeBundle,
  encodeTile,
  parseTilePath,
  type TileName,
  tilePath,
} from './tile.ts';
import { type Frontier, type Hash, hashLeaf, perfectRoot, TILE_WIDTH } from './tree.ts';
import { LogProblem, type NamedCheckpoint } from './verify.ts';

/** The bytes of a file, or null when there is none. Every other failure is thrown. */
export function readFile(path: string): Buffer | null {
  try {
    return fs.readFileSync(path);
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

/** Names in a directory; none when there is no directory. */
export function readDirectory(path: string): string[] {
  return fs.existsSync(path) ? fs.readdirSync(path) : [];
}

/** A log that has been read from the first leaf to the last. */
export interface ReadLog {
  readonly directory: string;
  readonly check: { readonly frontier: Frontier; readonly checkpoints: readonly NamedCheckpoint[] };
  /** Leaves after the sealed ones. */
  readonly tail: readonly Buffer[];
  readonly sealed: number;
}

/** Every file below `tile` must be a tile of this tree, and those of the newest checkpoint must be there. */
export function checkTileFiles(log: ReadLog): void {
  for (const file of filesBelow(log.directory, TILES)) {
    if (!file.endsWith('.tmp')) checkTileFile(log, file);
  }
  const newest = log.check.checkpoints.find(({ file }) => file === CHECKPOINT);
  for (let level = 0, count = newest?.size ?? 0; count > 0; level += 1) {
    const [index, width] = [Math.floor(count / TILE_WIDTH), count % TILE_WIDTH];
    if (width > 0) requireTile(log, { level, index, width });
    if (width > 0 && level === 0) requireTile(log, { level: 'entries', index, width });
    count = index;
  }
}

function requireTile(log: ReadLog, name: TileName): void {
  const names = [tilePath(name), tilePath({ ...name, width: TILE_WIDTH })];
  if (names.some((path) => fs.existsSync(join(log.directory, path)))) return;
  throw new LogProblem(tilePath(name), null, 'missing, although the checkpoint needs it');
}

function checkTileFile(log: ReadLog, file: string): void {
  const name = parseTilePath(file);
  if (name === null) throw new LogProblem(file, null, 'not the name of a tile');
  const { level, index, width } = name;
  const first = (index * TILE_WIDTH + width) * (level === 'entries' ? 1 : TILE_WIDTH ** level);
  if (first > log.check.frontier.size)
    throw new LogProblem(file, null, 'about leaves that are not there');
  if (width === TILE_WIDTH && index * TILE_WIDTH < log.sealed) return;
  const expected =
    level === 'entries'
      ? encodeBundle(leavesOf(log, index).slice(0, width))
      : encodeTile(hashesOf(log, level, index).slice(0, width));
  const found = readFile(join(log.directory, file));
  if (found === null || expected.equals(found)) return;
  throw new LogProblem(file, null, 'not the tile that its leaves make');
}

/** The leaves of a block as far as there are any. */
function leavesOf(log: ReadLog, index: number): readonly Buffer[] {
  const first = index * TILE_WIDTH;
  if (first >= log.sealed)
    return log.tail.slice(first - log.sealed, first - log.sealed + TILE_WIDTH);
  const file = tilePath({ level: 'entries', index, width: TILE_WIDTH });
  const leaves = decodeBundle(readFile(join(log.directory, file)) ?? Buffer.alloc(0), TILE_WIDTH);
  if (leaves === null) throw new LogProblem(file, first, 'changed while it was read');
  return leaves;
}

/** The hashes of a tile as far as there are any. */
function hashesOf(log: ReadLog, level: number, index: number): readonly Hash[] {
  const full = Math.floor(log.check.frontier.size / TILE_WIDTH ** (level + 1));
  if (index === full) return log.check.frontier.levels[level] ?? [];
  const bytes = readFile(join(log.directory, tilePath({ level, index, width: TILE_WIDTH })));
  const hashes = bytes === null ? null : decodeTile(bytes, TILE_WIDTH);
  if (hashes !== null) return hashes;
  if (level === 0) return leavesOf(log, index).map(hashLeaf);
  return Array.from({ length: TILE_WIDTH }, (_, i) =>
    perfectRoot(hashesOf(log, level - 1, index * TILE_WIDTH + i), 0, TILE_WIDTH),
  );
}

function* filesBelow(root: string, path: string): Generator<string> {
  const full = join(root, path);
  if (!fs.existsSync(full)) return;
  const directory = fs.opendirSync(full);
  try {
    for (let item = directory.readSync(); item !== null; item = directory.readSync()) {
      const name = `${path}/${item.name}`;
      if (item.isDirectory()) yield* filesBelow(root, name);
      else yield name;
    }
  } finally {
    directory.closeSync();
  }
}
