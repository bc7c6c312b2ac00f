/**
 * The parts of a decision's record: the policy input as far as it may be read, and what policy did not see. Every
 * text of the call is bounded. Names of policies, rules and codes are the policy author's and stand in the clear;
 * messages, which may quote the call, do not. All literals have their keys in order. Pure.
 */
import { type Json, type JsonObject, shownMethod, shownName } from '../call/tool-call.ts';
import type { PolicyInput } from '../decision/input.ts';
import { REASONS, type ReasonCode } from '../decision/reason.ts';
import type { Verdict } from '../decision/verdict.ts';
import { canonicalText } from './canonical.ts';
import {
  blankPath,
  clearArguments,
  clearAttachments,
  type Disclosure,
  erase,
  foreign,
  type Ledger,
  mask,
} from './disclosure.ts';
import type { DecisionRecord, RolloutFacts } from './record.ts';

const REASONS_MAX = 16;
const OBLIGATIONS_MAX = 16;
const INPUTS_MAX = 16;
const LABELS_MAX = 64;
const LIMITS_CHARS_MAX = 4096;
const NAME_CHARS_MAX = 128;

/** These reasons of a verdict mean that the policy itself failed. */
const FAILURES: ReadonlySet<ReasonCode> = new Set<ReasonCode>([
  'policy.undefined',
  'policy.error',
  'policy.fuel_exhausted',
  'policy.memory_exhausted',
  'policy.invalid_result',
  'policy.unknown_obligation',
]);

/** The policy input without what must not be read. `time_ns` is text: JSON numbers cannot hold it. */
export function maskedInput(
  record: DecisionRecord,
  input: PolicyInput,
  disclosure: Disclosure,
  ledger: Ledger,
) {
  const { run, tool, http, mcp } = input;
  return {
    agent: agentOf(input.agent),
    arguments: clearArguments(input.arguments, disclosure, ledger),
    arguments_state: input.arguments_state,
    attachments: clearAttachments(input.attachments, disclosure, ledger),
    context: { labels: input.context.labels.slice(0, LABELS_MAX).map((l) => bounded(l, 64)) },
    destination: destinationOf(record, input, ledger),
    environment: bounded(input.environment, NAME_CHARS_MAX),
    http: { headers: erasedHeaders(http.headers, ledger), method: bounded(http.method, 32) },
    mcp:
      mcp === null ? null : { method: shownMethod(mcp.method), version: bounded(mcp.version, 32) },
    phase: input.phase,
    response: null,
    run: {
      id: bounded(run.id, NAME_CHARS_MAX),
      step: run.step,
      trace_id: bounded(run.trace_id, 32),
    },
    scope: { id: bounded(input.scope.id, NAME_CHARS_MAX), kind: input.scope.kind },
    state: stateOf(input, ledger),
    time: input.time,
    time_ns: String(input.time_ns),
    tool: {
      definition_hash: bounded(tool.definition_hash, 64),
      known: tool.known,
      name: toolName(tool, ledger),
      operation: tool.operation,
      risk: tool.risk,
      server: bounded(tool.server, NAME_CHARS_MAX),
      sink: bounded(tool.sink, NAME_CHARS_MAX),
    },
    uid: input.uid,
    user: userOf(input.user),
    workload: workloadOf(input.workload, ledger),
  };
}

/** The whole input as plain JSON, for a commitment. */
export function wholeInput(input: PolicyInput): Json {
  return { ...input, time_ns: String(input.time_ns) } as unknown as Json;
}

