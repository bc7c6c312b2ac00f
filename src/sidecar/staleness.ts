/**
 * How old the policy in force may get. The configuration and the policy set may each set a maximum; the stricter one
 * counts. Being too old is said before and while it denies. Shell: owns when it was said last.
 */
import type { BundleConfig } from '../config/bundle.ts';
import type { Directive } from '../rollout/directive.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metric.ts';

export interface StalenessParts {
  readonly bundle: Pick<BundleConfig, 'name' | 'maxStalenessSeconds'>;
  /** Milliseconds since the source was heard; null before a policy is in force. */
  readonly ageMs: () => number | null;
  readonly directive: () => Directive | null;
  readonly monotonicMs: () => number;
  readonly log: Log;
  readonly metrics: Metrics;
}

export interface Staleness {
  /** Asked for each call. */
  denies(): boolean;
}

const SAID_EVERY_MS = 60_000;

export function createStaleness(parts: StalenessParts): Staleness {
  const { bundle, ageMs, directive, monotonicMs, log, metrics } = parts;
  const { name, maxStalenessSeconds } = bundle;
  const configuredMs = (maxStalenessSeconds ?? Number.POSITIVE_INFINITY) * 1000;
  let saidAtMs = Number.NEGATIVE_INFINITY;
  const say = (event: 'bundle.stale' | 'bundle.aging', age: number) => {
    const nowMs = monotonicMs();
    if (nowMs - saidAtMs < SAID_EVERY_MS) return;
    saidAtMs = nowMs;
    log.event(event, { name, age_seconds: Math.round(age / 1000) });
  };
  metrics.watchPolicyAge(name, () => {
    const age = ageMs();
    return age === null ? null : age / 1000;
  });
  return {
    denies() {
      const age = ageMs() ?? 0;
      const wanted = directive()?.maxStaleness ?? null;
      const deniesAfterMs = wanted?.action === 'deny' ? wanted.afterMs : Number.POSITIVE_INFINITY;
      if (age > Math.min(configuredMs, deniesAfterMs)) {
        say('bundle.stale', age);
        return true;
      }
      if (wanted !== null && age > wanted.afterMs) say('bundle.aging', age);
      return false;
    },
  };
}
