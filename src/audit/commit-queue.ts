/**
 * Group commit on the live tail of the log (`wal-<n>.jsonl`): lines of one event-loop turn become one write; a line
 * that asked for `write` is acknowledged when the kernel has it, one that asked for `fsync` when the device has it
 * and all lines before it. Lines are written while an fdatasync is under way and share the next one.
 *
 * Order of calls, and where the point of no return is:
 *   write(wal, lines)   every line whole, else the file is truncated back and nothing of the batch is acknowledged
 *   -> acknowledge `write`
 *   fdatasync(wal)      an error is final: the kernel may have dropped the pages, so it is never tried again
 *   -> acknowledge `fsync`
 *
 * Shell: owns the file descriptors of the live tail.
 */
import type { Disk } from './disk.ts';

export type Durability = 'fsync' | 'write';

interface Waiter {
  readonly line: Buffer;
  readonly durability: Durability;
  readonly done: (error: Error | null) => void;
}

export interface CommitLimits {
  /** Lines waiting for the disk, and their bytes; more are refused. */
  readonly queueLinesMax: number;
  readonly queueBytesMax: number;
  /** Lines and bytes of one write. */
  readonly batchLinesMax: number;
  readonly batchBytesMax: number;
}

export interface CommitEvents {
  /** A write is about to happen; what it throws counts as a failed write. */
  readonly writing: () => void;
  /** Lines are in the kernel and will be leaves; called in order, before anyone is told. */
  readonly written: (lines: readonly Buffer[]) => void;
  /** Writing failed. Nothing unacknowledged will be. `final`: no later write can succeed. */
  readonly failed: (error: Error, operation: 'write' | 'fsync', final: boolean) => void;
  readonly committed: (seconds: number, lines: number, operation: 'write' | 'fsync') => void;
}

interface Segment {
  fd: number;
  /** Offset after the last whole line. */
  bytes: number;
  lines: number;
}

/** Space ran out: it can come back. */
const SPACE = new Set(['ENOSPC', 'EDQUOT']);

export class CommitQueue {
  readonly #disk: Disk;
  readonly #limits: CommitLimits;
  readonly #events: CommitEvents;
  #segment: Segment;
  /** Descriptors of former segments that the next fdatasync round must cover and then close. */
  #former: number[] = [];
  #queue: Waiter[] = [];
  #queuedBytes = 0;
  #scheduled = false;
  /** Written, not yet known to be on the device. */
  #unsynced: Waiter[] = [];
  /** Lines written since the start, and those of them known to be on the device. */
  #writtenLines = 0;
  #syncedLines = 0;
  #syncing: Promise<void> | null = null;
  #dead: Error | null = null;

  constructor(disk: Disk, segment: Segment, limits: CommitLimits, events: CommitEvents) {
    this.#disk = disk;
    this.#segment = segment;
    this.#limits = limits;
    this.#events = events;
  }

  /** Lines that nobody has acknowledged yet. */
  get waiting(): number {
    return this.#queue.length + this.#unsynced.length;
  }

  get segment(): Readonly<Segment> {
    return this.#segment;
  }

  get isFull(): boolean {
    return (
      this.waiting >= this.#limits.queueLinesMax || this.#queuedBytes >= this.#limits.queueBytesMax
    );
  }

  /** Queues one line, line feed included. `done` is called exactly once, never synchronously. */
  append(line: Buffer, durability: Durability, done: (error: Error | null) => void): void {
    this.#queue.push({ line, durability, done });
    this.#queuedBytes += line.length;
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#flush());
  }

