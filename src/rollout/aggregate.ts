/**
 * The newest report of each sidecar, and what was counted since a step began. Reports hold counters that only grow in
 * one process, so a report that is lost, repeated or late changes nothing, and what a process counted stays counted
 * when it ends. Bounded in sidecars and examples. Pure.
 */
import {
  COMPARED,
  type Comparison,
  EVAL_BOUNDS_US,
  EXAMPLES_MAX,
  type Example,
  type Report,
  type RolloutReport,
} from './report.ts';
import type { Rollout } from './state.ts';

/** 20,000 sidecars of about 3 kB each. */
export const SIDECARS_MAX = 20_000;
/** Earlier processes of a sidecar whose late reports are recognised. */
const EPOCHS_MAX = 8;

/** A report and how long ago it came, as replicas of the controller tell each other. */
export interface Heard {
  readonly report: Report;
  readonly ageMs: number;
}

/** What was counted. */
export interface Counted {
  readonly comparison: Comparison;
  readonly evalStable: readonly number[];
  readonly evalCandidate: readonly number[];
}

type Opening = Pick<Rollout, 'id' | 'startedAtMs' | 'step' | 'stepStartedAtMs'>;

interface Sidecar {
  report: Report;
  heardAtMs: number;
  readonly pastEpochs: string[];
  /** What its counters said when the window began; null when it began them in the window. */
  base: Counted | null;
}

/** Replays of the sidecars that take part; `done` counts sidecars. */
export interface Replayed {
  readonly done: number;
  readonly comparison: Comparison;
}

export interface Sums {
  /** Sidecars that report this rollout. */
  readonly sidecars: number;
  /** Sidecars that have not heard of this rollout yet. */
  readonly behind: number;
  readonly holding: number;
  readonly loadErrors: readonly string[];
  readonly loadFailures: number;
  readonly tripped: number;
  readonly window: Counted;
  /** In the whole rollout, as far as this process heard of it. */
  readonly newlyAllowed: number;
  readonly replay: Replayed;
  readonly examples: readonly Example[];
}

export class Aggregate {
  readonly #sidecars = new Map<string, Sidecar>();
  #window: { readonly rolloutId: string; readonly key: string } | null = null;
  /** The window began with the rollout. */
  #fromStart = false;
  /** Sidecars that were forgotten in this window: what they counted is in the sums. */
  readonly #left = new Set<string>();
  /** Of processes that ended and sidecars that are gone. */
  #gone = nothing();
  #goneAllowed = 0;
  #examples: readonly Example[] = [];

  /** @returns false when there is no room for another sidecar. */
  take(report: Report, nowMs: number): boolean {
    const known = this.#sidecars.get(report.sidecar);
    if (known === undefined) return this.#takeNew(report, nowMs);
    if (!isNewer(report, known)) return true;
    const before = this.#ours(known.report);
    const after = this.#ours(report);
    if (report.epoch !== known.report.epoch) {
      this.#bank(known);
      known.pastEpochs.push(known.report.epoch);
      if (known.pastEpochs.length > EPOCHS_MAX) known.pastEpochs.shift();
      known.base = null;
    } else if (before !== null && after !== null) {
      // Counters cannot fall; who says so is not believed until it says something else.
      if (!isAtLeast(after, before)) return true;
    } else if (before === null) {
      // Counters of a rollout begin with it.
      known.base = null;
    }
    known.report = report;
    known.heardAtMs = nowMs;
    this.#keepExamples(after);
    return true;
  }

