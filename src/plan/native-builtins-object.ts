/**
 * Native builtins on objects, and on paths into documents (`json.filter`, `json.remove`). Pure.
 */
import { type Builtin, isArray, isSet } from '../decision/builtin.ts';
import type { RegoValue } from '../decision/rego-value.ts';
import type { Charge } from './value.ts';
import { memberOf, setOf, ValueObject, ValueSet, weightOf } from './value.ts';

const ITEM_STEPS = 20;

const get: Builtin = ([object, key, otherwise], { charge }) => {
  if (!(object instanceof ValueObject) || key === undefined) return undefined;
  if (!isArray(key)) {
    charge(weightOf(key));
    const member = object.get(key);
    return member === undefined ? otherwise : member;
  }
  let found: RegoValue | undefined = object;
  for (const part of key) {
    charge(weightOf(part));
    found = memberOf(found, part);
  }
  return found === undefined ? otherwise : found;
};

const keys: Builtin = ([object], { charge }) => {
  if (!(object instanceof ValueObject)) return undefined;
  charge(object.size * ITEM_STEPS);
  return setOf(object.keys());
};

/** Names of keys, given as an object, a list or a set. */
function keySet(value: RegoValue | undefined, charge: Charge): ValueSet | null {
  if (value === undefined) return null;
  charge(weightOf(value));
  if (value instanceof ValueSet) return value;
  if (value instanceof ValueObject) return setOf(value.keys());
  return isArray(value) ? setOf(value) : null;
}

const kept =
  (keep: boolean): Builtin =>
  ([object, names], { charge }) => {
    const chosen = keySet(names, charge);
    if (!(object instanceof ValueObject) || chosen === null) return undefined;
    charge(object.size * ITEM_STEPS);
    const result = new ValueObject();
    for (const [key, value] of object) if (chosen.has(key) === keep) result.set(key, value);
    return result;
  };

/** The second wins, except that objects in both are put together. */
function united(a: RegoValue, b: RegoValue, charge: Charge): RegoValue {
  if (!(a instanceof ValueObject && b instanceof ValueObject)) return b;
  charge((a.size + b.size) * ITEM_STEPS);
  const result = new ValueObject();
  for (const [key, value] of a) result.set(key, value);
  for (const [key, value] of b) {
    const old = a.get(key);
    result.set(key, old === undefined ? value : united(old, value, charge));
  }
  return result;
}

const union: Builtin = ([a, b], { charge }) =>
  a instanceof ValueObject && b instanceof ValueObject ? united(a, b, charge) : undefined;

const unionOfAll: Builtin = ([list], { charge }) => {
  if (!isArray(list) || !list.every((item) => item instanceof ValueObject)) return undefined;
  return list.reduce<RegoValue>((all, item) => united(all, item, charge), new ValueObject());
};

/** Paths as a tree of objects with null at their ends; a shorter path covers a longer one. */
function pathTree(paths: RegoValue | undefined, charge: Charge): ValueObject | null {
  if (!isArray(paths) && !isSet(paths)) return null;
  charge(weightOf(paths) * ITEM_STEPS);
  const tree = new ValueObject();
  for (const path of paths) {
    const parts = pathParts(path);
    if (parts === null) return null;
    const last = parts.at(-1);
    if (last !== undefined) endPath(tree, parts.slice(0, -1), last);
  }
  return tree;
}

function endPath(tree: ValueObject, parts: readonly RegoValue[], last: RegoValue): void {
  let node = tree;
  for (const part of parts) {
    const child = node.get(part);
    if (child === null) return;
    const next = child instanceof ValueObject ? child : new ValueObject();
    node.set(part, next);
    node = next;
  }
  node.set(last, null);
}

function pathParts(path: RegoValue): readonly RegoValue[] | null {
  if (isArray(path)) return path;
  if (typeof path !== 'string') return null;
  if (path === '') return [];
  return path
    .replace(/^\/+/, '')
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function without(
  value: RegoValue,
  tree: RegoValue | undefined,
  charge: Charge,
): RegoValue | undefined {
  charge(ITEM_STEPS);
  if (tree === null) return undefined;
  if (!(tree instanceof ValueObject)) return value;
  return rebuilt(value, (item, key) => without(item, tree.get(key), charge));
}

function filtered(
  value: RegoValue,
  tree: RegoValue | undefined,
  charge: Charge,
): RegoValue | undefined {
  charge(ITEM_STEPS);
  if (tree === null) return value;
  if (!(tree instanceof ValueObject)) return undefined;
  return rebuilt(value, (item, key) => filtered(item, tree.get(key), charge));
}

/** A copy of what `change` leaves; positions of arrays are texts in paths. */
function rebuilt(
  value: RegoValue,
  change: (item: RegoValue, key: RegoValue) => RegoValue | undefined,
): RegoValue {
  if (isArray(value)) {
    return value.map((item, i) => change(item, String(i))).filter((item) => item !== undefined);
  }
  if (value instanceof ValueSet) {
    return setOf([...value].map((item) => change(item, item)).filter((item) => item !== undefined));
  }
  if (!(value instanceof ValueObject)) return value;
  const object = new ValueObject();
  for (const [key, item] of value) {
    const changed = change(item, key);
    if (changed !== undefined) object.set(key, changed);
  }
  return object;
}

const onPaths =
  (change: typeof without): Builtin =>
  ([object, paths], { charge }) => {
    if (!(object instanceof ValueObject)) return undefined;
    const tree = pathTree(paths, charge);
    return tree === null ? undefined : change(object, tree, charge);
  };

export const OBJECT_BUILTINS: Readonly<Record<string, Builtin>> = {
  'object.get': get,
  'object.keys': keys,
  'object.filter': kept(true),
  'object.remove': kept(false),
  'object.union': union,
  'object.union_n': unionOfAll,
  'json.filter': onPaths(filtered),
  'json.remove': onPaths(without),
};
