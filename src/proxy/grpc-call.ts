/**
 * gRPC calls: each HTTP/2 stream is a call of its own, decided on its method path and recorded before its first message
 * leaves. Messages are not read, so policy is told that the arguments are opaque.
 * Shell: owns the HTTP/2 sessions of agents and their streams.
 */
import type { ServerHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import { type Refusal, refuse } from '../decision/enforcement.ts';
import type { BoundPlace, ClientConnection, Incoming } from './exchange.ts';
import {
  describeStream,
  grpcStatusOf,
  readGrpc,
  renderGrpcRefusal,
  renderPlainRefusal,
} from './grpc-request.ts';
import {
  createGrpcUpstream,
  type GrpcUpstream,
  type GrpcUpstreamOptions,
} from './grpc-upstream.ts';
import { type Http2Bounds, type Http2Session, serveHttp2 } from './http2-session.ts';
import { decisionOf, judge, type Question } from './judgement.ts';
import type { Parts, PolicyState, Watch } from './ports.ts';
import { recordPermit, recordRefusal } from './record.ts';
import { type Recognition, type Route, unrecognized } from './route.ts';

export interface GrpcParts {
  readonly parts: Parts;
  readonly upstream: GrpcUpstreamOptions;
  readonly bounds: Http2Bounds;
}

export interface Grpc {
  /** Serves the calls on a connection that agreed on HTTP/2 and leads to `bound`. */
  serve(route: Route, socket: Duplex, bound: BoundPlace, connection: ClientConnection): void;
  drain(): void;
  close(): void;
}

export function createGrpc(grpc: GrpcParts): Grpc {
  const open = new Set<Http2Session>();
  return {
    serve(route, socket, bound, connection) {
      const upstream = createGrpcUpstream(grpc.upstream);
      const session = serveHttp2(socket, grpc.bounds, (stream, raw) => {
        const arrival = { parts: grpc.parts, upstream, route, stream, raw, bound, connection };
        void handleStream(arrival);
      });
      open.add(session);
      socket.once('close', () => {
        open.delete(session);
        upstream.close();
      });
    },
    drain() {
      for (const session of open) session.drain();
    },
    close() {
      for (const session of open) session.cut();
    },
  };
}

/** One stream. */
interface Arrival {
  readonly parts: Parts;
  readonly upstream: GrpcUpstream;
  readonly route: Route;
  readonly stream: ServerHttp2Stream;
  readonly raw: readonly string[];
  readonly bound: BoundPlace;
  readonly connection: ClientConnection;
}

async function handleStream(arrival: Arrival): Promise<void> {
  const { parts, connection, stream } = arrival;
  const id = parts.clock.uuid();
  connection.calls += 1;
  const slot = parts.admission.enter();
  if ('refused' in slot) {
    parts.shed(slot.refused);
    answer(stream, refuse(null, slot.refused).refusal);
    return;
  }
  try {
    await travel(arrival, id);
  } catch (error) {
    parts.failed(id, error);
    answer(stream, refuse(id, 'proxy.internal').refusal);
  } finally {
    slot.release();
  }
}

async function travel(arrival: Arrival, id: string): Promise<void> {
  const { parts, route } = arrival;
  const startedMs = parts.clock.monotonicMs();
  const policy = parts.policy();
  const { incoming, recognition } = await recognise(arrival, policy);
  const watch = parts.observe({ id, incoming, route, recognition, startedMs });
  try {
    const question = { id, incoming, recognition, policy, traceId: watch.traceId };
    await judgeAndForward(arrival, question, watch);
  } catch (error) {
    watch.end('proxy.internal');
    throw error;
  }
}

async function judgeAndForward(arrival: Arrival, question: Question, watch: Watch): Promise<void> {
  const { parts, route, stream, upstream } = arrival;
  const { id } = question;
  const judged = judge(parts, question);
  const { spanId, traceId } = watch;
  const decision = decisionOf(parts, { route, question, judged, body: null, spanId });
  watch.judged(decision);
  if (judged.action === 'refuse') {
    await recordRefusal(parts.recorder, decision);
    answer(stream, judged.refusal);
    watch.end(judged.refusal.reason);
    return;
  }
  const recorded = await recordPermit(parts.recorder, judged.permit, decision);
  watch.recorded();
  if (recorded === null) {
    answer(stream, refuse(id, 'audit.unavailable').refusal);
    watch.end('audit.unavailable');
    return;
  }
  const trip = watch.leaving(judged.request);
  const forwarded = await upstream.forward(recorded, trip.request, stream);
  if (forwarded.reason !== null) answer(stream, refuse(id, forwarded.reason).refusal);
  const isError = forwarded.status >= 400 || (forwarded.grpcStatus ?? 0) !== 0;
  const timeNs = parts.clock.wallNs();
  parts.recorder.outcome({ decisionId: id, traceId, spanId, forwarded, isError, timeNs });
  trip.end(forwarded, isError);
  watch.end(forwarded.reason ?? decision.reason);
}

/** Stands for messages that nobody reads, so that the call counts as one with a body that is opaque. */
const UNREAD = Uint8Array.of(0);

async function recognise(
  { raw, bound, connection, route }: Arrival,
  policy: PolicyState,
): Promise<{ readonly incoming: Incoming; readonly recognition: Recognition }> {
  const nothing = () => Promise.resolve({ ok: true, bytes: null } as const);
  const shared = { connection, bound, readBody: nothing };
  const request = readGrpc(raw, bound);
  if (!request.ok) {
    const seen = { ...describeStream(raw), httpVersion: '2.0', headers: [] };
    const recognition = unrecognized(request.reason, request.detail, route.shape);
    return { incoming: { ...seen, ...shared }, recognition };
  }
  const incoming: Incoming = { ...request.plain, ...shared };
  const early = route.precheck(incoming);
  if (early !== null) return { incoming, recognition: early };
  const catalogue = policy.policy?.catalogue;
  if (catalogue === undefined) {
    const recognition = unrecognized('bundle.missing', 'no policy is loaded', route.shape);
    return { incoming, recognition };
  }
  const recognition = await route.recognize(incoming, UNREAD, catalogue);
  if (!recognition.ok) return { incoming, recognition };
  const outgoing = { ...recognition.outgoing, body: null };
  return { incoming, recognition: { ...recognition, outgoing, place: null } };
}

/** Nothing is said twice, and nothing to a client that is gone. */
function answer(stream: ServerHttp2Stream, refusal: Refusal): void {
  if (stream.destroyed || stream.closed || stream.headersSent) return;
  const plain = refusal.reason === 'call.not_grpc' || grpcStatusOf(refusal.reason) === 12;
  const headers = plain ? renderPlainRefusal(refusal) : renderGrpcRefusal(refusal);
  stream.respond(headers, { endStream: true });
}
