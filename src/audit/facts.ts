/**
 * The parts of a decision's record: the policy input as far as it may be read, and the facts in the object `egret`,
 * which are there in one shape whether or not the call reached policy. Every text of the call is bounded. Names of
 * policies, rules and codes are the policy author's and stand in the clear; messages do not. Pure.
 */
import type { Json } from '../call/tool-call.ts';
import type { PolicyInput } from '../decision/input.ts';
import { REASONS, type ReasonCode } from '../decision/reason.ts';
import type { Verdict } from '../decision/verdict.ts';
import { canonicalText, objectOf, quoted } from './canonical.ts';
import {
  blankPath,
  clearArguments,
  clearAttachments,
  type Disclosure,
  erase,
  type Ledger,
  mask,
} from './disclosure.ts';
import type { DecisionRecord } from './record.ts';

const REASONS_MAX = 16;
const OBLIGATIONS_MAX = 16;
const INPUTS_MAX = 16;
const LABELS_MAX = 64;
const LIMITS_CHARS_MAX = 4096;
const NAME_CHARS_MAX = 128;

/** What an answering policy decided; these reasons mean that the policy itself failed. */
const FAILURES: ReadonlySet<ReasonCode> = new Set<ReasonCode>([
  'policy.undefined',
  'policy.error',
  'policy.fuel_exhausted',
  'policy.memory_exhausted',
  'policy.invalid_result',
  'policy.unknown_obligation',
]);

/** The policy input without what must not be read. `time_ns` is text: JSON numbers cannot hold it. */
export function inputText(
  record: DecisionRecord,
  input: PolicyInput,
  disclosure: Disclosure,
  ledger: Ledger,
): string {
  return objectOf({
    agent: agentText(input.agent),
    arguments: clearArguments(input.arguments, disclosure, ledger),
    arguments_state: quoted(input.arguments_state),
    attachments: clearAttachments(input.attachments, disclosure, ledger),
    context: contextText(input),
    destination: destinationText(record, input, ledger),
    environment: bounded(input.environment, NAME_CHARS_MAX),
    http: httpText(input, ledger),
    mcp: mcpText(input.mcp),
    phase: quoted(input.phase),
    response: 'null',
    run: runText(input),
    scope: constant(input.scope),
    state: stateText(input, ledger),
    time: quoted(input.time),
    time_ns: `"${input.time_ns}"`,
    tool: toolText(input.tool),
    uid: quoted(input.uid),
    user: userText(input.user),
    workload: constant(input.workload),
  });
}

/** The whole input as plain JSON, for a commitment. */
export function wholeInput(input: PolicyInput): Json {
  return { ...input, time_ns: String(input.time_ns) } as unknown as Json;
}

/** Texts for the object `egret`. */
export function egretFacts(record: DecisionRecord, ledger: Ledger) {
  const { input, enforcement, verdict } = record;
  const agent = input?.agent ?? record.agent;
  return {
    agent: agent ? agentText(agent) : 'null',
    dest: input === null ? 'null' : destText(input),
    enforcement: objectOf({
      action: quoted(enforcement.action),
      mode: quoted(enforcement.mode),
      reason: quoted(enforcement.reason),
      would_deny: String(enforcement.would_deny),
    }),
    inputs: input === null ? '[]' : sourcesText(input, ledger),
    onBehalfOf: userText(input?.user ?? null),
    policy: policyText(verdict),
    req: requestText(record, ledger),
    run: input === null ? 'null' : runText(input),
    tool: input === null ? 'null' : toolText(input.tool),
  };
}

/** The verdict: outcome, codes and rules in the clear; every free text only in the commitment `/result`. */
export function resultText(verdict: Verdict | null, ledger: Ledger): string {
  if (verdict === null) return 'null';
  const { outcome, reason, message, reasons, obligations, warnings } = verdict;
  const plain = message === REASONS[reason].text && reasons.length + obligations.length === 0;
  if (!plain || warnings.length > 0) {
    const whole = { outcome, reason, message, reasons, obligations, warnings };
    mask(ledger, '/result', canonicalText(whole as unknown as Json), true);
  }
  const rules = reasons.slice(0, REASONS_MAX).map((r) =>
    objectOf({
      code: bounded(r.code, NAME_CHARS_MAX),
      policy: bounded(r.policy, NAME_CHARS_MAX),
      rule: bounded(r.rule, NAME_CHARS_MAX),
    }),
  );
  const duties = obligations.slice(0, OBLIGATIONS_MAX).map((o) =>
    objectOf({
      kind: bounded(o.kind, NAME_CHARS_MAX),
      path: typeof o['path'] === 'string' ? bounded(o['path'], NAME_CHARS_MAX) : undefined,
    }),
  );
  return objectOf({
    allowed: String(outcome === 'allow'),
    obligations: `[${duties.join(',')}]`,
    outcome: quoted(outcome),
    reason: quoted(reason),
    reasons: `[${rules.join(',')}]`,
    warnings: String(warnings.length),
  });
}

