/**
 * One response of a tool on its way to the client: checked, handed on as it arrives, and remembered as far as the record
 * needs it. Bounded in waiting, time and bytes, so that no tool holds a call for ever. Shell: reads one response, writes
 * one reply.
 */
import { createHash, type Hash, hash } from 'node:crypto';
import type { Dispatcher } from 'undici';
import type { HeaderList } from '../call/headers.ts';
import type { Permit } from '../decision/enforcement.ts';
import type { ReasonCode } from '../decision/reason.ts';
import type { Reply } from './exchange.ts';
import { DialFailure, ResponseFault, reasonOfFailure } from './response-failure.ts';
import { checkResponse, type SoundResponse, wrongInterim, wrongTrailer } from './response-rules.ts';
import type { Forwarded } from './upstream.ts';

const RESULT_BYTES_MAX = 64 * 1024;
const NOTHING = new Uint8Array();

export interface ResponseBounds {
  /** Milliseconds to connect. */
  readonly connectTimeoutMs: number;
  /** Milliseconds until the answer begins; a call waits as long for a connection that is free. */
  readonly headersTimeoutMs: number;
  /** Milliseconds for a whole answer that is no event stream. */
  readonly responseTimeoutMs: number;
  /** Bytes of the body of an answer that is no event stream. */
  readonly responseBytesMax: number;
}

export interface Relay {
  readonly reply: Reply;
  readonly permit: Permit;
  /** Method of the request. */
  readonly method: string;
  readonly bounds: ResponseBounds;
}

/**
 * `unreachable`: no connection came about, another address may do; `abandoned`: nobody waited for one any longer;
 * `spoiled`: the connection may not be used again, although undici would.
 */
export interface Sent {
  readonly forwarded: Forwarded;
  readonly attempt: 'connected' | 'spoiled' | 'unreachable' | 'abandoned';
}

/** Hands one response on to the client as it arrives, and remembers what the record needs. */
export class ResponseRelay implements Dispatcher.DispatchHandler {
  readonly #relay: Relay;
  readonly #reply: Reply;
  readonly #resolve: (sent: Sent) => void;
  readonly #startedAt = performance.now();
  /** First for a connection, then for the whole answer. */
  #timer: NodeJS.Timeout;
  #controller: Dispatcher.DispatchController | null = null;
  /** The body so far while it is short; then only its running hash. */
  #head: Uint8Array[] | null = [];
  #hash: Hash | null = null;
  #status = 0;
  #sound: SoundResponse | null = null;
  #bytes = 0;
  #ttfbMs = 0;
  #interim = 0;
  #clientLeft = false;
  #over = false;

  constructor(relay: Relay, resolve: (sent: Sent) => void) {
    this.#relay = relay;
    this.#reply = relay.reply;
    this.#resolve = resolve;
    const { connectTimeoutMs, headersTimeoutMs } = relay.bounds;
    // undici has no bound for the wait for one of its connections.
    this.#timer = setTimeout(
      () => this.#finish('abandoned', 'upstream_error', 'upstream.timeout'),
      connectTimeoutMs + headersTimeoutMs,
    );
    this.#reply.onAborted(() => this.#clientGone());
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    clearTimeout(this.#timer);
    // Too late: nobody waits any more, so nothing is sent.
    if (this.#over) controller.abort(new Error('nobody waits'));
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    // Node's parser lets three digits of any kind through: less than 100 is no interim answer.
    if (status >= 100 && status < 200) {
      this.#interim += 1;
      const wrong = wrongInterim(status, this.#interim);
      if (wrong !== null) controller.abort(new ResponseFault('upstream.bad_response', wrong));
      return;
    }
    const { method, bounds } = this.#relay;
    this.#status = status;
    this.#ttfbMs = performance.now() - this.#startedAt;
    const headers = rawHeaderList(controller.rawHeaders as readonly Buffer[]);
    const checked = checkResponse({ method, status, headers });
    if (!checked.ok) {
      controller.abort(new ResponseFault(checked.reason, checked.detail));
      return;
    }
    this.#sound = checked;
    if (!checked.endless) {
      if ((checked.announcedBytes ?? 0) > bounds.responseBytesMax) {
        controller.abort(new ResponseFault('upstream.too_large', 'announces too much'));
        return;
      }
      this.#timer = setTimeout(() => {
        controller.abort(new ResponseFault('upstream.timeout', 'an answer without end'));
      }, bounds.responseTimeoutMs);
    }
    this.#reply.onDrain(() => controller.resume());
    this.#reply.start(status, [...checked.headers, ...decisionHeaders(this.#relay.permit)]);
    // The client must learn that its stream stands, although the first event may be far away.
    if (checked.endless) this.#reply.write(NOTHING);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Uint8Array): void {
    const wrong = this.#wrongData(chunk);
    if (wrong !== null) {
      controller.abort(wrong);
      return;
    }
    this.#bytes += chunk.length;
    this.#head?.push(chunk);
    this.#hash?.update(chunk);
    if (this.#bytes > RESULT_BYTES_MAX && this.#head !== null) {
      this.#hash = createHash('sha256').update(Buffer.concat(this.#head));
      this.#head = null;
    }
    if (!this.#reply.write(chunk)) controller.pause();
  }

  onResponseEnd(
    _controller: Dispatcher.DispatchController,
    trailers: Readonly<Record<string, unknown>>,
  ): void {
    if (wrongTrailer(Object.keys(trailers)) !== null) {
      this.#reply.abort();
      this.#finish('spoiled', 'upstream_error', 'upstream.bad_response');
      return;
    }
    this.#reply.end();
    this.#finish('connected', 'completed', null);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#over) return;
    if (this.#clientLeft) {
      this.#finish('connected', 'client_aborted', null);
      return;
    }
    if (this.#reply.started) this.#reply.abort();
    const attempt = error instanceof DialFailure ? 'unreachable' : 'connected';
    this.#finish(attempt, 'upstream_error', reasonOfFailure(error, this.#sound !== null));
  }

  #wrongData(chunk: Uint8Array): ResponseFault | null {
    if (this.#sound?.empty === true) {
      return new ResponseFault('upstream.bad_response', 'content where none may be');
    }
    const { responseBytesMax } = this.#relay.bounds;
    return this.#sound?.endless !== true && this.#bytes + chunk.length > responseBytesMax
      ? new ResponseFault('upstream.too_large', 'a body without end')
      : null;
  }

  #clientGone(): void {
    if (this.#over) return;
    this.#clientLeft = true;
    if (this.#controller === null) this.#finish('abandoned', 'client_aborted', null);
    else this.#controller.abort(new Error('the client is gone'));
  }

  /** After this nothing is sent and nothing handed on. */
  #finish(attempt: Sent['attempt'], result: Forwarded['result'], reason: ReasonCode | null): void {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#resolve({ forwarded: this.#summary(result, reason), attempt });
  }

  #summary(result: Forwarded['result'], reason: ReasonCode | null): Forwarded {
    const body = this.#head === null ? null : joined(this.#head);
    return {
      result,
      reason,
      status: this.#status,
      contentType: this.#sound?.contentType ?? null,
      contentEncoding: this.#sound?.contentEncoding ?? null,
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
