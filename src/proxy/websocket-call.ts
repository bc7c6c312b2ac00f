/**
 * A WebSocket as a call: its GET is recognised, decided and recorded like any other, with `upgrade: websocket` among the
 * headers that policy sees, and only places that the configuration names may be asked for one. After the durable record
 * the handshake is made with the tool, then with the agent, and frames pass until one side ends it.
 * Shell: owns the agent's socket from its request on, and the WebSockets that are open.
 */
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { type Refusal, refuse } from '../decision/enforcement.ts';
import type { AdmissionControl } from './admission.ts';
import type { Incoming } from './exchange.ts';
import { decisionOf, judge, type Question } from './judgement.ts';
import type { Parts, PolicyState } from './ports.ts';
import { type Recorded, recordPermit, recordRefusal } from './record.ts';
import { type RefusalShape, renderRefusal } from './refusal.ts';
import { type Recognition, type Route, unrecognized } from './route.ts';
import type { Forwarded, OutgoingRequest } from './upstream.ts';
import {
  type Handshake,
  plainRequest,
  readHandshake,
  renderSwitch,
} from './websocket-handshake.ts';
import { type Relay, type RelayBounds, relay } from './websocket-relay.ts';
import { openWebSocket, type WebSocketUpstreamOptions } from './websocket-upstream.ts';

export interface WebSocketParts {
  readonly parts: Parts;
  readonly admission: AdmissionControl;
  /** Places where a WebSocket may be opened at all. */
  readonly allows: (host: string, port: number) => boolean;
  readonly upstream: WebSocketUpstreamOptions;
  readonly bounds: RelayBounds;
}

export interface WebSockets {
  /** Takes a request that opens a WebSocket. Resolves when its socket is closed; never rejects. */
  handle(route: Route, incoming: Incoming, socket: Duplex, head: Uint8Array): Promise<void>;
  /** Tells everyone that the sidecar is going away. */
  drain(): void;
  /** Closes everything that is left. */
  close(): void;
}

export function createWebSockets(sockets: WebSocketParts): WebSockets {
  const open = new Set<Relay>();
  return {
    handle: (route, incoming, socket, head) => {
      socket.on('error', () => socket.destroy());
      incoming.connection.calls += 1;
      const id = sockets.parts.clock.uuid();
      return admit({ sockets, open, route, incoming, socket, head, id });
    },
    drain() {
      for (const one of open) one.drain();
    },
    close() {
      for (const one of open) one.cut();
    },
  };
}

/** One WebSocket on its way. */
interface Arrival {
  readonly sockets: WebSocketParts;
  readonly open: Set<Relay>;
  readonly route: Route;
  readonly incoming: Incoming;
  readonly socket: Duplex;
  /** Bytes that came with the request. */
  readonly head: Uint8Array;
  readonly id: string;
}

async function admit(arrival: Arrival): Promise<void> {
  const { sockets, socket, route, id } = arrival;
  const { parts, admission } = sockets;
  const leave = admission.enterTunnel();
  if (leave === null) {
    const cause = admission.draining() ? 'proxy.draining' : 'call.overloaded';
    parts.shed(cause);
    answer(socket, refuse(null, cause).refusal, route.shape);
    return;
  }
  try {
    await travel(arrival);
  } catch (error) {
    parts.failed(id, error);
    socket.destroy();
  } finally {
    leave();
  }
}

async function travel(arrival: Arrival): Promise<void> {
  const { sockets, incoming, route, socket, id } = arrival;
  const { parts } = sockets;
  const startedMs = parts.clock.monotonicMs();
  const policy = parts.policy();
  const { recognition, handshake } = await recognise(arrival, policy);
  const watch = parts.observe({ id, incoming, route, recognition, startedMs });
  try {
    const question: Question = { id, incoming, recognition, policy, traceId: watch.traceId };
    const judged = judge(parts, question);
    const decision = decisionOf(parts, {
      route,
      question,
      judged,
      body: null,
      spanId: watch.spanId,
    });
    watch.judged(decision);
    if (judged.action === 'refuse' || handshake === null) {
      await recordRefusal(parts.recorder, decision);
      answer(socket, refusalOf(judged, id), recognition.shape);
      watch.end(decision.reason);
      return;
    }
    const recorded = await recordPermit(parts.recorder, judged.permit, decision);
    watch.recorded();
    if (recorded === null) {
      answer(socket, refuse(id, 'audit.unavailable').refusal, recognition.shape);
      watch.end('audit.unavailable');
      return;
    }
    const trip = watch.leaving(judged.request);
    const forwarded = await run(recorded, arrival, handshake, trip.request);
    const { spanId, traceId } = watch;
    const timeNs = parts.clock.wallNs();
    parts.recorder.outcome({ decisionId: id, traceId, spanId, forwarded, isError: false, timeNs });
    trip.end(forwarded, false);
    watch.end(forwarded.reason ?? decision.reason);
  } catch (error) {
    watch.end('proxy.internal');
    throw error;
  }
}

