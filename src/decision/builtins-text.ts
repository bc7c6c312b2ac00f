/**
 * Host builtins on strings and collections: sprintf, matching, counting and subset. Every one is linear, or charges
 * for the product of its arguments before it starts. Pure.
 */
import { type Builtin, isArray, isNumber, isObject, isSet, ofTexts } from './builtin.ts';
import { sprintf } from './builtins-sprintf.ts';
import { canonicalRego, type RegoObject, type RegoValue } from './rego-value.ts';

const STEPS_PER_CHARACTER = 4;
/** One message can repeat its arguments, so output pays as much as the engine pays to read it. */
const STEPS_PER_OUTPUT_CHARACTER = 200;

/** A string, or the strings of an array or set; null when anything else is among them. */
function texts(value: RegoValue | undefined): readonly string[] | null {
  if (typeof value === 'string') return [value];
  if (!isArray(value) && !isSet(value)) return null;
  const items = [...value];
  return items.every((item) => typeof item === 'string') ? items : null;
}

const anyMatch =
  (matches: (text: string, part: string) => boolean): Builtin =>
  ([search, base], { charge }) => {
    const [list, parts] = [texts(search), texts(base)];
    if (list === null || parts === null) return undefined;
    const characters = parts.reduce((sum, part) => sum + part.length, 0);
    charge(list.length * (parts.length * 10 + characters / 4));
    return list.some((text) => parts.some((part) => matches(text, part)));
  };

/** Positions count code points and may overlap, as in OPA. */
const indexOfN = ofTexts((text, search, { charge }) => {
  if (search === '') return undefined;
  charge(text.length * (STEPS_PER_CHARACTER + search.length / 4));
  const positions: number[] = [];
  let codePoints = 0;
  let counted = 0;
  for (let at = text.indexOf(search); at !== -1; at = text.indexOf(search, at + 1)) {
    for (; counted < at; counted += (text.codePointAt(counted) as number) > 0xffff ? 2 : 1)
      codePoints++;
    positions.push(codePoints);
  }
  return positions;
});

/** Occurrences that do not overlap; an empty search counts the gaps between code points, as in Go. */
const count = ofTexts((text, search) => {
  if (search === '') return [...text].length + 1;
  let found = 0;
  for (let at = text.indexOf(search); at !== -1; at = text.indexOf(search, at + search.length))
    found++;
  return found;
});

/** The first `n` parts; negative: the last ones. */
const splitN: Builtin = ([text, separator, number]) => {
  if (typeof text !== 'string' || typeof separator !== 'string') return undefined;
  if (!isNumber(number) || (typeof number === 'number' && !Number.isInteger(number))) {
    return undefined;
  }
  const parts = separator === '' ? [...text] : text.split(separator);
  if (number < 0) return parts.slice(Math.max(0, parts.length + Number(number)));
  return parts.slice(0, Number(number));
};

const subset: Builtin = ([larger, smaller], { charge }) => {
  if (isObject(larger) && isObject(smaller)) return holdsObject(larger, smaller, charge);
  if (isSet(larger) && isSet(smaller)) return holdsAll(larger, smaller);
  if (isArray(larger) && isSet(smaller)) return holdsAll(larger, smaller);
  if (isArray(larger) && isArray(smaller)) return holdsRun(larger, smaller, charge);
  return undefined;
};

function holds(larger: RegoValue, smaller: RegoValue, charge: (steps: number) => void): boolean {
  if (isObject(larger) && isObject(smaller)) return holdsObject(larger, smaller, charge);
  if (isSet(larger) && isSet(smaller)) return holdsAll(larger, smaller);
  if (isArray(larger) && isArray(smaller)) return holdsRun(larger, smaller, charge);
  return canonicalRego(larger) === canonicalRego(smaller);
}

function holdsObject(larger: RegoObject, smaller: RegoObject, charge: (steps: number) => void) {
  const byKey = new Map([...larger].map(([key, value]) => [canonicalRego(key), value]));
  for (const [key, value] of smaller) {
    const own = byKey.get(canonicalRego(key));
    if (own === undefined || !holds(own, value, charge)) return false;
  }
  return true;
}

function holdsAll(larger: Iterable<RegoValue>, smaller: Iterable<RegoValue>): boolean {
  const keys = new Set([...larger].map(canonicalRego));
  return [...smaller].every((item) => keys.has(canonicalRego(item)));
}

/** OPA asks for the items in a row. */
function holdsRun(
  larger: readonly RegoValue[],
  smaller: readonly RegoValue[],
  charge: (steps: number) => void,
): boolean {
  charge(larger.length * smaller.length);
  const [all, run] = [larger.map(canonicalRego), smaller.map(canonicalRego)];
  return (
    all.some((_, start) => run.every((item, i) => all[start + i] === item)) || run.length === 0
  );
}

export const TEXT_BUILTINS: Readonly<Record<string, Builtin>> = {
  sprintf: ([format, values], { charge }) => {
    if (typeof format !== 'string' || !isArray(values)) return undefined;
    return sprintf(format, values, (characters) => charge(characters * STEPS_PER_OUTPUT_CHARACTER));
  },
  'strings.any_prefix_match': anyMatch((text, part) => text.startsWith(part)),
  'strings.any_suffix_match': anyMatch((text, part) => text.endsWith(part)),
  'strings.count': count,
  'strings.split_n': splitN,
  indexof_n: indexOfN,
  'object.subset': subset,
};
