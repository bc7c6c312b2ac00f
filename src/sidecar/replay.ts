/**
 * A candidate against what this sidecar decided lately: the newest record first, the same facts, the clock of then, and
 * nothing is enforced by it. Compared is with what stable says: with the record when stable decided it alone, else
 * stable is asked again. Off the path of calls, in small slices, and bounded by decisions, bytes, time and failures of
 * the candidate. Shell: reads the audit log and its side files.
 */
import { inflateRawSync } from 'node:zlib';
import type { Opening } from '../audit/commitment.ts';
import { parseJson } from '../audit/layout.ts';
import { leavesBackwards } from '../audit/leaves-backwards.ts';
import { type InputReads, readingInput } from '../author/input-reads.ts';
import { OpeningsBackwards } from '../author/openings-backwards.ts';
import {
  fitting,
  type RecordedDecision,
  recordedDecision,
  restoredInput,
  saidWhole,
} from '../author/recorded.ts';
import { decided } from '../author/replay.ts';
import type { Revision } from '../bundle/activation.ts';
import { classOf, isFailure } from '../rollout/difference.ts';
import { type ReplayCounts, type ReplayedCall, ReplayTally } from '../rollout/replay-tally.ts';
import type { Example } from '../rollout/report.ts';
import { Pace } from './pace.ts';

/** Where a sidecar keeps what it decided. */
export interface Records {
  readonly directory: string;
  readonly openingsDirectory: string | null;
  /** How many of the first entries stand in tiles. */
  readonly sealed: () => number;
  /** Wall clock, milliseconds since 1970. */
  readonly nowMs: () => number;
}

export interface ReplayParts {
  readonly records: Records;
  readonly monotonicMs: () => number;
  readonly stable: Revision;
  readonly candidate: Revision;
  readonly lastMs: number;
  /** @param error null when it is done. */
  readonly onEnded: (seconds: number, error: unknown) => void;
}

/** Of the newest ones; the rest is not played. */
const DECISIONS_MAX = 100_000;
const BYTES_MAX = 2 * 1024 ** 3;
const SECONDS_MAX = 600;
/** A candidate that fails may take very long each time. */
const FAILURES_MAX = 20;
/** So many decisions in a row before the time that is asked for end it: a clock may have jumped once. */
const OLDER_MAX = 256;
/** What every decision holds, as the log writes it; no text of a call can, because its quotes are escaped. */
const DECISION_MARK = Buffer.from('"kind":"decision"');

export class Replay {
  readonly #parts: ReplayParts;
  readonly #tally = new ReplayTally();
  readonly #stop = new AbortController();
  readonly #pace: Pace;
  readonly #startedMs: number;
  readonly #ended: Promise<void>;
  #done = false;
  #bytes = 0;
  #failures = 0;
  #older = 0;

  constructor(parts: ReplayParts) {
    this.#parts = parts;
    this.#pace = new Pace(parts.monotonicMs, this.#stop.signal);
    this.#startedMs = parts.monotonicMs();
    this.#ended = this.#run();
  }

  get stopped(): boolean {
    return this.#stop.signal.aborted;
  }

  /** That were looked at. */
  get decisions(): number {
    return this.#tally.decisions;
  }

  counts(): ReplayCounts {
    return this.#tally.counts(this.#done);
  }

  examples(): readonly Example[] {
    return this.#tally.examples();
  }

  /** What was counted stays; resolves when no file is open any more. Has no effect when it is done. */
  stop(): Promise<void> {
    if (!this.#done) this.#stop.abort();
    return this.#ended;
  }

  async #run(): Promise<void> {
    let error: unknown = null;
    try {
      await this.#play();
      if (this.stopped) return;
      this.#done = true;
    } catch (thrown) {
      error = thrown;
    }
    const { onEnded, monotonicMs } = this.#parts;
    if (!this.stopped) onEnded((monotonicMs() - this.#startedMs) / 1000, error);
  }

  async #play(): Promise<void> {
    const { records, stable, candidate, lastMs } = this.#parts;
    const sinceMs = records.nowMs() - lastMs;
    const reads = await this.#readsOf(candidate);
    const stableReads = await this.#readsOf(stable);
    const both = {
      mayRead: (path: readonly string[]) => reads.mayRead(path) || stableReads.mayRead(path),
    };
    const openings = new OpeningsBackwards(records.openingsDirectory, async (bytes) => {
      await this.#took(bytes);
      return !this.#isOver();
    });
    try {
      for await (const { lines, bytes } of leavesBackwards(records.directory, records.sealed)) {
        await this.#took(bytes);
        for (const line of lines) {
          if (this.#isOver()) return;
          const decision = line.includes(DECISION_MARK) ? decisionIn(line) : null;
          if (decision === null || !this.#isWithin(decision, sinceMs)) continue;
          const kept = await openings.of(decision.index);
          if (this.stopped) return;
          this.#tally.count(this.#compared(decision, kept, { reads, both }));
          await this.#pace.rest();
        }
      }
    } finally {
      await openings.close();
    }
  }

  #isWithin({ timestamp }: RecordedDecision, sinceMs: number): boolean {
    const older = Date.parse(timestamp) < sinceMs;
    this.#older = older ? this.#older + 1 : 0;
    return !older;
  }

  #isOver(): boolean {
    const seconds = (this.#parts.monotonicMs() - this.#startedMs) / 1000;
    return (
      this.stopped ||
      this.#tally.decisions >= DECISIONS_MAX ||
      this.#bytes >= BYTES_MAX ||
      this.#failures >= FAILURES_MAX ||
      this.#older >= OLDER_MAX ||
      seconds >= SECONDS_MAX
    );
  }

  async #took(bytes: number): Promise<void> {
    this.#bytes += bytes;
    await this.#pace.rest();
  }

  async #readsOf({ planDeflated }: Revision): Promise<InputReads> {
    const reading = readingInput(planDeflated === null ? undefined : inflateRawSync(planDeflated));
    for (;;) {
      await this.#pace.rest();
      const { done, value } = reading.next();
      if (done === true) return value;
    }
  }

  #compared(
    decision: RecordedDecision,
    openings: readonly Opening[],
    { reads, both }: { readonly reads: InputReads; readonly both: InputReads },
  ): ReplayedCall | null {
    const { stable, candidate } = this.#parts;
    const { said, digest, mixed, id: decisionId, timestamp: at, tool } = decision;
    const values = fitting(decision, openings);
    const alone = digest === stable.ref.digest && !mixed;
    const asking = { reads: alone ? reads : both, missingAllowed: false };
    const restored = restoredInput(decision, values, asking);
    if (!restored.ok || said === null) return null;
    const before = alone ? saidWhole(said, values) : decided(stable, restored.input);
    const after = decided(candidate, restored.input);
    if (before === null || after === null) return null;
    if (isFailure(after.reason)) this.#failures += 1;
    return { decisionId, at, tool, before, after, difference: classOf(before, after) };
  }
}

function decisionIn(line: Buffer): RecordedDecision | null {
  const text = line.toString();
  const entry = parseJson(text) as Record<string, unknown> | null;
  const seq = (entry?.['egret'] as { seq?: unknown } | undefined)?.seq;
  if (entry === null || typeof seq !== 'number') return null;
  return recordedDecision({ index: seq, line: text, entry });
}
