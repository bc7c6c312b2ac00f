/**
 * One call as telemetry sees it: a server span toward the agent with children for the decision and the record, a
 * client span toward the tool, metrics with the trace as exemplar, one log line. The pipeline only says what happens.
 * Shell: owns the span of one call.
 */
import { type Operation, shownMethod, shownName } from '../call/tool-call.ts';
import type { ReasonCode } from '../decision/reason.ts';
import { headerOf } from '../proxy/message-rules.ts';
import type { Decision, Watch, Watched } from '../proxy/ports.ts';
import type { Forwarded, OutgoingRequest } from '../proxy/upstream.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metric.ts';
import {
  ATTRIBUTES as A,
  type Attributes,
  EXECUTE_TOOL,
  httpMethod,
  SPANS,
  serverSpanName,
  TOOL_ERROR,
  urlFull,
} from '../telemetry/semconv.ts';
import type { CallSpan, Span, Tracing } from '../telemetry/trace.ts';

export interface ObservationParts {
  readonly tracing: Tracing;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly agentId: string;
  readonly nowMs: () => number;
}

/** A method that is none of MCP. */
const OTHER_METHOD = '_OTHER';

export function createObserver(parts: ObservationParts): (watched: Watched) => Watch {
  return (watched) => new CallWatch(parts, watched);
}

class CallWatch implements Watch {
  readonly #parts: ObservationParts;
  readonly #watched: Watched;
  readonly #span: CallSpan;
  readonly #recognisedMs: number;
  #judgedMs = 0;
  #step: Span;
  #decision: Decision | null = null;

  constructor(parts: ObservationParts, watched: Watched) {
    this.#parts = parts;
    this.#watched = watched;
    this.#recognisedMs = parts.nowMs();
    const { incoming, recognition, startedMs } = watched;
    const inHttp = headerOf(incoming, 'traceparent') ?? undefined;
    const inMessage = recognition.ok ? (recognition.traceparent ?? undefined) : undefined;
    this.#span = parts.tracing.startCall({
      name: spanName(watched),
      traceparent: inMessage ?? inHttp,
      tracestate:
        inMessage === undefined ? (headerOf(incoming, 'tracestate') ?? undefined) : undefined,
      links: inMessage === undefined ? [] : [inHttp],
      ...(parts.tracing.exporting ? { attributes: callAttributes(watched, parts.agentId) } : {}),
      startedAt: startedMs,
    });
    this.#step = this.#span.child(SPANS.decide, 'internal');
    parts.metrics.addInflight(1);
  }

  get #exporting(): boolean {
    return this.#parts.tracing.exporting;
  }

  get traceId(): string {
    return this.#span.traceId;
  }

  get spanId(): string {
    return this.#span.spanId;
  }

  judged(decision: Decision): void {
    const { metrics, log } = this.#parts;
    this.#decision = decision;
    this.#judgedMs = this.#parts.nowMs();
    metrics.observeStage('recognise', (this.#recognisedMs - this.#watched.startedMs) / 1000);
    metrics.observeStage('decide', (this.#judgedMs - this.#recognisedMs) / 1000);
    this.#step.end(this.#exporting ? { attributes: verdictAttributes(decision) } : {});
    this.#step = this.#span.child(SPANS.audit, 'internal');
    const { verdict } = decision;
    if (decision.wouldDeny) {
      metrics.wouldDeny(verdict?.reason ?? decision.reason);
      log.event('call.would_deny', {
        ...this.#fields(decision.reason),
        enforcement: decision.mode,
      });
    }
    if (verdict === null || verdict.fuel === 0) return;
    metrics.observeEvaluation({
      seconds: verdict.evalNs / 1e9,
      fuel: verdict.fuel,
      traceId: this.#exemplar(),
    });
  }

  recorded(): void {
    this.#step.end();
    this.#parts.metrics.observeStage('audit', (this.#parts.nowMs() - this.#judgedMs) / 1000);
  }

  leaving(request: OutgoingRequest): ReturnType<Watch['leaving']> {
    const name = httpMethod(request.method);
    const attributes = this.#exporting ? requestAttributes(name, request) : {};
    const client = this.#span.child(name, 'client', attributes);
    const { tracestate } = this.#span;
    const context = [
      ['traceparent', client.traceparent()] as const,
      ...(tracestate === null ? [] : [['tracestate', tracestate] as const]),
    ];
    return {
      request: { ...request, headers: [...request.headers, ...context] },
      end: (forwarded, isError) => this.#returned(client, forwarded, isError),
    };
  }

  end(reason: ReasonCode): void {
    const { metrics, log } = this.#parts;
    const decision = this.#decision;
    const durationSeconds = (this.#parts.nowMs() - this.#watched.startedMs) / 1000;
    const refused = decision?.action !== 'forward' || reason === 'audit.unavailable';
    this.#step.end();
    metrics.addInflight(-1);
    metrics.observeCall({
      listener: this.#watched.route.listener,
      tool: this.#tool(),
      decision: decision?.verdict?.outcome ?? (refused ? 'deny' : 'allow'),
      reason,
      durationSeconds,
      traceId: this.#exemplar(),
    });
    if (refused && decision?.verdict?.reason.startsWith('policy.') === true && isFailure(reason)) {
      metrics.policyError(reason);
      log.event('policy.failed', {
        decision_id: this.#watched.id,
        reason,
        revision: decision.verdict.policy?.revision ?? null,
        detail: decision.verdict.reasons[0]?.message ?? null,
      });
    }
    const fields = { ...this.#fields(reason), duration_seconds: durationSeconds };
    if (refused) log.event('call.refused', fields);
    else log.event('call.allowed', fields);
    this.#span.end({
      keep: refused || decision?.wouldDeny === true,
      failed: reason.startsWith('upstream.') || reason.startsWith('proxy.'),
      attributes: { [A.reason]: reason },
    });
  }

  #returned(client: Span, forwarded: Forwarded, isError: boolean): void {
    const { metrics, log } = this.#parts;
    metrics.observeStage('upstream', forwarded.totalMs / 1000);
    const failed = forwarded.reason !== null;
    client.end({
      failed: failed || isError,
      attributes: {
        ...(forwarded.status === 0 ? {} : { [A.httpResponseStatusCode]: forwarded.status }),
        ...(failed
          ? { [A.errorType]: forwarded.reason }
          : isError
            ? { [A.errorType]: TOOL_ERROR }
            : {}),
      },
    });
    if (forwarded.reason === null) return;
    metrics.upstreamError(forwarded.reason);
    log.event('call.failed', { ...this.#fields(forwarded.reason), error: forwarded.result });
  }

  #tool(): { name: string; known: boolean; operation: Operation } | null {
    const { recognition } = this.#watched;
    return recognition.ok ? recognition.call.tool : null;
  }

  #shownTool(): string | null {
    const { recognition } = this.#watched;
    return recognition.ok ? shownName(recognition.call.tool) : null;
  }

  #exemplar(): string | undefined {
    return this.#span.sampled ? this.#span.traceId : undefined;
  }

  #fields(reason: ReasonCode) {
    return {
      decision_id: this.#watched.id,
      trace_id: this.#span.traceId,
      listener: this.#watched.route.listener,
      tool: this.#shownTool(),
      reason,
    };
  }
}

