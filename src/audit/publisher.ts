/**
 * Publishing: makes the signed checkpoint of a state of the log visible, and everything a client needs to check it
 * first. Order: sealed tiles (sealer.ts), partial tiles, open calls, then `checkpoint` by rename, which is the point
 * of no return; after it the history entry and the removal of older partial tiles.
 * Shell: owns `checkpoint`, `checkpoints`, `open-calls.json` and the partial tiles.
 */
import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { type Signer, signCheckpoint } from './checkpoint.ts';
import { isMissing, makeDirectory, syncDirectory, writeDurably, writeSynced } from './disk.ts';
import { CHECKPOINT, HISTORY, OPEN_CALLS, renderOpenCalls } from './layout.ts';
import { encodeBundle, encodeTile, type TileName, tilePath } from './tile.ts';
import { type Hash, TILE_WIDTH } from './tree.ts';

/** A state of the log, copied at one moment. */
export interface LogState {
  readonly size: number;
  readonly root: Hash;
  /** Edge of each tile level. */
  readonly levels: readonly (readonly Hash[])[];
  /** Leaves after the last whole block. */
  readonly tail: readonly Buffer[];
  readonly open: readonly string[];
}

export interface PublisherOptions {
  readonly directory: string;
  readonly signer: Signer;
  /** Milliseconds between two checkpoints that are kept for good. */
  readonly historyMs: number;
  /** Checkpoints kept; when there are more, every second one of the older half goes. */
  readonly historyMax: number;
}

export class Publisher {
  readonly #options: PublisherOptions;
  /** Tree sizes in the history, ascending. */
  readonly #history: number[];
  /** Widths of the partial tiles that are there for an older checkpoint. */
  #partial: readonly TileName[];
  #keptAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: PublisherOptions, history: readonly number[], size: number) {
    this.#options = options;
    this.#history = [...history].sort((a, b) => a - b);
    this.#partial = partialTiles(size);
  }

  /** @param nowMs monotonic. @param keep true to keep this checkpoint in the history in any case. */
  async publish(state: LogState, nowMs: number, keep: boolean): Promise<void> {
    const { directory, signer } = this.#options;
    const { size, root } = state;
    await this.#writePartialTiles(state);
    await writeDurably(join(directory, OPEN_CALLS), renderOpenCalls({ size, open: state.open }));
    const note = signCheckpoint({ origin: signer.name, size, root }, signer);
    await writeDurably(join(directory, CHECKPOINT), note);
    if (keep || nowMs - this.#keptAtMs >= this.#options.historyMs) {
      this.#keptAtMs = nowMs;
      await this.#keep(size, note);
    }
    await this.#dropPartialTiles(partialTiles(size));
  }

  async #writePartialTiles(state: LogState): Promise<void> {
    const directories = new Set<string>();
    for (const name of partialTiles(state.size)) {
      const path = join(this.#options.directory, tilePath(name));
      const bytes =
        name.level === 'entries'
          ? encodeBundle(state.tail)
          : encodeTile(state.levels[name.level] ?? []);
      await makeDirectory(dirname(path));
      await writeSynced(path, bytes);
      directories.add(dirname(path));
    }
    for (const directory of directories) await syncDirectory(directory);
  }

  async #dropPartialTiles(current: readonly TileName[]): Promise<void> {
    const kept = new Set(current.map(tilePath));
    for (const name of this.#partial) {
      const path = tilePath(name);
      if (!kept.has(path)) await this.#dropPartialTile(path);
    }
    this.#partial = current;
  }

  async #dropPartialTile(path: string): Promise<void> {
    const full = join(this.#options.directory, path);
    await fs.promises.rm(full, { force: true });
    try {
      await fs.promises.rmdir(dirname(full));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (!isMissing(error) && code !== 'ENOTEMPTY') throw error;
    }
  }

  async #keep(size: number, note: string): Promise<void> {
    const directory = join(this.#options.directory, HISTORY);
    await makeDirectory(directory);
    await writeDurably(join(directory, String(size)), note);
    if (this.#history.at(-1) !== size) this.#history.push(size);
    if (this.#history.length <= this.#options.historyMax) return;
    const old = this.#history.splice(0, Math.floor(this.#history.length / 2));
    const staying = old.filter((_, i) => i % 2 === 0);
    this.#history.unshift(...staying);
    for (const gone of old.filter((_, i) => i % 2 === 1)) {
      await fs.promises.rm(join(directory, String(gone)), { force: true });
    }
  }
}

/** The partial tiles of a tree of this size: at most one for each level and one bundle. */
export function partialTiles(size: number): TileName[] {
  const names: TileName[] = [];
  for (let level = 0, count = size; count > 0; level += 1) {
    const [index, width] = [Math.floor(count / TILE_WIDTH), count % TILE_WIDTH];
    if (width > 0) names.push({ level, index, width });
    if (width > 0 && level === 0) names.push({ level: 'entries', index, width });
    count = index;
  }
  return names;
}
