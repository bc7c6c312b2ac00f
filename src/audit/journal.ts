/**
 * The audit journal: the one way an entry gets into the log. Leaves stand in the order of the calls to `append`; the
 * promise of an entry resolves when it is as durable as asked, and no byte of a call may leave before. When the disk
 * fails nothing is acknowledged any more and every append is refused with `audit.unavailable`; when only space ran
 * out, the journal goes on by itself once there is some.
 * Shell: owns the log directory (through commit-queue, sealer, publisher and lock) and one timer.
 */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { canonicalText } from './canonical.ts';
import { CommitQueue, type Durability } from './commit-queue.ts';
import { makeDirectory, syncDirectory } from './disk.ts';
import {
  decisionEntry,
  ENTRY_BYTES_MAX,
  type Entry,
  type EntryContext,
  lifecycleEntry,
  outcomeEntry,
} from './entry.ts';
import {
  AuditUnavailable,
  type JournalOptions,
  type JournalSettings,
  type JournalStatus,
  settingsOf,
} from './journal-options.ts';
import { walName } from './layout.ts';
import { bytesCut, type OpenedLog, openLog, recoveryEvent } from './open-log.ts';
import { OpeningsFile } from './openings-file.ts';
import { Publisher } from './publisher.ts';
import {
  type DecisionRecord,
  interruptedCall,
  type LifecycleEvent,
  type OutcomeRecord,
} from './record.ts';
import { track } from './recovery.ts';
import { Sealer } from './sealer.ts';
import { Stamper } from './stamper.ts';
import { type Frontier, grow, hashLeaf, rootOf, TILE_WIDTH } from './tree.ts';

/** `full`: no space left, may pass. `failed`: final. */
type State = 'healthy' | 'full' | 'failed' | 'closed';

/** Opens or continues the log, records the start, and closes what a former run left open. */
export async function openJournal(options: JournalOptions): Promise<Journal> {
  const settings = settingsOf(options);
  if (settings.openingsDirectory !== null) await makeDirectory(settings.openingsDirectory);
  const opened = await openLog(settings);
  let journal: Journal | null = null;
  try {
    journal = new Journal(settings, opened);
    await journal.begin(opened);
    return journal;
  } catch (error) {
    await journal?.abandon();
    opened.lock.release();
    throw error;
  }
}

export class Journal {
  readonly #settings: JournalSettings;
  readonly #opened: OpenedLog;
  readonly #stamper: Stamper;
  readonly #queue: CommitQueue;
  readonly #sealer: Sealer;
  readonly #publisher: Publisher;
  readonly #openings: OpeningsFile | null;
  readonly #timer: NodeJS.Timeout;

  // The log as it is in the kernel.
  readonly #frontier: Frontier;
  #tail: Buffer[] = [];
  readonly #open = new Set<string>();

  // What is on its way there.
  #next: number;
  #entries: Entry[] = [];

  // The live tail on disk.
  #wal: { number: number; end: number }[];
  #nextFd: number | null = null;

  #state: State = 'healthy';
  #error: string | null = null;
  #published = { size: 0, atMs: 0 };
  #publishing: Promise<void> | null = null;
  #ticking: Promise<void> | null = null;

