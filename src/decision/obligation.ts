/**
 * Carries out the obligations of an allow on the call that is about to leave. Either all of them are carried out or
 * the call is refused with `policy.obligation_failed`. The verdict lists the paths, so the record says what changed.
 * Pure.
 */
import type { Json, JsonObject } from '../call/tool-call.ts';
import type { Obligation } from './verdict.ts';

/** Kinds this build can carry out; a verdict with any other kind denies (`policy.unknown_obligation`). */
export const OBLIGATION_KINDS: ReadonlySet<string> = new Set([
  'log',
  'redact',
  'patch',
  'header',
  'request_header_remove',
]);

/** The part of a call that obligations may change. */
export interface Changeable {
  /** Arguments as they stand in the body; null when the body is no JSON object that arguments came from. */
  readonly arguments: JsonObject | null;
  readonly headers: readonly (readonly [string, string])[];
}

export type Changed =
  | {
      readonly ok: true;
      readonly arguments: JsonObject | null;
      readonly headers: readonly (readonly [string, string])[];
    }
  | { readonly ok: false; readonly detail: string };

const REDACTED = '[redacted by policy]';
const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^`|~-]{1,64}$/;
/** Any name that a header can have. */
const TOKEN = /^[A-Za-z0-9!#$%&'*+.^`|~_-]{1,256}$/;
const HEADER_VALUE = /^[\x20-\x7e\t]{0,1024}$/;
/** Headers that frame or route the message or carry credentials; policy may not set them. */
const PROTECTED_HEADERS =
  /^(host|content-.*|transfer-encoding|connection|te|trailer|upgrade|expect|authorization|cookie|proxy-.*|mcp-.*|x-egret-.*|traceparent|tracestate)$/i;

/** Headers that frame or route the message, or say what its body is: without them it would be another message. */
const KEPT_HEADERS =
  /^(host|content-.*|transfer-encoding|connection|keep-alive|te|trailer|upgrade|expect|proxy-.*|mcp-.*|sec-.*|grpc-.*|x-egret-.*)$/i;

export function carryOut(obligations: readonly Obligation[], call: Changeable): Changed {
  let current: Changed & { ok: true } = { ok: true, ...call };
  for (const obligation of obligations) {
    const next = carryOutOne(obligation, current);
    if (!next.ok) return next;
    current = next;
  }
  return current;
}

function carryOutOne(obligation: Obligation, call: Changed & { ok: true }): Changed {
  switch (obligation.kind) {
    case 'log':
      return call;
    case 'header':
      return setHeader(call, obligation['name'], obligation['value']);
    case 'request_header_remove':
      return removeHeader(call, obligation['name']);
    case 'redact':
      return change(call, 'replace', obligation['path'], obligation['replacement'] ?? REDACTED);
    case 'patch':
      return change(call, obligation['op'], obligation['path'], obligation['value']);
    default:
      return { ok: false, detail: `unknown obligation ${obligation.kind}` };
  }
}

function setHeader(call: Changed & { ok: true }, name: unknown, value: unknown): Changed {
  const fits =
    typeof name === 'string' &&
    typeof value === 'string' &&
    HEADER_NAME.test(name) &&
    HEADER_VALUE.test(value) &&
    !PROTECTED_HEADERS.test(name);
  if (!fits) return { ok: false, detail: 'header obligation without a permitted name and value' };
  const others = call.headers.filter(([key]) => key.toLowerCase() !== name.toLowerCase());
  return { ...call, headers: [...others, [name, value]] };
}

/** One that the call does not have is removed already. */
function removeHeader(call: Changed & { ok: true }, name: unknown): Changed {
  if (typeof name !== 'string' || !TOKEN.test(name) || KEPT_HEADERS.test(name)) {
    return { ok: false, detail: 'a header that may not be removed' };
  }
  const headers = call.headers.filter(([key]) => key.toLowerCase() !== name.toLowerCase());
  return { ...call, headers };
}

function change(call: Changed & { ok: true }, op: unknown, path: unknown, value: unknown): Changed {
  const pointer = typeof path === 'string' ? argumentPath(path) : null;
  if (pointer === null) return { ok: false, detail: 'path is not a JSON pointer under /arguments' };
  if (call.arguments === null) return { ok: false, detail: 'the call has no JSON arguments' };
  if (op !== 'remove' && value === undefined) return { ok: false, detail: 'value is missing' };
  const changed = edited(call.arguments, pointer, op, value as Json);
  if (changed === undefined) return { ok: false, detail: `cannot ${String(op)} ${String(path)}` };
  return { ...call, arguments: changed as JsonObject };
}

/** RFC 6901 pointer below `/arguments`, as its parts. */
function argumentPath(pointer: string): string[] | null {
  const [empty, root, ...parts] = pointer.split('/');
  if (empty !== '' || root !== 'arguments' || parts.length === 0) return null;
  return parts.map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** RFC 6902 add, replace and remove; undefined when the place does not exist. Copies what it changes. */
function edited(node: Json, path: readonly string[], op: unknown, value: Json): Json | undefined {
  const [key, ...rest] = path;
  if (key === undefined || node === null || typeof node !== 'object') return undefined;
  if (Array.isArray(node)) return editedArray(node as readonly Json[], key, rest, op, value);
  const object = node as JsonObject;
  const exists = Object.hasOwn(object, key);
  if (rest.length > 0) {
    const child = exists ? edited(object[key] as Json, rest, op, value) : undefined;
    return child === undefined ? undefined : withKey(object, key, child);
  }
  if (op === 'add' || (op === 'replace' && exists)) return withKey(object, key, value);
  if (op !== 'remove' || !exists) return undefined;
  return Object.fromEntries(Object.entries(object).filter(([name]) => name !== key));
}

/** A copy with one own property set, also for names such as `__proto__`. */
function withKey(object: JsonObject, key: string, value: Json): JsonObject {
  return Object.fromEntries([
    ...Object.entries(object).map(([name, old]) => [name, name === key ? value : old] as const),
    ...(Object.hasOwn(object, key) ? [] : [[key, value] as const]),
  ]);
}

function editedArray(
  list: readonly Json[],
  key: string,
  rest: readonly string[],
  op: unknown,
  value: Json,
): Json | undefined {
  const index = op === 'add' && key === '-' && rest.length === 0 ? list.length : arrayIndex(key);
  if (index === null || index > list.length) return undefined;
  if (op === 'add' && rest.length === 0) return list.toSpliced(index, 0, value);
  if (index === list.length) return undefined;
  if (rest.length > 0) {
    const child = edited(list[index] as Json, rest, op, value);
    return child === undefined ? undefined : list.with(index, child);
  }
  if (op === 'replace') return list.with(index, value);
  return op === 'remove' ? list.toSpliced(index, 1) : undefined;
}

const arrayIndex = (key: string) => (/^(0|[1-9][0-9]{0,8})$/.test(key) ? Number(key) : null);
