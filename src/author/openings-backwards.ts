/**
 * The side files of an audit log from the newest line to the oldest, beside a log that is read in the same order: what
 * is kept of an entry is found without an index. Not trusted: lines are bounded, and the caller checks every value
 * against its commitment. Shell: reads the side files, one block at a time.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Opening } from '../audit/commitment.ts';
import { type LinesBlock, linesBackwards } from '../audit/lines-backwards.ts';
import { openingsIn, seqOfOpenings } from './openings-line.ts';

/** A larger call would hold up the others for too long; it counts as not kept. */
const LINE_BYTES_MAX = 1024 * 1024;

export class OpeningsBackwards {
  readonly #blocks: AsyncGenerator<LinesBlock>;
  readonly #onRead: (bytes: number) => Promise<boolean>;
  #lines: readonly Buffer[] = [];
  #at = 0;
  #ended = false;

  /** @param onRead told of each block; nothing more is read before it resolves, or ever when it says false. */
  constructor(directory: string | null, onRead: (bytes: number) => Promise<boolean>) {
    this.#blocks = directory === null ? nothing() : blocksBackwards(directory);
    this.#onRead = onRead;
  }

  /** What is kept of this entry. Entries must be asked for in falling order. */
  async of(seq: number): Promise<readonly Opening[]> {
    const found: Opening[] = [];
    for (;;) {
      const line = this.#lines[this.#at] ?? (await this.#next());
      if (line === null) return found;
      const its = seqOfOpenings(line);
      if (its !== null && its < seq) return found;
      // A number is given again when an entry could not be written: commitments tell whose values fit.
      if (its === seq) found.push(...openingsIn(line));
      this.#at += 1;
    }
  }

  async close(): Promise<void> {
    this.#ended = true;
    this.#lines = [];
    await this.#blocks.return(undefined);
  }

  async #next(): Promise<Buffer | null> {
    while (!this.#ended) {
      const { value, done } = await this.#blocks.next();
      if (done === true) {
        this.#ended = true;
        break;
      }
      this.#lines = value.lines;
      this.#at = 0;
      this.#ended = !(await this.#onRead(value.bytes));
      const [first] = this.#lines;
      if (first !== undefined) return first;
    }
    return null;
  }
}

async function* blocksBackwards(directory: string): AsyncGenerator<LinesBlock> {
  const names = await readdir(directory);
  const files = names.filter((name) => name.endsWith('.jsonl')).sort();
  for (const name of files.reverse()) yield* linesBackwards(join(directory, name), LINE_BYTES_MAX);
}

async function* nothing(): AsyncGenerator<LinesBlock> {}
