/**
 * The verdict: what the decision point (PDP) said about one call under one policy revision. A verdict is never
 * edited; enforcement sits beside it (enforcement.ts) and both are recorded. Pure.
 */
import type { JsonObject } from '../call/tool-call.ts';
import type { ReasonCode } from './reason.ts';

export type Outcome = 'allow' | 'deny' | 'require_approval';

export interface RuleReason {
  readonly code: string;
  readonly policy: string;
  readonly rule: string;
  readonly message: string;
}

/** Something the enforcement point must do, or else refuse the call. */
export interface Obligation extends JsonObject {
  readonly kind: string;
}

export interface PolicyRef {
  readonly set: string;
  readonly revision: string;
  /** `sha256:` and lower-case hex of the bundle's bytes. */
  readonly digest: string;
}

/** What an HTTP caller sees of a denial, where the policy says so (`dialect-envoy-refusal.ts`). */
export interface StatedRefusal {
  /** 400 to 599. */
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Empty for none. */
  readonly body: string;
}

export interface Verdict {
  readonly outcome: Outcome;
  readonly reason: ReasonCode;
  /** One sentence for the agent. */
  readonly message: string;
  readonly reasons: readonly RuleReason[];
  readonly obligations: readonly Obligation[];
  readonly warnings: readonly string[];
  readonly policy: PolicyRef | null;
  /** Only with `policy.denied`, and only in a dialect that has such a thing. */
  readonly refusal?: StatedRefusal;
  /** Steps charged by the engine; 0 when no engine ran. */
  readonly fuel: number;
  /** Wall time inside the engine in nanoseconds. */
  readonly evalNs: number;
}
