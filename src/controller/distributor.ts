/**
 * The distributor: directives, bundles and reports over HTTPS, for sidecars whose pods have no rights at the Kubernetes
 * API. Every request needs a projected token; a report counts for the pod that the token is bound to, whatever it says.
 * Bundles are immutable and named by digest, and sidecars check digest and signature themselves.
 *
 * | request | answer |
 * |---|---|
 * | `GET /v1/sets/<set>/directive` | 200 and an ETag; with `If-None-Match` waits up to `?wait=` seconds for news, then 304 |
 * | `GET /v1/sets/<set>/bundles/<digest>` | 200 with the archive, immutable |
 * | `POST /v1/reports` | 204 |
 * | `GET /v1/peers/reports` | the newest report of each sidecar; for the other replicas only |
 *
 * Shell: owns the requests that wait, in waiting-room.ts.
 */
import express, { type Express, type Request, type Response } from 'express';
import { bareApp } from '../control/admin.ts';
import type { Heard } from '../rollout/aggregate.ts';
import { DIGEST, type Directive } from '../rollout/directive.ts';
import { REPORT_BYTES_MAX, type Report, reportSchema } from '../rollout/report.ts';
import { WaitingRoom } from './waiting-room.ts';

/** Who a token belongs to. */
export type Bearer =
  | { readonly kind: 'sidecar'; readonly podUid: string; readonly namespace: string }
  | { readonly kind: 'peer' };

export interface DistributorParts {
  /** @returns null when the token is none, is for another audience, or has no pod. Rejects when nobody can say. */
  readonly authenticate: (token: string) => Promise<Bearer | null>;
  readonly directive: (set: string) => Directive | null;
  /** @returns null when no copy with this digest is kept. */
  readonly bundle: (set: string, digest: string) => Promise<Uint8Array | null>;
  /** Already bound to the pod of the token. @returns false for a set that is not there, or too many sidecars. */
  readonly report: (report: Report) => boolean;
  /** What this replica heard, with ages. */
  readonly heard: () => readonly Heard[];
  readonly failed: (error: unknown) => void;
  /** Told of each answer, for metrics. */
  readonly answered: (route: DistributorRoute, status: number) => void;
}

export type DistributorRoute = 'directive' | 'bundle' | 'report' | 'peers' | 'other';

export interface Distributor {
  readonly app: Express;
  /** How many wait. */
  waiting(): number;
  /** A directive changed: answers those who wait for it. */
  changed(set: string): void;
  /** Answers everyone who waits. */
  close(): void;
}

const WAIT_SECONDS_MAX = 60;

export function createDistributor(parts: DistributorParts): Distributor {
  const room = new WaitingRoom();
  const app = bareApp();
  app.use((_request, response, next) => {
    response.set('cache-control', 'no-store');
    next();
  });
  const route = (name: DistributorRoute, method: 'GET' | 'POST', path: string, answer: Answer) =>
    app.all(path, async (request, response) => {
      response.on('close', () => parts.answered(name, response.statusCode));
      if (request.method !== method) {
        response.set('allow', method);
        return refuse(response, 405, `expected ${method}`);
      }
      const bearer = await bearerOf(parts, request);
      if (bearer === 'unknown') return refuse(response, 503, 'no token can be checked now');
      if (bearer === null) {
        response.set('www-authenticate', 'Bearer');
        return refuse(response, 401, 'expected a projected token of a pod');
      }
      return answer({ parts, request, response, bearer });
    });

  route('directive', 'GET', '/v1/sets/:set/directive', (exchange) => sendDirective(exchange, room));
  route('bundle', 'GET', '/v1/sets/:set/bundles/:digest', sendBundle);
  route('report', 'POST', '/v1/reports', takeReport);
  route('peers', 'GET', '/v1/peers/reports', async ({ response, bearer }) => {
    if (bearer.kind !== 'peer') return refuse(response, 403, 'expected another replica');
    response.json(parts.heard());
  });
  app.use((_request: Request, response: Response) => {
    parts.answered('other', 404);
    refuse(response, 404, 'expected a documented path');
  });
  app.use((error: unknown, _request: Request, response: Response, _next: () => void) => {
    parts.failed(error);
    if (response.headersSent) response.destroy();
    else refuse(response, 500, 'a bug');
  });
  return {
    app,
    waiting: () => room.size,
    changed: (set) => room.wake(set),
    close: () => room.wakeAll(),
  };
}

interface Exchange {
  readonly parts: DistributorParts;
  readonly request: Request;
  readonly response: Response;
  readonly bearer: Bearer;
}
type Answer = (exchange: Exchange) => Promise<void>;

async function sendDirective(
  { parts, request, response }: Exchange,
  room: WaitingRoom,
): Promise<void> {
  const set = String(request.params['set']);
  const known = request.get('if-none-match');
  if (known !== undefined && known === etagOf(parts.directive(set))) {
    const ms = waitOf(request.query['wait']) * 1000;
    await room.wait(set, ms, (gone) => response.once('close', gone));
    if (response.destroyed) return;
  }
  const directive = parts.directive(set);
  if (directive === null) return refuse(response, 404, 'expected a set that has a state');
  response.set('etag', etagOf(directive));
  if (known === etagOf(directive)) response.status(304).end();
  else response.json(directive);
}

async function sendBundle({ parts, request, response }: Exchange): Promise<void> {
  const { set, digest } = request.params as { set: string; digest: string };
  if (!DIGEST.test(digest)) return refuse(response, 400, 'expected sha256: and 64 digits');
  if (request.get('if-none-match') === `"${digest}"`) {
    response.status(304).end();
    return;
  }
  const archive = await parts.bundle(set, digest);
  if (archive === null) return refuse(response, 404, 'expected a digest that the set names');
  response.set('etag', `"${digest}"`).set('cache-control', 'private, max-age=31536000, immutable');
  response.type('application/gzip').send(Buffer.from(archive));
}

const readJson = express.json({ limit: REPORT_BYTES_MAX, inflate: false, type: () => true });

async function takeReport({ parts, request, response, bearer }: Exchange): Promise<void> {
  if (bearer.kind !== 'sidecar') return refuse(response, 403, 'expected a sidecar');
  const unread = await new Promise<unknown>((resolve) => readJson(request, response, resolve));
  if (unread !== undefined) {
    const tooLarge = (unread as { type?: string }).type === 'entity.too.large';
    return refuse(response, tooLarge ? 413 : 400, 'expected a PolicyReport');
  }
  const parsed = reportSchema.safeParse(request.body);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return refuse(response, 400, `${issue?.path.map(String).join('.')}: ${issue?.message}`);
  }
  if (!parts.report({ ...parsed.data, sidecar: bearer.podUid })) {
    return refuse(response, 503, 'no such set, or too many sidecars');
  }
  response.status(204).end();
}

async function bearerOf(
  parts: DistributorParts,
  request: Request,
): Promise<Bearer | null | 'unknown'> {
  const token = /^Bearer ([A-Za-z0-9._~+/=-]{16,8192})$/.exec(request.get('authorization') ?? '');
  if (token?.[1] === undefined) return null;
  try {
    return await parts.authenticate(token[1]);
  } catch (error) {
    parts.failed(error);
    return 'unknown';
  }
}

const etagOf = (directive: Directive | null) => `"${directive?.generation ?? 'none'}"`;

const waitOf = (given: unknown) =>
  typeof given === 'string' && /^\d{1,3}$/.test(given)
    ? Math.min(Number(given), WAIT_SECONDS_MAX)
    : 0;

function refuse(response: Response, status: number, error: string): void {
  response.status(status).json({ error });
}
