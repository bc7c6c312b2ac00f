/**
 * The way out. `forward` demands a Recorded permit, so no call can leave without a decision that is durable. It sends
 * exactly the bytes it is given, follows no redirect, retries nothing, and checks that the peer is the pinned address.
 * Shell: owns the connections to tools.
 */
import { createHash, type Hash, hash } from 'node:crypto';
import type { Socket } from 'node:net';
import { buildConnector, type Dispatcher, Pool } from 'undici';
import { type HeaderList, responseHeaders } from '../call/headers.ts';

import type { Permit } from '../decision/enforcement.ts';
import type { ReasonCode } from '../decision/reason.ts';
import type { Reply } from './exchange.ts';
import type { Recorded } from './record.ts';
import type { Resolver } from './resolver.ts';

/** Where and what to send. `trusted`: the operator configured this origin, so its address is not classified. */
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
  readonly bytes: number;
  /** Lower-case hex over the response body as sent on. */
  readonly sha256: string;
  readonly ttfbMs: number;
  readonly totalMs: number;
  /** The beginning of the body, for looking at results; at most `RESULT_BYTES_MAX`, null when longer. */
  readonly body: Uint8Array | null;
  readonly peer: string | null;
}

export interface UpstreamOptions {
  readonly resolve: Resolver;
  readonly connectTimeoutMs: number;
  readonly headersTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly connectionsMax: number;
  /** Told how long each new connection to a tool took. */
  readonly onConnected?: (seconds: number) => void;
}

export interface Upstream {
  forward(recorded: Recorded, request: OutgoingRequest, reply: Reply): Promise<Forwarded>;
  close(): Promise<void>;
}

const RESULT_BYTES_MAX = 64 * 1024;
const RESPONSE_HEADER_BYTES_MAX = 16 * 1024;
/** Interim answers (1xx) to one call: each one starts the wait for the real answer anew. */
const HINTS_MAX = 16;
/** Destinations with open connections at once; the one unused longest goes first. */
const POOLS_MAX = 128;

class AddressMismatch extends Error {
  override readonly name = 'AddressMismatch';
}

class BadResponse extends Error {
  override readonly name = 'BadResponse';
}

export function createUpstream(options: UpstreamOptions): Upstream {
  const pools = new Map<string, Pool>();
  return {
    async forward(recorded, request, reply) {
      const { origin } = request;
      const relay = { request, reply, permit: recorded.permit };
      if (origin.trusted) return send(poolFor(pools, origin, null, options), relay);
      const found = await options.resolve(origin.host, origin.port);
      if (!found.ok) return failed(found.reason);
      return send(poolFor(pools, origin, found, options), relay);
    },
    async close() {
      await Promise.all([...pools.values()].map((pool) => pool.destroy()));
    },
  };
}

function poolFor(
  pools: Map<string, Pool>,
  origin: Origin,
  pinned: { address: string; port: number } | null,
  options: UpstreamOptions,
): Pool {
  const url = originUrl(origin);
  const key = `${url} ${pinned === null ? '' : `${pinned.address} ${pinned.port}`}`;
  const known = pools.get(key);
  if (known !== undefined) {
    if (pools.size > POOLS_MAX / 2) {
      pools.delete(key);
      pools.set(key, known);
    }
    return known;
  }
  const pool = new Pool(url, {
    connections: options.connectionsMax,
    pipelining: 1,
    allowH2: false,
    connect: pinnedConnector(pinned, options),
    headersTimeout: options.headersTimeoutMs,
    bodyTimeout: options.bodyTimeoutMs,
    maxHeaderSize: RESPONSE_HEADER_BYTES_MAX,
  });
  pools.set(key, pool);
  if (pools.size > POOLS_MAX) evictOldest(pools);
  return pool;
}

function evictOldest(pools: Map<string, Pool>): void {
  const [oldest] = pools;
  if (oldest === undefined) return;
  pools.delete(oldest[0]);
  oldest[1].close().catch(() => undefined);
}

function originUrl(origin: Origin): string {
  const host = origin.host.includes(':') ? `[${origin.host}]` : origin.host;
  return `${origin.scheme}://${host}:${origin.port}`;
}

function pinnedConnector(
  pinned: { address: string; port: number } | null,
  { connectTimeoutMs, onConnected }: UpstreamOptions,
): buildConnector.connector {
  const connect = buildConnector({
    timeout: connectTimeoutMs,
    allowH2: false,
    maxCachedSessions: 0,
  });
  return (options, callback) => {
    const startedMs = performance.now();
    const place = pinned === null ? {} : { hostname: pinned.address, port: String(pinned.port) };
    const servername = options.servername ?? options.hostname;
    connect({ ...options, ...place, servername }, (...[error, socket]) => {
      if (error !== null) {
        callback(error, null);
        return;
      }
      onConnected?.((performance.now() - startedMs) / 1000);
      if (pinned === null || sameAddress(socket, pinned.address)) callback(null, socket);
      else {
        socket.destroy();
        callback(new AddressMismatch('peer is not the pinned address'), null);
      }
    });
  };
}

const sameAddress = (socket: Socket, address: string) =>
  socket.remoteAddress === address || socket.remoteAddress === `::ffff:${address}`;

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

interface Relay {
  readonly request: OutgoingRequest;
  readonly reply: Reply;
  readonly permit: Permit;
}

