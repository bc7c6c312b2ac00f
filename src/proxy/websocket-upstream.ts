/**
 * Opens a WebSocket at a tool: a connection of its own to the pinned address, and the handshake with a key of our own.
 * A tool that answers with anything but a sound 101 has declined, and its answer is kept short.
 * Shell: owns the connection until it is handed on.
 */
import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { Client, type Dispatcher } from 'undici';
import { type HeaderList, responseHeaders } from '../call/headers.ts';
import type { ReasonCode } from '../decision/reason.ts';
import { type DialOptions, dialPinned } from './pinned-dial.ts';
import type { OutgoingRequest } from './upstream.ts';
import { checkSwitch, requestHeaders } from './websocket-handshake.ts';

export interface WebSocketUpstreamOptions extends DialOptions {
  /** Milliseconds until the tool has answered the handshake. */
  readonly headersTimeoutMs: number;
}

export interface OpenedWebSocket {
  readonly ok: true;
  /** Not flowing; errors of it find a listener. */
  readonly socket: Duplex;
  readonly protocol: string | null;
  /** Checked headers of the 101 that may travel on. */
  readonly headers: HeaderList;
  readonly peer: string;
}

export interface NotOpened {
  readonly ok: false;
  readonly reason: ReasonCode;
  /** Status of an answer that is no 101; 0 when there was none. */
  readonly status: number;
  readonly peer: string | null;
}

const RESPONSE_HEADER_BYTES_MAX = 16 * 1024;

/** @param protocols the subprotocols the agent offers. */
export async function openWebSocket(
  request: OutgoingRequest,
  protocols: readonly string[],
  options: WebSocketUpstreamOptions,
): Promise<OpenedWebSocket | NotOpened> {
  const { origin } = request;
  const dialled = await dialPinned(origin, 'http/1.1', options);
  if (!dialled.ok) return { ...dialled, status: 0, peer: null };
  const { socket, peer } = dialled;
  const host = origin.host.includes(':') ? `[${origin.host}]` : origin.host;
  const client = new Client(`${origin.scheme}://${host}:${origin.port}`, {
    // Not at once: the client does not look again while it is still asking.
    connect: (_options, callback) => setImmediate(callback, null, socket),
    allowH2: false,
    pipelining: 1,
    headersTimeout: options.headersTimeoutMs,
    maxHeaderSize: RESPONSE_HEADER_BYTES_MAX,
  });
  const key = randomBytes(16).toString('base64');
  const answer = await new Promise<Answer>((resolve) => {
    client.dispatch(
      {
        method: 'GET',
        path: request.path,
        headers: requestHeaders(request.headers, key, protocols).flat(),
        upgrade: 'websocket',
      },
      new HandshakeAnswer(resolve),
    );
  });
  const opened = checked(answer, { key, protocols });
  if (!opened.ok) socket.destroy();
  // Of an upgraded connection the client knows nothing any more.
  await client.destroy();
  return { ...opened, peer };
}

type Answer =
  | { readonly switched: Duplex; readonly headers: HeaderList }
  | { readonly status: number; readonly reason: ReasonCode };

function checked(
  answer: Answer,
  offered: { readonly key: string; readonly protocols: readonly string[] },
): Omit<OpenedWebSocket, 'peer'> | Omit<NotOpened, 'peer'> {
  if (!('switched' in answer)) return { ok: false, ...answer };
  const { switched, headers } = answer;
  const agreed = checkSwitch(headers, offered);
  const passed = responseHeaders(headers);
  if (!agreed.ok || !passed.ok) {
    switched.destroy();
    return { ok: false, reason: 'upstream.bad_response', status: 101 };
  }
  return { ok: true, socket: switched, protocol: agreed.protocol, headers: passed.headers };
}

class HandshakeAnswer implements Dispatcher.DispatchHandler {
  readonly #resolve: (answer: Answer) => void;
  #status = 0;

  constructor(resolve: (answer: Answer) => void) {
    this.#resolve = resolve;
  }

  onRequestStart(): void {
    // Nothing to keep: the connection is this handshake's own.
  }

  onRequestUpgrade(
    controller: Dispatcher.DispatchController,
    status: number,
    _headers: unknown,
    socket: Duplex,
  ): void {
    socket.on('error', () => socket.destroy());
    socket.pause();
    if (status === 101) {
      const headers = rawHeaderList(controller.rawHeaders as readonly Buffer[]);
      this.#resolve({ switched: socket, headers });
      return;
    }
    socket.destroy();
    this.#resolve({ status, reason: 'upstream.bad_response' });
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    this.#status = status;
    controller.abort(new Error('the tool declines'));
  }

  onResponseData(): void {
    // Nothing of a declining answer is read.
  }

  onResponseEnd(): void {
    this.#resolve({ status: this.#status, reason: 'upstream.bad_response' });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#resolve({ status: this.#status, reason: reasonOf(error, this.#status) });
  }
}

function reasonOf(error: Error & { code?: string }, status: number): ReasonCode {
  if (status > 0) return 'upstream.bad_response';
  if (error.code === 'UND_ERR_HEADERS_TIMEOUT') return 'upstream.timeout';
  const broken = error.name === 'HTTPParserError' || error.code === 'UND_ERR_HEADERS_OVERFLOW';
  return broken || /^bad (upgrade|response)$/.test(error.message)
    ? 'upstream.bad_response'
    : 'upstream.reset';
}

function rawHeaderList(raw: readonly Buffer[]): HeaderList {
  const list: [string, string][] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) {
    list.push([String(raw[index]), (raw[index + 1] as Buffer).toString('latin1')]);
  }
  return list;
}
