/**
 * The policy input: `input` in Rego, `request` of a ToolCallReview, contract `egret.dev/v1`. Joins a tool call (what
 * the agent asked for) with facts (what the sidecar itself knows). Facts always win: an agent cannot claim them. Pure.
 */
import type { Attachment, JsonObject, ToolCall } from '../call/tool-call.ts';

/** `explicit_user_upload`: a front end registered exactly these bytes. `unknown`: nobody did. */
export type AttachmentSource = 'explicit_user_upload' | 'unknown';

export interface AttachmentFact extends Attachment {
  readonly source: AttachmentSource;
  /** Minutes since the newest registration, rounded up to a thousandth; null when the source is unknown. */
  readonly age_minutes: number | null;
}

export interface Run {
  readonly id: string;
  readonly step: number;
  /** W3C trace id, 32 lower-case hex digits. */
  readonly trace_id: string;
}

export interface Agent {
  readonly id: string;
  /** Where the identity comes from, e.g. `sidecar-config`. */
  readonly verified_by: string;
  readonly assurance: 'none' | 'network' | 'token' | 'signature';
  readonly key_thumbprint: string | null;
}

export interface Workload {
  readonly namespace: string | null;
  readonly pod: string | null;
  readonly uid: string | null;
  readonly service_account: string | null;
  readonly labels: Readonly<Record<string, string>>;
}

export interface User {
  readonly id: string;
  readonly groups: readonly string[];
  readonly verified_by: string;
}

/** What the sidecar adds to a call. Every value is its own observation or the operator's configuration. */
export interface Facts {
  /** UUIDv7, the decision id. */
  readonly uid: string;
  readonly timeNs: bigint;
  readonly environment: string;
  readonly run: Run;
  readonly agent: Agent;
  readonly user: User | null;
  readonly workload: Workload;
  readonly attachments: readonly AttachmentFact[];
  readonly ip: string | null;
  readonly ipClass: string | null;
  readonly tlsIntercepted: boolean;
}

export interface PolicyInput {
  readonly uid: string;
  readonly phase: 'request' | 'response';
  /** RFC 3339, UTC, milliseconds. */
  readonly time: string;
  /** Nanoseconds since 1970; written to JSON as an exact integer literal. */
  readonly time_ns: bigint;
  readonly environment: string;
  readonly run: Run;
  readonly agent: Agent;
  readonly user: User | null;
  readonly workload: Workload;
  readonly tool: ToolCall['tool'];
  readonly arguments: JsonObject;
  readonly arguments_state: ToolCall['arguments_state'];
  readonly attachments: readonly AttachmentFact[];
  readonly destination: ToolCall['destination'] & {
    readonly ip: string | null;
    readonly ip_class: string | null;
    readonly tls_intercepted: boolean;
  };
  readonly http: ToolCall['http'];
  readonly mcp: ToolCall['mcp'];
  readonly scope: { readonly kind: 'user' | 'shared' | 'none'; readonly id: string | null };
  readonly context: { readonly labels: readonly string[]; readonly inputs: readonly JsonObject[] };
  readonly state: {
    readonly limits: JsonObject;
    readonly history: readonly JsonObject[];
    readonly approval: null;
    readonly break_glass: null;
  };
  readonly response: null;
}

const NO_SCOPE = { kind: 'none', id: null } as const;
const NO_CONTEXT = { labels: [], inputs: [] } as const;
const NO_STATE = { limits: {}, history: [], approval: null, break_glass: null } as const;

export function policyInput(call: ToolCall, facts: Facts): PolicyInput {
  return {
    uid: facts.uid,
    phase: 'request',
    time: new Date(Number(facts.timeNs / 1_000_000n)).toISOString(),
    time_ns: facts.timeNs,
    environment: facts.environment,
    run: facts.run,
    agent: facts.agent,
    user: facts.user,
    workload: facts.workload,
    tool: call.tool,
    arguments: call.arguments,
    arguments_state: call.arguments_state,
    attachments: facts.attachments,
    destination: {
      ...call.destination,
      ip: facts.ip,
      ip_class: facts.ipClass,
      tls_intercepted: facts.tlsIntercepted,
    },
    http: call.http,
    mcp: call.mcp,
    scope: NO_SCOPE,
    context: NO_CONTEXT,
    state: NO_STATE,
    response: null,
  };
}

/** The JSON text the engine reads. Recognition refuses lone surrogates, so every string in it is well formed. */
export function renderPolicyInput(input: PolicyInput): string {
  const { time_ns, ...rest } = input;
  return `{"time_ns":${time_ns},${JSON.stringify(rest).slice(1)}`;
}
