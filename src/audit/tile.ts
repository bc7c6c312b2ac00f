/**
 * The files of a transparency log as C2SP tlog-tiles lays them out: names of tiles and entry bundles, and the bytes
 * in them. Whoever serves the directory with a plain web server serves a valid read API. Pure.
 */
import { HASH_BYTES, type Hash, type NodeAt, perfectRoot, TILE_WIDTH } from './tree.ts';

export type TileLevel = number | 'entries';

export interface TileName {
  readonly level: TileLevel;
  readonly index: number;
  /** 1 to 256 hashes or entries; less than 256 makes it a partial tile. */
  readonly width: number;
}

/** `tile/<level>/<index>[.p/<width>]`, the index in groups of three digits. */
export function tilePath({ level, index, width }: TileName): string {
  const suffix = width === TILE_WIDTH ? '' : `.p/${width}`;
  return `tile/${level}/${indexPath(index)}${suffix}`;
}

function indexPath(index: number): string {
  const last = String(index % 1000).padStart(3, '0');
  return index < 1000 ? last : `${parentPath(Math.floor(index / 1000))}${last}`;
}

function parentPath(index: number): string {
  const here = `x${String(index % 1000).padStart(3, '0')}/`;
  return index < 1000 ? here : parentPath(Math.floor(index / 1000)) + here;
}

/** @returns null when the path is not one that `tilePath` makes. */
export function parseTilePath(path: string): TileName | null {
  const match =
    /^tile\/(entries|[0-9]{1,2})\/((?:x[0-9]{3}\/){0,4}[0-9]{3})(?:\.p\/([0-9]{1,3}))?$/.exec(path);
  const [, level = '', digits = '', width] = match ?? [];
  const name: TileName = {
    level: level === 'entries' ? 'entries' : Number(level),
    index: Number(digits.replaceAll(/[x/]/g, '')),
    width: width === undefined ? TILE_WIDTH : Number(width),
  };
  const fits = name.width >= 1 && (width === undefined || name.width < TILE_WIDTH);
  return match !== null && fits && tilePath(name) === path ? name : null;
}

export function encodeTile(hashes: readonly Hash[]): Buffer {
  return Buffer.concat(hashes);
}

/** @returns the hashes, or null when the bytes are not exactly `width` hashes. */
export function decodeTile(bytes: Buffer, width: number): Hash[] | null {
  if (bytes.length !== width * HASH_BYTES) return null;
  return Array.from({ length: width }, (_, i) =>
    bytes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES),
  );
}

/** Entries with their length before them, 16 bits, big-endian. */
export function encodeBundle(leaves: readonly Uint8Array[]): Buffer {
  const bytes = Buffer.allocUnsafe(leaves.reduce((sum, leaf) => sum + 2 + leaf.length, 0));
  let at = 0;
  for (const leaf of leaves) {
    at = bytes.writeUInt16BE(leaf.length, at);
    bytes.set(leaf, at);
    at += leaf.length;
  }
  return bytes;
}

/** @returns the entries, or null when the bytes are not exactly `width` entries. */
export function decodeBundle(bytes: Buffer, width: number): Buffer[] | null {
  const leaves: Buffer[] = [];
  let at = 0;
  while (leaves.length < width) {
    if (at + 2 > bytes.length) return null;
    const end = at + 2 + bytes.readUInt16BE(at);
    if (end > bytes.length) return null;
    leaves.push(bytes.subarray(at + 2, end));
    at = end;
  }
  return at === bytes.length ? leaves : null;
}

/** Looks nodes up in tiles: the height within a tile is rebuilt by hashing. */
export function nodesFromTiles(tileAt: (level: number, index: number) => readonly Hash[]): NodeAt {
  return (level, index) => {
    const tileLevel = Math.floor(level / 8);
    const width = 2 ** (level % 8);
    const first = index * width;
    const tile = tileAt(tileLevel, Math.floor(first / TILE_WIDTH));
    return perfectRoot(tile, first % TILE_WIDTH, width);
  };
}
