/**
 * The wire toward the agent: node:http with every bound set, turned into Incoming and Reply. What Node's parser lets
 * through although it can be read in two ways is refused in message-rules.ts before anything else looks at it.
 * Shell: owns one listening socket and its connections.
 */

import { randomUUID } from 'node:crypto';
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { HeaderList } from '../call/headers.ts';
import type { ReasonCode } from '../decision/reason.ts';
import type { Body, BoundPlace, ClientConnection, Handler, Incoming, Reply } from './exchange.ts';
import { opensWebSocket } from './websocket-handshake.ts';

export interface ServerBounds {
  readonly headerBytesMax: number;
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly connectionsMax: number;
}

/** `method`: a CONNECT where none is served; the others: Node's parser refused it. */
export type BrokenCause = 'malformed' | 'timeout' | 'too_large' | 'method';

export interface ServerHandlers {
  readonly call: Handler;
  /** A CONNECT request: the socket is the tunnel, `head` its first bytes. */
  readonly connect?: (incoming: Incoming, socket: Duplex, head: Uint8Array) => void;
  /** A request that opens a WebSocket; where this is missing it is a call, and refused as one. */
  readonly upgrade?: (incoming: Incoming, socket: Duplex, head: Uint8Array) => void;
  /** A request that never became a call, for the record. */
  readonly broken: (cause: BrokenCause, remoteAddress: string) => void;
  /** A connection beyond `connectionsMax` was closed. */
  readonly dropped: () => void;
  /** False of a connection that must be closed at once. */
  readonly mayServe: (socket: Socket) => boolean;
  /** Every connection that is served, adopted ones included. */
  readonly connected: (socket: Socket) => void;
}

/** Serves HTTP on connections that something else accepted. */
export interface AdoptingServer {
  /** Serves one more connection, e.g. the inside of a CONNECT tunnel, as one that leads to `bound`. */
  adopt(socket: Duplex, bound: BoundPlace): void;
  /** Stops accepting; idle connections are closed, busy ones after their call. */
  drain(): void;
  /** Closes everything that is left. */
  close(): Promise<void>;
}

export interface ListeningServer extends AdoptingServer {
  readonly address: { readonly host: string; readonly port: number };
}

/** How often Node looks for slow clients; its default of 30 s would make the timeouts above meaningless. */
const CONNECTION_CHECK_MS = 500;
const HEADERS_MAX = 100;
const KEEP_ALIVE_MS = 30_000;

interface ClientSocket extends Socket {
  egretConnection?: ClientConnection;
  egretBound?: BoundPlace;
  /** The newest request on this connection; its body may still be on its way. */
  egretRequest?: IncomingMessage;
  /** Calls whose answer is not complete. */
  egretCalls?: number;
}

/** Ends the reading of a body that cannot go on. */
const bodyReaders = new WeakMap<IncomingMessage, (reason: ReasonCode) => void>();

/** Requests whose client waits for 100 before it sends the body. */
const awaitingContinue = new WeakMap<IncomingMessage, ServerResponse>();

export async function listenHttp(
  at: { readonly host: string; readonly port: number },
  bounds: ServerBounds,
  handlers: ServerHandlers,
): Promise<ListeningServer> {
  const server = httpServer(bounds, handlers);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: at.host, port: at.port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const { port } = server.address() as AddressInfo;
  return { address: { host: at.host, port }, ...adopting(server) };
}

/** A server without a socket of its own. */
export function adoptHttp(bounds: ServerBounds, handlers: ServerHandlers): AdoptingServer {
  const server = httpServer(bounds, handlers);
  // Node begins to look for slow clients with this event.
  server.emit('listening');
  return adopting(server);
}

function httpServer(bounds: ServerBounds, handlers: ServerHandlers): Server {
  const serve = (request: IncomingMessage, response: ServerResponse) => {
    underWay(request.socket, request, response);
    handlers.call(incomingOf(request), replyOf(response)).catch(() => response.destroy());
  };
  const server = createServer({ ...serverOptions(bounds), ...upgradesOf(handlers) }, serve);
  // Node would answer an unknown Expect itself, and nobody would hear of it.
  server.on('checkExpectation', serve);
  // It would also ask for every body before anybody has looked at the head.
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    awaitingContinue.set(request, response);
    serve(request, response);
  });
  server.maxConnections = bounds.connectionsMax;
  server.maxHeadersCount = HEADERS_MAX * 2;
  server.on('drop', handlers.dropped);
  server.on('connection', (socket) => {
    if (handlers.mayServe(socket)) handlers.connected(socket);
    else socket.destroy();
  });
  server.on('clientError', (error, socket) => answerBroken(error, socket as Socket, handlers));
  server.on('connect', (request: IncomingMessage, socket: Duplex, head: Uint8Array) => {
    // An answer that is still to come would arrive inside the tunnel, as the answer to another call.
    if (callsOn(socket) > 0) refuseBroken('malformed', socket as Socket, handlers);
    else if (handlers.connect === undefined) refuseBroken('method', socket as Socket, handlers);
    else handlers.connect(incomingOf(request), socket, head);
  });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Uint8Array) => {
    handlers.upgrade?.(incomingOf(request), socket, head);
  });
  return server;
}

const callsOn = (socket: Duplex): number => (socket as ClientSocket).egretCalls ?? 0;

/** While an answer is under way on the connection, a 101 could be taken for a part of it: then it is no upgrade. */
function upgradesOf({ upgrade }: ServerHandlers): ServerOptions {
  return {
    shouldUpgradeCallback: (request) =>
      upgrade !== undefined &&
      callsOn(request.socket) === 0 &&
      opensWebSocket(request.method ?? '', headerList(request.rawHeaders)),
  };
}