/** OPA's `error`: there when the policy failed, or when the call was refused before any policy. */
export function errorText(record: DecisionRecord): string | undefined {
  const code = record.verdict === null ? record.enforcement.reason : record.verdict.reason;
  if (record.verdict !== null && !FAILURES.has(code)) return undefined;
  return objectOf({ code: quoted(code), message: quoted(REASONS[code].text) });
}

export function bundlesText(verdict: Verdict | null): string {
  const policy = verdict?.policy;
  if (!policy) return '{}';
  return `{${bounded(policy.set, NAME_CHARS_MAX)}:{"revision":${bounded(policy.revision, NAME_CHARS_MAX)}}}`;
}

export function metricsText(verdict: Verdict | null): string {
  if (verdict === null) return '{}';
  return objectOf({
    counter_egret_fuel: JSON.stringify(verdict.fuel),
    timer_rego_query_eval_ns: JSON.stringify(verdict.evalNs),
  });
}

/** A text of the call, cut to so many UTF-16 units with an ellipsis at the end. */
export function bounded(text: string, charsMax: number): string {
  return quoted(text.length <= charsMax ? text : `${text.slice(0, charsMax - 1)}…`);
}

export const nullable = (text: string | null, charsMax: number): string =>
  text === null ? 'null' : bounded(text, charsMax);

/** Values that are the same object call after call are written once. */
const constants = new WeakMap<object, string>();

function constant(value: object): string {
  let text = constants.get(value);
  if (text === undefined) {
    text = canonicalText(value as Json);
    constants.set(value, text);
  }
  return text;
}

function agentText(agent: PolicyInput['agent']): string {
  return constant(agent);
}

function runText({ run }: PolicyInput): string {
  return objectOf({
    id: bounded(run.id, NAME_CHARS_MAX),
    step: JSON.stringify(run.step),
    trace_id: bounded(run.trace_id, 32),
  });
}

function toolText(tool: PolicyInput['tool']): string {
  return objectOf({
    definition_hash: nullable(tool.definition_hash, 64),
    known: String(tool.known),
    name: bounded(tool.name, NAME_CHARS_MAX),
    operation: quoted(tool.operation),
    risk: quoted(tool.risk),
    server: nullable(tool.server, NAME_CHARS_MAX),
    sink: nullable(tool.sink, NAME_CHARS_MAX),
  });
}

function userText(user: PolicyInput['user']): string {
  if (user === null) return 'null';
  return objectOf({
    groups: `[${user.groups
      .slice(0, 32)
      .map((group) => bounded(group, NAME_CHARS_MAX))
      .join(',')}]`,
    id: bounded(user.id, NAME_CHARS_MAX),
    verified_by: bounded(user.verified_by, NAME_CHARS_MAX),
  });
}

/** What the call wants to reach; the path and the query are in the input, as far as they may be read. */
function destText({ destination: d }: PolicyInput): string {
  return objectOf({
    host: bounded(d.host, 253),
    ip: nullable(d.ip, 64),
    ip_class: nullable(d.ip_class, 64),
    port: JSON.stringify(d.port),
    scheme: bounded(d.scheme, 16),
    tls_intercepted: String(d.tls_intercepted),
  });
}

function destinationText(record: DecisionRecord, input: PolicyInput, ledger: Ledger): string {
  const d = input.destination;
  const shown = record.pathTemplate ?? blankPath(d.path);
  if (shown !== d.path || Object.keys(d.query).length > 0) {
    mask(ledger, '/input/destination', canonicalText(d as unknown as Json), true);
  }
  return `${destText(input).slice(0, -1)},"path":${bounded(shown, 512)}}`;
}