  #takeNew(report: Report, nowMs: number): boolean {
    if (this.#sidecars.size >= SIDECARS_MAX) return false;
    const ours = this.#ours(report);
    // What it counted before is known to be of this step only when the step is the first, or the report is.
    const whole = (this.#fromStart && !this.#left.has(report.sidecar)) || report.sequence <= 1;
    const base = whole ? null : ours;
    this.#sidecars.set(report.sidecar, { report, heardAtMs: nowMs, pastEpochs: [], base });
    this.#keepExamples(ours);
    return true;
  }

  /** What other replicas heard; the newest report of a sidecar counts. */
  merge(heard: readonly Heard[], nowMs: number): void {
    for (const { report, ageMs } of heard) this.take(report, nowMs - Math.max(0, ageMs));
  }

  /** For the other replicas. */
  heard(nowMs: number): readonly Heard[] {
    return [...this.#sidecars.values()].map(({ report, heardAtMs }) => ({
      report,
      ageMs: Math.max(0, nowMs - heardAtMs),
    }));
  }

  /** Each step begins to count anew. Idempotent; to be called before each look. */
  open(rollout: Opening | null): void {
    const key = rollout === null ? '' : `${rollout.step}/${rollout.stepStartedAtMs}`;
    const rolloutId = rollout?.id ?? '';
    const now = this.#window;
    if (now !== null && now.rolloutId === rolloutId && now.key === key) return;
    const another = now?.rolloutId !== rolloutId;
    if (another) {
      this.#goneAllowed = 0;
      this.#examples = [];
    }
    this.#window = { rolloutId, key };
    this.#gone = nothing();
    this.#left.clear();
    // A controller may open it late or take two moves at once, but then no step came before this one.
    const first = rollout !== null && rollout.stepStartedAtMs === rollout.startedAtMs;
    this.#fromStart = another && first;
    for (const sidecar of this.#sidecars.values()) {
      const ours = this.#ours(sidecar.report);
      // A rollout that just began counts from its beginning.
      sidecar.base = this.#fromStart ? null : ours;
      if (another) this.#keepExamples(ours);
    }
  }

  /** Sidecars that were silent for so long are gone; what they counted in this step stays counted. */
  forget(silentMs: number, nowMs: number): void {
    for (const [name, sidecar] of this.#sidecars) {
      if (nowMs - sidecar.heardAtMs <= silentMs) continue;
      this.#bank(sidecar);
      this.#sidecars.delete(name);
      if (this.#left.size < SIDECARS_MAX) this.#left.add(name);
    }
  }

  /** @param sinceGeneration of the state that began the rollout. */
  sums(candidate: string, sinceGeneration: number): Sums {
    const all = [...this.#sidecars.values()];
    const ours = all.flatMap((sidecar) => {
      const report = this.#ours(sidecar.report);
      return report === null ? [] : [{ report, base: sidecar.base }];
    });
    const behind = all.filter(
      ({ report }) => this.#ours(report) === null && report.generation < sinceGeneration,
    );
    let window = this.#gone;
    let replay = NO_COMPARISON;
    for (const { report, base } of ours) {
      window = added(window, since(report, base));
      if (report.replay !== null) replay = plus(replay, report.replay.comparison);
    }
    const failed = ours.filter(({ report }) => report.loadErrors.length > 0);
    const allowed = ours.map(({ report }) => report.comparison.newly_allowed);
    return {
      sidecars: ours.length,
      behind: behind.length,
      holding: ours.filter(({ report }) => report.candidate === candidate).length,
      loadErrors: [...new Set(failed.flatMap(({ report }) => report.loadErrors))].slice(0, 5),
      loadFailures: failed.length,
      tripped: ours.filter(({ report }) => report.tripped).length,
      window,
      newlyAllowed: allowed.reduce((sum, one) => sum + one, this.#goneAllowed),
      replay: {
        done: ours.filter(({ report }) => report.replay?.done === true).length,
        comparison: replay,
      },
      examples: this.#examples,
    };
  }

  /** The part of a report that is about the rollout under way. */
  #ours({ rollout }: Report): RolloutReport | null {
    return rollout !== null && rollout.id === this.#window?.rolloutId ? rollout : null;
  }

  #bank({ report, base }: Sidecar): void {
    const ours = this.#ours(report);
    if (ours === null) return;
    this.#gone = added(this.#gone, since(ours, base));
    this.#goneAllowed += ours.comparison.newly_allowed;
  }

  /** What became allowed first, then the newest. */
  #keepExamples(report: RolloutReport | null): void {
    if (report === null || report.examples.length === 0) return;
    const byId = new Map(
      [...report.examples, ...this.#examples].map((example) => [example.decisionId, example]),
    );
    const rank = ({ class: kind }: Example) => (kind === 'newly_allowed' ? 0 : 1);
    this.#examples = [...byId.values()]
      .toSorted((a, b) => rank(a) - rank(b) || (a.at < b.at ? 1 : -1))
      .slice(0, EXAMPLES_MAX);
  }
}

function isNewer(report: Report, { report: known, pastEpochs }: Sidecar): boolean {
  if (report.epoch === known.epoch) return report.sequence > known.sequence;
  return !pastEpochs.includes(report.epoch);
}

const NO_COMPARISON = Object.fromEntries(COMPARED.map((name) => [name, 0])) as Comparison;
const NO_TIMES: readonly number[] = Array.from({ length: EVAL_BOUNDS_US.length + 1 }, () => 0);
const nothing = (): Counted => ({
  comparison: NO_COMPARISON,
  evalStable: NO_TIMES,
  evalCandidate: NO_TIMES,
});

const isAtLeast = (after: Counted, before: Counted): boolean =>
  COMPARED.every((name) => after.comparison[name] >= before.comparison[name]) &&
  after.evalStable.every((count, at) => count >= (before.evalStable[at] ?? 0)) &&
  after.evalCandidate.every((count, at) => count >= (before.evalCandidate[at] ?? 0));

const since = (now: Counted, base: Counted | null): Counted =>
  base === null ? now : combined(now, base, (a, b) => a - b);
const added = (a: Counted, b: Counted): Counted => combined(a, b, (x, y) => x + y);

function combined(a: Counted, b: Counted, of: (x: number, y: number) => number): Counted {
  const lists = (x: readonly number[], y: readonly number[]) =>
    x.map((count, at) => of(count, y[at] ?? 0));
  return {
    comparison: byName((name) => of(a.comparison[name], b.comparison[name])),
    evalStable: lists(a.evalStable, b.evalStable),
    evalCandidate: lists(a.evalCandidate, b.evalCandidate),
  };
}

const plus = (a: Comparison, b: Comparison): Comparison => byName((name) => a[name] + b[name]);

const byName = (of: (name: (typeof COMPARED)[number]) => number): Comparison =>
  Object.fromEntries(COMPARED.map((name) => [name, of(name)])) as Comparison;
