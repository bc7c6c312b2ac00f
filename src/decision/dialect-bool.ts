/**
 * Reads the answer of a policy that says only yes or no. `true` allows; `false` and no answer at all mean that nothing
 * allows the call; anything else is left as it is, so that it is refused as a result of the wrong shape. Pure.
 */
import type { Json, JsonObject } from '../call/tool-call.ts';
import type { Evaluation } from './engine.ts';

/** In the shape of our own library (`verdict-from-result.ts`). */
export function answered(
  code: 'policy.allowed' | 'policy.denied' | 'policy.no_match',
  said: Readonly<Record<string, Json>> = {},
): JsonObject {
  const allowed = code === 'policy.allowed';
  const outcome = allowed ? 'allow' : 'deny';
  const empty = { message: '', reasons: [], obligations: [], warnings: [] };
  return { allowed, outcome, code, ...empty, ...said };
}

export function boolAnswer(evaluation: Evaluation): Evaluation {
  if (!evaluation.ok) return undefinedAsNoMatch(evaluation);
  const { value, fuel } = evaluation;
  if (typeof value !== 'boolean') return { ok: true, value: null, fuel };
  return { ok: true, value: answered(value ? 'policy.allowed' : 'policy.no_match'), fuel };
}

/** The gate has seen that the entrypoint exists, so an undefined one is a rule that did not hold. */
export const undefinedAsNoMatch = (evaluation: Evaluation & { readonly ok: false }): Evaluation =>
  evaluation.reason === 'policy.undefined'
    ? { ok: true, value: answered('policy.no_match'), fuel: evaluation.fuel }
    : evaluation;