function adopting(server: Server): AdoptingServer {
  return {
    adopt(socket, bound) {
      (socket as ClientSocket).egretBound = bound;
      server.emit('connection', socket);
    },
    drain: () => drain(server),
    close: () => close(server),
  };
}

function underWay(socket: ClientSocket, request: IncomingMessage, response: ServerResponse): void {
  socket.egretRequest = request;
  socket.egretCalls = (socket.egretCalls ?? 0) + 1;
  response.once('close', () => {
    socket.egretCalls = (socket.egretCalls ?? 1) - 1;
  });
}

function serverOptions(bounds: ServerBounds): ServerOptions {
  return {
    insecureHTTPParser: false,
    // Routes refuse a missing Host themselves, so that the refusal has a reason and a record.
    requireHostHeader: false,
    joinDuplicateHeaders: false,
    rejectNonStandardBodyWrites: true,
    maxHeaderSize: bounds.headerBytesMax,
    headersTimeout: bounds.headersTimeoutMs,
    requestTimeout: bounds.requestTimeoutMs,
    connectionsCheckingInterval: CONNECTION_CHECK_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    noDelay: true,
  };
}

function drain(server: Server): void {
  server.close();
  server.closeIdleConnections();
}

async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    if (server.listening) server.close(() => resolve());
    else resolve();
  });
  server.closeAllConnections();
  await closed;
}

const BROKEN: Readonly<Record<BrokenCause, string>> = {
  malformed: '400 Bad Request',
  timeout: '408 Request Timeout',
  too_large: '431 Request Header Fields Too Large',
  method: '405 Method Not Allowed',
};

/**
 * What came is no HTTP. In the middle of a call's body that call is refused, and its record is the record of this; after
 * a whole call the answer to that one cannot be trusted to arrive, and the connection is cut.
 */
function answerBroken(
  error: NodeJS.ErrnoException,
  socket: ClientSocket,
  handlers: ServerHandlers,
): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const request = socket.egretRequest;
  if (request !== undefined && !request.complete) {
    const late = error.code === 'ERR_HTTP_REQUEST_TIMEOUT';
    bodyReaders.get(request)?.(late ? 'call.timeout' : 'call.malformed');
    return;
  }
  const cause =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? 'too_large'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? 'timeout'
        : 'malformed';
  refuseBroken(cause, socket, handlers);
}

function refuseBroken(cause: BrokenCause, socket: ClientSocket, handlers: ServerHandlers): void {
  handlers.broken(cause, socket.remoteAddress ?? '');
  if (callsOn(socket) > 0) {
    socket.destroy();
    return;
  }
  socket.end(`HTTP/1.1 ${BROKEN[cause]}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  socket.destroySoon();
}

function incomingOf(request: IncomingMessage): Incoming {
  const socket = request.socket as ClientSocket;
  socket.egretConnection ??= {
    id: randomUUID(),
    remoteAddress: socket.remoteAddress ?? '',
    calls: 0,
  };
  return {
    method: request.method ?? '',
    target: request.url ?? '',
    httpVersion: request.httpVersion,
    headers: headerList(request.rawHeaders),
    connection: socket.egretConnection,
    bound: socket.egretBound ?? null,
    readBody: (bytesMax) => readBody(request, bytesMax),
  };
}

function headerList(raw: readonly string[]): HeaderList {
  const list: [string, string][] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) {
    list.push([raw[index] as string, raw[index + 1] as string]);
  }
  return list;
}

function readBody(request: IncomingMessage, bytesMax: number): Promise<Body> {
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers;
  if (coding === undefined && (length === undefined || length === '0')) {
    request.resume();
    return Promise.resolve({ ok: true, bytes: null });
  }
  if (length !== undefined && Number(length) > bytesMax) {
    return Promise.resolve({ ok: false, reason: 'call.too_large' });
  }
  awaitingContinue.get(request)?.writeContinue();
  return new Promise((resolve) => {
    const chunks: Uint8Array[] = [];
    let size = 0;
    request.on('data', (chunk: Uint8Array) => {
      size += chunk.length;
      if (size <= bytesMax) {
        chunks.push(chunk);
        return;
      }
      request.pause();
      resolve({ ok: false, reason: 'call.too_large' });
    });
    request.on('end', () => {
      const bytes = chunks.length === 1 ? (chunks[0] as Uint8Array) : Buffer.concat(chunks);
      resolve({ ok: true, bytes });
    });
    const fail = (reason: ReasonCode) => resolve({ ok: false, reason });
    bodyReaders.set(request, fail);
    request.on('error', () => fail('call.malformed'));
    request.on('close', () => fail('call.malformed'));
  });
}

function replyOf(response: ServerResponse): Reply {
  const start = (status: number, headers: HeaderList) => {
    response.writeHead(status, headers.flat());
  };
  return {
    get started() {
      return response.headersSent;
    },
    send(status, headers, body) {
      const unread = !response.req.complete;
      start(status, [
        ...headers,
        ['content-length', String(body.length)],
        ...(unread ? [['connection', 'close'] as const] : []),
      ]);
      // Node throws where content may not follow, and the client would see a cut connection instead of the refusal.
      if (response.req.method === 'HEAD') response.end();
      else response.end(body);
    },
    start,
    write: (chunk) => response.write(chunk),
    end: () => response.end(),
    abort: () => response.destroy(),
    onDrain: (listener) => response.on('drain', listener),
    onAborted: (listener) => {
      if (response.destroyed && !response.writableFinished) listener();
      response.once('close', () => {
        if (!response.writableFinished) listener();
      });
    },
  };
}
