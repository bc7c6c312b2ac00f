/**
 * One response of a tool on its way to the client: checked, handed on as it arrives, and remembered as far as the record
 * needs it. Shell: reads one response, writes one reply.
 */
import { createHash, type Hash, hash } from 'node:crypto';
import type { Dispatcher } from 'undici';
import { type HeaderList, responseHeaders } from '../call/headers.ts';
import type { Permit } from '../decision/enforcement.ts';
import type { ReasonCode } from '../decision/reason.ts';
import type { Reply } from './exchange.ts';
import type { Forwarded } from './upstream.ts';
import { DialFailure } from './upstream-pool.ts';

const RESULT_BYTES_MAX = 64 * 1024;
/** Interim answers (1xx) to one call: each one starts the wait for the real answer anew. */
const HINTS_MAX = 16;

export interface Relay {
  readonly reply: Reply;
  readonly permit: Permit;
}

/** `connected`: false when no connection came about, so that not a byte was sent. */
export interface Sent {
  readonly forwarded: Forwarded;
  readonly connected: boolean;
}

class BadResponse extends Error {
  override readonly name = 'BadResponse';
}

/** Hands one response on to the client as it arrives, and remembers what the record needs. */
export class ResponseRelay implements Dispatcher.DispatchHandler {
  readonly #reply: Reply;
  readonly #permit: Permit;
  readonly #resolve: (sent: Sent) => void;
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

  constructor(relay: Relay, resolve: (sent: Sent) => void) {
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
    this.#resolve({ forwarded: this.#summary('completed', null), connected: true });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#aborted) {
      this.#resolve({ forwarded: this.#summary('client_aborted', null), connected: true });
      return;
    }
    if (this.#reply.started) this.#reply.abort();
    const connected = !(error instanceof DialFailure);
    const reason = reasonOf(error);
    this.#resolve({ forwarded: this.#summary('upstream_error', reason), connected });
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
  ['UND_ERR_HEADERS_OVERFLOW', 'upstream.bad_response'],
  ['UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'upstream.bad_response'],
  ['UND_ERR_RES_EXCEEDED_MAX_SIZE', 'upstream.bad_response'],
]);

function reasonOf(error: Error & { code?: string }): ReasonCode {
  if (error instanceof DialFailure) return error.reason;
  const known = REASON_OF_CODE.get(error.code);
  if (known !== undefined) return known;
  if (error.name === 'BadResponse' || error.name === 'HTTPParserError') {
    return 'upstream.bad_response';
  }
  // So undici calls an answer that switches protocols or says "continue" although nobody asked.
  if (/^bad (upgrade|response)$/.test(error.message)) return 'upstream.bad_response';
  return 'upstream.reset';
}