function send(pool: Pool, relay: Relay): Promise<Forwarded> {
  const { request } = relay;
  return new Promise((resolve) => {
    const handler = new ResponseRelay(relay, resolve);
    pool.dispatch(
      {
        method: request.method as Dispatcher.HttpMethod,
        path: request.path,
        headers: request.headers.flat(),
        body: request.body,
      },
      handler,
    );
  });
}

/** Hands one response on to the client as it arrives, and remembers what the record needs. */
class ResponseRelay implements Dispatcher.DispatchHandler {
  readonly #reply: Reply;
  readonly #permit: Permit;
  readonly #resolve: (forwarded: Forwarded) => void;
  readonly #startedAt = performance.now();
  /** The body so far while it is short; then only its running hash. */
  #head: Uint8Array[] | null = [];
  #hash: Hash | null = null;
  #status = 0;
  #contentType: string | null = null;
  #bytes = 0;
  #ttfbMs = 0;
  #hints = 0;
  #aborted = false;

  constructor(relay: Relay, resolve: (forwarded: Forwarded) => void) {
    this.#reply = relay.reply;
    this.#permit = relay.permit;
    this.#resolve = resolve;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#reply.onAborted(() => {
      this.#aborted = true;
      controller.abort(new Error('the client is gone'));
    });
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (status < 200) {
      this.#hints += 1;
      if (this.#hints > HINTS_MAX) controller.abort(new BadResponse('interim answers without end'));
      return;
    }
    this.#status = status;
    this.#ttfbMs = performance.now() - this.#startedAt;
    const checked = responseHeaders(rawHeaderList(controller.rawHeaders as readonly Buffer[]));
    if (!checked.ok || status > 599) {
      controller.abort(new BadResponse('a response that is not valid HTTP'));
      return;
    }
    const { headers } = checked;
    this.#contentType =
      headers.find(([name]) => name.toLowerCase() === 'content-type')?.[1] ?? null;
    this.#reply.onDrain(() => controller.resume());
    this.#reply.start(status, [...headers, ...decisionHeaders(this.#permit)]);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Uint8Array): void {
    this.#bytes += chunk.length;
    this.#head?.push(chunk);
    this.#hash?.update(chunk);
    if (this.#bytes > RESULT_BYTES_MAX && this.#head !== null) {
      this.#hash = createHash('sha256').update(Buffer.concat(this.#head));
      this.#head = null;
    }
    if (!this.#reply.write(chunk)) controller.pause();
  }

  onResponseEnd(): void {
    this.#reply.end();
    this.#resolve(this.#summary('completed', null));
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#aborted) {
      this.#resolve(this.#summary('client_aborted', null));
      return;
    }
    if (this.#reply.started) this.#reply.abort();
    this.#resolve(this.#summary('upstream_error', reasonOf(error, this.#status > 0)));
  }

  #summary(result: Forwarded['result'], reason: ReasonCode | null): Forwarded {
    const body = this.#head === null ? null : joined(this.#head);
    return {
      result,
      reason,
      status: this.#status,
      contentType: this.#contentType,
      bytes: this.#bytes,
      sha256: body === null ? (this.#hash?.digest('hex') ?? '') : hash('sha256', body, 'hex'),
      ttfbMs: this.#ttfbMs,
      totalMs: performance.now() - this.#startedAt,
      body,
      peer: null,
    };
  }
}

const joined = (chunks: readonly Uint8Array[]): Uint8Array =>
  chunks.length === 1 ? (chunks[0] as Uint8Array) : Buffer.concat(chunks);

/** Lets the caller find the record, and in mode `warn` says that the call would be refused. */
function decisionHeaders(permit: Permit): HeaderList {
  const id = ['x-egret-decision-id', permit.decisionId] as const;
  return permit.warning === null ? [id] : [id, ['x-egret-warning', permit.warning]];
}

function rawHeaderList(raw: readonly Buffer[]): HeaderList {
  const list: [string, string][] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) {
    list.push([String(raw[index]), (raw[index + 1] as Buffer).toString('latin1')]);
  }
  return list;
}

/** What undici's errors mean. */
const REASON_OF_CODE: ReadonlyMap<string | undefined, ReasonCode> = new Map([
  ['UND_ERR_HEADERS_TIMEOUT', 'upstream.timeout'],
  ['UND_ERR_BODY_TIMEOUT', 'upstream.timeout'],
  ['UND_ERR_CONNECT_TIMEOUT', 'upstream.timeout'],
  ['ENOTFOUND', 'upstream.unresolved'],
  ['EAI_AGAIN', 'upstream.unresolved'],
  ['UND_ERR_HEADERS_OVERFLOW', 'upstream.bad_response'],
  ['UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'upstream.bad_response'],
  ['UND_ERR_RES_EXCEEDED_MAX_SIZE', 'upstream.bad_response'],
]);

function reasonOf(error: Error & { code?: string }, answered: boolean): ReasonCode {
  const known = REASON_OF_CODE.get(error.code);
  if (known !== undefined) return known;
  if (error.name === 'AddressMismatch') return 'upstream.address_denied';
  if (error.name === 'BadResponse' || error.name === 'HTTPParserError') {
    return 'upstream.bad_response';
  }
  // So undici calls an answer that switches protocols or says "continue" although nobody asked.
  if (/^bad (upgrade|response)$/.test(error.message)) return 'upstream.bad_response';
  return answered || error.code === 'UND_ERR_SOCKET' || error.code === 'ECONNRESET'
    ? 'upstream.reset'
    : 'upstream.connect_failed';
}
