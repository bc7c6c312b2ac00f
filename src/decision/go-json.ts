/**
 * JSON text as Go's encoding/json writes the JSON form of a Rego value: keys sorted by bytes, sets as sorted arrays,
 * `<`, `>`, `&` and line separators escaped. Pure.
 */
import { isArray, isObject, isSet } from './builtin.ts';
import { compareRego, type RegoValue, sortedRego } from './rego-value.ts';

export interface GoJsonLayout {
  readonly prefix: string;
  readonly indent: string;
  /** Called with the characters of every line break before it is made. */
  readonly charge: (characters: number) => void;
}

const ESCAPED: Readonly<Record<string, string>> = {
  '<': '\\u003c',
  '>': '\\u003e',
  '&': '\\u0026',
  '\u2028': '\\u2028',
  '\u2029': '\\u2029',
};

const textOf = (text: string) =>
  JSON.stringify(text).replace(/[<>&\u2028\u2029]/g, (mark) => ESCAPED[mark] as string);

/** @param layout null for one line without spaces. */
export function goJson(value: RegoValue, layout: GoJsonLayout | null = null, depth = 0): string {
  if (typeof value === 'string') return textOf(value);
  if (value === null || typeof value !== 'object') return String(value);
  if (isObject(value)) {
    const colon = layout === null ? ':' : ': ';
    const members = jsonMembers(value).map(
      ([key, item]) => `${textOf(key)}${colon}${goJson(item, layout, depth + 1)}`,
    );
    return `{${joined(members, layout, depth)}}`;
  }
  const items = isArray(value) ? value : sortedRego(value as ReadonlySet<RegoValue>);
  return `[${joined(
    items.map((item) => goJson(item, layout, depth + 1)),
    layout,
    depth,
  )}]`;
}

/** Members by name in the order of bytes; a key that is no string is named by its JSON text. */
function jsonMembers(object: ReadonlyMap<RegoValue, RegoValue>): readonly [string, RegoValue][] {
  const members = [...object].map(([key, item]): [string, RegoValue] => [
    typeof key === 'string' ? key : goJson(key),
    item,
  ]);
  return members.sort(([a], [b]) => compareRego(a, b));
}

function joined(parts: readonly string[], layout: GoJsonLayout | null, depth: number): string {
  if (layout === null || parts.length === 0) return parts.join(',');
  const { prefix, indent, charge } = layout;
  charge((parts.length + 1) * (prefix.length + indent.length * (depth + 1)));
  const outer = `\n${prefix}${indent.repeat(depth)}`;
  const inner = outer + indent;
  return inner + parts.join(`,${inner}`) + outer;
}

/** The value as JSON knows it: no sets, only names as keys. */
export function plainJson(value: RegoValue): RegoValue {
  if (isSet(value)) return sortedRego(value).map(plainJson);
  if (isArray(value)) return value.map(plainJson);
  if (!isObject(value)) return value;
  return new Map(
    jsonMembers(value).map(([key, item]): [RegoValue, RegoValue] => [key, plainJson(item)]),
  );
}
