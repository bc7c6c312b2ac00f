/**
 * The webhooks that the API server asks about new pods and about policy sets: AdmissionReview v1 in and out. It has no effects, so a dry run is
 * answered like any other request. Whatever is sent, the answer says what was expected; only a bug is a 500.
 *
 * | request | answer |
 * |---|---|
 * | `POST /inject`, or `/inject/<word>` where one is configured | 200 with the review: a patch, a skip or a refusal |
 * | `POST /validate`, or `/validate/<word>` | the same for ConfigMaps: policy sets are checked, nothing is changed |
 *
 * Shell: owns nothing, answers on a server of the caller.
 */
import type { ServerOptions } from 'node:http';
import express, { type Express, type Request, type Response } from 'express';
import { z } from 'zod';
import type { AdmissionConfig } from '../config/admission.ts';
import { bareApp } from '../control/admin.ts';
import { checkEphemeral } from './ephemeral.ts';
import { type Injection, inject } from './inject.ts';
import { validateConfigMap } from './validate.ts';

export interface WebhookParts {
  readonly config: AdmissionConfig;
  /** The last part of the path, for nobody to guess; null for none. */
  readonly pathToken: string | null;
  /** Told of each answer, for metrics. */
  readonly answered: (result: Injection['kind'] | 'bad', reason: string) => void;
  /** Told of a bug. */
  readonly failed: (error: unknown) => void;
}

/** The API server asks again on a connection it left idle for up to 90 seconds. */
export const WEBHOOK_SERVER = {
  keepAliveTimeout: 90_000,
  headersTimeout: 32_000,
  requestTimeout: 60_000,
} as const satisfies ServerOptions;

/** The API server takes objects up to 1.5 MiB, and an update holds two. */
const BODY_BYTES_MAX = 2 * 1024 * 1024;

const reviewSchema = z.looseObject({
  apiVersion: z.literal('admission.k8s.io/v1'),
  kind: z.literal('AdmissionReview'),
  request: z.looseObject({
    uid: z.string().min(1).max(256),
    kind: z.looseObject({ group: z.string().default(''), kind: z.string() }),
    subResource: z.string().optional(),
    namespace: z.string().min(1).max(63),
    operation: z.string(),
    object: z.unknown().optional(),
    oldObject: z.unknown().optional(),
  }),
});
type ReviewRequest = z.output<typeof reviewSchema>['request'];

export function createWebhook(parts: WebhookParts): Express {
  const app = bareApp();
  const word = parts.pathToken === null ? '' : `/${parts.pathToken}`;
  const answers = new Map<string, Answer>([
    [`/inject${word}`, injectionOf],
    [`/validate${word}`, validationOf],
  ]);
  const bad = (response: Response, status: number, reason: string, error: string) => {
    parts.answered('bad', reason);
    response.status(status).json({ error });
  };
  app.use((request, response, next) => {
    response.set('cache-control', 'no-store');
    if (!answers.has(request.path)) return bad(response, 404, 'path', 'expected a documented path');
    if (request.method !== 'POST') {
      response.set('allow', 'POST');
      return bad(response, 405, 'method', 'expected POST');
    }
    if (request.is('application/json') === false) {
      return bad(response, 415, 'content_type', 'expected content-type application/json');
    }
    return next();
  });
  app.use(express.json({ limit: BODY_BYTES_MAX, inflate: false, type: () => true }));
  app.use((request: Request, response: Response) => {
    const parsed = reviewSchema.safeParse(request.body);
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      const at = issue?.path.map(String).join('.') || 'body';
      return bad(response, 400, 'review', `${at}: ${issue?.message}, of an AdmissionReview v1`);
    }
    const answer = answers.get(request.path) ?? injectionOf;
    const injection = bounded(() => answer(parsed.data.request, parts.config));
    const reason = injection.kind === 'patch' ? 'injected' : injection.reason;
    parts.answered(injection.kind, reason);
    return response.json(render(parsed.data.request.uid, injection, reason));
  });
  app.use((error: unknown, _request: Request, response: Response, _next: () => void) => {
    const { status = 500, message } = error as { status?: number; message?: string };
    if (response.headersSent) return response.destroy();
    if (status >= 400 && status < 500) return bad(response, status, 'body', `body: ${message}`);
    parts.failed(error);
    return bad(response, 500, 'bug', 'a bug');
  });
  return app;
}

type Answer = (request: ReviewRequest, config: AdmissionConfig) => Injection;

function validationOf({ kind, operation, object }: ReviewRequest): Injection {
  return kind.group === '' && kind.kind === 'ConfigMap' && operation !== 'DELETE'
    ? validateConfigMap(object)
    : { kind: 'skip', reason: 'not_a_policy_set', message: 'only ConfigMaps are validated' };
}

function injectionOf(request: ReviewRequest, config: AdmissionConfig): Injection {
  const { kind, operation, subResource, namespace, object, oldObject } = request;
  if (kind.group !== '' || kind.kind !== 'Pod') {
    return { kind: 'skip', reason: 'not_a_pod', message: `${kind.kind}: nothing to inject` };
  }
  if (subResource === 'ephemeralcontainers') return checkEphemeral(object, oldObject, { config });
  return operation === 'CREATE' && (subResource ?? '') === ''
    ? inject(object, { config, namespace })
    : { kind: 'skip', reason: 'not_created', message: 'only new pods are injected' };
}

/** A document nested so deeply that no stack holds it is no object of Kubernetes. */
function bounded(answer: () => Injection): Injection {
  try {
    return answer();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return { kind: 'refuse', reason: 'malformed', message: 'found an object nested too deeply' };
  }
}

/** Longer ones are cut by the API server. */
const WARNING_CHARS_MAX = 250;
const WARNINGS_MAX = 8;

function render(uid: string, injection: Injection, reason: string): object {
  const response = {
    uid,
    allowed: injection.kind !== 'refuse',
    auditAnnotations: { injection: injection.kind, reason },
  };
  const review = (more: object) => ({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: { ...response, ...more },
  });
  switch (injection.kind) {
    case 'patch': {
      const { patch, warnings } = injection;
      const shown = warnings.slice(0, WARNINGS_MAX).map((one) => one.slice(0, WARNING_CHARS_MAX));
      return review({
        patchType: 'JSONPatch',
        patch: Buffer.from(JSON.stringify(patch)).toString('base64'),
        ...(shown.length === 0 ? {} : { warnings: shown }),
      });
    }
    case 'skip':
      return review({});
    case 'refuse': {
      const what = reason === 'policy_set' ? 'policy set' : 'pod';
      const message = `egret refuses this ${what}: ${injection.message} [${reason}]`;
      return review({ status: { code: 403, reason: 'Forbidden', message } });
    }
  }
}
