/**
 * What the enforcement point needs from the rest of the sidecar, as functions: the composition root wires them, so
 * nothing here knows where policies come from or where records go. Pure.
 */

import type { RolloutFacts } from '../audit/record.ts';
import type { Catalogue } from '../call/catalogue.ts';
import type { ToolCall } from '../call/tool-call.ts';
import type { DecidingPolicy } from '../decision/decide.ts';
import type { Dialect } from '../decision/dialect.ts';
import type { EnforcementMode } from '../decision/enforcement.ts';
import type { Engine } from '../decision/engine.ts';
import type { Facts, PolicyInput } from '../decision/input.ts';
import type { ReasonCode } from '../decision/reason.ts';
import type { PolicyRef, Verdict } from '../decision/verdict.ts';
import type { Incoming } from './exchange.ts';
import type { Recognition, Route } from './route.ts';
import type { Forwarded, OutgoingRequest, Upstream } from './upstream.ts';

/** One policy revision, taken once for a whole call. */
export interface PinnedPolicy {
  readonly ref: PolicyRef;
  readonly engine: Engine;
  readonly dialect: Dialect;
  readonly catalogue: Catalogue;
}

/** A candidate that is asked about each call beside the policy in force. */
export interface Trial {
  readonly candidate: DecidingPolicy;
  /** Compares the two answers, counts, and says which one is enforced. Called once for each call. */
  settle(input: PolicyInput, stable: Verdict, candidate: Verdict): Settled;
}

export interface Settled {
  readonly verdict: Verdict;
  readonly facts: RolloutFacts;
}

/** A loaded policy, or why there is none to decide with. */
export type PolicyState =
  | { readonly ok: true; readonly policy: PinnedPolicy; readonly trial?: Trial | null }
  | { readonly ok: false; readonly reason: ReasonCode; readonly policy: PinnedPolicy | null };

/** Everything a decision record says. */
export interface Decision {
  readonly id: string;
  readonly listener: 'proxy' | 'gateway' | 'capture' | 'decision-api';
  readonly input: PolicyInput | null;
  readonly verdict: Verdict | null;
  /** Null outside a rollout. */
  readonly rollout: RolloutFacts | null;
  readonly action: 'forward' | 'refuse' | 'advise';
  readonly mode: EnforcementMode;
  readonly reason: ReasonCode;
  readonly wouldDeny: boolean;
  /** Why a call was not recognised or changed, in our own words; null otherwise. */
  readonly detail: string | null;
  readonly traceId: string | null;
  readonly spanId: string | null;
  readonly requestedBy: string;
  /** The bytes that leave, or of a refused call those that came. */
  readonly body: Uint8Array | null;
  readonly jsonrpcId: string | number | null;
  readonly method: string;
  readonly target: string;
  readonly timeNs: bigint;
}

/** What became of a forwarded call. */
export interface Outcome {
  readonly decisionId: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly forwarded: Forwarded;
  readonly isError: boolean;
  readonly timeNs: bigint;
}

export interface Recorder {
  /** Resolves with the leaf index when the record is as durable as the call's operation demands; rejects when the log cannot be written. */
  decision(decision: Decision): Promise<number>;
  /** Appends the outcome; failures are the journal's to report. */
  outcome(outcome: Outcome): void;
}

/** One call in flight. */
export interface Slot {
  /** Asks for room for a body of this many bytes; false when the sidecar holds too much already. */
  reserve(bytes: number): boolean;
  release(): void;
}

export interface Admission {
  /** A place for one call, or null when draining or overloaded. */
  enter(): Slot | { readonly refused: 'proxy.draining' | 'call.overloaded' };
}

/** Sees one call from recognition to its end, for spans, metrics and logs. */
export interface Watch {
  readonly traceId: string;
  readonly spanId: string;
  judged(decision: Decision): void;
  recorded(): void;
  /** The call leaves: gives back the request with trace context. */
  leaving(request: OutgoingRequest): {
    readonly request: OutgoingRequest;
    end(forwarded: Forwarded, isError: boolean): void;
  };
  end(reason: ReasonCode): void;
}

export interface Watched {
  readonly id: string;
  readonly incoming: Incoming;
  readonly route: Pick<Route, 'listener'>;
  readonly recognition: Recognition;
  readonly startedMs: number;
}

export interface FactSources {
  readonly incoming: Incoming;
  readonly id: string;
  readonly traceId: string;
}

export interface Parts {
  readonly policy: () => PolicyState;
  readonly facts: (call: ToolCall, sources: FactSources) => Facts;
  readonly mode: EnforcementMode;
  readonly recorder: Recorder;
  readonly upstream: Upstream;
  readonly admission: Admission;
  readonly observe: (watched: Watched) => Watch;
  /** A call was turned away before it was looked at. */
  readonly shed: (cause: ReasonCode) => void;
  /** A bug, with the id of the decision it hit. */
  readonly failed: (id: string, error: unknown) => void;
  readonly clock: Clock;
  readonly bodyBytesMax: number;
}

export interface Clock {
  /** Nanoseconds since 1970. */
  wallNs(): bigint;
  /** Milliseconds of a clock that never goes back. */
  monotonicMs(): number;
  /** UUIDv7 (RFC 9562). */
  uuid(): string;
}
