/**
 * The lines of a file that may be of any size, one at a time and in little memory. Nothing about the file is trusted:
 * a line over the bound is passed over, and what is no plain file is none at all. Shell: reads one file.
 */
import fs from 'node:fs';

export interface FileLine {
  /** Byte at which the line begins. */
  readonly offset: number;
  /** Without the line feed; valid until the next one is asked for. */
  readonly bytes: Buffer;
}

const CHUNK_BYTES = 1 << 20;

/** Whole lines only: what follows the last line feed is not one yet. Nothing when there is no such file. */
export function* linesOfFile(path: string, bytesMax: number): Generator<FileLine> {
  if (fs.statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return;
  const fd = fs.openSync(path, 'r');
  try {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    let kept: Buffer[] = [];
    let start = 0;
    for (let at = 0; ; ) {
      const read = fs.readSync(fd, chunk, 0, CHUNK_BYTES, at);
      if (read === 0) return;
      let from = 0;
      for (let end = chunk.indexOf(10); end !== -1 && end < read; end = chunk.indexOf(10, from)) {
        const length = at + end - start;
        const tail = chunk.subarray(from, end);
        if (length <= bytesMax) {
          yield { offset: start, bytes: kept.length === 0 ? tail : Buffer.concat([...kept, tail]) };
        }
        kept = [];
        from = end + 1;
        start = at + from;
      }
      // A line that is already too long is not kept either.
      if (at + read - start > bytesMax) kept = [];
      else if (from < read) kept.push(Buffer.from(chunk.subarray(from, read)));
      at += read;
    }
  } finally {
    fs.closeSync(fd);
  }
}

/** The bytes of a plain file of at most this size; null for anything else. */
export function readBounded(path: string, bytesMax: number): Buffer | null {
  const facts = fs.statSync(path, { throwIfNoEntry: false });
  if (facts?.isFile() !== true || facts.size > bytesMax) return null;
  return fs.readFileSync(path);
}
