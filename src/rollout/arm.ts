/**
 * What is enforced when two revisions were asked about the same call. Stable decides, unless the call belongs to the
 * rollout; then, by mode, both must allow (guarded) or the candidate decides. A candidate that fails never decides.
 *
 * | | stable denies | stable asks a human | stable allows |
 * |---|---|---|---|
 * | guarded, candidate denies | stable's denial | candidate's denial | candidate's denial |
 * | guarded, candidate asks a human | stable's denial | stable's request | candidate's request |
 * | guarded, candidate allows | stable's denial | stable's request | allowed, obligations of both |
 * | guarded or candidate mode, candidate fails | stable's | stable's | stable's |
 *
 * Pure.
 */
import { isDeepStrictEqual } from 'node:util';
import { denyWithout } from '../decision/decide.ts';
import type { Obligation, Verdict } from '../decision/verdict.ts';
import { isFailure } from './difference.ts';

/** Whose verdict is enforced: `guarded` when both had a say. */
export type Arm = 'shadow' | 'stable' | 'guarded' | 'candidate';

export interface Both {
  readonly stable: Verdict;
  readonly candidate: Verdict;
  readonly mode: 'guarded' | 'candidate';
  /** The call belongs to the part of the units that the weight takes in. */
  readonly takesPart: boolean;
  /** The weight is 0: nobody takes part. */
  readonly shadow: boolean;
}

export interface Enforced {
  readonly arm: Arm;
  readonly verdict: Verdict;
}

export function enforcedOf({ stable, candidate, mode, takesPart, shadow }: Both): Enforced {
  if (shadow) return { arm: 'shadow', verdict: stable };
  if (!takesPart) return { arm: 'stable', verdict: stable };
  if (mode === 'candidate') {
    return isFailure(candidate.reason)
      ? { arm: 'stable', verdict: stable }
      : { arm: 'candidate', verdict: candidate };
  }
  return {
    arm: 'guarded',
    verdict: isFailure(candidate.reason) ? stable : meet(stable, candidate),
  };
}

/** The stricter of the two. */
function meet(stable: Verdict, candidate: Verdict): Verdict {
  if (stable.outcome === 'deny') return stable;
  if (candidate.outcome === 'deny') return candidate;
  if (stable.outcome === 'require_approval') return stable;
  if (candidate.outcome === 'require_approval') return candidate;
  const obligations = united(stable.obligations, candidate.obligations);
  if (obligations === null) return denyWithout('policy.obligation_failed', stable.policy);
  if (obligations.length === stable.obligations.length) return stable;
  return { ...stable, obligations };
}

/** @returns null when the two want different things in one place: carrying out either would break the other. */
function united(
  stable: readonly Obligation[],
  candidate: readonly Obligation[],
): readonly Obligation[] | null {
  const added = candidate.filter((one) => !stable.some((other) => isDeepStrictEqual(one, other)));
  const places = stable.map(placeIn);
  if (added.some((one) => places.some((place) => meets(place, placeIn(one))))) return null;
  return [...stable, ...added];
}

/** Where an obligation changes a call, as steps from the whole to the part; null when it changes none. */
function placeIn(obligation: Obligation): readonly string[] | null {
  const { kind, path, name } = obligation;
  if (kind === 'redact' || kind === 'patch') return ['argument', ...stepsOf(path, obligation)];
  if (kind === 'header') return ['header', String(name).toLowerCase()];
  if (kind === 'credential') return ['credential'];
  // Others stand beside each other, like labels and log levels.
  return null;
}

/** Steps of a JSON pointer; what comes or goes in a list moves all that stands there, so it changes the list. */
function stepsOf(path: unknown, { kind, op }: Obligation): readonly string[] {
  // A path that is none fails the call when it is carried out.
  if (typeof path !== 'string') return [];
  const steps = path.split('/').map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
  const moves = kind === 'patch' && op !== 'replace' && /^(?:\d+|-)$/.test(steps.at(-1) ?? '');
  return moves ? steps.slice(0, -1) : steps;
}

/** One is the other, or a part of it. */
function meets(one: readonly string[] | null, other: readonly string[] | null): boolean {
  if (one === null || other === null) return false;
  const [short, long] = one.length <= other.length ? [one, other] : [other, one];
  return short.every((step, index) => step === long[index]);
}
