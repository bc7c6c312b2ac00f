/**
 * What the data plane hands to the audit log: a decision before a call leaves, its outcome after, and events in the
 * life of the sidecar. The values may hold anything the agent sent; entry.ts decides what of it stands in the clear.
 * Pure.
 */
import type { JsonObject } from '../call/tool-call.ts';
import type { EnforcementMode } from '../decision/enforcement.ts';
import type { Agent, PolicyInput } from '../decision/input.ts';
import type { ReasonCode } from '../decision/reason.ts';
import type { Verdict } from '../decision/verdict.ts';

export type Listener = 'proxy' | 'gateway' | 'capture' | 'decision-api';

/** `advise`: the decision API answered; Egret itself neither forwards nor refuses such a call. */
export type Action = 'forward' | 'refuse' | 'advise';

export interface EnforcementFacts {
  readonly action: Action;
  readonly mode: EnforcementMode;
  readonly reason: ReasonCode;
  /** True when the verdict was not `allow` and the mode let the call through. */
  readonly would_deny: boolean;
}

/** A candidate was asked beside the policy in force. */
export interface RolloutFacts {
  readonly id: string;
  /** Whose verdict was enforced: `shadow` and `stable` leave the candidate out. */
  readonly arm: 'shadow' | 'stable' | 'guarded' | 'candidate';
  /** Place of the unit, 0 to 9999; null in shadow. */
  readonly bucket: number | null;
  readonly candidate: {
    readonly digest: string;
    readonly revision: string;
    readonly outcome: string;
    readonly reason: ReasonCode;
  };
  /** Class of the difference between the two answers. */
  readonly difference: string;
}

export interface DecisionRecord {
  /** UUIDv7. */
  readonly decisionId: string;
  /** What policy saw; null when the call was refused before policy. */
  readonly input: PolicyInput | null;
  readonly verdict: Verdict | null;
  /** Null outside a rollout. */
  readonly rollout?: RolloutFacts | null;
  readonly enforcement: EnforcementFacts;
  readonly listener: Listener;
  /** 32 and 16 lower-case hex digits. */
  readonly traceId: string | null;
  readonly spanId: string | null;
  /** Whose calls these are when there is no input to say it. */
  readonly agent?: Agent;
  /** The request line as it arrived; needed when there is no input. */
  readonly request?: { readonly method: string; readonly target: string };
  /** Path template of the catalogue; when it is null, path segments that could hold data are blanked. */
  readonly pathTemplate: string | null;
  /** Body bytes as they arrived and their SHA-256 in hex; null without a body. */
  readonly body: { readonly bytes: number; readonly sha256: string } | null;
  readonly jsonrpcId: string | number | null;
  /** Peer address, or the name of a client of the decision API. */
  readonly requestedBy: string | null;
}

/** `interrupted`: the sidecar ended before the call did; whether the tool acted is unknown. */
export type CallResult =
  | 'completed'
  | 'tool_error'
  | 'upstream_error'
  | 'client_aborted'
  | 'interrupted';

export interface OutcomeRecord {
  /** Decision id of the forwarded call. */
  readonly ref: string;
  readonly traceId: string | null;
  readonly spanId: string | null;
  readonly result: CallResult;
  readonly reason: ReasonCode | null;
  /** HTTP status of the tool's answer; null when there was none. */
  readonly status: number | null;
  /** True when the answer is an error in the tool's own protocol. */
  readonly isError: boolean | null;
  readonly contentType: string | null;
  /** Address and port of the tool that the connection went to; null when there was none. */
  readonly peer?: string | null;
  /** Bytes of the answer's body that passed, and their SHA-256 in hex when it was taken. */
  readonly bytes: number;
  readonly sha256: string | null;
  /** Milliseconds from the first byte sent to the first byte of the answer, and to its end. */
  readonly ttfbMs: number | null;
  readonly totalMs: number | null;
  readonly tokens?: { readonly in: number; readonly out: number } | null;
  readonly cost?: {
    readonly amount: number;
    readonly currency: string;
    readonly source: string;
  } | null;
}

/** The outcome of a call whose end nobody saw. */
export const interruptedCall = (ref: string): OutcomeRecord => ({
  ref,
  traceId: null,
  spanId: null,
  result: 'interrupted',
  reason: null,
  status: null,
  isError: null,
  contentType: null,
  bytes: 0,
  sha256: null,
  ttfbMs: null,
  totalMs: null,
});

export type LifecycleKind =
  | 'start'
  | 'stop'
  | 'bundle_activated'
  | 'bundle_rejected'
  | 'recovery'
  | 'upload_registered'
  | 'rollout_tripped'
  | 'clock_step';

/** `detail` is written as it stands, so only facts of the sidecar itself belong into it: never data of a call. */
export interface LifecycleEvent {
  readonly event: LifecycleKind;
  readonly detail: JsonObject;
}

/** What the journal knows about an entry that is being appended. */
export interface Stamp {
  /** Index of the leaf. */
  readonly seq: number;
  /** Wall clock, RFC 3339, UTC. */
  readonly timestamp: string;
  /** Monotonic nanoseconds since the start of this boot. */
  readonly monoNs: number;
}

/** What is the same for all entries of one boot. */
export interface Boot {
  /** Origin of the log. */
  readonly log: string;
  /** Random for each start of the sidecar. */
  readonly bootId: string;
  /** Id, version and what the operator added; keys in canonical order. */
  readonly labels: JsonObject;
}
