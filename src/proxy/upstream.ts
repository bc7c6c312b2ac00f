/**
 * The way out. `forward` demands a Recorded permit, so no call can leave without a decision that is durable. It sends
 * exactly the bytes it is given to an address that was resolved and checked for this call, follows no redirect, and
 * sends nothing twice. Shell: owns the connections to tools.
 */
import type { Dispatcher, Pool } from 'undici';
import type { HeaderList } from '../call/headers.ts';
import type { ReasonCode } from '../decision/reason.ts';
import type { Reply } from './exchange.ts';
import { placeText } from './pinned-dial.ts';
import type { Recorded } from './record.ts';
import { type Relay, ResponseRelay, type Sent } from './response-relay.ts';
import { createPools, type PoolOptions } from './upstream-pool.ts';

/** Where and what to send. `trusted`: the operator configured this origin, so it may be a private address. */
export interface OutgoingRequest {
  readonly method: string;
  readonly origin: Origin;
  /** Path and query in normal form. */
  readonly path: string;
  readonly headers: HeaderList;
  readonly body: Uint8Array | null;
}

export interface Origin {
  readonly scheme: 'http' | 'https';
  readonly host: string;
  readonly port: number;
  readonly trusted: boolean;
}

/** What became of a forwarded call. */
export interface Forwarded {
  readonly result: 'completed' | 'upstream_error' | 'client_aborted';
  readonly reason: ReasonCode | null;
  /** 0 when the tool sent no status. */
  readonly status: number;
  readonly contentType: string | null;
  /** Coding of `body`, lower case; null or missing when it has none. */
  readonly contentEncoding?: string | null;
  readonly bytes: number;
  /** Lower-case hex over the response body as sent on. */
  readonly sha256: string;
  readonly ttfbMs: number;
  readonly totalMs: number;
  /** The beginning of the body, for looking at results; at most 64 KiB, null when longer. */
  readonly body: Uint8Array | null;
  /** Address and port that were connected to; null when nothing was. */
  readonly peer: string | null;
}

export interface Upstream {
  forward(recorded: Recorded, request: OutgoingRequest, reply: Reply): Promise<Forwarded>;
  close(): Promise<void>;
}

/** Beyond what a connection takes at once. */
const REUSE_BODY_BYTES_MAX = 64 * 1024;

export function createUpstream(options: PoolOptions): Upstream {
  const pools = createPools(options);
  return {
    async forward(recorded, request, reply) {
      const { origin } = request;
      const found = await options.resolve(
        origin.host,
        origin.port,
        origin.trusted ? 'operator' : 'agent',
      );
      if (!found.ok) return failed(found.reason);
      const relay = { reply, permit: recorded.permit, method: request.method, bounds: options };
      const { port } = found;
      let forwarded = failed('upstream.unresolved');
      for (const address of found.addresses) {
        const pool = pools.poolFor(origin, { address, port });
        const sent = await send(pool, request, relay);
        if (sent.attempt === 'spoiled') pools.retire(pool);
        const connected = sent.attempt === 'connected' || sent.attempt === 'spoiled';
        const peer = connected ? placeText({ address, port }) : null;
        forwarded = { ...sent.forwarded, peer };
        // Where no connection came about, nothing was sent: only then is the next address tried.
        if (sent.attempt !== 'unreachable') break;
      }
      return forwarded;
    },
    close: () => pools.close(),
  };
}

function send(pool: Pool, request: OutgoingRequest, relay: Relay): Promise<Sent> {
  return new Promise((resolve) => {
    pool.dispatch(
      {
        method: request.method as Dispatcher.HttpMethod,
        path: request.path,
        headers: request.headers.flat(),
        body: request.body,
        // A tool may answer before it has read everything; the rest would stand before the next call.
        ...((request.body?.length ?? 0) > REUSE_BODY_BYTES_MAX ? { reset: true } : {}),
      },
      new ResponseRelay(relay, resolve),
    );
  });
}

function failed(reason: ReasonCode): Forwarded {
  return {
    result: 'upstream_error',
    reason,
    status: 0,
    contentType: null,
    bytes: 0,
    sha256: '',
    ttfbMs: 0,
    totalMs: 0,
    body: null,
    peer: null,
  };
}
