/**
 * Reads the answer of a policy written for OPA-Envoy: a boolean, or an object with `allowed` and what Envoy should do.
 * A field of the wrong type refuses the call in an allow and in a denial. What an allow demands becomes obligations;
 * those that this build cannot carry out deny the call by their kind, so that none is dropped silently. Pure.
 */
import type { Json, JsonObject } from '../call/tool-call.ts';
import { answered, boolAnswer, undefinedAsNoMatch } from './dialect-bool.ts';
import { type RefusalWish, refusalOf } from './dialect-envoy-refusal.ts';
import type { Evaluation } from './engine.ts';
import type { StatedRefusal } from './verdict.ts';

const NAMES_SHOWN = 16;
const CODE_MAX = 64;

/** Null for a value of the wrong type. */
type Reader = (value: unknown) => readonly JsonObject[] | null;

/** What each field demands of an allow. */
const DEMANDS: Readonly<Record<string, Reader>> = {
  headers: (value) => each(pairsOf(value), header),
  request_headers_to_remove: (value) => each(textsOf(value), named('request_header_remove')),
  response_headers_to_add: (value) => each(pairsOf(value), pair('response_header_add')),
  query_parameters_to_set: (value) =>
    Array.isArray(value) ? null : each(pairsOf(value), pair('query_parameter_set')),
  query_parameters_to_remove: (value) => each(textsOf(value), named('query_parameter_remove')),
  dynamic_metadata: (value) => {
    if (!isRecord(value)) return null;
    return Object.keys(value).length === 0 ? [] : [{ kind: 'dynamic_metadata' }];
  },
};
const KNOWN: ReadonlySet<string> = new Set([
  'allowed',
  'http_status',
  'body',
  ...Object.keys(DEMANDS),
]);

/** @param entrypoint for the reason of a denial, such as `envoy/authz/allow`. */
export function envoyAnswer(evaluation: Evaluation, entrypoint: string): Evaluation {
  if (!evaluation.ok) return undefinedAsNoMatch(evaluation);
  const { value, fuel } = evaluation;
  if (!isRecord(value)) return boolAnswer(evaluation);
  return { ok: true, value: objectAnswer(value, entrypoint), fuel };
}

/** Null is no answer, and denies as a result of the wrong shape. */
function objectAnswer(result: Readonly<Record<string, unknown>>, policy: string): Json {
  const { allowed, http_status: status = 403, body = '' } = result;
  if (typeof allowed !== 'boolean' || !isStatus(status) || typeof body !== 'string') return null;
  const demands: JsonObject[] = [];
  for (const [field, read] of Object.entries(DEMANDS)) {
    if (!Object.hasOwn(result, field)) continue;
    const found = read(result[field]);
    if (found === null) return null;
    demands.push(...found);
  }
  const unknown = Object.keys(result).filter((field) => !KNOWN.has(field));
  if (allowed) {
    return answered('policy.allowed', {
      obligations: settledHeaders(demands),
      warnings: warning('has no meaning', unknown),
    });
  }
  return answered('policy.denied', {
    message: body,
    reasons: [{ code: `http_status.${status}`, policy, rule: 'allowed', message: body }],
    warnings: [...warning('has no meaning', unknown), ...refusalOf(wishOf(result)).warnings],
  });
}

/** @param evaluation one that `envoyAnswer` reads as a denial. */
export function envoyRefusal(evaluation: Evaluation): StatedRefusal | null {
  if (!evaluation.ok || !isRecord(evaluation.value)) return null;
  return refusalOf(wishOf(evaluation.value)).refusal;
}

/** Of a result whose types were checked. */
const wishOf = (result: Readonly<Record<string, unknown>>): RefusalWish => ({
  status: result['http_status'] as number | undefined,
  headers: Object.hasOwn(result, 'headers') ? (pairsOf(result['headers']) ?? []) : [],
  body: (result['body'] as string | undefined) ?? '',
});

const isStatus = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 100 && value <= 599;

/** Setting a header replaces it, so one that is set twice cannot have both values. */
function settledHeaders(demands: readonly JsonObject[]): readonly JsonObject[] {
  const names = new Set<string>();
  return demands.map((demand) => {
    if (demand['kind'] !== 'header') return demand;
    const name = String(demand['name']).toLowerCase();
    if (names.has(name)) return { ...demand, kind: 'header_add' };
    names.add(name);
    return demand;
  });
}

const warning = (what: string, fields: readonly string[]): string[] =>
  fields
    .slice(0, NAMES_SHOWN)
    .map((field) => `result field ${field.slice(0, CODE_MAX).toWellFormed()} ${what}`);

const header = ([name, value]: Pair): JsonObject => ({ kind: 'header', name, value });
const pair =
  (kind: string) =>
  ([name, value]: Pair): JsonObject => ({ kind, name, value });
const named =
  (kind: string) =>
  (name: string): JsonObject => ({ kind, name });

const each = <T>(
  list: readonly T[] | null,
  make: (item: T) => JsonObject,
): readonly JsonObject[] | null => list?.map(make) ?? null;

type Pair = readonly [name: string, value: string];

/** `{"name": "value"}`, `{"name": ["value", …]}`, or a list of those. */
function pairsOf(value: unknown): readonly Pair[] | null {
  const pairs: Pair[] = [];
  for (const object of Array.isArray(value) ? (value as readonly unknown[]) : [value]) {
    if (!isRecord(object)) return null;
    for (const [name, given] of Object.entries(object)) {
      const values = typeof given === 'string' ? [given] : textsOf(given);
      if (values === null) return null;
      pairs.push(...values.map((text): Pair => [name, text]));
    }
  }
  return pairs;
}

const textsOf = (value: unknown): readonly string[] | null =>
  Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : null;

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