/** The policy gave no usable verdict, as opposed to one that says no. */
function isFailure(reason: ReasonCode): boolean {
  return reason.startsWith('policy.') && !['policy.denied', 'policy.no_match'].includes(reason);
}

function spanName({ incoming, recognition }: Watched): string {
  if (!recognition.ok) return serverSpanName(httpMethod(incoming.method), null);
  const { tool, mcp } = recognition.call;
  // Only names of the catalogue and methods of MCP: an agent must not be able to choose the names of spans.
  const name = tool.known ? tool.name : null;
  if (mcp === null) return serverSpanName(httpMethod(incoming.method), name);
  if (mcp.method === 'tools/call') return serverSpanName(mcp.method, name);
  return serverSpanName(name === null ? OTHER_METHOD : mcp.method, null);
}

function callAttributes(
  { id, incoming, recognition, route }: Watched,
  agentId: string,
): Attributes {
  const common = {
    [A.httpRequestMethod]: httpMethod(incoming.method),
    [A.listener]: route.listener,
    [A.decisionId]: id,
    [A.genAiAgentId]: agentId,
  };
  if (!recognition.ok) return common;
  const { tool, mcp, destination } = recognition.call;
  return {
    ...common,
    [A.genAiOperationName]: EXECUTE_TOOL,
    [A.genAiToolName]: shownName(tool),
    [A.operation]: tool.operation,
    [A.toolKnown]: tool.known,
    [A.serverAddress]: destination.host,
    [A.serverPort]: destination.port,
    ...(tool.server === null ? {} : { [A.toolServer]: tool.server }),
    ...(mcp === null
      ? {}
      : {
          [A.mcpMethodName]: shownMethod(mcp.method),
          [A.mcpProtocolVersion]: mcp.version,
        }),
  };
}

function requestAttributes(method: string, { origin, path }: OutgoingRequest): Attributes {
  const host = origin.host.includes(':') ? `[${origin.host}]` : origin.host;
  const url = urlFull(`${origin.scheme}://${host}:${origin.port}${path}`);
  return {
    [A.httpRequestMethod]: method,
    [A.serverAddress]: origin.host,
    [A.serverPort]: origin.port,
    [A.urlScheme]: origin.scheme,
    ...(url === null ? {} : { [A.urlFull]: url }),
  };
}

function verdictAttributes({ verdict, wouldDeny, reason }: Decision): Attributes {
  if (verdict === null) return { [A.reason]: reason };
  return {
    [A.decision]: verdict.outcome,
    [A.reason]: verdict.reason,
    [A.wouldDeny]: wouldDeny,
    [A.policyFuel]: verdict.fuel,
    ...(verdict.policy === null
      ? {}
      : { [A.policySet]: verdict.policy.set, [A.policyRevision]: verdict.policy.revision }),
  };
}
