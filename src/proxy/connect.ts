/**
 * CONNECT, decided on host and port. A tunnel to a port that carries plain HTTP is not opened at all: its requests are
 * served here, each as a call of its own. Every other tunnel is a call of operation `connect`, and opaque.
 * Shell: owns the client's socket until it is handed on.
 */
import type { Duplex } from 'node:stream';
import { type Authority, parseAuthority, sameAuthority } from '../call/authority.ts';
import { checkHeaders, visibleHeaders } from '../call/headers.ts';
import { recognizeConnect } from '../call/recognize.ts';
import type { Refused } from '../call/refused.ts';
import { refuse } from '../call/refused.ts';
import { refuse as refusal } from '../decision/enforcement.ts';
import { REASONS, type ReasonCode } from '../decision/reason.ts';
import type { AdmissionControl } from './admission.ts';
import type { Incoming } from './exchange.ts';
import { decisionOf, judge, type Question } from './judgement.ts';
import { checkVersion, headerOf } from './message-rules.ts';
import type { Parts } from './ports.ts';
import { recordPermit, recordRefusal } from './record.ts';
import type { Resolver } from './resolver.ts';
import { type Recognition, unrecognized } from './route.ts';
import { runTunnel, type TunnelBounds } from './tunnel.ts';

export interface ConnectParts {
  readonly parts: Parts;
  readonly admission: AdmissionControl;
  readonly resolve: Resolver;
  readonly bounds: TunnelBounds;
  readonly plaintextPorts: ReadonlySet<number>;
  /** Serves the plain HTTP inside a tunnel. */
  readonly adopt: (socket: Duplex, authority: { host: string; port: number }) => void;
}

const ROUTE = { listener: 'proxy', shape: { kind: 'http' } } as const;

export async function handleConnect(
  connect: ConnectParts,
  incoming: Incoming,
  client: Duplex,
  head: Uint8Array,
): Promise<void> {
  client.on('error', () => client.destroy());
  const authority = authorityOf(incoming);
  if (authority.ok && connect.plaintextPorts.has(authority.port)) {
    client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
    if (head.length > 0) client.unshift(head);
    connect.adopt(client, { host: authority.host, port: authority.port });
    return;
  }
  const leave = connect.admission.enterTunnel();
  if (leave === null) {
    const cause = connect.admission.draining() ? 'proxy.draining' : 'call.overloaded';
    connect.parts.shed(cause);
    answer(client, cause, connect.parts.clock.uuid());
    return;
  }
  try {
    await decideAndRun(connect, { incoming, client, head, authority });
  } catch (error) {
    connect.parts.failed('', error);
    client.destroy();
  } finally {
    leave();
  }
}

interface Arrival {
  readonly incoming: Incoming;
  readonly client: Duplex;
  readonly head: Uint8Array;
  readonly authority: Authority | Refused;
}

async function decideAndRun(connect: ConnectParts, arrival: Arrival): Promise<void> {
  const { parts } = connect;
  const { incoming, client, head, authority } = arrival;
  const id = parts.clock.uuid();
  const startedMs = parts.clock.monotonicMs();
  const recognition = recognitionOf(authority, incoming);
  const watch = parts.observe({ id, incoming, route: ROUTE, recognition, startedMs });
  const policy = parts.policy();
  const question: Question = { id, incoming, recognition, policy, traceId: watch.traceId };
  const judged = judge(parts, question);
  const { spanId, traceId } = watch;
  const decision = decisionOf(parts, { route: ROUTE, question, judged, body: null, spanId });
  watch.judged(decision);
  if (judged.action === 'refuse' || !authority.ok) {
    await recordRefusal(parts.recorder, decision);
    answer(client, decision.reason, id);
    watch.end(decision.reason);
    return;
  }
  const recorded = await recordPermit(parts.recorder, judged.permit, decision);
  watch.recorded();
  if (recorded === null) {
    answer(client, 'audit.unavailable', id);
    watch.end('audit.unavailable');
    return;
  }
  const request = { host: authority.host, port: authority.port, client, head };
  const forwarded = await runTunnel(recorded, request, connect.resolve, connect.bounds);
  if (forwarded.reason !== null) answer(client, forwarded.reason, id);
  const timeNs = parts.clock.wallNs();
  parts.recorder.outcome({ decisionId: id, traceId, spanId, forwarded, isError: false, timeNs });
  watch.end(forwarded.reason ?? decision.reason);
}

function authorityOf(incoming: Incoming): Authority | Refused {
  const broken = checkVersion(incoming) ?? checkHeaders(incoming.headers);
  if (broken !== null) return broken;
  const authority = parseAuthority(incoming.target, null);
  if (!authority.ok) return authority;
  if (headerOf(incoming, 'content-length') !== null) {
    return refuse('call.bad_header', 'content-length in a CONNECT');
  }
  const text = headerOf(incoming, 'host');
  const host = text === null ? authority : parseAuthority(text, authority.port);
  if (!host.ok) return host;
  return sameAuthority(host, authority)
    ? authority
    : refuse('call.bad_authority', 'the Host header and the target name different places');
}

function recognitionOf(authority: Authority | Refused, incoming: Incoming): Recognition {
  if (!authority.ok) return unrecognized(authority.reason, authority.detail, ROUTE.shape);
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
    shape: ROUTE.shape,
    jsonrpcId: null,
    traceparent: null,
  };
}

/** Clients show little of a refused CONNECT, so the reason stands in headers, too. */
function answer(client: Duplex, reason: ReasonCode, id: string): void {
  const { status } = REASONS[reason];
  const { message } = refusal(id, reason).refusal;
  const body = `${reason}: ${message}\n`;
  client.end(
    `HTTP/1.1 ${status} ${status === 403 ? 'Forbidden' : 'Refused'}\r\n` +
      `content-type: text/plain\r\nx-egret-reason: ${reason}\r\nx-egret-decision-id: ${id}\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}
