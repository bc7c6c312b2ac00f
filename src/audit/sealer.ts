/**
 * Sealing: turns every 256 leaves of the live tail into an entry bundle and tiles, in the background. A block is
 * sealed when all its files are durable under their final names; only then may the live tail forget it. Runs behind
 * the log and never before it: everything sealed here also stands in the tail or in a former file.
 * Shell: owns the directory `tile` of the log.
 */
import { dirname, join } from 'node:path';
import { makeDirectory, syncDirectory, writeSynced } from './disk.ts';
import { encodeBundle, encodeTile, tilePath } from './tile.ts';
import { type FullTile, TILE_WIDTH } from './tree.ts';

/** 256 leaves and the tiles they completed. */
export interface Block {
  /** Number of the entry bundle. */
  readonly index: number;
  readonly leaves: readonly Buffer[];
  readonly tiles: readonly FullTile[];
}

/** Blocks written and fsynced together. */
const ROUND_BLOCKS_MAX = 16;
/** Files written at a time: one thread of the pool stays free for the fdatasync of the live tail. */
const LANES = 3;

export class Sealer {
  readonly #directory: string;
  readonly #failed: (error: Error) => void;
  readonly #made = new Set<string>();
  #waiting: Block[] = [];
  #round: Promise<void> | null = null;
  #sealed: number;

  /** @param sealed leaves that are sealed already, a multiple of 256. */
  constructor(directory: string, sealed: number, failed: (error: Error) => void) {
    this.#directory = directory;
    this.#sealed = sealed;
    this.#failed = failed;
  }

  /** Leaves in durable bundles. */
  get sealed(): number {
    return this.#sealed;
  }

  /** Blocks in memory that are not sealed yet. */
  get waiting(): number {
    return this.#waiting.length;
  }

  seal(block: Block): void {
    this.#waiting.push(block);
    this.#start();
  }

  /** Waits until so many leaves are sealed. @returns false when files cannot be written; they are tried again. */
  async sealedUpTo(leaves: number): Promise<boolean> {
    while (this.#sealed < leaves) {
      const before = this.#sealed;
      this.#start();
      await this.#round;
      if (this.#sealed === before) return false;
    }
    return true;
  }

  #start(): void {
    if (this.#round === null && this.#waiting.length > 0) this.#round = this.#next();
  }

  /** Seals one round and starts the next; after a failure it waits for the next block or question. */
  async #next(): Promise<void> {
    const round = this.#waiting.slice(0, ROUND_BLOCKS_MAX);
    let good = false;
    try {
      await this.#sealRound(round);
      this.#waiting.splice(0, round.length);
      this.#sealed += round.length * TILE_WIDTH;
      good = true;
    } catch (error) {
      this.#failed(error as Error);
    }
    this.#round = null;
    if (good) this.#start();
  }

  async #sealRound(round: readonly Block[]): Promise<void> {
    const files = round.flatMap(filesOf).map(({ name, bytes }) => {
      return { path: join(this.#directory, name), bytes };
    });
    const directories = new Set(files.map(({ path }) => dirname(path)));
    for (const directory of directories) {
      if (!this.#made.has(directory)) await makeDirectory(directory);
      this.#made.add(directory);
    }
    const lane = async () => {
      for (let file = files.pop(); file !== undefined; file = files.pop()) {
        await writeSynced(file.path, file.bytes);
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    for (const directory of directories) await syncDirectory(directory);
  }
}

function filesOf({ index, leaves, tiles }: Block): { name: string; bytes: Buffer }[] {
  const width = TILE_WIDTH;
  return [
    { name: tilePath({ level: 'entries', index, width }), bytes: encodeBundle(leaves) },
    ...tiles.map((tile) => ({
      name: tilePath({ level: tile.level, index: tile.index, width }),
      bytes: encodeTile(tile.hashes),
    })),
  ];
}