/** The verdict: outcome, codes and rules in the clear; every free text only in the commitment `/result`. */
export function resultOf(verdict: Verdict | null, ledger: Ledger) {
  if (verdict === null) return null;
  const { outcome, reason, message, reasons, obligations, warnings } = verdict;
  const extras = reasons.length + obligations.length + warnings.length;
  if (extras > 0 || message !== REASONS[reason].text) {
    const whole = { message, obligations, outcome, reason, reasons, warnings };
    mask(ledger, '/result', canonicalText(whole as unknown as Json), true);
  }
  return {
    allowed: outcome === 'allow',
    obligations: obligations.slice(0, OBLIGATIONS_MAX).map(({ kind, path }) => ({
      kind: bounded(kind, NAME_CHARS_MAX),
      path: typeof path === 'string' ? bounded(path, NAME_CHARS_MAX) : null,
    })),
    outcome,
    reason,
    reasons: reasons.slice(0, REASONS_MAX).map(({ code, policy, rule }) => ({
      code: bounded(code, NAME_CHARS_MAX),
      policy: bounded(policy, NAME_CHARS_MAX),
      rule: bounded(rule, NAME_CHARS_MAX),
    })),
    warnings: warnings.length,
  };
}

/** OPA's `error`: there when the policy failed, or when the call was refused before any policy. */
export function errorOf({ verdict, enforcement }: DecisionRecord) {
  const code = verdict === null ? enforcement.reason : verdict.reason;
  if (verdict !== null && !FAILURES.has(code)) return undefined;
  return { code, message: REASONS[code].text };
}

export function bundlesOf(verdict: Verdict | null) {
  const policy = verdict?.policy;
  if (!policy) return {};
  return { [bounded(policy.set, NAME_CHARS_MAX)]: { revision: bounded(policy.revision, 128) } };
}

export function policyOf(verdict: Verdict | null) {
  const policy = verdict?.policy;
  if (!policy) return null;
  return {
    digest: bounded(policy.digest, NAME_CHARS_MAX),
    revision: bounded(policy.revision, NAME_CHARS_MAX),
    set: bounded(policy.set, NAME_CHARS_MAX),
  };
}

/** The answer of a candidate beside the one that was enforced: names and codes only. */
export function rolloutOf({ arm, bucket, candidate, difference, id }: RolloutFacts) {
  return {
    arm,
    bucket,
    candidate: {
      digest: bounded(candidate.digest, NAME_CHARS_MAX),
      outcome: bounded(candidate.outcome, 32),
      reason: bounded(candidate.reason, 64),
      revision: bounded(candidate.revision, NAME_CHARS_MAX),
    },
    difference: bounded(difference, 32),
    id: bounded(id, 64),
  };
}

export function metricsOf(verdict: Verdict | null) {
  if (verdict === null) return {};
  return { counter_egret_fuel: verdict.fuel, timer_rego_query_eval_ns: verdict.evalNs };
}

