/**
 * A candidate that is tried out beside the policy in force, for one rollout: who takes part, what is enforced, what is
 * counted and reported, and when the sidecar takes itself out. Shell: owns the counters of one rollout.
 */
import { shownName } from '../call/tool-call.ts';
import type { DecidingPolicy } from '../decision/decide.ts';
import type { PolicyInput } from '../decision/input.ts';
import type { Verdict } from '../decision/verdict.ts';
import type { Settled, Trial } from '../proxy/ports.ts';
import { type Arm, enforcedOf } from '../rollout/arm.ts';
import { createCohort } from '../rollout/cohort.ts';
import { classOf, saidBy } from '../rollout/difference.ts';
import type { Directive } from '../rollout/directive.ts';
import { Tally } from '../rollout/tally.ts';
import { Trip } from '../rollout/trip.ts';
import type { RolloutMetrics } from '../telemetry/rollout-metric.ts';

export interface TrialParts {
  readonly set: string;
  readonly rolloutId: string;
  readonly salt: string;
  readonly metrics: RolloutMetrics;
  readonly monotonicMs: () => number;
  /** The sidecar took itself out. */
  readonly onTripped: () => void;
}

/** What may change while one rollout goes on. */
type Terms = Pick<Directive, 'mode' | 'unit' | 'weight'>;

/** The counters of one rollout; candidates and weights come and go in it. */
export class RolloutTrial {
  readonly rolloutId: string;
  readonly #parts: TrialParts;
  readonly #tally = new Tally();
  readonly #trip = new Trip();
  readonly #placeOf: (unit: string) => number;

  constructor(parts: TrialParts) {
    this.#parts = parts;
    this.rolloutId = parts.rolloutId;
    this.#placeOf = createCohort(parts.salt, parts.set);
  }

  get tripped(): boolean {
    return this.#trip.tripped;
  }

  counts() {
    return this.#tally.counts();
  }

  /** For the calls from now on. */
  under(terms: Terms, candidate: DecidingPolicy): Trial {
    return {
      candidate,
      settle: (input, stable, answer) => this.#settle(terms, candidate, { input, stable, answer }),
    };
  }

  #settle(terms: Terms, { ref }: DecidingPolicy, asked: Asked): Settled {
    const { input, stable, answer } = asked;
    const shadow = terms.weight === 0;
    const bucket = shadow ? null : this.#placeOf(unitOf(terms.unit, input));
    const takesPart = bucket !== null && bucket < terms.weight;
    const { mode } = terms;
    const { arm, verdict } = enforcedOf({ stable, candidate: answer, mode, takesPart, shadow });
    const difference = classOf(saidBy(stable), saidBy(answer));
    // What makes both fail alike, such as a call made to exhaust them, says nothing about the candidate.
    const failed = difference === 'error';
    // A candidate that should have decided and could not is worse than one that was only watched.
    const failures = failed ? (mode === 'candidate' && takesPart ? 2 : 1) : 0;
    this.#count(asked, { arm, difference, failures });
    const { digest, revision } = ref;
    const { outcome, reason } = answer;
    const candidate = { digest, revision, outcome, reason };
    return { verdict, facts: { id: this.rolloutId, arm, bucket, candidate, difference } };
  }

  #count({ input, stable, answer }: Asked, result: Result): void {
    const { arm, difference, failures } = result;
    const { set, metrics, monotonicMs, onTripped } = this.#parts;
    this.#tally.count({
      decisionId: input.uid,
      at: input.time,
      tool: shownName(input.tool),
      stable,
      candidate: answer,
      difference,
      enforced: arm === 'guarded' || arm === 'candidate',
      times: Math.max(1, failures),
    });
    const candidateSeconds = answer.evalNs / 1e9;
    metrics.tried({ set, arm, decision: stable.outcome, kind: difference, candidateSeconds });
    if (!this.#trip.count(failures, monotonicMs())) return;
    metrics.tripped(set);
    onTripped();
  }
}

interface Result {
  readonly arm: Arm;
  readonly difference: ReturnType<typeof classOf>;
  readonly failures: number;
}

interface Asked {
  readonly input: PolicyInput;
  readonly stable: Verdict;
  readonly answer: Verdict;
}

/** What is known of a unit falls back to the pod, and then to the agent: a name that nobody proved counts for nobody. */
function unitOf(unit: Directive['unit'], { agent, run, workload }: PolicyInput): string {
  const pod = workload.uid ?? workload.pod;
  const named = {
    agent: agent.assurance === 'none' ? null : agent.id,
    run: run.id,
    pod,
    namespace: workload.namespace,
  }[unit];
  return `${unit} ${named ?? pod ?? agent.id}`;
}
