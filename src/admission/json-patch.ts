/**
 * The JSON Patch (RFC 6902) that makes one document of another: add, replace and remove only. Equal documents give an
 * empty patch. Pure.
 */
import { isDeepStrictEqual } from 'node:util';

export type PatchOperation =
  | { readonly op: 'add' | 'replace'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string };
export type JsonPatch = readonly PatchOperation[];

export function patchBetween(from: unknown, to: unknown, path = ''): PatchOperation[] {
  if (isDeepStrictEqual(from, to)) return [];
  if (Array.isArray(from) && Array.isArray(to)) return arrays(from, to, path);
  if (isObject(from) && isObject(to)) return objects(from, to, path);
  return [{ op: 'replace', path, value: to }];
}

function objects(from: JsonObject, to: JsonObject, path: string): PatchOperation[] {
  const removed = Object.keys(from)
    .filter((key) => !Object.hasOwn(to, key))
    .map((key): PatchOperation => ({ op: 'remove', path: `${path}/${escaped(key)}` }));
  const rest = Object.entries(to).flatMap(([key, value]): PatchOperation[] => {
    const at = `${path}/${escaped(key)}`;
    return Object.hasOwn(from, key)
      ? patchBetween(from[key], value, at)
      : [{ op: 'add', path: at, value }];
  });
  return [...removed, ...rest];
}

/** What both begin and end with stays; between, the shorter one's elements change and the others come or go. */
function arrays(from: readonly unknown[], to: readonly unknown[], path: string): PatchOperation[] {
  const least = Math.min(from.length, to.length);
  let start = 0;
  while (start < least && isDeepStrictEqual(from[start], to[start])) start += 1;
  let end = 0;
  while (end < least - start && isDeepStrictEqual(from.at(-1 - end), to.at(-1 - end))) end += 1;
  const before = from.length - end - start;
  const after = to.length - end - start;
  // New ones come first, as the sidecar does; the rest change in place.
  const come = Math.max(0, after - before);
  const go = Math.max(0, before - after);
  const operations: PatchOperation[] = [];
  for (let at = go - 1; at >= 0; at -= 1) {
    operations.push({ op: 'remove', path: `${path}/${start + at}` });
  }
  for (let at = start; at < start + come; at += 1) {
    operations.push({ op: 'add', path: `${path}/${at}`, value: to[at] });
  }
  for (let at = start + come; at < start + after; at += 1) {
    operations.push(...patchBetween(from[at - come + go], to[at], `${path}/${at}`));
  }
  return operations;
}

type JsonObject = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const escaped = (key: string) => key.replaceAll('~', '~0').replaceAll('/', '~1');
