/**
 * Puts a policy input together again from its clear part in the audit log and the values that were opened. What the
 * log writes differently (the time as text, no segments of a path without data) is turned back. Pure.
 */
import { z } from 'zod';
import { parsePath } from '../call/path.ts';
import type { Json, JsonObject } from '../call/tool-call.ts';
import type { PolicyInput } from '../decision/input.ts';

type Values = ReadonlyMap<string, Json>;

const text = z.string().max(8192);

/** Only as strict as putting together needs; what policy makes of the rest is policy's affair. */
const clearInput = z.looseObject({
  uid: text,
  time: z.iso.datetime(),
  time_ns: z.string().regex(/^-?[0-9]{1,19}$/),
  tool: z.looseObject({ name: text, server: text.nullable() }),
  arguments: z.record(z.string(), z.unknown()),
  attachments: z.array(z.looseObject({})).max(1000),
  destination: z.looseObject({ host: text, path: text, port: z.number() }),
  http: z.looseObject({ method: text, headers: z.record(z.string(), z.unknown()) }),
  mcp: z.looseObject({ method: text }).nullable(),
  run: z.looseObject({ id: text }),
  context: z.looseObject({}),
  state: z.looseObject({}),
});

type ClearInput = z.output<typeof clearInput>;

/** Names of the log are cut at 128 characters or more, with this at the end. */
const SHORTENED = /^.{31,}…$/su;
const UNKNOWN_SHA256 = '0'.repeat(64);

/** @param whole the base is the input itself, not its part in the log. */
export function restored(
  base: Readonly<Record<string, unknown>>,
  values: Values,
  whole: boolean,
):
  | { readonly ok: true; readonly input: PolicyInput }
  | { readonly ok: false; readonly why: string } {
  const parsed = clearInput.safeParse(base);
  if (!parsed.success) {
    const path = parsed.error.issues[0]?.path.map(String).join('.') ?? '';
    return { ok: false, why: `the recorded input is malformed at ${path.slice(0, 64)}` };
  }
  const clear = parsed.data;
  const time_ns = BigInt(clear.time_ns);
  if (whole) return { ok: true, input: { ...clear, time_ns } as unknown as PolicyInput };
  if (clear.mcp?.method === '*') return { ok: false, why: 'the MCP method was not recorded' };
  const { tool, destination, run, agent, user, workload } = clear;
  if (isShortened([tool, destination.host, run, agent, user, workload])) {
    return { ok: false, why: 'a name was recorded shortened' };
  }
  const place = destinationOf(clear, values);
  if (place === null) return { ok: false, why: 'the recorded path is malformed' };
  const input = {
    ...clear,
    time_ns,
    arguments: argumentsOf(clear, values),
    attachments: attachmentsOf(clear, values),
    destination: place,
    http: { ...clear.http, headers: values.get('/input/http/headers') ?? clear.http.headers },
    context: { ...clear.context, inputs: values.get('/input/context/inputs') ?? [] },
    state: stateOf(clear, values),
  };
  return { ok: true, input: input as unknown as PolicyInput };
}

function isShortened(value: unknown, depth = 0): boolean {
  if (typeof value === 'string') return SHORTENED.test(value);
  if (value === null || typeof value !== 'object' || depth > 4) return false;
  return Object.values(value).some((inner) => isShortened(inner, depth + 1));
}

/** Arguments in the clear, those opened one by one, and those that were bound together because of their names. */
function argumentsOf(clear: ClearInput, values: Values): JsonObject {
  const together = values.get('/input/arguments');
  const opened = [...values]
    .filter(([pointer]) => /^\/input\/arguments\/[^/]*$/.test(pointer))
    .map(
      ([pointer, value]) => [unescaped(pointer.slice('/input/arguments/'.length)), value] as const,
    );
  const unnamed = isPlainObject(together) ? Object.entries(together) : [];
  return Object.fromEntries([
    ...Object.entries(clear.arguments as JsonObject),
    ...opened,
    ...unnamed,
  ]);
}

const unescaped = (part: string) => part.replaceAll('~1', '/').replaceAll('~0', '~');

function attachmentsOf(clear: ClearInput, values: Values): Json {
  const together = values.get('/input/attachments');
  if (Array.isArray(together)) return together as Json;
  return clear.attachments.map((attachment, at) => {
    const field = (name: string, unknown: string): Json =>
      (attachment[name] as Json | undefined) ??
      values.get(`/input/attachments/${at}/${name}`) ??
      unknown;
    return {
      ...(attachment as JsonObject),
      name: field('name', ''),
      media_type: field('media_type', 'application/octet-stream'),
      sha256: field('sha256', UNKNOWN_SHA256),
    };
  });
}

/** A place without data in its path and without a query stands in the log whole, but for its segments. */
function destinationOf(clear: ClearInput, values: Values): Json | null {
  const opened = values.get('/input/destination');
  if (opened !== undefined) return opened;
  const { path } = clear.destination;
  const parsed = path === '' ? null : parsePath(path.replaceAll('*', '-'));
  if (parsed !== null && !parsed.ok) return null;
  const segments = path === '' ? [] : path.slice(1).split('/');
  return { ...(clear.destination as JsonObject), segments, query: {} };
}

function stateOf(clear: ClearInput, values: Values): Json {
  const state = clear.state as JsonObject;
  const limits = values.get('/input/state/limits') ?? state['limits'] ?? {};
  const history = values.get('/input/state/history') ?? state['history'] ?? [];
  return { ...state, limits, history };
}

const isPlainObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
