/**
 * The decision API: asking without acting. `POST /v1/review` speaks ToolCallReview, `POST /v1/data/egret/decision`
 * OPA's data API for the same entrypoint, `POST /v1/uploads` registers what a user provided. Every endpoint needs a
 * credential of its own kind, and every answer is recorded like any other decision. Shell: owns no state.
 */
import { createHash } from 'node:crypto';
import express, { type Express, type Request, type Response } from 'express';
import { parseStrictJson } from '../call/strict-json.ts';
import type { ToolCall } from '../call/tool-call.ts';
import { REASONS, type ReasonCode } from '../decision/reason.ts';
import type { Verdict } from '../decision/verdict.ts';
import { bareApp } from './admin.ts';
import { authenticate, type Client } from './credential.ts';
import { resultOf, reviewedCall, reviewResponse } from './review.ts';

export interface Reviewed {
  readonly id: string;
  readonly verdict: Verdict;
}

/** Who asks, and where: what every record says beside the decision. */
export interface Asking {
  /** Name of the client, null as long as no credential has named one. */
  readonly client: string | null;
  readonly remoteAddress: string;
  readonly method: string;
  /** Path as it came; the record keeps nothing of its query. */
  readonly target: string;
  readonly traceparent: string | null;
}

export interface Turned {
  readonly reason: ReasonCode;
  /** The body as far as it was read. */
  readonly body: Uint8Array | null;
}

export interface DecisionApiParts {
  readonly clients: readonly Client[];
  /**
   * Decides and records without forwarding.
   * @returns null when the audit log does not take the record.
   */
  readonly review: (call: ToolCall, asking: Asking) => Promise<Reviewed | null>;
  /** @returns false when the audit log does not take the record. */
  readonly upload: (sha256: string, bytes: number | null, client: string) => Promise<boolean>;
  /** Records a request that is refused before any decision. @returns the id of its record. */
  readonly turnedAway: (turned: Turned, asking: Asking) => Promise<string>;
  /** A registration: done, or not. */
  readonly uploaded: (registered: boolean) => void;
  /** A bug; the request was answered with `proxy.internal`. */
  readonly failed: (error: unknown) => void;
  readonly bodyBytesMax: number;
}

const SHA256 = /^[0-9a-f]{64}$/;

export function decisionApi(parts: DecisionApiParts): Express {
  const app = bareApp();
  app.use((_request, response, next) => {
    response.set('cache-control', 'no-store');
    next();
  });
  const body = bodyReader(parts.bodyBytesMax);
  const route = (path: string, may: Client['may'], answer: Answer) =>
    app.all(path, async (request, response) => {
      const client = authenticate(parts.clients, request.get('authorization'));
      const exchange = { parts, request, response, client: client?.id ?? null };
      if (request.method !== 'POST') {
        response.set('allow', 'POST');
        return refuse(exchange, 'call.method_not_allowed');
      }
      if (client === null) return refuse(exchange, 'identity.unauthenticated');
      if (client.may !== may) return refuse(exchange, 'identity.forbidden');
      const unread = await body(request, response);
      if (unread !== null) return refuse(exchange, unread);
      return answer(exchange);
    });
  route('/v1/review', 'review', review);
  route('/v1/data/egret/decision', 'review', data);
  route('/v1/uploads', 'upload', upload);
  app.use((request: Request, response: Response) =>
    refuse({ parts, request, response, client: null }, 'call.unknown_route'),
  );
  app.use((error: unknown, _request: Request, response: Response, _next: () => void) => {
    parts.failed(error);
    if (response.headersSent) response.destroy();
    else answerRefusal(response, 'proxy.internal');
  });
  return app;
}

interface Exchange {
  readonly parts: DecisionApiParts;
  readonly request: Request;
  readonly response: Response;
  readonly client: string | null;
}

type Answer = (exchange: Exchange) => Promise<void>;

/** @returns a function that reads the body of a request, and says why when it cannot. */
function bodyReader(limit: number) {
  const read = express.raw({ type: () => true, limit, inflate: false });
  return (request: Request, response: Response) =>
    new Promise<ReasonCode | null>((resolve) => {
      read(request, response, (error?: unknown) => {
        resolve(error === undefined ? null : bodyReason(error));
      });
    });
}

