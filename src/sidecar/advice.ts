/**
 * Decisions that are asked for without a call: the work behind the decision API. The same policy, facts and record as
 * for a real call; the record says `advise`, because nothing is forwarded. Shell: appends to the audit log.
 */
import { randomUUID } from 'node:crypto';
import type { Journal } from '../audit/journal.ts';
import type { Asking, DecisionApiParts } from '../control/decision-api.ts';
import { policyInput } from '../decision/input.ts';
import type { ReasonCode } from '../decision/reason.ts';
import type { UploadRegistry } from '../decision/uploads.ts';
import type { ClientConnection } from '../proxy/exchange.ts';
import { verdictUnder } from '../proxy/judgement.ts';
import type { Decision, Parts } from '../proxy/ports.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metric.ts';
import { SPANS, serverSpanName } from '../telemetry/semconv.ts';
import type { Tracing } from '../telemetry/trace.ts';
import { adviceSource } from './facts.ts';

export interface AdviceParts {
  readonly parts: Parts;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
}

export function adviser({ parts, metrics, tracing }: AdviceParts): DecisionApiParts['review'] {
  const connection: ClientConnection = { id: randomUUID(), remoteAddress: '', calls: 0 };
  return async (call, asking) => {
    const id = parts.clock.uuid();
    const startedMs = parts.clock.monotonicMs();
    connection.calls += 1;
    const policy = parts.policy();
    const span = tracing.startCall({
      name: serverSpanName('POST', asking.target),
      traceparent: asking.traceparent ?? undefined,
      startedAt: startedMs,
    });
    const deciding = span.child(SPANS.decide, 'internal');
    const input = policyInput(call, parts.facts(call, adviceSource(id, span.traceId, connection)));
    const { verdict, rollout } = verdictUnder(policy, input, parts.clock.monotonicMs);
    deciding.end();
    const recording = span.child(SPANS.audit, 'internal');
    const decision = adviceOf(parts, { id, asking, reason: verdict.reason, body: null });
    const { traceId, spanId } = span;
    const answered = { action: 'advise', input, verdict, rollout, traceId, spanId } as const;
    const recorded = await parts.recorder
      .decision({ ...decision, ...answered, timeNs: input.time_ns })
      .catch(() => null);
    recording.end();
    metrics.observeCall({
      listener: 'decision',
      tool: call.tool,
      decision: verdict.outcome,
      reason: verdict.reason,
      durationSeconds: (parts.clock.monotonicMs() - startedMs) / 1000,
    });
    span.end({ keep: verdict.outcome !== 'allow' });
    return recorded === null ? null : { id, verdict };
  };
}

/** Requests that are refused before any decision: a wrong credential, a wrong path, a body that is no review. */
export function turnAway(
  { parts, metrics }: Omit<AdviceParts, 'tracing'>,
  log: Log,
): DecisionApiParts['turnedAway'] {
  return async ({ reason, body }, asking) => {
    const id = parts.clock.uuid();
    if (reason.startsWith('identity.')) {
      log.event('identity.refused', { listener: 'decision', reason, decision_id: id });
    }
    metrics.observeCall({
      listener: 'decision',
      tool: null,
      decision: 'deny',
      reason,
      durationSeconds: 0,
    });
    // The request is refused whether or not the log takes the record; the journal reports its own failures.
    await parts.recorder.decision(adviceOf(parts, { id, asking, reason, body })).catch(() => null);
    return id;
  };
}

interface Advice {
  readonly id: string;
  readonly asking: Asking;
  readonly reason: ReasonCode;
  readonly body: Uint8Array | null;
}

/** The record of a refusal; of an answer it lacks what was decided. */
function adviceOf({ mode, clock }: Parts, { id, asking, reason, body }: Advice): Decision {
  return {
    id,
    listener: 'decision-api',
    input: null,
    verdict: null,
    rollout: null,
    action: 'refuse',
    mode,
    reason,
    wouldDeny: false,
    detail: null,
    traceId: null,
    spanId: null,
    requestedBy: asking.client ?? asking.remoteAddress,
    body,
    jsonrpcId: null,
    method: asking.method,
    target: asking.target,
    timeNs: clock.wallNs(),
  };
}

export interface UploadParts {
  readonly parts: Parts;
  readonly uploads: UploadRegistry;
  readonly journal: Journal;
  readonly log: Log;
}

/** Registers what a user provided, after the audit log has taken it: a grant nobody can find later is none. */
export function uploader({
  parts,
  uploads,
  journal,
  log,
}: UploadParts): DecisionApiParts['upload'] {
  return async (sha256, bytes, client) => {
    try {
      await journal.recordLifecycle({
        event: 'upload_registered',
        detail: { bytes, client, sha256 },
      });
    } catch {
      return false;
    }
    uploads.register(sha256, parts.clock.monotonicMs());
    log.event('upload.registered', { client, sha256, bytes });
    return true;
  };
}
