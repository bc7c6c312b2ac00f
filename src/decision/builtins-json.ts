/**
 * Host builtins on JSON documents: json.patch and json.marshal_with_options. Pure.
 */
import { type Builtin, isArray, isObject, isSet } from './builtin.ts';
import { goJson } from './go-json.ts';
import { canonicalRego, compareRego, type RegoValue } from './rego-value.ts';

const STEPS_PER_OUTPUT_CHARACTER = 200;
const STEPS_PER_ITEM = 200;

type Path = readonly RegoValue[];
/** What an operation gives; null when the path leads nowhere. */
type Edit = (value: RegoValue) => RegoValue | null;
type Charge = (steps: number) => void;

/** A text `/a/b`, whose first slash may be missing, or an array of keys. */
function pathOf(value: RegoValue | undefined): Path | null {
  if (isArray(value)) return value;
  if (typeof value !== 'string') return null;
  if (value === '') return [];
  const parts = value.replace(/^\/+/, '').split('/');
  return parts.map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** A place in an array, `-` for the end; null when it is none. */
function placeOf(key: RegoValue, length: number): number | null {
  if (key === '-') return length;
  const text = typeof key === 'number' || typeof key === 'string' ? String(key) : '';
  const place = /^(?:0|[1-9][0-9]{0,15})$/.test(text) ? Number(text) : -1;
  return place >= 0 && place <= length ? place : null;
}

const keyIn = (object: ReadonlyMap<RegoValue, RegoValue>, key: RegoValue) =>
  object.has(key)
    ? key
    : [...object.keys()].find((own) => typeof own === 'object' && compareRego(own, key) === 0);

/** The value at a path; undefined when there is none. */
function valueAt(value: RegoValue, path: Path, charge: Charge): RegoValue | undefined {
  let at: RegoValue | undefined = value;
  for (const key of path) {
    if (isArray(at)) {
      const place = placeOf(key, at.length);
      at = place === null ? undefined : at[place];
    } else if (isObject(at)) {
      charge(at.size);
      const own = keyIn(at, key);
      at = own === undefined ? undefined : at.get(own);
    } else if (isSet(at)) {
      charge(at.size * STEPS_PER_ITEM);
      at = [...at].find((item) => compareRego(item, key) === 0);
    } else return undefined;
  }
  return at;
}

/** Rebuilds what is on the way to the last key of a path, where `edit` gets the collection. */
function editAt(value: RegoValue, path: Path, edit: Edit, charge: Charge): RegoValue | null {
  const [key, ...rest] = path;
  if (rest.length === 0 || key === undefined) return edit(value);
  const inner = valueAt(value, [key], charge);
  const changed = inner === undefined ? null : editAt(inner, rest, edit, charge);
  if (changed === null) return null;
  if (isArray(value)) {
    charge(value.length);
    return value.with(placeOf(key, value.length) as number, changed);
  }
  if (isObject(value)) {
    charge(value.size);
    return new Map([...value, [keyIn(value, key) as RegoValue, changed]]);
  }
  charge((value as ReadonlySet<RegoValue>).size * STEPS_PER_ITEM);
  const others = [...(value as ReadonlySet<RegoValue>)].filter((item) => item !== inner);
  return withItem(others, changed);
}

function withItem(items: readonly RegoValue[], item: RegoValue): RegoValue {
  return new Set(items.some((own) => compareRego(own, item) === 0) ? items : [...items, item]);
}

function insert(value: RegoValue, path: Path, item: RegoValue, charge: Charge): RegoValue | null {
  const key = path.at(-1);
  if (key === undefined) return item;
  const edit: Edit = (at) => {
    if (isArray(at)) {
      const place = placeOf(key, at.length);
      return place === null ? null : at.toSpliced(place, 0, item);
    }
    if (isObject(at)) return new Map([...at, [keyIn(at, key) ?? key, item]]);
    // What is in a set is its own key.
    return isSet(at) && compareRego(key, item) === 0 ? withItem([...at], item) : null;
  };
  return editAt(value, path, edit, charge);
}

function remove(value: RegoValue, path: Path, charge: Charge): RegoValue | null {
  const key = path.at(-1);
  if (key === undefined) return null;
  const edit: Edit = (at) => {
    const found = valueAt(at, [key], charge);
    if (found === undefined) return null;
    if (isArray(at)) return at.toSpliced(placeOf(key, at.length) as number, 1);
    if (isObject(at)) return new Map([...at].filter(([own]) => compareRego(own, key) !== 0));
    return new Set([...(at as ReadonlySet<RegoValue>)].filter((item) => item !== found));
  };
  return editAt(value, path, edit, charge);
}

/** Null when the operation fails or is none. */
function applied(document: RegoValue, operation: RegoValue, charge: Charge): RegoValue | null {
  if (!isObject(operation)) return null;
  const path = pathOf(operation.get('path'));
  const value = operation.get('value');
  const name = operation.get('op');
  if (path === null || typeof name !== 'string') return null;
  const moved = () => {
    const from = pathOf(operation.get('from'));
    const found = from === null ? undefined : valueAt(document, from, charge);
    return from === null || found === undefined ? null : { from, found };
  };
  switch (name) {
    case 'add':
      return value === undefined ? null : insert(document, path, value, charge);
    case 'remove':
      return path.length === 0 ? null : remove(document, path, charge);
    case 'replace': {
      if (value === undefined) return null;
      const without = path.length === 0 ? document : remove(document, path, charge);
      return without === null ? null : insert(without, path, value, charge);
    }
    case 'move': {
      const one = moved();
      if (one === null) return null;
      const without = one.from.length === 0 ? document : remove(document, one.from, charge);
      return without === null ? null : insert(without, path, one.found, charge);
    }
    case 'copy': {
      const one = moved();
      return one === null ? null : insert(document, path, one.found, charge);
    }
    case 'test': {
      const found = valueAt(document, path, charge);
      const same = found !== undefined && value !== undefined && compareRego(found, value) === 0;
      return same ? document : null;
    }
    default:
      return null;
  }
}

const patch: Builtin = ([document, operations], { charge }) => {
  if (document === undefined || !isArray(operations)) return undefined;
  let result = document;
  for (const operation of operations) {
    charge(STEPS_PER_ITEM);
    const next = applied(result, operation, charge);
    if (next === null) return undefined;
    result = next;
  }
  return result;
};

const marshal: Builtin = ([value, options], { charge }) => {
  if (value === undefined || !isObject(options)) return undefined;
  const known = new Set<RegoValue>(['prefix', 'indent', 'pretty']);
  if ([...options.keys()].some((key) => !known.has(key))) return undefined;
  const { prefix = '', indent = '\t', pretty } = Object.fromEntries(options);
  if (typeof prefix !== 'string' || typeof indent !== 'string') return undefined;
  if (pretty !== undefined && typeof pretty !== 'boolean') return undefined;
  const wanted = pretty ?? (options.has('prefix') || options.has('indent'));
  if (!wanted) return goJson(value);
  const pay = (characters: number) => charge(characters * STEPS_PER_OUTPUT_CHARACTER);
  return prefix + goJson(value, { prefix, indent, charge: pay });
};

/** OPA's graph builtin: the paths from some nodes along edges to where they end or meet themselves. */
const reachablePaths: Builtin = ([graph, initial], { charge }) => {
  if (!isObject(graph) || (!isArray(initial) && !isSet(initial))) return undefined;
  const edges = new Map([...graph].map(([node, to]) => [canonicalRego(node), neighbours(to)]));
  const paths = new Map<string, RegoValue>();
  const keep = (path: readonly RegoValue[]) => {
    charge((path.length + 1) * STEPS_PER_ITEM);
    paths.set(canonicalRego(path), path);
  };
  const follow = (node: RegoValue, path: readonly RegoValue[], reached: ReadonlySet<string>) => {
    const key = canonicalRego(node);
    const next = edges.get(key);
    charge((path.length + 1) * STEPS_PER_ITEM);
    if (next === undefined) return keep(path);
    const longer = [...path, node];
    if (next.length === 0) return keep(longer);
    const seen = new Set([...reached, key]);
    for (const neighbour of next) {
      if (seen.has(canonicalRego(neighbour))) keep(longer);
      else follow(neighbour, longer, seen);
    }
  };
  for (const node of initial) {
    if (edges.has(canonicalRego(node))) follow(node, [], new Set());
  }
  return new Set(paths.values());
};

const neighbours = (value: RegoValue): readonly RegoValue[] =>
  isArray(value) || isSet(value) ? [...value] : [];

export const JSON_BUILTINS: Readonly<Record<string, Builtin>> = {
  'json.patch': patch,
  'json.marshal_with_options': marshal,
  'graph.reachable_paths': reachablePaths,
};
