/**
 * Reads the `request` of a ToolCallReview that somebody else made, turns it into a tool call, and writes the answer. Only what a caller
 * may say is read: what the tool is, its arguments, attachments, destination. Identity, time, provenance and state in
 * the review are ignored; the sidecar's own facts take their place. Pure.
 */
import { z } from 'zod';
import type { Json, JsonObject, ToolCall } from '../call/tool-call.ts';
import { REASONS } from '../decision/reason.ts';
import type { Verdict } from '../decision/verdict.ts';

const json: z.ZodType<Json> = z.json() as never;
const text = z.string().max(8192);
const multimap = z.record(text, z.array(text).max(100)).default({});

const requestSchema = z.object({
  tool: z.object({
    name: z.string().min(1).max(256),
    server: text.nullable().default(null),
    operation: z.enum(['read', 'write', 'list', 'connect', 'unknown']).default('unknown'),
    risk: z.enum(['low', 'medium', 'high']).default('high'),
    sink: text.nullable().default(null),
    known: z.boolean().default(false),
    definition_hash: text.nullable().default(null),
  }),
  arguments: z.record(z.string(), json).default({}),
  arguments_state: z.enum(['parsed', 'none', 'opaque', 'too_large']).default('parsed'),
  attachments: z
    .array(
      z.object({
        name: text.default(''),
        media_type: text.default('application/octet-stream'),
        bytes: z.int().min(0).default(0),
        sha256: z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hexadecimal digits'),
      }),
    )
    .max(1000)
    .default([]),
  destination: z
    .object({
      scheme: text.default('https'),
      host: text.default(''),
      port: z.int().min(0).max(65_535).default(443),
      path: text.default('/'),
      segments: z.array(text).max(256).default([]),
      query: multimap,
    })
    .prefault({}),
  http: z.object({ method: text.default('POST'), headers: multimap }).prefault({}),
  mcp: z.object({ version: text, method: text }).nullable().default(null),
});

const reviewSchema = z.object({
  apiVersion: z.literal('egret.dev/v1').optional(),
  kind: z.literal('ToolCallReview').optional(),
  request: requestSchema,
});

export type ReviewedCall =
  | { readonly ok: true; readonly call: ToolCall }
  | { readonly ok: false; readonly detail: string };

/** @returns the first problem as `path: what was expected` when the document is not a review. */
export function reviewedCall(document: unknown): ReviewedCall {
  const parsed = reviewSchema.safeParse(document);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const path = issue?.path.map(String).join('.') || '(document)';
    return { ok: false, detail: `${path}: ${issue?.message ?? 'not a ToolCallReview'}` };
  }
  const { request } = parsed.data;
  return { ok: true, call: { ...request, arguments: request.arguments as JsonObject } };
}

/** The answer to a review. */
export const reviewResponse = (uid: string, verdict: Verdict): Record<string, unknown> => ({
  apiVersion: 'egret.dev/v1',
  kind: 'ToolCallReview',
  response: { uid, ...resultOf(verdict), policy: verdict.policy },
});

/** A verdict as callers of the decision API read it. */
export function resultOf(verdict: Verdict): Record<string, unknown> {
  return {
    allowed: verdict.outcome === 'allow',
    outcome: verdict.outcome,
    status: {
      code: verdict.outcome === 'allow' ? 200 : REASONS[verdict.reason].status,
      reason: verdict.reason,
      message: verdict.message,
    },
    reasons: verdict.reasons,
    obligations: verdict.obligations,
    warnings: verdict.warnings,
  };
}
