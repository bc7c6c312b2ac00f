/**
 * Metrics about a candidate that is tried out beside the policy in force. Labels are the set and closed words.
 * Shell: owns a part of a registry.
 */
import type { declared } from './metric.ts';
import { METRICS } from './metric-catalogue.ts';

export type PolicyRole = 'stable' | 'candidate';

export interface TriedCall {
  readonly set: string;
  readonly arm: string;
  readonly decision: string;
  /** Class of the difference. */
  readonly kind: string;
  readonly candidateSeconds: number;
}

export interface RolloutMetrics {
  tried(call: TriedCall): void;
  tripped(set: string): void;
  /** @param digest null when nothing has this role. */
  policyInRole(set: string, role: PolicyRole, digest: string | null): void;
  /** Hundredths of a percent. */
  rolloutWeight(set: string, weight: number): void;
  reported(result: 'sent' | 'failed'): void;
}

/** @param evaluated the histogram child of candidates. */
export function rolloutMetrics(
  make: ReturnType<typeof declared>,
  evaluated: (seconds: number) => void,
): RolloutMetrics {
  const decisions = make.counter(METRICS.policyDecisions);
  const differences = make.counter(METRICS.policyDifferences);
  const trips = make.counter(METRICS.localTrips);
  const info = make.gauge(METRICS.policyInfo);
  const weights = make.gauge(METRICS.rolloutWeight);
  const reports = make.counter(METRICS.reports);
  const roles = new Map<string, { set: string; role: string; digest: string }>();
  return {
    tried({ set, arm, decision, kind, candidateSeconds }): void {
      decisions.inc({ set, arm, decision });
      differences.inc({ set, kind });
      evaluated(candidateSeconds);
    },
    tripped: (set) => trips.inc({ set }),
    policyInRole(set, role, digest): void {
      const key = `${set} ${role}`;
      const before = roles.get(key);
      if (before?.digest === digest) return;
      if (before !== undefined) info.remove(before);
      roles.delete(key);
      if (digest === null) return;
      const labels = { set, role, digest };
      roles.set(key, labels);
      info.set(labels, 1);
    },
    rolloutWeight: (set, weight) => weights.set({ set }, weight / 10_000),
    reported: (result) => reports.inc({ result }),
  };
}
