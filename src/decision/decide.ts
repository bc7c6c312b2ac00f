/**
 * The decision point (PDP) from the outside: a policy input in, a verdict out, whatever happens. Missing or stale
 * policy, an engine that fails and a result of the wrong shape each deny with their own reason code.
 * Pure, but for the engine it is given.
 */
import type { Dialect } from './dialect.ts';
import type { Message } from './dialect-envoy.ts';
import type { Engine } from './engine.ts';
import type { PolicyInput } from './input.ts';
import { OBLIGATION_KINDS } from './obligation.ts';
import { REASONS, type ReasonCode } from './reason.ts';
import type { PolicyRef, Verdict } from './verdict.ts';
import { verdictOf } from './verdict-from-result.ts';

export interface DecidingPolicy {
  readonly ref: PolicyRef;
  readonly engine: Engine;
  readonly dialect: Dialect;
}

/**
 * @param nowMs a monotonic clock in milliseconds, to time the evaluation.
 * @param message what carries the call; null when nothing does.
 */
export function decide(
  policy: DecidingPolicy,
  input: PolicyInput,
  nowMs: () => number,
  message: Message | null = null,
): Verdict {
  const { ref, engine, dialect } = policy;
  const startedMs = nowMs();
  const evaluation = engine.evaluate(dialect.render(input, message), input.time_ns);
  const evalNs = (nowMs() - startedMs) * 1e6;
  const verdict = verdictOf(dialect.answer(evaluation), ref, evalNs, OBLIGATION_KINDS);
  const refusal = verdict.reason === 'policy.denied' ? dialect.refusal(evaluation) : null;
  return refusal === null ? verdict : { ...verdict, refusal };
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
