/**
 * Requests that the HTTP parser itself refused: they never became a call, but an attack that leaves no trace is no
 * use to an auditor, so each gets a decision leaf and a metric. Shell: appends to the audit log.
 */
import type { ReasonCode } from '../decision/reason.ts';
import type { BrokenCause } from '../proxy/node-server.ts';
import type { Parts } from '../proxy/ports.ts';
import type { Metrics } from '../telemetry/metric.ts';

export interface BrokenRequest {
  readonly listener: 'gateway' | 'proxy' | 'capture';
  readonly cause: BrokenCause;
  readonly remoteAddress: string;
}

const REASON_OF: Readonly<Record<BrokenRequest['cause'], ReasonCode>> = {
  malformed: 'call.malformed',
  timeout: 'call.timeout',
  too_large: 'call.too_large',
  method: 'call.method_not_allowed',
};

export function recordBroken(
  { parts, metrics }: { readonly parts: Parts; readonly metrics: Metrics },
  broken: BrokenRequest,
): void {
  const reason = REASON_OF[broken.cause];
  metrics.observeCall({
    listener: broken.listener,
    tool: null,
    decision: 'deny',
    reason,
    durationSeconds: 0,
  });
  parts.recorder
    .decision({
      id: parts.clock.uuid(),
      listener: broken.listener,
      input: null,
      verdict: null,
      rollout: null,
      action: 'refuse',
      mode: parts.mode,
      reason,
      wouldDeny: false,
      detail: null,
      traceId: null,
      spanId: null,
      requestedBy: broken.remoteAddress,
      body: null,
      jsonrpcId: null,
      method: '',
      target: '',
      timeNs: parts.clock.wallNs(),
    })
    // The connection is refused whether or not the log takes the record; the journal reports its own failures.
    .catch(() => undefined);
}
