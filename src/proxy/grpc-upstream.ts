/**
 * gRPC toward the tool: one HTTP/2 connection per connection of the agent, to the pinned address, so nobody shares one.
 * Messages pass both ways as they come and are not read; the answer's trailers pass on. Shell: owns the connection.
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type ServerHttp2Stream,
} from 'node:http2';
import type { ReasonCode } from '../decision/reason.ts';
import { type GrpcBounds, type GrpcForwarded, GrpcRelay, notForwarded } from './grpc-relay.ts';
import { outgoingHeaders } from './grpc-request.ts';
import { type DialOptions, dialPinned } from './pinned-dial.ts';
import type { Recorded } from './record.ts';
import type { Origin, OutgoingRequest } from './upstream.ts';

export interface GrpcUpstreamOptions extends DialOptions {
  readonly bounds: GrpcBounds;
}

export interface GrpcUpstream {
  /** Takes a Recorded permit, so no call leaves without a durable decision. Never rejects. */
  forward(
    recorded: Recorded,
    request: OutgoingRequest,
    stream: ServerHttp2Stream,
  ): Promise<GrpcForwarded>;
  close(): void;
}

type Connected =
  | {
      readonly ok: true;
      readonly session: ClientHttp2Session;
      readonly peer: string;
      /** Under way. */
      calls: number;
    }
  | { readonly ok: false; readonly reason: ReasonCode };

const HEADER_PAIRS_MAX = 110;
const HEADER_BYTES_MAX = 16 * 1024;

export function createGrpcUpstream(options: GrpcUpstreamOptions): GrpcUpstream {
  let current: Promise<Connected> | null = null;
  const connected = (origin: Origin): Promise<Connected> => {
    if (current !== null) return current;
    const opening = open(origin, options).then((found) => {
      const forget = () => {
        if (current === opening) current = null;
      };
      if (found.ok) found.session.once('close', forget).once('goaway', forget);
      else forget();
      return found;
    });
    current = opening;
    return opening;
  };
  return {
    async forward(recorded, request, stream) {
      const startedMs = performance.now();
      const found = await connected(request.origin);
      if (!found.ok) return notForwarded(found.reason, startedMs);
      if (stream.destroyed) return { ...notForwarded(null, startedMs), result: 'client_aborted' };
      const headers = outgoingHeaders(request.origin, request.path, request.headers);
      let up: ClientHttp2Stream;
      try {
        up = found.session.request(headers, { endStream: false });
        found.calls += 1;
        up.once('close', () => {
          found.calls -= 1;
        });
      } catch {
        // The connection went away, or has no room, between the look above and this.
        return notForwarded('upstream.connect_failed', startedMs);
      }
      return new GrpcRelay(stream, up, { ...options.bounds, permit: recorded.permit }).run(
        found.peer,
      );
    },
    close() {
      void current?.then((found) => {
        if (found.ok) found.session.destroy();
      });
    },
  };
}

async function open(origin: Origin, options: GrpcUpstreamOptions): Promise<Connected> {
  const dialled = await dialPinned(origin, 'h2', options);
  if (!dialled.ok) return dialled;
  const { socket, peer } = dialled;
  const host = origin.host.includes(':') ? `[${origin.host}]` : origin.host;
  const session = connect(`${origin.scheme}://${host}:${origin.port}`, {
    createConnection: () => socket,
    settings: { enablePush: false, maxHeaderListSize: HEADER_BYTES_MAX },
    maxHeaderListPairs: HEADER_PAIRS_MAX,
    maxSettings: 32,
    maxSessionMemory: 10,
    maxReservedRemoteStreams: 0,
  });
  session.on('error', () => session.destroy());
  session.on('goaway', () => session.close());
  const found: Connected & { ok: true } = { ok: true, session, peer, calls: 0 };
  session.setTimeout(options.bounds.idleMs, () => {
    if (found.calls === 0) session.destroy();
  });
  return found;
}
