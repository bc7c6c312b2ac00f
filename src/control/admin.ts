/**
 * The admin surface: health, readiness, metrics and status, for the kubelet, Prometheus and people. Read-only by
 * construction: it knows no method but GET and HEAD and holds no reference to anything that changes the sidecar.
 * Shell: owns the admin listener.
 */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import express, { type Express } from 'express';
import { parseAuthority } from '../call/authority.ts';
import type { ReasonCode } from '../decision/reason.ts';
import { boundConnections } from './connection-bound.ts';

export interface AdminView {
  /** Started: the listeners are open. */
  readonly started: () => boolean;
  /** Ready: a policy is active, the audit log takes records, not draining. Empty when ready, else why not. */
  readonly notReady: () => readonly string[];
  /** Healthy: the process does its work. Empty when healthy, else why not. */
  readonly unhealthy: () => readonly string[];
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
  readonly status: () => unknown;
}

export interface ControlServer {
  readonly address: { readonly host: string; readonly port: number };
  close(): Promise<void>;
}

const REQUEST_TIMEOUT_MS = 10_000;
const CONNECTIONS_MAX = 64;
/** For requests under way when the process stops; what they ask for takes milliseconds. */
const CLOSE_GRACE_MS = 2000;

/** @param host the configured host of the listener, a name it may be asked by. */
export function adminApp(view: AdminView, host: string): Express {
  const app = bareApp();
  app.use((request, response, next) => {
    response.set('cache-control', 'no-store');
    if (asksHere(request.headers.host, host)) next();
    else response.status(421).json({ error: 'expected an address or localhost as Host' });
  });
  app.use((request, response, next) => {
    if (request.method === 'GET' || request.method === 'HEAD') next();
    else response.status(405).set('allow', 'GET, HEAD').json({ error: 'read-only' });
  });
  app.get('/healthz', (_request, response) => {
    answer(response, view.unhealthy());
  });
  app.get('/readyz', (_request, response) => {
    answer(response, view.notReady());
  });
  app.get('/startupz', (_request, response) => {
    answer(response, view.started() ? [] : ['starting']);
  });
  app.get('/metrics', async (_request, response) => {
    const { contentType, text } = await view.metrics();
    response.set('content-type', contentType).send(text);
  });
  app.get('/status', (_request, response) => {
    response.json(view.status());
  });
  app.use((_request, response) => {
    response.status(404).json({
      error: 'not found',
      paths: ['/healthz', '/readyz', '/startupz', '/metrics', '/status'],
    });
  });
  return app;
}

/**
 * A web page in a browser beside the agent can give a name of its own this listener's address (DNS rebinding) and would
 * then read what is here as its own. Such a request names the page's host; the kubelet and Prometheus ask by address.
 */
function asksHere(given: string | undefined, host: string): boolean {
  // HTTP/1.0 probes may send none; browsers always do.
  if (given === undefined) return true;
  const asked = parseAuthority(given, 80);
  return asked.ok && (asked.kind !== 'name' || asked.host === 'localhost' || asked.host === host);
}

/** An express application without its defaults that tell or trust too much. */
export function bareApp(): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', 'simple');
  app.enable('case sensitive routing');
  app.enable('strict routing');
  app.set('env', 'production');
  return app;
}

export interface ControlEvents {
  /** Told of each connection. */
  readonly connected: (socket: Socket) => void;
  /** Bytes that are no request: why, and whose. */
  readonly broken?: (reason: ReasonCode, remoteAddress: string) => void;
}

/** Serves an express application on a bounded listener. */
export async function serveControl(
  app: Express,
  at: { readonly host: string; readonly port: number },
  { connected, broken }: ControlEvents,
): Promise<ControlServer> {
  const server = createServer(
    {
      maxHeaderSize: 16 * 1024,
      headersTimeout: REQUEST_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: 500,
    },
    app,
  );
  boundConnections(server, CONNECTIONS_MAX);
  server.on('connection', connected);
  if (broken !== undefined) tellBroken(server, broken);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: at.host, port: at.port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return {
    address: { host: at.host, port: (server.address() as AddressInfo).port },
    close: () =>
      new Promise<void>((resolve) => {
        const cut = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
        server.close(() => {
          clearTimeout(cut);
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
}

const BROKEN: Readonly<Record<string, readonly [ReasonCode, status: string]>> = {
  HPE_HEADER_OVERFLOW: ['call.too_large', '431 Request Header Fields Too Large'],
  ERR_HTTP_REQUEST_TIMEOUT: ['call.timeout', '408 Request Timeout'],
};

/** What Node's parser refuses never becomes a request. In the middle of a body the request itself is refused. */
function tellBroken(server: Server, broken: NonNullable<ControlEvents['broken']>): void {
  const newest = new WeakMap<Duplex, IncomingMessage>();
  server.on('request', (request) => newest.set(request.socket, request));
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    const [reason, status] = BROKEN[error.code ?? ''] ?? ['call.malformed', '400 Bad Request'];
    if (newest.get(socket)?.complete !== false) {
      broken(reason, (socket as Socket).remoteAddress ?? '');
    }
    socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
    (socket as Socket).destroySoon();
  });
}

function answer(response: express.Response, problems: readonly string[]): void {
  response.status(problems.length === 0 ? 200 : 503);
  response.json(problems.length === 0 ? { status: 'ok' } : { status: 'failing', problems });
}
