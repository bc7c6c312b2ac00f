/**
 * The lines of a file from its end to its beginning, in blocks and in little memory, without holding up whoever else
 * has work: every block is one asynchronous read. Nothing about the file is trusted. Shell: reads one file.
 */
import { type FileHandle, open } from 'node:fs/promises';

export interface LinesBlock {
  /** The last one first, without line feeds; valid until the next block is asked for. */
  readonly lines: readonly Buffer[];
  /** That were read for it. */
  readonly bytes: number;
}

const CHUNK_BYTES = 256 * 1024;
const LINE_FEED = 10;

/**
 * Whole lines only: what follows the last line feed is not one yet, and a line over the bound is passed over. Nothing
 * when there is no such file.
 */
export async function* linesBackwards(path: string, bytesMax: number): AsyncGenerator<LinesBlock> {
  const file = await opened(path);
  if (file === null) return;
  try {
    const facts = await file.stat();
    if (!facts.isFile()) return;
    const cutter = new Cutter(bytesMax);
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    for (let end = facts.size; end > 0; ) {
      const wanted = Math.min(CHUNK_BYTES, end);
      const { bytesRead } = await file.read(buffer, 0, wanted, end - wanted);
      // Somebody cut the file while it was read.
      if (bytesRead < wanted) return;
      cutter.take(buffer.subarray(0, wanted));
      end -= wanted;
      yield { lines: end === 0 ? cutter.rest() : cutter.lines(), bytes: wanted };
    }
  } finally {
    await file.close();
  }
}

async function opened(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Owns the line whose beginning has not been read yet. */
class Cutter {
  readonly #bytesMax: number;
  #found: Buffer[] = [];
  /** In the order of the file; null before the last line feed was seen. */
  #tail: Buffer[] | null = null;
  #tailBytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The part of the file before what was taken last. */
  take(chunk: Buffer): void {
    let end = chunk.length;
    while (end > 0) {
      const feed = chunk.lastIndexOf(LINE_FEED, end - 1);
      if (feed === -1) break;
      this.#add(chunk.subarray(feed + 1, end));
      this.#end();
      this.#tail = [];
      end = feed;
    }
    // It outlives the buffer that it was read into.
    this.#add(Buffer.from(chunk.subarray(0, end)));
  }

  lines(): readonly Buffer[] {
    const found = this.#found;
    this.#found = [];
    return found;
  }

  /** The first line of the file has no line feed before it. */
  rest(): readonly Buffer[] {
    this.#end();
    return this.lines();
  }

  #add(piece: Buffer): void {
    if (this.#tail === null) return;
    this.#tailBytes += piece.length;
    // What is already too long is not kept either.
    if (this.#tailBytes > this.#bytesMax) this.#tail = [];
    else if (piece.length > 0) this.#tail.unshift(piece);
  }

  #end(): void {
    const { length } = this.#tail ?? [];
    if (this.#tail !== null && length > 0 && this.#tailBytes <= this.#bytesMax) {
      this.#found.push(length === 1 ? (this.#tail[0] as Buffer) : Buffer.concat(this.#tail));
    }
    this.#tail = null;
    this.#tailBytes = 0;
  }
}
