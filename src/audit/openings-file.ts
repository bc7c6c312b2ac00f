/**
 * The openings of committed values, kept apart from the log so that they can be given away one by one or deleted
 * while the log stays verifiable: `<day>.jsonl`, one line for each entry: seq, decision id, and pointer, salt and
 * value of each field. Deleting a file erases those values for good.
 * Shell: owns the openings directory (0700, files 0600).
 */
import { join } from 'node:path';
import type { Opening } from './commitment.ts';
import type { Disk } from './disk.ts';

export interface OpeningsLine {
  readonly seq: number;
  readonly decisionId: string | null;
  readonly openings: readonly Opening[];
}

export class OpeningsFile {
  readonly #directory: string;
  readonly #disk: Disk;
  readonly #sizeOf: (fd: number) => number;
  #day = '';
  #fd = -1;
  #bytes = 0;
  #pending = '';

  constructor(directory: string, disk: Disk, sizeOf: (fd: number) => number) {
    this.#directory = directory;
    this.#disk = disk;
    this.#sizeOf = sizeOf;
  }

  /** Keeps a line for the next flush. */
  add({ seq, decisionId: decision_id, openings }: OpeningsLine): void {
    if (openings.length === 0) return;
    this.#pending += `${JSON.stringify({ seq, decision_id, openings })}\n`;
  }

  /** Hands what was added to the kernel. Throws what the disk throws. @param day `2026-11-22`. */
  flush(day: string): void {
    if (this.#pending === '') return;
    if (day !== this.#day) this.#open(day);
    const bytes = Buffer.from(this.#pending);
    this.#pending = '';
    for (let at = 0; at < bytes.length; ) {
      at += this.#disk.write(this.#fd, bytes.subarray(at), this.#bytes + at);
    }
    this.#bytes += bytes.length;
  }

  close(): void {
    if (this.#fd >= 0) this.#disk.close(this.#fd);
    this.#fd = -1;
    this.#day = '';
  }

  #open(day: string): void {
    this.close();
    this.#fd = this.#disk.open(join(this.#directory, `${day}.jsonl`));
    this.#bytes = this.#sizeOf(this.#fd);
    this.#day = day;
  }
}
