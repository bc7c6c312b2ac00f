/**
 * From a recognised call to what will be done about it: facts, policy input, verdict, enforcement, obligations. Shared
 * by calls and CONNECT tunnels. A call that was not recognised gets a refusal and no verdict. Pure, but for the clock
 * and the engine it is given.
 */
import type { RolloutFacts } from '../audit/record.ts';
import { decide, denyWithout } from '../decision/decide.ts';
import type { Message } from '../decision/dialect-envoy.ts';
import { enforce, type Permit, type Refusal, refuse } from '../decision/enforcement.ts';
import { type PolicyInput, policyInput } from '../decision/input.ts';
import type { ReasonCode } from '../decision/reason.ts';
import type { Verdict } from '../decision/verdict.ts';
import type { Incoming } from './exchange.ts';
import { changeOutgoing } from './outgoing.ts';
import type { Clock, Decision, Parts, PolicyState } from './ports.ts';
import type { Recognition, Route } from './route.ts';
import type { OutgoingRequest } from './upstream.ts';

export type Judged = {
  readonly input: PolicyInput | null;
  readonly verdict: Verdict | null;
  readonly rollout: RolloutFacts | null;
} & (
  | { readonly action: 'forward'; readonly permit: Permit; readonly request: OutgoingRequest }
  | { readonly action: 'refuse'; readonly refusal: Refusal; readonly detail: string | null }
);

export interface Question {
  readonly id: string;
  readonly incoming: Incoming;
  readonly recognition: Recognition;
  readonly policy: PolicyState;
  readonly traceId: string;
}

/** What judging needs of the sidecar. */
export type JudgingParts = Pick<Parts, 'facts' | 'mode'> & {
  readonly clock: Pick<Clock, 'monotonicMs'>;
};

export function judge(parts: JudgingParts, question: Question): Judged {
  const { id, recognition, policy, traceId } = question;
  if (!recognition.ok) {
    return {
      input: null,
      verdict: null,
      rollout: null,
      ...refuse(id, recognition.reason),
      detail: recognition.detail,
    };
  }
  const facts = parts.facts(recognition.call, {
    incoming: question.incoming,
    id,
    traceId,
  });
  const input = policyInput(recognition.call, facts);
  const message = messageOf(question, recognition);
  const { verdict, rollout } = verdictUnder(policy, input, parts.clock.monotonicMs, message);
  const enforcement = enforce(verdict, parts.mode, id);
  if (enforcement.action === 'refuse') {
    return { input, verdict, rollout, ...enforcement, detail: null };
  }
  const changed = changeOutgoing(recognition, enforcement.permit.obligations);
  if (!changed.ok) {
    const refused = refuse(id, 'policy.obligation_failed');
    return { input, verdict, rollout, ...refused, detail: changed.detail };
  }
  return { input, verdict, rollout, ...enforcement, request: changed.request };
}

/** Asks the policy in force and, in a rollout, the candidate about the same input under the same clock. */
export function verdictUnder(
  state: PolicyState,
  input: PolicyInput,
  nowMs: () => number,
  message: Message | null = null,
): { readonly verdict: Verdict; readonly rollout: RolloutFacts | null } {
  if (!state.ok) {
    return { verdict: denyWithout(state.reason, state.policy?.ref ?? null), rollout: null };
  }
  const stable = decide(state.policy, input, nowMs, message);
  const { trial } = state;
  if (trial === undefined || trial === null) return { verdict: stable, rollout: null };
  const candidate = decide(trial.candidate, input, nowMs, message);
  const { verdict, facts } = trial.settle(input, stable, candidate);
  return { verdict, rollout: facts };
}

const messageOf = (
  { incoming }: Question,
  { outgoing }: Recognition & { readonly ok: true },
): Message => ({
  body: outgoing.body,
  httpVersion: incoming.httpVersion,
  remoteAddress: incoming.connection.remoteAddress,
});

export interface Judgement {
  readonly route: Pick<Route, 'listener'>;
  readonly question: Question;
  readonly judged: Judged;
  /** The body as it came. */
  readonly body: Uint8Array | null;
  readonly spanId: string;
}

/** The record of a judgement, complete before anything is done about it. */
export function decisionOf(parts: Parts, judgement: Judgement): Decision {
  const { question, judged } = judgement;
  const forward = judged.action === 'forward';
  return {
    id: question.id,
    listener: judgement.route.listener,
    input: judged.input,
    verdict: judged.verdict,
    rollout: judged.rollout,
    action: judged.action,
    mode: parts.mode,
    reason: reasonOf(judged),
    wouldDeny: forward && judged.permit.wouldDeny,
    detail: forward ? null : judged.detail,
    traceId: question.traceId,
    spanId: judgement.spanId,
    requestedBy: question.incoming.connection.remoteAddress,
    body: forward ? judged.request.body : judgement.body,
    jsonrpcId: question.recognition.jsonrpcId,
    method: question.incoming.method,
    target: question.incoming.target,
    timeNs: judged.input?.time_ns ?? parts.clock.wallNs(),
  };
}

function reasonOf(judged: Judged): ReasonCode {
  return judged.action === 'refuse'
    ? judged.refusal.reason
    : (judged.verdict?.reason ?? 'proxy.internal');
}
