/**
 * A tunnel as a call of operation `connect`: decided on host and port, recorded, then opened, its bytes unread. It comes
 * from a CONNECT request or from captured TLS that stays closed; how the agent is told is the arrival's own affair.
 * Shell: owns the agent's socket from the decision to the end of the tunnel.
 */
import type { Duplex } from 'node:stream';
import type { Authority } from '../call/authority.ts';
import { visibleHeaders } from '../call/headers.ts';
import { recognizeConnect } from '../call/recognize.ts';
import type { Refused } from '../call/refused.ts';
import type { ReasonCode } from '../decision/reason.ts';
import type { AdmissionControl } from './admission.ts';
import type { Incoming } from './exchange.ts';
import { decisionOf, judge, type Question } from './judgement.ts';
import type { Parts } from './ports.ts';
import { recordPermit, recordRefusal } from './record.ts';
import type { Resolver } from './resolver.ts';
import { type Recognition, unrecognized } from './route.ts';
import { runTunnel, type TunnelBounds } from './tunnel.ts';

export interface TunnelParts {
  readonly parts: Parts;
  readonly admission: AdmissionControl;
  readonly resolve: Resolver;
  readonly bounds: TunnelBounds;
}

/** Someone wants a tunnel. */
export interface Arrival {
  readonly listener: 'proxy' | 'capture';
  readonly incoming: Incoming;
  readonly authority: Authority;
  readonly client: Duplex;
  /** Bytes that came too early; they wait until the tunnel stands. */
  readonly head: Uint8Array;
  /** Tells the agent that the tunnel stands, before the first byte passes. */
  readonly opened: () => void;
  /** Looks at the agent's first bytes before any of them leaves; a reason cuts the tunnel. */
  readonly inspect: (() => Promise<ReasonCode | null>) | null;
  /** Tells the agent why not, and ends its socket. */
  readonly refused: (reason: ReasonCode, decisionId: string) => void;
}

const SHAPE = { kind: 'http' } as const;

/** Resolves when the tunnel has ended; never rejects. */
export async function handleTunnel(tunnels: TunnelParts, arrival: Arrival): Promise<void> {
  const { parts, admission } = tunnels;
  const leave = admission.enterTunnel();
  if (leave === null) {
    const cause = admission.draining() ? 'proxy.draining' : 'call.overloaded';
    parts.shed(cause);
    arrival.refused(cause, parts.clock.uuid());
    return;
  }
  try {
    await decideAndRun(tunnels, arrival);
  } catch (error) {
    parts.failed('', error);
    arrival.client.destroy();
  } finally {
    leave();
  }
}

async function decideAndRun(tunnels: TunnelParts, arrival: Arrival): Promise<void> {
  const { parts, resolve, bounds } = tunnels;
  const { incoming, client, head, authority, opened, inspect } = arrival;
  const { id, judged, decision, watch } = consider(
    parts,
    arrival,
    tunnelRecognition(authority, incoming),
  );
  if (judged.action === 'refuse') {
    await recordRefusal(parts.recorder, decision);
    arrival.refused(decision.reason, id);
    watch.end(decision.reason);
    return;
  }
  const recorded = await recordPermit(parts.recorder, judged.permit, decision);
  watch.recorded();
  if (recorded === null) {
    arrival.refused('audit.unavailable', id);
    watch.end('audit.unavailable');
    return;
  }
  const { host, port } = authority;
  const request = { host, port, client, head, opened, inspect };
  const forwarded = await runTunnel(recorded, request, resolve, bounds);
  if (forwarded.reason !== null && forwarded.status === 0) arrival.refused(forwarded.reason, id);
  const { spanId, traceId } = watch;
  const timeNs = parts.clock.wallNs();
  parts.recorder.outcome({ decisionId: id, traceId, spanId, forwarded, isError: false, timeNs });
  watch.end(forwarded.reason ?? decision.reason);
}

/**
 * The record of a tunnel that can be for no place at all.
 * @returns the decision id.
 */
export async function recordTunnelRefusal(
  parts: Parts,
  attempt: Pick<Arrival, 'listener' | 'incoming'>,
  { reason, detail }: Refused,
): Promise<string> {
  const { id, decision, watch } = consider(parts, attempt, unrecognized(reason, detail, SHAPE));
  await recordRefusal(parts.recorder, decision);
  watch.end(decision.reason);
  return id;
}

function consider(
  parts: Parts,
  { listener, incoming }: Pick<Arrival, 'listener' | 'incoming'>,
  recognition: Recognition,
) {
  const id = parts.clock.uuid();
  const route = { listener } as const;
  const startedMs = parts.clock.monotonicMs();
  const watch = parts.observe({ id, incoming, route, recognition, startedMs });
  const { spanId, traceId } = watch;
  const question: Question = { id, incoming, recognition, policy: parts.policy(), traceId };
  const judged = judge(parts, question);
  const decision = decisionOf(parts, { route, question, judged, body: null, spanId });
  watch.judged(decision);
  return { id, judged, decision, watch };
}

/** A tunnel as something to decide about. */
export function tunnelRecognition(authority: Authority, incoming: Incoming): Recognition {
  const { host, port } = authority;
  return {
    ok: true,
    call: recognizeConnect(authority, visibleHeaders(incoming.headers)),
    outgoing: {
      method: 'CONNECT',
      origin: { scheme: 'https', host, port, trusted: false },
      path: '',
      headers: [],
      body: null,
    },
    place: null,
    shape: SHAPE,
    jsonrpcId: null,
    traceparent: null,
  };
}
