/**
 * Brings one policy set forward: looks at what Git says, what is stored and what the reports say, asks the state machine,
 * and writes its answer. Level-triggered and serial: a round needs nothing from the one before, so a controller that is
 * killed at any point goes on from the state that is written. Writes are guarded by the resourceVersion that was read;
 * whoever was overtaken looks again. Shell: owns one timer and the newest state it wrote itself.
 */

import { advance, initialState } from '../rollout/machine.ts';
import type { PolicySetSpec } from '../rollout/policy-set.ts';
import type {
  Analysis,
  CandidateSeen,
  Command,
  Observation,
  RolloutEvent,
  RolloutState,
} from '../rollout/state.ts';

export interface StateRead {
  readonly state: RolloutState;
  readonly resourceVersion: string;
}

/** One set as the cluster shows it now. */
export interface SetSeen {
  /** Null when the set is gone or wrong; then `problems` says what is wrong with it. */
  readonly spec: PolicySetSpec | null;
  readonly problems: readonly string[];
  readonly command: Command | null;
  readonly author: string | null;
  readonly stored: StateRead | null;
}

export interface WorkerParts {
  readonly set: string;
  readonly read: () => SetSeen;
  /** Gate and copy; `missing` while there is none, or while its pieces do not fit together yet. */
  readonly candidate: (spec: PolicySetSpec) => Promise<CandidateSeen>;
  /** When to look at the candidate again although nothing changed, in milliseconds; null for never. */
  readonly candidateInMs: () => number | null;
  readonly analyse: (state: RolloutState, spec: PolicySetSpec) => Promise<Analysis | null>;
  /** This replica leads, at this very moment. */
  readonly mayWrite: () => boolean;
  /** @param resourceVersion null creates. @returns the new one, or null when somebody else was faster. */
  readonly write: (state: RolloutState, resourceVersion: string | null) => Promise<string | null>;
  /** Reads the state from the API server itself, past the watch. */
  readonly refresh: () => Promise<StateRead | null>;
  readonly emit: (event: RolloutEvent) => void;
  /** Shows on the set what is wrong with it, or how it stands. */
  readonly show: (status: string) => Promise<void>;
  readonly wrote: (state: RolloutState, before: RolloutState | null) => void;
  readonly failed: (error: unknown) => void;
  readonly fresh: () => Observation['fresh'];
  /** Wall clock, milliseconds since 1970. */
  readonly nowMs: () => number;
  /** Between two routine writes of one set; safety and commands do not wait. */
  readonly routineWriteMs: number;
}

const RETRY_MS = 2000;
const SLEEP_MS_MAX = 60_000;
/** The machine settles in a few moves; more would be a bug, and the next round goes on. */
const MOVES_MAX = 16;
/** What did not change now does not change in the same moment. */
const REST_MS = 1000;

/** What stands in for a look that was not made: nothing moves on by it. */
const NOT_LOOKED: {
  readonly candidate: CandidateSeen;
  readonly analysis: Analysis | null;
} = { candidate: { status: 'missing' }, analysis: null };

export class SetWorker {
  readonly #parts: WorkerParts;
  #written: StateRead | null = null;
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> | null = null;
  #again = false;
  /** While something slow is waited for. */
  #news: (() => void) | null = null;
  #candidateFailed = false;
  #closed = false;
  #shown = '';

  constructor(parts: WorkerParts) {
    this.#parts = parts;
  }

  /** Something changed: look now. */
  kick(): void {
    if (this.#closed) return;
    this.#again = true;
    this.#news?.();
    this.#running ??= this.#run();
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#again && !this.#closed) {
      this.#again = false;
      const wakeAtMs = await this.round().catch((error: unknown) => {
        this.#parts.failed(error);
        return this.#parts.nowMs() + RETRY_MS;
      });
      this.#sleepUntil(wakeAtMs);
    }
    // In the same moment as the last look at `again`, or a kick between the two would be lost.
    this.#running = null;
  }

