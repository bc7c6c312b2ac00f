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

export interface DecisionApiParts {
  readonly clients: readonly Client[];
  /**
   * Decides and records without forwarding.
   * @returns null when the audit log does not take the record.
   */
  readonly review: (call: ToolCall, client: string) => Promise<Reviewed | null>;
  /** @returns false when the audit log does not take the record. */
  readonly upload: (sha256: string, bytes: number | null, client: string) => Promise<boolean>;
  readonly counted: (endpoint: 'review' | 'data' | 'upload', result: string) => void;
  /** A credential that is none, or not for this endpoint. */
  readonly unauthorized: (reason: ReasonCode) => void;
  readonly bodyBytesMax: number;
}

const SHA256 = /^[0-9a-f]{64}$/;

export function decisionApi(parts: DecisionApiParts): Express {
  const app = bareApp();
  app.use((_request, response, next) => {
    response.set('cache-control', 'no-store');
    next();
  });
  const body = express.raw({ type: () => true, limit: parts.bodyBytesMax, inflate: false });
  const route = (path: string, may: Client['may'], answer: Answer) =>
    app.post(path, (request, response, next) => {
      const client = authenticate(parts.clients, request.get('authorization'));
      const problem = client === null ? 'identity.unauthenticated' : 'identity.forbidden';
      if (client === null || client.may !== may) {
        parts.unauthorized(problem);
        refuse(response, problem);
      } else {
        body(request, response, (error?: unknown) => {
          if (error !== undefined) refuse(response, bodyReason(error));
          else answer(request, response, client).catch(next);
        });
      }
    });
  route('/v1/review', 'review', (request, response, client) =>
    review(parts, request, response, client),
  );
  route('/v1/data/egret/decision', 'review', (request, response, client) =>
    data(parts, request, response, client),
  );
  route('/v1/uploads', 'upload', (request, response, client) =>
    upload(parts, request, response, client),
  );
  app.use((_request, response) => refuse(response, 'call.unknown_route'));
  app.use((_error: unknown, _request: Request, response: Response, _next: () => void) => {
    if (response.headersSent) response.destroy();
    else refuse(response, 'proxy.internal');
  });
  return app;
}

type Answer = (request: Request, response: Response, client: Client) => Promise<void>;

async function review(
  parts: DecisionApiParts,
  request: Request,
  response: Response,
  client: Client,
): Promise<void> {
  const document = parseStrictJson(bytesOf(request));
  if (!document.ok) return refuse(response, document.reason, document.detail);
  const call = reviewedCall(document.value);
  if (!call.ok) return refuse(response, 'call.malformed', call.detail);
  const reviewed = await parts.review(call.call, client.id);
  parts.counted('review', reviewed?.verdict.outcome ?? 'error');
  if (reviewed === null) return refuse(response, 'audit.unavailable');
  response.json(reviewResponse(reviewed.id, reviewed.verdict));
}

async function data(
  parts: DecisionApiParts,
  request: Request,
  response: Response,
  client: Client,
): Promise<void> {
  const document = parseStrictJson(bytesOf(request));
  if (!document.ok) return refuse(response, document.reason, document.detail);
  const call = reviewedCall({ request: asInput(document.value) });
  if (!call.ok) return refuse(response, 'call.malformed', call.detail);
  const reviewed = await parts.review(call.call, client.id);
  parts.counted('data', reviewed?.verdict.outcome ?? 'error');
  if (reviewed === null) return refuse(response, 'audit.unavailable');
  response.json({ decision_id: reviewed.id, result: resultOf(reviewed.verdict) });
}

async function upload(
  parts: DecisionApiParts,
  request: Request,
  response: Response,
  client: Client,
): Promise<void> {
  const bytes = bytesOf(request);
  const file = request.is('application/json') ? announcedFile(bytes) : hashedFile(bytes);
  if (!file.ok) {
    parts.counted('upload', 'refused');
    return refuse(response, file.reason, file.detail);
  }
  const recorded = await parts.upload(file.sha256, file.bytes, client.id);
  parts.counted('upload', recorded ? 'registered' : 'error');
  if (!recorded) return refuse(response, 'audit.unavailable');
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

const asInput = (value: unknown) =>
  value !== null && typeof value === 'object'
    ? ((value as { input?: unknown }).input ?? null)
    : null;

const bytesOf = (request: Request): Uint8Array =>
  request.body instanceof Uint8Array ? request.body : new Uint8Array();

function bodyReason(error: unknown): ReasonCode {
  const { type } = error as { type?: string };
  if (type === 'entity.too.large') return 'call.too_large';
  return type === 'encoding.unsupported' ? 'call.unsupported_encoding' : 'call.malformed';
}

function refuse(response: Response, reason: ReasonCode, detail?: string): void {
  const { status, text } = REASONS[reason];
  if (reason === 'identity.unauthenticated') response.set('www-authenticate', 'Bearer');
  response.status(status).set('content-type', 'application/problem+json');
  response.send(
    JSON.stringify({
      type: `https://egret.dev/reasons/${reason}`,
      title: text,
      status,
      detail: detail ?? text,
      reason,
    }),
  );
}
