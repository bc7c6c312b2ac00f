/**
 * The admin surface: health, readiness, metrics and status, for the kubelet, Prometheus and people. Read-only by
 * construction: it knows no method but GET and HEAD and holds no reference to anything that changes the sidecar.
 * Shell: owns the admin listener.
 */
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import express, { type Express } from 'express';

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

export function adminApp(view: AdminView): Express {
  const app = bareApp();
  app.use((request, response, next) => {
    response.set('cache-control', 'no-store');
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

/** Serves an express application on a bounded listener. @param connected told of each connection. */
export async function serveControl(
  app: Express,
  at: { readonly host: string; readonly port: number },
  connected: (socket: Socket) => void,
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
  server.maxConnections = CONNECTIONS_MAX;
  server.on('connection', connected);
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
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answer(response: express.Response, problems: readonly string[]): void {
  response.status(problems.length === 0 ? 200 : 503);
  response.json(problems.length === 0 ? { status: 'ok' } : { status: 'failing', problems });
}
