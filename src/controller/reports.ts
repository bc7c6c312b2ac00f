/**
 * What this replica heard of sidecars, one aggregate for each policy set, and what it makes of it: the look that the
 * state machine is given when one is due. Shell: owns the aggregates.
 */
import { Aggregate, type Heard } from '../rollout/aggregate.ts';
import { lookAt, lookFromNumbers } from '../rollout/analysis.ts';
import type { PolicySetSpec } from '../rollout/policy-set.ts';
import type { Report } from '../rollout/report.ts';
import type { Analysis, Rollout, RolloutState } from '../rollout/state.ts';
import { askPrometheus } from './prometheus.ts';

export interface ReportsParts {
  /** Milliseconds of a clock that never goes back. */
  readonly monotonicMs: () => number;
  readonly failed: (error: unknown) => void;
}

export class Reports {
  readonly #parts: ReportsParts;
  readonly #sets = new Map<string, Aggregate>();

  constructor(parts: ReportsParts) {
    this.#parts = parts;
  }

  /** @param known whether there is such a set; a pod may say any name. @returns false when nobody can be added. */
  take(report: Report, known: boolean): boolean {
    return known && this.#of(report.set).take(report, this.#parts.monotonicMs());
  }

  /** For the other replicas. */
  heard(): readonly Heard[] {
    const nowMs = this.#parts.monotonicMs();
    return [...this.#sets.values()].flatMap((aggregate) => aggregate.heard(nowMs));
  }

  /** From another replica. */
  merge(heard: readonly Heard[], known: (set: string) => boolean): void {
    const nowMs = this.#parts.monotonicMs();
    for (const one of heard) {
      if (known(one.report.set)) this.#of(one.report.set).merge([one], nowMs);
    }
  }

  count(): number {
    const nowMs = this.#parts.monotonicMs();
    return [...this.#sets.values()].reduce((sum, one) => sum + one.heard(nowMs).length, 0);
  }

  /** A step begins to count when it begins, not at its first look. Idempotent. */
  follow({ set, rollout }: RolloutState): void {
    this.#of(set).open(rollout);
  }

  /** @returns null when no look is due. */
  async look(state: RolloutState, spec: PolicySetSpec, wallMs: number): Promise<Analysis | null> {
    const { rollout } = state;
    if (rollout === null || !isLookDue(rollout, spec, wallMs)) return null;
    const step = spec.steps[rollout.step];
    const reported = lookAt(this.#of(state.set), {
      rollout,
      spec: spec.analysis,
      replaying: step !== undefined && 'replay' in step,
      nowMs: this.#parts.monotonicMs(),
    });
    const { prometheus } = spec.analysis;
    if (prometheus === undefined) return reported;
    const numbers = await askPrometheus(
      prometheus,
      askedAbout(state.set, rollout, wallMs),
      (error) => this.#parts.failed(error),
    );
    const asked = Object.keys(prometheus.queries).map((check) => [check, null] as const);
    return lookFromNumbers({ ...Object.fromEntries(asked), ...numbers }, spec.analysis, reported);
  }

  #of(set: string): Aggregate {
    const known = this.#sets.get(set);
    if (known !== undefined) return known;
    const aggregate = new Aggregate();
    this.#sets.set(set, aggregate);
    return aggregate;
  }
}

/** A look in the future was written by a replica whose clock is ahead; to wait for it would be to look away. Pure. */
export function isLookDue(
  { lastLookAtMs }: Rollout,
  { analysis }: PolicySetSpec,
  wallMs: number,
): boolean {
  const sinceMs = wallMs - lastLookAtMs;
  return sinceMs < 0 || sinceMs >= analysis.interval;
}

const askedAbout = (set: string, { id, stepStartedAtMs }: Rollout, wallMs: number) => ({
  set,
  rolloutId: id,
  windowMs: Math.max(0, wallMs - stepStartedAtMs),
});