  /** Resolves when everything appended before this call is on the device; later lines may be too. */
  async synced(): Promise<void> {
    if (this.#scheduled) this.#flush();
    const target = this.#writtenLines;
    while (this.#dead === null && this.#syncedLines < target) {
      await (this.#syncing ?? this.#startSync());
    }
    if (this.#dead) throw this.#dead;
  }

  /** Goes on in another file. The former is synced and closed by the next fdatasync round. */
  rotate(fd: number): void {
    this.#former.push(this.#segment.fd);
    this.#segment = { fd, bytes: 0, lines: 0 };
  }

  /** Closes all files. Lines still queued are refused. */
  async close(): Promise<void> {
    await this.#syncing;
    this.#dead ??= new Error('the journal is closed');
    this.#refuse(this.#dead);
    for (const fd of [...this.#former, this.#segment.fd]) this.#disk.close(fd);
    this.#former = [];
  }

  #flush(): void {
    this.#scheduled = false;
    while (this.#queue.length > 0 && this.#dead === null) {
      const batch = this.#takeBatch();
      const started = performance.now();
      const error = this.#write(batch);
      if (error !== null) {
        this.#fail(error, 'write', batch);
        return;
      }
      this.#events.written(batch.map(({ line }) => line));
      this.#events.committed((performance.now() - started) / 1000, batch.length, 'write');
      this.#writtenLines += batch.length;
      for (const waiter of batch) {
        if (waiter.durability === 'write') waiter.done(null);
        else this.#unsynced.push(waiter);
      }
    }
    if (this.#unsynced.length > 0 && this.#syncing === null) void this.#startSync();
  }

  #takeBatch(): Waiter[] {
    let [count, bytes] = [0, 0];
    for (const { line } of this.#queue) {
      const full =
        count >= this.#limits.batchLinesMax || bytes + line.length > this.#limits.batchBytesMax;
      if (full && count > 0) break;
      count += 1;
      bytes += line.length;
    }
    this.#queuedBytes -= bytes;
    return this.#queue.splice(0, count);
  }

  /** All bytes of the batch, or none: what a full disk leaves behind is cut off again. */
  #write(batch: readonly Waiter[]): Error | null {
    const segment = this.#segment;
    const [only] = batch;
    const bytes = batch.length === 1 && only ? only.line : Buffer.concat(batch.map((w) => w.line));
    try {
      this.#events.writing();
      for (let at = 0; at < bytes.length; ) {
        at += this.#disk.write(segment.fd, bytes.subarray(at), segment.bytes + at);
      }
    } catch (error) {
      return this.#cutBack(segment, error as Error);
    }
    segment.bytes += bytes.length;
    segment.lines += batch.length;
    return null;
  }

  #cutBack(segment: Segment, cause: Error): Error {
    try {
      this.#disk.truncate(segment.fd, segment.bytes);
      return cause;
    } catch (error) {
      return new Error('cannot cut off a partial line', { cause: error });
    }
  }

  #startSync(): Promise<void> {
    this.#syncing = this.#sync().finally(() => {
      this.#syncing = null;
      if (this.#unsynced.length > 0 && this.#dead === null) void this.#startSync();
    });
    return this.#syncing;
  }

  /** One round: former segments first, so that no line is on the device before the lines ahead of it. */
  async #sync(): Promise<void> {
    const waiters = this.#unsynced;
    const former = this.#former;
    const { fd } = this.#segment;
    const written = this.#writtenLines;
    this.#unsynced = [];
    this.#former = [];
    const started = performance.now();
    try {
      for (const old of former) await this.#disk.sync(old);
      await this.#disk.sync(fd);
    } catch (error) {
      this.#former.push(...former);
      this.#fail(error as Error, 'fsync', waiters);
      return;
    }
    for (const old of former) this.#disk.close(old);
    const seconds = (performance.now() - started) / 1000;
    this.#events.committed(seconds, written - this.#syncedLines, 'fsync');
    this.#syncedLines = written;
    for (const waiter of waiters) waiter.done(null);
  }

  #fail(error: Error, operation: 'write' | 'fsync', batch: readonly Waiter[]): void {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    const final = operation === 'fsync' || !SPACE.has(code);
    if (final) this.#dead = error;
    this.#events.failed(error, operation, final);
    for (const waiter of batch) waiter.done(error);
    this.#refuse(error, final);
  }

  /** Refuses what is queued; and, when nothing can become durable any more, what waits for the device. */
  #refuse(error: Error, all = true): void {
    const refused = all ? [...this.#queue, ...this.#unsynced] : this.#queue;
    this.#queue = [];
    this.#queuedBytes = 0;
    if (all) this.#unsynced = [];
    for (const waiter of refused) waiter.done(error);
  }
}
