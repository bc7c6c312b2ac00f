/**
 * Arguments of a call as one object, from several places on the wire. A key given different values in two places is a
 * clash and refuses the call: which one the tool takes is unknown. JSON pointers are RFC 6901 over objects. Pure.
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

export const pointerParts = (pointer: string): string[] =>
  pointer
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));

/** The value at a pointer, or undefined. Own properties only. */
export function valueAt(root: JsonObject, pointer: string): Json | undefined {
  let node: Json | undefined = root;
  for (const part of pointerParts(pointer)) {
    node = isObject(node) && Object.hasOwn(node, part) ? node[part] : undefined;
  }
  return node;
}

/** A copy without the value at a pointer; an object that becomes empty by that goes too. */
export function withoutValueAt(root: JsonObject, pointer: string): JsonObject {
  return removed(root, pointerParts(pointer)) ?? {};
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
