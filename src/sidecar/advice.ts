/**
 * Decisions that are asked for without a call: the work behind the decision API. The same policy, facts and record as
 * for a real call; the record says `advise`, because nothing is forwarded. Shell: appends to the audit log.
 */
import { randomUUID } from 'node:crypto';
import type { Journal } from '../audit/journal.ts';
import type { DecisionApiParts } from '../control/decision-api.ts';
import { decide, denyWithout } from '../decision/decide.ts';
import { policyInput } from '../decision/input.ts';
import type { UploadRegistry } from '../decision/uploads.ts';
import type { ClientConnection } from '../proxy/exchange.ts';
import type { Parts } from '../proxy/ports.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metric.ts';
import type { Tracing } from '../telemetry/trace.ts';
import { adviceSource } from './facts.ts';

export interface AdviceParts {
  readonly parts: Parts;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
}

export function adviser({ parts, metrics, tracing }: AdviceParts): DecisionApiParts['review'] {
  const connection: ClientConnection = { id: randomUUID(), remoteAddress: '', calls: 0 };
  return async (call, client) => {
    const id = parts.clock.uuid();
    const startedMs = parts.clock.monotonicMs();
    connection.calls += 1;
    const policy = parts.policy();
    const span = tracing.startCall({ name: 'POST /v1/review', startedAt: startedMs });
    const input = policyInput(call, parts.facts(call, adviceSource(id, span.traceId, connection)));
    const verdict = policy.ok
      ? decide(policy.policy, input, parts.clock.monotonicMs)
      : denyWithout(policy.reason, policy.policy?.ref ?? null);
    const recorded = await parts.recorder
      .decision({
        id,
        listener: 'decision-api',
        input,
        verdict,
        action: 'advise',
        mode: parts.mode,
        reason: verdict.reason,
        wouldDeny: false,
        detail: null,
        traceId: span.traceId,
        spanId: span.spanId,
        requestedBy: client,
        body: null,
        jsonrpcId: null,
        method: 'POST',
        target: '/v1/review',
        timeNs: input.time_ns,
      })
      .catch(() => null);
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