async function review(exchange: Exchange): Promise<void> {
  const { parts, request, response } = exchange;
  const document = parseStrictJson(bytesOf(request));
  if (!document.ok) return refuse(exchange, document.reason, document.detail);
  const call = reviewedCall(document.value);
  if (!call.ok) return refuse(exchange, 'call.malformed', call.detail);
  const reviewed = await parts.review(call.call, askingOf(exchange));
  if (reviewed === null) return answerRefusal(response, 'audit.unavailable');
  response.json(reviewResponse(reviewed.id, reviewed.verdict));
}

async function data(exchange: Exchange): Promise<void> {
  const { parts, request, response } = exchange;
  const document = parseStrictJson(bytesOf(request));
  if (!document.ok) return refuse(exchange, document.reason, document.detail);
  const call = reviewedCall(document.value, 'input');
  if (!call.ok) return refuse(exchange, 'call.malformed', call.detail);
  const reviewed = await parts.review(call.call, askingOf(exchange));
  if (reviewed === null) return answerRefusal(response, 'audit.unavailable');
  response.json({ decision_id: reviewed.id, result: resultOf(reviewed.verdict) });
}

async function upload(exchange: Exchange): Promise<void> {
  const { parts, request, response, client } = exchange;
  const bytes = bytesOf(request);
  const file = request.is('application/json') ? announcedFile(bytes) : hashedFile(bytes);
  if (!file.ok) {
    parts.uploaded(false);
    return refuse(exchange, file.reason, file.detail);
  }
  const recorded = await parts.upload(file.sha256, file.bytes, client ?? '');
  parts.uploaded(recorded);
  if (!recorded) return answerRefusal(response, 'audit.unavailable');
  response.status(201).json({ sha256: file.sha256, source: 'explicit_user_upload' });
}

type UploadedFile =
  | { readonly ok: true; readonly sha256: string; readonly bytes: number | null }
  | { readonly ok: false; readonly reason: ReasonCode; readonly detail: string };

function announcedFile(body: Uint8Array): UploadedFile {
  const document = parseStrictJson(body);
  if (!document.ok) return document;
  const sha256 = (document.value as { sha256?: unknown } | null)?.sha256;
  if (typeof sha256 === 'string' && SHA256.test(sha256)) return { ok: true, sha256, bytes: null };
  const detail = 'sha256: expected 64 lower-case hexadecimal digits';
  return { ok: false, reason: 'call.malformed', detail };
}

function hashedFile(body: Uint8Array): UploadedFile {
  if (body.length === 0) {
    return { ok: false, reason: 'call.malformed', detail: 'found an empty body, expected a file' };
  }
  const sha256 = createHash('sha256').update(body).digest('hex');
  return { ok: true, sha256, bytes: body.length };
}

const bytesOf = (request: Request): Uint8Array =>
  request.body instanceof Uint8Array ? request.body : new Uint8Array();

function bodyReason(error: unknown): ReasonCode {
  const { type } = error as { type?: string };
  if (type === 'entity.too.large') return 'call.too_large';
  return type === 'encoding.unsupported' ? 'call.unsupported_encoding' : 'call.malformed';
}

function askingOf({ request, client }: Exchange): Asking {
  return {
    client,
    remoteAddress: request.socket.remoteAddress ?? '',
    method: request.method,
    target: request.path,
    traceparent: request.get('traceparent') ?? null,
  };
}

/** Records the refusal, then answers it: whoever tries credentials leaves a trace, as on every listener. */
async function refuse(exchange: Exchange, reason: ReasonCode, detail?: string): Promise<void> {
  const { parts, request, response } = exchange;
  const body = request.body instanceof Uint8Array ? request.body : null;
  const id = await parts.turnedAway({ reason, body }, askingOf(exchange));
  response.set('x-egret-decision-id', id);
  answerRefusal(response, reason, detail);
}

function answerRefusal(response: Response, reason: ReasonCode, detail?: string): void {
  const { status, text } = REASONS[reason];
  if (reason === 'identity.unauthenticated') response.set('www-authenticate', 'Bearer');
  response.status(status).set('content-type', 'application/problem+json');
  response.set('x-egret-reason', reason).send(
    JSON.stringify({
      type: `https://egret.dev/reasons/${reason}`,
      title: text,
      status,
      detail: detail ?? text,
      reason,
    }),
  );
}