  constructor(settings: JournalSettings, opened: OpenedLog) {
    const { recovered, signer } = opened;
    this.#settings = settings;
    this.#opened = opened;
    const labels = JSON.parse(canonicalText(settings.labels));
    this.#stamper = new Stamper({ log: signer.name, bootId: randomUUID(), labels }, settings.clock);
    this.#openings = settings.openingsDirectory
      ? new OpeningsFile(settings.openingsDirectory, settings.disk, (fd) => fs.fstatSync(fd).size)
      : null;
    this.#frontier = recovered.frontier;
    this.#next = recovered.frontier.size;
    this.#sealer = new Sealer(settings.directory, recovered.frontier.size, (error) =>
      this.#notice('seal', error),
    );
    const { directory, historyMs, historyMax } = settings;
    const signed = recovered.checkpoint?.size ?? 0;
    this.#publisher = new Publisher(
      { directory, signer, historyMs, historyMax },
      opened.history,
      signed,
    );
    const wals = recovered.wals.map(({ number, end }) => ({ number, end }));
    this.#wal = wals.length > 0 ? wals : [{ number: 0, end: 0 }];
    const last = recovered.wals.at(-1);
    const fd = settings.disk.open(this.#walPath(last?.number ?? 0));
    const segment = { fd, bytes: last?.bytes ?? 0, lines: last?.lines ?? 0 };
    this.#queue = new CommitQueue(settings.disk, segment, settings, {
      writing: () => this.#openings?.flush(this.#stamper.timestamp().slice(0, 10)),
      written: (lines) => this.#written(lines),
      failed: (error, operation, final) => this.#failed(error, operation, final),
      committed: (seconds, lines, operation) =>
        settings.hooks.committed?.(seconds, lines, operation),
    });
    this.#timer = setInterval(() => void this.tick(), settings.checkpointMs).unref();
  }

  /** The first entries of this boot. Everything a former run acknowledged is in the tree before them. */
  async begin(opened: OpenedLog): Promise<void> {
    const { recovered, vkey } = opened;
    await syncDirectory(this.#settings.directory);
    for (const id of recovered.open) this.#open.add(id);
    for (const leaf of recovered.tail) this.#addLeaf(leaf);
    this.#next = this.#frontier.size;
    const { version, configHash } = this.#settings;
    const size = this.#frontier.size;
    const start = { config_hash: configHash, previous_size: size, version, vkey };
    await this.#submit(this.#lifecycle({ event: 'start', detail: start }), 'fsync');
    const recovery = recoveryEvent(opened);
    if (recovery !== null) {
      await this.recordLifecycle(recovery);
      this.#settings.hooks.recovered?.(bytesCut(recovered), recovered.open.size);
    }
    await this.#interruptOpenCalls();
    await this.#prepareNextWal();
    await this.#publish(true);
  }

  /**
   * Appends an entry; `build` is called at once with the index it will have. Rejects with AuditUnavailable
   * (`audit.unavailable`) when the log cannot take it, or with what `build` throws.
   * @returns the index, once the entry is as durable as asked.
   */
  append(build: (context: EntryContext) => Entry, durability: Durability): Promise<number> {
    const refusal = this.#refusal();
    if (refusal !== null) return Promise.reject(new AuditUnavailable(refusal));
    return this.#submit(build, durability);
  }

  recordDecision(record: DecisionRecord, durability: Durability): Promise<number> {
    return this.append((context) => decisionEntry(record, context), durability);
  }

  recordOutcome(record: OutcomeRecord, durability: Durability): Promise<number> {
    return this.append((context) => outcomeEntry(record, context), durability);
  }

  recordLifecycle(event: LifecycleEvent): Promise<number> {
    return this.append(this.#lifecycle(event), 'fsync');
  }

  status(): JournalStatus {
    return {
      healthy: this.#state === 'healthy',
      error: this.#error,
      size: this.#frontier.size,
      sealed: this.#sealer.sealed,
      queue: this.#queue.waiting,
      openCalls: this.#open.size,
      lastCheckpointMs: this.#published.atMs,
      lastCheckpointSize: this.#published.size,
      root: rootOf(this.#frontier).toString('hex'),
      origin: this.#opened.signer.name,
      vkey: this.#opened.vkey,
    };
  }

  /** Ends every open call as interrupted, records the stop, signs a last checkpoint and lets the directory go. */
  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    clearInterval(this.#timer);
    await this.#ticking;
    try {
      if (this.#state === 'healthy') {
        this.#state = 'closed'; // from here on nothing new is taken
        await this.#queue.synced(); // outcomes on their way close their calls, so no call gets two
        await this.#interruptOpenCalls();
        await this.#submit(this.#lifecycle({ event: 'stop', detail: {} }), 'fsync');
        await this.#publish(true);
      }
    } finally {
      this.#state = 'closed';
      await this.#queue.close();
      if (this.#nextFd !== null) this.#settings.disk.close(this.#nextFd);
      this.#openings?.close();
      this.#opened.lock.release();
    }
  }

  /** Lets the directory go after a failed start, without another entry. */
  async abandon(): Promise<void> {
    this.#state = 'failed';
    await this.close();
  }

  /** What the timer does: beat, clock, space, checkpoint, files that are no longer needed. Never rejects. */
  tick(): Promise<void> {
    this.#ticking ??= this.#tick().finally(() => {
      this.#ticking = null;
    });
    return this.#ticking;
  }

  async #tick(): Promise<void> {
    this.#stepClock();
    try {
      if (!this.#opened.lock.beat()) this.#failed(new Error('the lock is gone'), 'lock', true);
      if (this.#state === 'full') await this.#probe();
      if (this.#state === 'healthy') await this.#publish(false);
      await this.#dropSealedWals();
    } catch (error) {
      this.#notice('checkpoint', error as Error);
    }
  }

  #refusal(): string | null {
    if (this.#state !== 'healthy') return `the audit log is ${this.#state}: ${this.#error ?? ''}`;
    if (this.#queue.isFull) return 'the audit log takes entries more slowly than calls arrive';
    if (this.#sealer.waiting > this.#settings.unsealedBlocksMax) return 'sealing is too far behind';
    return null;
  }

  #submit(build: (context: EntryContext) => Entry, durability: Durability): Promise<number> {
    return new Promise((resolve, reject) => {
      const seq = this.#next;
      const entry = build(this.#stamper.context(seq));
      const line = Buffer.from(`${entry.line}\n`);
      if (line.length > ENTRY_BYTES_MAX + 1) throw new Error('audit entry: longer than 60 KiB');
      this.#next += 1;
      this.#entries.push(entry);
      const { openings, opens, closes } = entry;
      this.#openings?.add({ seq, decisionId: opens ?? closes, openings: openings() });
      this.#queue.append(line, durability, (error) => {
        if (error === null) resolve(seq);
        else reject(new AuditUnavailable(error.message, { cause: error }));
      });
    });
  }

  #lifecycle(event: LifecycleEvent): (context: EntryContext) => Entry {
    return (context) => lifecycleEntry(event, context);
  }

  /** The lines are in the kernel: they are leaves now. */
  #written(lines: readonly Buffer[]): void {
    const entries = this.#entries.splice(0, lines.length);
    lines.forEach((line, i) => {
      this.#addLeaf(line.subarray(0, -1));
      const entry = entries[i] as Entry;
      track(this.#open, entry);
      this.#settings.hooks.recorded?.(entry.kind);
    });
    const wal = this.#wal.at(-1);
    if (wal) wal.end = this.#frontier.size;
    this.#rotateWal();
    if (this.#frontier.size - this.#published.size >= this.#settings.checkpointLeavesMax) {
      setImmediate(() => void this.tick());
    }
  }

  #addLeaf(leaf: Buffer): void {
    const tiles = grow(this.#frontier, hashLeaf(leaf));
    this.#tail.push(leaf);
    if (this.#tail.length < TILE_WIDTH) return;
    const index = this.#frontier.size / TILE_WIDTH - 1;
    this.#sealer.seal({ index, leaves: this.#tail, tiles });
    this.#tail = [];
  }

  #failed(error: Error, operation: 'write' | 'fsync' | 'lock', final: boolean): void {
    this.#next = this.#frontier.size;
    this.#entries = [];
    if (this.#state !== 'closed') this.#state = final ? 'failed' : 'full';
    this.#notice(operation, error);
  }

  #notice(operation: 'write' | 'fsync' | 'seal' | 'checkpoint' | 'lock', error: Error): void {
    this.#error = `${operation}: ${error.message}`;
    this.#settings.hooks.failed?.(operation, error);
  }

  /** Is there space again? The record of the gap is the test. */
  async #probe(): Promise<void> {
    const detail = { cause: 'no_space', error: this.#error ?? '' };
    try {
      await this.#submit(this.#lifecycle({ event: 'recovery', detail }), 'fsync');
    } catch (error) {
      if (error instanceof AuditUnavailable) return;
      throw error;
    }
    if (this.#state !== 'full') return;
    this.#state = 'healthy';
    this.#error = null;
  }

  async #interruptOpenCalls(): Promise<void> {
    const open = [...this.#open];
    for (let at = 0; at < open.length; at += TILE_WIDTH) {
      const round = open
        .slice(at, at + TILE_WIDTH)
        .map((ref) =>
          this.#submit((context) => outcomeEntry(interruptedCall(ref), context), 'fsync'),
        );
      await Promise.all(round);
    }
  }

  /** One at a time; the state is copied when it is this one's turn. */
  async #publish(keep: boolean): Promise<void> {
    while (this.#publishing !== null) await this.#publishing;
    if (this.#frontier.size === this.#published.size && !keep) return;
    this.#publishing = this.#publishNow(keep).finally(() => {
      this.#publishing = null;
    });
    await this.#publishing;
  }

  async #publishNow(keep: boolean): Promise<void> {
    const { size } = this.#frontier;
    const state = {
      size,
      root: rootOf(this.#frontier),
      levels: this.#frontier.levels.map((edge) => [...edge]),
      tail: [...this.#tail],
      open: [...this.#open],
    };
    await this.#queue.synced();
    const sealed = await this.#sealer.sealedUpTo(size - (size % TILE_WIDTH));
    if (!sealed) throw new Error('sealed tiles are missing, so no checkpoint is signed');
    await this.#publisher.publish(state, this.#settings.clock.monotonicMs(), keep);
    this.#published = { size, atMs: this.#settings.clock.wallMs() };
    this.#settings.hooks.checkpointed?.(size);
  }

  #walPath(number: number): string {
    return join(this.#settings.directory, walName(number));
  }

  /** Goes on in the next file of the live tail, if it is there yet: making one may take time. */
  #rotateWal(): void {
    if (this.#queue.segment.lines < this.#settings.walLinesMax || this.#nextFd === null) return;
    const number = (this.#wal.at(-1)?.number ?? 0) + 1;
    this.#queue.rotate(this.#nextFd);
    this.#wal.push({ number, end: this.#frontier.size });
    this.#nextFd = null;
    this.#prepareNextWal().catch((error: Error) => this.#notice('write', error));
  }

  async #prepareNextWal(): Promise<void> {
    const number = (this.#wal.at(-1)?.number ?? 0) + 1;
    const fd = this.#settings.disk.open(this.#walPath(number));
    await syncDirectory(this.#settings.directory);
    this.#nextFd = fd;
  }

  async #dropSealedWals(): Promise<void> {
    while (this.#wal.length > 1 && (this.#wal[0]?.end ?? 0) <= this.#sealer.sealed) {
      const gone = this.#wal.shift();
      if (gone) await fs.promises.rm(this.#walPath(gone.number), { force: true });
    }
  }

  /** Records when the wall clock has moved against the monotonic one. */
  #stepClock(): void {
    const stepMs = this.#stamper.clockStepMs();
    if (Math.abs(stepMs) < this.#settings.clockStepMs) return;
    this.recordLifecycle({ event: 'clock_step', detail: { step_ms: stepMs } }).catch(
      (error: Error) => this.#notice('write', error),
    );
  }
}
