/**
 * The side files of an audit log that hold what the log has only commitments of, found by the number of the entry. Not trusted: lines
 * are bounded, and the caller checks every value against its commitment. Shell: keeps one file open, remembers where
 * each line begins.
 */
import fs from 'node:fs';
import { join } from 'node:path';
import type { Opening } from '../audit/commitment.ts';
import { linesOfFile } from '../audit/line-file.ts';
import { openingsIn, seqOfOpenings } from './openings-line.ts';
import { AuthorError } from './policy-source.ts';

export interface Openings {
  /** What is kept of this entry; nothing when nothing is. */
  of(seq: number): readonly Opening[];
  close(): void;
}

/** No side files. */
export const NO_OPENINGS: Openings = { of: () => [], close: () => undefined };

/** A call as large as the sidecar takes one, with room for escapes. */
const LINE_BYTES_MAX = 128 * 1024 * 1024;
const LINES_MAX = 5_000_000;
/** A log that was begun anew counts from zero again; commitments tell whose values fit. */
const LINES_OF_ONE_SEQ_MAX = 8;

interface Place {
  readonly file: number;
  readonly offset: number;
  readonly bytes: number;
}

/** @throws AuthorError when the directory holds no side file. */
export function openOpenings(directory: string): Openings {
  if (fs.statSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new AuthorError(
      `${directory}: found no directory, expected the side files of an audit log`,
    );
  }
  const files = fs
    .readdirSync(directory)
    .filter((name) => name.endsWith('.jsonl'))
    .sort()
    .map((name) => join(directory, name));
  const places = new Map<number, readonly Place[]>();
  let lines = 0;
  for (const [file, path] of files.entries()) {
    for (const { offset, bytes } of linesOfFile(path, LINE_BYTES_MAX)) {
      const seq = seqOfOpenings(bytes);
      if (seq === null) continue;
      lines += 1;
      if (lines > LINES_MAX) {
        throw new AuthorError(`${path}: found more than ${LINES_MAX} lines, expected fewer`);
      }
      const known = places.get(seq) ?? [];
      const place = { file, offset, bytes: bytes.length };
      places.set(seq, [...known, place].slice(-LINES_OF_ONE_SEQ_MAX));
    }
  }
  return new IndexedOpenings(files, places);
}

class IndexedOpenings implements Openings {
  readonly #files: readonly string[];
  readonly #places: ReadonlyMap<number, readonly Place[]>;
  #open: { readonly file: number; readonly fd: number } | null = null;

  constructor(files: readonly string[], places: ReadonlyMap<number, readonly Place[]>) {
    this.#files = files;
    this.#places = places;
  }

  of(seq: number): readonly Opening[] {
    return (this.#places.get(seq) ?? []).flatMap((place) => this.#read(place));
  }

  #read(place: Place): readonly Opening[] {
    const bytes = Buffer.alloc(place.bytes);
    const read = fs.readSync(this.#fd(place.file), bytes, 0, place.bytes, place.offset);
    return read === place.bytes ? openingsIn(bytes) : [];
  }

  close(): void {
    if (this.#open !== null) fs.closeSync(this.#open.fd);
    this.#open = null;
  }

  #fd(file: number): number {
    if (this.#open?.file === file) return this.#open.fd;
    this.close();
    const fd = fs.openSync(this.#files[file] as string, 'r');
    this.#open = { file, fd };
    return fd;
  }
}
