/**
 * Enforcement: what is done about a verdict. The verdict itself is never changed; both are recorded. This file alone
 * mints a Permit, the value that `proxy/upstream.ts` demands before it opens a connection.
 *
 * | verdict          | mode deny | mode warn              | mode dryrun |
 * |------------------|-----------|------------------------|-------------|
 * | allow            | forward   | forward                | forward     |
 * | deny, by policy  | refuse    | forward with a warning | forward     |
 * | require_approval | refuse    | forward with a warning | forward     |
 * | engine failure   | refuse    | refuse                 | refuse      |
 *
 * Pure.
 */
import { REASONS, type ReasonCode } from './reason.ts';
import type { Obligation, StatedRefusal, Verdict } from './verdict.ts';

export type EnforcementMode = 'deny' | 'warn' | 'dryrun';

declare const minted: unique symbol;

/** Permission to forward one call once. Only `enforce` makes one. */
export interface Permit {
  readonly [minted]: true;
  readonly decisionId: string;
  /** Must be carried out before the call leaves. Empty when a denial was let through. */
  readonly obligations: readonly Obligation[];
  /** True when the verdict was not `allow` and the mode let the call through. */
  readonly wouldDeny: boolean;
  /** Why the call would be refused, told to the caller in mode `warn`; null otherwise. */
  readonly warning: ReasonCode | null;
}

export interface Refusal {
  /** Null when nothing is on record of it: it was turned away at the door. */
  readonly decisionId: string | null;
  readonly reason: ReasonCode;
  /** For the agent. From the policy author or the registry, never from the call. */
  readonly message: string;
  /** What the policy wants an HTTP caller to see instead of what every refusal shows. */
  readonly stated?: StatedRefusal;
}

export interface Refused {
  readonly action: 'refuse';
  readonly refusal: Refusal;
}

export type Enforcement = { readonly action: 'forward'; readonly permit: Permit } | Refused;

/** Verdicts that a mode may soften. A failing policy is not one of them: nobody knows what it would have said. */
const SOFT: ReadonlySet<ReasonCode> = new Set([
  'policy.denied',
  'policy.no_match',
  'approval.required',
]);

export function enforce(verdict: Verdict, mode: EnforcementMode, decisionId: string): Enforcement {
  if (verdict.outcome === 'allow') {
    const { obligations } = verdict;
    return forward({ decisionId, obligations, wouldDeny: false, warning: null });
  }
  if (mode === 'deny' || !SOFT.has(verdict.reason)) {
    const refused = refuse(decisionId, verdict.reason, verdict.message);
    if (verdict.refusal === undefined) return refused;
    return { ...refused, refusal: { ...refused.refusal, stated: verdict.refusal } };
  }
  const warning = mode === 'warn' ? verdict.reason : null;
  return forward({ decisionId, obligations: [], wouldDeny: true, warning });
}

/** A refusal that no verdict stands behind: the call was malformed, or something it needs is not there. */
export function refuse(decisionId: string | null, reason: ReasonCode, message?: string): Refused {
  return {
    action: 'refuse',
    refusal: { decisionId, reason, message: message || REASONS[reason].text },
  };
}

function forward(permit: Omit<Permit, typeof minted>): Enforcement {
  return { action: 'forward', permit: permit as Permit };
}