const refusalOf = (judged: ReturnType<typeof judge>, id: string): Refusal =>
  judged.action === 'refuse' ? judged.refusal : refuse(id, 'proxy.internal').refusal;

interface Recognised {
  readonly recognition: Recognition;
  /** Null when the call was not recognised. */
  readonly handshake: Handshake | null;
}

async function recognise(arrival: Arrival, policy: PolicyState): Promise<Recognised> {
  const { route, incoming, sockets, head } = arrival;
  const handshake = readHandshake(incoming);
  const plain = plainRequest(incoming);
  const not = (recognition: Recognition): Recognised => ({ recognition, handshake: null });
  if (!handshake.ok) return not(unrecognized(handshake.reason, handshake.detail, route.shape));
  const early = route.precheck(plain);
  if (early !== null) return not(early);
  if (head.length > 0) {
    return not(unrecognized('call.malformed', 'frames before the handshake', route.shape));
  }
  const catalogue = policy.policy?.catalogue;
  if (catalogue === undefined) {
    return not(unrecognized('bundle.missing', 'no policy is loaded', route.shape));
  }
  const recognition = await route.recognize(plain, null, catalogue);
  if (!recognition.ok) return not(recognition);
  const { host, port } = recognition.outgoing.origin;
  if (!sockets.allows(host, port)) {
    const detail = 'no WebSocket may be opened there';
    return not(unrecognized('call.upgrade_denied', detail, recognition.shape));
  }
  return { recognition: upgraded(recognition, handshake), handshake };
}

/**
 * What policy sees besides the GET. A tool that the catalogue does not name is of operation `connect`: what permits
 * reading must not open a way in both directions.
 */
function upgraded(recognition: Recognition & { ok: true }, handshake: Handshake): Recognition {
  const { call } = recognition;
  const { protocols } = handshake;
  const { tool } = call;
  const headers = {
    ...call.http.headers,
    upgrade: ['websocket'],
    ...(protocols.length === 0 ? {} : { 'sec-websocket-protocol': protocols }),
  };
  return {
    ...recognition,
    call: {
      ...call,
      tool: tool.known ? tool : { ...tool, operation: 'connect' },
      http: { ...call.http, headers },
    },
  };
}

/** Takes a Recorded permit, so no WebSocket is opened without a durable decision. */
async function run(
  recorded: Recorded,
  { sockets, open, socket, id }: Arrival,
  handshake: Handshake,
  request: OutgoingRequest,
): Promise<Forwarded> {
  const startedMs = performance.now();
  const opened = await openWebSocket(request, handshake.protocols, sockets.upstream);
  const ttfbMs = performance.now() - startedMs;
  const seen = { contentType: null, body: null, peer: opened.peer, ttfbMs } as const;
  if (!opened.ok) {
    answer(socket, refuse(id, opened.reason).refusal, { kind: 'http' });
    const { reason, status } = opened;
    const nothing = { bytes: 0, sha256: '', totalMs: ttfbMs };
    return { result: 'upstream_error', reason, status, ...seen, ...nothing };
  }
  const { warning } = recorded.permit;
  const ours: [string, string][] = [['x-egret-decision-id', id]];
  if (warning !== null) ours.push(['x-egret-warning', warning]);
  socket.write(renderSwitch(handshake, opened.protocol, [...opened.headers, ...ours]));
  const running = relay(socket, opened.socket, sockets.bounds);
  open.add(running);
  // It may have begun to drain while the tool was asked.
  if (sockets.admission.draining()) running.drain();
  const relayed = await running.ended;
  open.delete(running);
  return { ...relayed, ...seen, status: 101, totalMs: performance.now() - startedMs };
}

/** The answer to a request that stays HTTP, as bytes: Node has handed the socket over already. */
function answer(socket: Duplex, refusal: Refusal, shape: RefusalShape): void {
  const { status, headers, body } = renderRefusal(refusal, shape);
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Refused'}`,
    ...headers.map(([name, value]) => `${name}: ${value}`),
    `content-length: ${body.length}`,
    'connection: close',
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  socket.end(body);
}
