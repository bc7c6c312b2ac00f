/**
 * Arguments of a call as one object, from several places on the wire. A key given different values
 * in two places is a clash and refuses the call: which one the tool takes is unknown. JSON pointers
 * are RFC 6901 over objects. Pure.
 */
import type { Refused } from './refused.ts';
import { refuse } from './refused.ts';
import type { Json, JsonObject } from './tool-call.ts';
import type { Parameters } from './urlencoded.ts';

export type Merged = { readonly ok: true; readonly arguments: JsonObject } | Refused;

export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** @returns `call.ambiguous_tool` on a clash. */
export function mergeArguments(sources: readonly JsonObject[]): Merged {
  const [first] = sources;
  if (sources.length === 1 && first !== undefined) return { ok: true, arguments: first };
  const merged = new Map<string, Json>();
  for (const source of sources) {
    for (const [key, value] of Object.entries(source)) {
      const other = merged.get(key);
      if (other !== undefined && JSON.stringify(other) !== JSON.stringify(value)) {
        return refuse('call.ambiguous_tool', 'one argument has two values');
      }
      merged.set(key, value);
    }
  }
  return { ok: true, arguments: Object.fromEntries(merged) };
}

/** One value as a string, several as an array. */
export const parameterArguments = (parameters: Parameters): JsonObject =>
  Object.fromEntries(
    Object.entries(parameters).map(([name, values]) => [
      name,
      values.length === 1 ? (values[0] as string) : values,
    ]),
  );

/**
 * Parts of the pointers seen so far. They stand in catalogues, so there are few; bounded all the
 * same.
 */
const partsOfPointers = new Map<string, readonly string[]>();
const POINTERS_MAX = 4_096;

function pointerParts(pointer: string): readonly string[] {
  const known = partsOfPointers.get(pointer);
  if (known !== undefined) return known;
  const parts = pointer
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  if (partsOfPointers.size < POINTERS_MAX) partsOfPointers.set(pointer, parts);
  return parts;
}

/** The value at a pointer, or undefined. Own properties only. */
export function valueAt(root: JsonObject, pointer: string): Json | undefined {
  let node: Json | undefined = root;
  for (const part of pointerParts(pointer)) {
    node = isObject(node) && Object.hasOwn(node, part) ? node[part] : undefined;
  }
  return node;
}

/** A copy without the values at some pointers; an object that becomes empty by that goes too. */
export function withoutValuesAt(root: JsonObject, pointers: readonly string[]): JsonObject {
  const keys = new Set<string>();
  let rest = root;
  for (const pointer of pointers) {
    const parts = pointerParts(pointer);
    if (parts.length === 1) keys.add(parts[0] as string);
    else rest = removed(rest, parts) ?? {};
  }
  const kept: [string, Json][] = [];
  for (const key of Object.keys(rest)) if (!keys.has(key)) kept.push([key, rest[key] as Json]);
  return Object.fromEntries(kept);
}

function removed(node: JsonObject, parts: readonly string[]): JsonObject | null {
  const [key, ...rest] = parts;
  if (key === undefined || !Object.hasOwn(node, key)) return node;
  const child = node[key];
  const kept = rest.length > 0 && isObject(child) ? removed(child, rest) : null;
  if (rest.length > 0 && !isObject(child)) return node;
  const entries = Object.entries(node).flatMap(([name, value]): [string, Json][] =>
    name !== key ? [[name, value]] : kept === null ? [] : [[name, kept]],
  );
  return entries.length === 0 ? null : Object.fromEntries(entries);
}