  #sleepUntil(atMs: number | null): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#closed) return;
    const leftMs = (atMs ?? Number.POSITIVE_INFINITY) - this.#parts.nowMs();
    this.#timer = setTimeout(() => this.kick(), Math.min(Math.max(leftMs, 10), SLEEP_MS_MAX));
    this.#timer.unref();
  }

  /** One look, and at most one write. @returns when to look again at the latest; null when only news can change something. */
  async round(): Promise<number | null> {
    const parts = this.#parts;
    if (!parts.mayWrite()) return null;
    const seen = parts.read();
    const wakeAtMs = await this.#bringForward(seen);
    // Last, so that a status that cannot be shown holds up no rollout.
    if (parts.mayWrite()) await this.#show(seen);
    return wakeAtMs;
  }

  async #bringForward(seen: SetSeen): Promise<number | null> {
    const parts = this.#parts;
    const stored = newest(seen.stored, this.#written);
    // Nothing was ever asked for, and nothing is.
    if (stored === null && seen.spec === null) return null;
    const before = stored?.state ?? null;
    const stops = isStop(seen, before);
    const { candidate, analysis } = stops ? NOT_LOOKED : await this.#look(seen, before);
    const nowMs = parts.nowMs();
    const { spec, command, author } = seen;
    const observation = { spec, candidate, command, analysis, author, fresh: parts.fresh() };
    const settled = settle(before ?? initialState(parts.set, nowMs), observation, nowMs);
    const wakeAtMs = earliest(settled.wakeAtMs, nowMs, this.#candidateInMs());
    // Nothing happened yet that anybody would have to know: a set without its first bundle is not written.
    if (settled.state === before || settled.state.generation === 0) {
      return atLeast(wakeAtMs, nowMs);
    }
    const sinceMs = before === null ? parts.routineWriteMs : Math.abs(nowMs - before.updatedAtMs);
    if (!settled.urgent && sinceMs < parts.routineWriteMs) {
      // Looks go on meanwhile: what they find may be urgent.
      return atLeast(earliest(wakeAtMs, nowMs, parts.routineWriteMs - sinceMs), nowMs);
    }
    const done = await this.#write(settled, stored);
    return done && !stops ? wakeAtMs : nowMs;
  }

  /** What takes time. Both end early when somebody says stop meanwhile, and then the next round follows at once. */
  async #look(seen: SetSeen, before: RolloutState | null): Promise<typeof NOT_LOOKED> {
    const told = Promise.withResolvers<typeof NOT_LOOKED>();
    this.#news = () => {
      if (isStop(this.#parts.read(), before)) told.resolve(NOT_LOOKED);
    };
    try {
      return await Promise.race([this.#lookAtAll(seen, before), told.promise]);
    } finally {
      this.#news = null;
    }
  }

  async #lookAtAll({ spec }: SetSeen, before: RolloutState | null): Promise<typeof NOT_LOOKED> {
    // Without a specification there is nothing to gate; the last one told is kept.
    if (spec === null) return NOT_LOOKED;
    const candidate = await this.#candidate(spec);
    const analysis = before === null ? null : await this.#parts.analyse(before, spec);
    return { candidate, analysis };
  }

  /** One that cannot be stored holds up nothing but itself. */
  async #candidate(spec: PolicySetSpec): Promise<CandidateSeen> {
    try {
      const candidate = await this.#parts.candidate(spec);
      this.#candidateFailed = false;
      return candidate;
    } catch (error) {
      this.#candidateFailed = true;
      this.#parts.failed(error);
      return NOT_LOOKED.candidate;
    }
  }

  #candidateInMs(): number | null {
    return this.#candidateFailed ? RETRY_MS : this.#parts.candidateInMs();
  }

  async #write(settled: Settled, stored: StateRead | null): Promise<boolean> {
    const parts = this.#parts;
    if (!parts.mayWrite()) return true;
    const version = await parts.write(settled.state, stored?.resourceVersion ?? null);
    if (version === null) {
      const found = await parts.refresh();
      if (found === null) {
        throw new Error('the state cannot be read; whoever deletes it lets the set begin anew');
      }
      this.#written = found;
      return false;
    }
    this.#written = { state: settled.state, resourceVersion: version };
    parts.wrote(settled.state, stored?.state ?? null);
    for (const event of settled.events) parts.emit(event);
    return true;
  }

  async #show(seen: SetSeen): Promise<void> {
    const status = seen.problems.join('\n');
    if (status === this.#shown) return;
    await this.#parts.show(status);
    this.#shown = status;
  }
}

const earliest = (wakeAtMs: number | null, nowMs: number, inMs: number | null): number | null =>
  inMs === null ? wakeAtMs : Math.min(wakeAtMs ?? Number.POSITIVE_INFINITY, nowMs + inMs);

const atLeast = (wakeAtMs: number | null, nowMs: number): number | null =>
  wakeAtMs === null ? null : Math.max(wakeAtMs, nowMs + REST_MS);

/** A person wants less, and needs no look for it. */
const isStop = ({ command }: SetSeen, before: RolloutState | null): boolean =>
  command !== null &&
  command.text !== before?.observedCommand &&
  (command.verb === 'abort' || command.verb === 'pause');

/** What was written here may be ahead of what the watch has told so far. */
const newest = (seen: StateRead | null, written: StateRead | null): StateRead | null =>
  (written?.state.generation ?? -1) > (seen?.state.generation ?? -1) ? written : seen;

interface Settled {
  readonly state: RolloutState;
  readonly events: readonly RolloutEvent[];
  readonly urgent: boolean;
  readonly wakeAtMs: number | null;
}

/** Asks the machine until it has nothing more to say at this moment, so that one write holds all of it. Pure. */
function settle(before: RolloutState, seen: Observation, nowMs: number): Settled {
  let state = before;
  let observation = seen;
  let urgent = false;
  const events: RolloutEvent[] = [];
  for (let move = 0; move < MOVES_MAX; move++) {
    const step = advance(state, observation, nowMs);
    events.push(...step.events);
    urgent ||= step.urgent;
    if (step.state === state) return { state, events, urgent, wakeAtMs: step.wakeAtMs };
    state = step.state;
    // One look counts once.
    observation = { ...observation, analysis: null };
  }
  return { state, events, urgent, wakeAtMs: nowMs };
}