/** Where the things came from that the run has read: label, source without its query, time; all else committed. */
export function sourcesOf({ context }: PolicyInput, ledger: Ledger) {
  if (context.inputs.length === 0) return [];
  mask(ledger, '/input/context/inputs', canonicalText(context.inputs), false);
  const text = (value: Json | undefined) =>
    typeof value === 'string' ? bounded(value.split(/[?#]/, 1)[0] ?? '', 256) : null;
  return context.inputs
    .slice(-INPUTS_MAX)
    .map((i) => ({ at: text(i['at']), label: text(i['label']), source: text(i['source']) }));
}

/** How the request arrived. Of one that never reached policy, method and target as far as they hold no data. */
export function requestOf(record: DecisionRecord, ledger: Ledger) {
  const { body, jsonrpcId, request } = record;
  if (body !== null) {
    erase(ledger, '/egret/req/body_sha256', JSON.stringify(body.sha256), false);
  }
  if (typeof jsonrpcId === 'string') {
    erase(ledger, '/egret/req/jsonrpc_id', canonicalText(jsonrpcId), true);
  }
  const method = request?.method ?? '';
  return {
    body_bytes: body === null ? null : body.bytes,
    jsonrpc_id: typeof jsonrpcId === 'number' ? jsonrpcId : null,
    listener: record.listener,
    method: /^[A-Z-]{1,32}$/.test(method) ? method : null,
    target: request === undefined ? null : bounded(blankTarget(request.target), 512),
  };
}

/** A text of the call, well-formed and cut to so many UTF-16 units with an ellipsis at the end. */
export function bounded(text: string, charsMax: number): string;
export function bounded(text: string | null, charsMax: number): string | null;
export function bounded(text: string | null, charsMax: number): string | null {
  if (text === null) return null;
  if (text.length <= charsMax) return text.toWellFormed();
  return `${text.slice(0, charsMax - 1).toWellFormed()}…`;
}

/** In key order whatever the order given: lines are written as the objects stand. */
export function agentOf(agent: PolicyInput['agent'] | null) {
  if (agent === null) return null;
  return {
    assurance: agent.assurance,
    id: bounded(agent.id, 253),
    key_thumbprint: bounded(agent.key_thumbprint, NAME_CHARS_MAX),
    verified_by: bounded(agent.verified_by, NAME_CHARS_MAX),
  };
}

function userOf(user: PolicyInput['user']) {
  if (user === null) return null;
  return {
    groups: user.groups.slice(0, 32).map((group) => bounded(group, NAME_CHARS_MAX)),
    id: bounded(user.id, NAME_CHARS_MAX),
    verified_by: bounded(user.verified_by, NAME_CHARS_MAX),
  };
}

function workloadOf(workload: PolicyInput['workload'], ledger: Ledger) {
  return {
    labels: foreign(workload.labels, ledger),
    namespace: bounded(workload.namespace, 253),
    pod: bounded(workload.pod, 253),
    service_account: bounded(workload.service_account, 253),
    uid: bounded(workload.uid, NAME_CHARS_MAX),
  };
}

/** What the call wants to reach. Of the path only words that hold no data, of the query nothing. */
function destinationOf(record: DecisionRecord, { destination: d }: PolicyInput, ledger: Ledger) {
  const path = record.pathTemplate ?? blankPath(d.path);
  if (path !== d.path || Object.keys(d.query).length > 0) {
    mask(ledger, '/input/destination', canonicalText(d as unknown as Json), true);
  }
  return {
    host: bounded(d.host, 253),
    ip: bounded(d.ip, 64),
    ip_class: bounded(d.ip_class, 64),
    path: bounded(path, 512),
    port: d.port,
    scheme: bounded(d.scheme, 16),
    tls_intercepted: d.tls_intercepted,
  };
}

/** A name that is in no catalogue may hold what the agent likes. */
function toolName(tool: PolicyInput['tool'], ledger: Ledger): string {
  const shown = bounded(shownName(tool), NAME_CHARS_MAX);
  if (shown !== tool.name) mask(ledger, '/input/tool/name', canonicalText(tool.name), true);
  return shown;
}

function erasedHeaders(headers: PolicyInput['http']['headers'], ledger: Ledger): JsonObject {
  for (const _ in headers) {
    erase(ledger, '/input/http/headers', canonicalText(headers), true);
    break;
  }
  return {};
}

function stateOf({ state }: PolicyInput, ledger: Ledger) {
  if (state.history.length > 0) {
    erase(ledger, '/input/state/history', canonicalText(state.history), true);
  }
  const limits = canonicalText(state.limits);
  const kept = limits.length <= LIMITS_CHARS_MAX;
  if (!kept) erase(ledger, '/input/state/limits', limits, true);
  const shown = kept ? foreign(state.limits, ledger) : {};
  return { approval: null, break_glass: null, history: [], limits: shown };
}

/** Scheme, host and blanked path of a request target in absolute, authority or origin form. */
function blankTarget(target: string): string {
  const path = target.split(/[?#]/, 1)[0] ?? '';
  const absolute = /^(https?:\/\/)(?:[^/]*@)?([^/@]*)(\/.*)?$/i.exec(path);
  if (absolute) {
    const [, scheme = '', host = '', rest = ''] = absolute;
    return `${scheme}${host.slice(0, 253)}${blankPath(rest)}`;
  }
  if (path.startsWith('/')) return blankPath(path);
  return /^[A-Za-z0-9.:[\]-]{1,260}$/.test(path) ? path : '*';
}
