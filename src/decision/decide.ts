/**
 * The decision point (PDP) from the outside: a policy input in, a verdict out, whatever happens. Missing or stale
 * policy, an engine that fails and a result of the wrong shape each deny with their own reason code.
 * Pure, but for the engine it is given.
 */
import type { Engine } from './engine.ts';
import { type PolicyInput, renderPolicyInput } from './input.ts';
import { OBLIGATION_KINDS } from './obligation.ts';
import { REASONS, type ReasonCode } from './reason.ts';
import type { PolicyRef, Verdict } from './verdict.ts';
import { verdictOf } from './verdict-from-result.ts';

export interface DecidingPolicy {
  readonly ref: PolicyRef;
  readonly engine: Engine;
}

/** @param nowMs a monotonic clock in milliseconds, to time the evaluation. */
export function decide(policy: DecidingPolicy, input: PolicyInput, nowMs: () => number): Verdict {
  const startedMs = nowMs();
  const evaluation = policy.engine.evaluate(renderPolicyInput(input), input.time_ns);
  return verdictOf(evaluation, policy.ref, (nowMs() - startedMs) * 1e6, OBLIGATION_KINDS);
}

/** The verdict when no policy can be asked. */
export function denyWithout(reason: ReasonCode, policy: PolicyRef | null): Verdict {
  return {
    outcome: 'deny',
    reason,
    message: REASONS[reason].text,
    reasons: [],
    obligations: [],
    warnings: [],
    policy,
    fuel: 0,
    evalNs: 0,
  };
}
