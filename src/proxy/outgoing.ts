/**
 * Makes the request that leaves from the one that policy saw, by carrying out the obligations of the permit. Without
 * obligations the bytes are exactly those that came. An argument can only be changed where policy saw it as it stands
 * in the body: a changed call whose two readings differ is refused instead. Pure.
 */
import { isDeepStrictEqual } from 'node:util';
import { parseStrictJson } from '../call/strict-json.ts';
import type { Json, JsonObject } from '../call/tool-call.ts';
import { carryOut } from '../decision/obligation.ts';
import type { Obligation } from '../decision/verdict.ts';
import type { Recognition } from './route.ts';
import type { OutgoingRequest } from './upstream.ts';

export type Outgoing =
  | { readonly ok: true; readonly request: OutgoingRequest }
  | { readonly ok: false; readonly detail: string };

type Recognized = Recognition & { ok: true };

const CHANGES_ARGUMENTS: ReadonlySet<string> = new Set(['redact', 'patch']);

export function changeOutgoing(
  recognition: Recognized,
  obligations: readonly Obligation[],
): Outgoing {
  const { outgoing } = recognition;
  if (obligations.length === 0) return { ok: true, request: outgoing };
  const paths = obligations
    .filter((obligation) => CHANGES_ARGUMENTS.has(obligation.kind))
    .map((obligation) => String(obligation['path']));
  const body = paths.length === 0 ? null : bodyArguments(recognition, paths);
  if (paths.length > 0 && body === null) {
    return { ok: false, detail: 'the arguments do not stand in the body as policy saw them' };
  }
  const changed = carryOut(obligations, {
    arguments: body?.arguments ?? null,
    headers: outgoing.headers,
  });
  if (!changed.ok) return changed;
  return {
    ok: true,
    request: {
      ...outgoing,
      headers: changed.headers,
      body: body === null ? outgoing.body : rendered(body, changed.arguments as JsonObject),
    },
  };
}

interface BodyArguments {
  readonly root: JsonObject;
  readonly arguments: JsonObject;
  readonly place: 'json_root' | 'mcp_params';
}

/** The arguments inside the body, if every one of `paths` means the same there as in what policy saw. */
function bodyArguments(recognition: Recognized, paths: readonly string[]): BodyArguments | null {
  const { place, outgoing, call } = recognition;
  if (place === null || outgoing.body === null) return null;
  const parsed = parseStrictJson(outgoing.body);
  if (!parsed.ok) return null;
  const root = asObject(parsed.value);
  const found = place === 'json_root' ? root : asObject(asObject(root?.['params'])?.['arguments']);
  if (root === null || found === null) return null;
  const same = paths.every((path) => {
    const key = (path.split('/')[2] ?? '').replaceAll('~1', '/').replaceAll('~0', '~');
    const [seen, sent] = [ownValue(call.arguments, key), ownValue(found, key)];
    return isDeepStrictEqual(seen, sent);
  });
  return same ? { root, arguments: found, place } : null;
}

const ownValue = (object: JsonObject, key: string): Json | undefined =>
  Object.hasOwn(object, key) ? object[key] : undefined;

function asObject(value: Json | undefined): JsonObject | null {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
    ? (value as JsonObject)
    : null;
}

function rendered(body: BodyArguments, changed: JsonObject): Uint8Array {
  const root =
    body.place === 'json_root'
      ? changed
      : { ...body.root, params: { ...(body.root['params'] as JsonObject), arguments: changed } };
  return new TextEncoder().encode(JSON.stringify(root));
}