/** `tools/call` and the like stay readable; a method that is no plain word is blanked. */
function mcpText(mcp: PolicyInput['mcp']): string {
  if (mcp === null) return 'null';
  return objectOf({ method: mcpMethodText(mcp.method), version: bounded(mcp.version, 32) });
}

function httpText({ http }: PolicyInput, ledger: Ledger): string {
  for (const _ in http.headers) {
    erase(ledger, '/input/http/headers', canonicalText(http.headers), true);
    break;
  }
  return `{"headers":{},"method":${bounded(http.method, 32)}}`;
}

function contextText({ context }: PolicyInput): string {
  const labels = context.labels.slice(0, LABELS_MAX).map((label) => bounded(label, 64));
  return `{"inputs":[],"labels":[${labels.join(',')}]}`;
}

/** Where the things came from that the run has read: label, source without its query, time; hashes committed. */
function sourcesText({ context }: PolicyInput, ledger: Ledger): string {
  if (context.inputs.length === 0) return '[]';
  mask(ledger, '/input/context/inputs', canonicalText(context.inputs), false);
  const text = (value: Json | undefined) =>
    typeof value === 'string' ? bounded(value.split(/[?#]/, 1)[0] ?? '', 256) : 'null';
  const sources = context.inputs
    .slice(-INPUTS_MAX)
    .map((i) =>
      objectOf({ at: text(i['at']), label: text(i['label']), source: text(i['source']) }),
    );
  return `[${sources.join(',')}]`;
}

function stateText({ state }: PolicyInput, ledger: Ledger): string {
  if (state.history.length > 0) {
    erase(ledger, '/input/state/history', canonicalText(state.history), true);
  }
  let limits = canonicalText(state.limits);
  if (limits.length > LIMITS_CHARS_MAX) {
    erase(ledger, '/input/state/limits', limits, true);
    limits = '{}';
  }
  return `{"approval":null,"break_glass":null,"history":[],"limits":${limits}}`;
}

function policyText(verdict: Verdict | null): string {
  const policy = verdict?.policy;
  if (!policy) return 'null';
  return objectOf({
    digest: bounded(policy.digest, NAME_CHARS_MAX),
    revision: bounded(policy.revision, NAME_CHARS_MAX),
    set: bounded(policy.set, NAME_CHARS_MAX),
  });
}

/** How the request arrived. Of a request that never reached policy the target shows its blanked path only. */
function requestText(record: DecisionRecord, ledger: Ledger): string {
  const { body, jsonrpcId, request, input } = record;
  if (body !== null) erase(ledger, '/egret/req/body_sha256', quoted(body.sha256), false);
  if (typeof jsonrpcId === 'string') {
    erase(ledger, '/egret/req/jsonrpc_id', quoted(jsonrpcId.slice(0, 1024)), true);
  }
  const method = input?.http.method ?? request?.method ?? null;
  return objectOf({
    body_bytes: body === null ? 'null' : JSON.stringify(body.bytes),
    jsonrpc_id: typeof jsonrpcId === 'number' ? JSON.stringify(jsonrpcId) : 'null',
    listener: quoted(record.listener),
    mcp_method: input?.mcp ? mcpMethodText(input.mcp.method) : 'null',
    method: method !== null && /^[A-Z-]{1,32}$/.test(method) ? quoted(method) : 'null',
    target: request === undefined ? 'null' : bounded(blankTarget(request.target), 512),
  });
}

const mcpMethodText = (method: string) =>
  /^[a-z][A-Za-z_/]{0,63}$/.test(method) ? quoted(method) : '"*"';

/** Scheme, host and blanked path of a request target in absolute, authority or origin form. */
function blankTarget(target: string): string {
  const path = target.split(/[?#]/, 1)[0] ?? '';
  const absolute = /^(https?:\/\/)(?:[^/]*@)?([^/@]*)(\/.*)?$/i.exec(path);
  if (absolute)
    return `${absolute[1]}${(absolute[2] ?? '').slice(0, 253)}${blankPath(absolute[3] ?? '')}`;
  if (path.startsWith('/')) return blankPath(path);
  return /^[A-Za-z0-9.:[\]-]{1,260}$/.test(path) ? path : '*';
}
