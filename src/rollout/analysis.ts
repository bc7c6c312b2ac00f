/**
 * From what sidecars or Prometheus count to a look. What is missing is never good: no data and too few data are looks
 * of their own. A bound that would be exceeded even if every call up to the minimum of samples were fine is exceeded
 * now, so a bad candidate does not have to reach the minimum to be stopped. Pure.
 */
import type { Aggregate, Sums } from './aggregate.ts';
import type { AnalysisSpec } from './policy-set.ts';
import { COMPARED, type Comparison, EVAL_BOUNDS_US } from './report.ts';
import type { Analysis, Look, Rollout } from './state.ts';

/** Sidecars report every 15 s; three of these, however often looks are taken. */
const SILENT_MS_MIN = 45_000;

export interface LookOptions {
  readonly rollout: Rollout;
  readonly spec: AnalysisSpec;
  /** Whether the step under way is a replay: then only records are compared. */
  readonly replaying: boolean;
  readonly nowMs: number;
}

/** Opens the window of the step, forgets who is gone, and looks. */
export function lookAt(aggregate: Aggregate, options: LookOptions): Analysis {
  const { rollout, spec, replaying, nowMs } = options;
  aggregate.open(rollout);
  aggregate.forget(Math.max(3 * spec.interval, SILENT_MS_MIN), nowMs);
  const sums = aggregate.sums(rollout.candidate.digest, rollout.sinceGeneration);
  const { comparison } = sums.replay;
  return {
    look: lookOf(sums, spec, replaying),
    newlyAllowed: sums.newlyAllowed,
    examples: sums.examples,
    replay: replaying
      ? {
          done: sums.sidecars > 0 && sums.behind === 0 && sums.replay.done === sums.sidecars,
          decisions: total(comparison),
          newlyDenied: comparison.newly_denied + comparison.error,
          newlyAllowed: comparison.newly_allowed,
        }
      : null,
  };
}

function lookOf(sums: Sums, spec: AnalysisSpec, replaying: boolean): Look {
  const { checks } = spec;
  const minSamples = replaying ? 0 : spec.minSamples;
  const samples = total(sums.window.comparison);
  const { error, newly_denied: denied } = sums.window.comparison;
  const most = Math.max(samples, minSamples);
  const hard = [
    ...when(sums.loadFailures > checks.loadFailures, () => {
      return `${sums.loadFailures} sidecars refused the candidate: ${sums.loadErrors.join(', ')}`;
    }),
    ...when(sums.tripped > 0, () => `${sums.tripped} sidecars took themselves out`),
    ...when(error > checks.errorRatio * most, () => `${error} errors in ${samples} evaluations`),
  ];
  if (hard.length > 0) return { result: 'failed', hard: true, reasons: hard };
  if (sums.sidecars === 0) return { result: 'no_data', reasons: ['no sidecar reports'] };
  const soft = [
    ...when(denied > checks.newlyDenied * most, () => `denies ${denied} of ${samples} calls`),
    ...widening(checks.newlyAllowed, sums.newlyAllowed),
    ...(samples < minSamples ? [] : slower(sums, spec)),
  ];
  if (soft.length > 0) return { result: 'failed', hard: false, reasons: soft };
  return concluded([
    ...when(sums.sidecars < spec.minSidecars, () => {
      return `${sums.sidecars} sidecars, expected at least ${spec.minSidecars}`;
    }),
    ...when(sums.holding < checks.ackRatio * (sums.sidecars + sums.behind), () => {
      return `${sums.holding} of ${sums.sidecars + sums.behind} sidecars hold the candidate`;
    }),
    ...when(samples < minSamples, () => `${samples} calls, expected at least ${minSamples}`),
  ]);
}

const concluded = (reasons: readonly string[]): Look =>
  reasons.length > 0 ? { result: 'inconclusive', reasons } : { result: 'passed' };

const when = (holds: boolean, reason: () => string): string[] => (holds ? [reason()] : []);

const widening = (check: AnalysisSpec['checks']['newlyAllowed'], count: number) =>
  when(check === 'fail' && count > 0, () => `allows ${count} calls that stable denies`);

function slower({ window }: Sums, { checks }: AnalysisSpec): string[] {
  const stable = p99Us(window.evalStable);
  const candidate = p99Us(window.evalCandidate);
  if (stable === null || candidate === null) return [];
  const isSlower =
    candidate > stable * checks.evalP99Ratio && candidate > stable + checks.evalP99SlackMs * 1000;
  return when(isSlower, () => `p99 of evaluation ${ms(candidate)}, stable ${ms(stable)}`);
}

const ms = (us: number) => (us === Infinity ? 'above 1000 ms' : `${us / 1000} ms`);

/** The upper bound of its bucket; null when nothing was measured. */
function p99Us(buckets: readonly number[]): number | null {
  const all = buckets.reduce((sum, count) => sum + count, 0);
  if (all === 0) return null;
  let seen = 0;
  for (const [at, count] of buckets.entries()) {
    seen += count;
    if (seen >= all * 0.99) return EVAL_BOUNDS_US[at] ?? Infinity;
  }
  return Infinity;
}

const total = (comparison: Comparison) => COMPARED.reduce((sum, name) => sum + comparison[name], 0);

export type QueryName = keyof NonNullable<AnalysisSpec['prometheus']>['queries'];
/** Answers to the queries that are configured; null when there was none. */
export type Numbers = Readonly<Partial<Record<QueryName, number | null>>>;

/**
 * @param reported what the sidecars say beside it: whether they could load the candidate, took themselves out, or
 * allowed more, which no query can overrule. Null when nothing reports here.
 */
export function lookFromNumbers(
  numbers: Numbers,
  spec: AnalysisSpec,
  reported: Analysis | null,
): Analysis {
  const allowed = usable(numbers.newlyAllowed) ? Math.ceil(numbers.newlyAllowed) : 0;
  const newlyAllowed = Math.max(allowed, reported?.newlyAllowed ?? 0);
  const hard = reported?.look.result === 'failed' && reported.look.hard;
  return {
    look: hard ? reported.look : numbersLook(numbers, spec, newlyAllowed),
    newlyAllowed,
    examples: reported?.examples ?? [],
    replay: reported?.replay ?? null,
  };
}

function numbersLook(numbers: Numbers, spec: AnalysisSpec, newlyAllowed: number): Look {
  const { checks, minSamples } = spec;
  const { errorRatio, newlyDenied, evalP99Ratio, samples } = numbers;
  const enough = !usable(samples) || samples >= minSamples;
  if (enough && usable(errorRatio) && errorRatio > checks.errorRatio) {
    return { result: 'failed', hard: true, reasons: [`error ratio ${errorRatio}`] };
  }
  const names = Object.keys(numbers) as QueryName[];
  const silent = names.filter((name) => !usable(numbers[name]));
  if (silent.length > 0 || names.length === 0) {
    const reasons = [names.length === 0 ? 'no query' : `no number for ${silent.join(', ')}`];
    return { result: 'no_data', reasons };
  }
  const reasons = widening(checks.newlyAllowed, newlyAllowed);
  if (enough && usable(newlyDenied) && newlyDenied > checks.newlyDenied) {
    reasons.push(`newly denied ratio ${newlyDenied}`);
  }
  if (enough && usable(evalP99Ratio) && evalP99Ratio > checks.evalP99Ratio) {
    reasons.push(`p99 ratio ${evalP99Ratio}`);
  }
  if (reasons.length > 0) return { result: 'failed', hard: false, reasons };
  return concluded(when(!enough, () => `${samples} calls, expected at least ${minSamples}`));
}

/** NaN is what Prometheus answers to 0/0; infinite or negative ratios and counts mean a wrong query. */
const usable = (number: number | null | undefined): number is number =>
  typeof number === 'number' && Number.isFinite(number) && number >= 0;
