/**
 * Native builtins on arrays and sets, and reachability in graphs. Pure.
 */
import { type Builtin, isArray, isNumber, isSet } from '../decision/builtin.ts';
import { type RegoValue, sortedRego } from '../decision/rego-value.ts';
import { setOf, ValueObject, ValueSet, weightOf } from './value.ts';

const ITEM_STEPS = 10;
const SORT_STEPS = 100;

const count: Builtin = ([value], { charge }) => {
  if (typeof value === 'string') {
    charge(value.length);
    return [...value].length;
  }
  if (isArray(value)) return value.length;
  return value instanceof ValueSet || value instanceof ValueObject ? value.size : undefined;
};

const sort: Builtin = ([value], { charge }) => {
  if (isArray(value)) {
    charge(weightOf(value) * SORT_STEPS);
    return sortedRego(value);
  }
  if (!(value instanceof ValueSet)) return undefined;
  charge(weightOf(value) * SORT_STEPS);
  return [...value.sorted()];
};

const every: Builtin = ([value], { charge }) => {
  if (!isArray(value) && !isSet(value)) return undefined;
  const items = [...value];
  charge(items.length);
  return items.every((item) => item === true);
};

const some: Builtin = ([value], { charge }) => {
  if (!isArray(value) && !isSet(value)) return undefined;
  const items = [...value];
  charge(items.length);
  return items.includes(true);
};

const joined: Builtin = ([a, b], { charge }) => {
  if (!isArray(a) || !isArray(b)) return undefined;
  charge((a.length + b.length) * ITEM_STEPS);
  return [...a, ...b];
};

const flattened: Builtin = ([list], { charge }) => {
  if (!isArray(list)) return undefined;
  const flat = list.flatMap((item): readonly RegoValue[] => (isArray(item) ? item : [item]));
  charge(flat.length * ITEM_STEPS);
  return flat;
};

const slice: Builtin = ([list, from, to], { charge }) => {
  if (!isArray(list) || !isNumber(from) || !isNumber(to)) return undefined;
  if (!Number.isInteger(from) || !Number.isInteger(to)) return undefined;
  const end = Math.min(Math.max(Number(to), 0), list.length);
  const start = Math.min(Math.max(Number(from), 0), end);
  charge((end - start) * ITEM_STEPS);
  return list.slice(start, end);
};

const reversed: Builtin = ([list], { charge }) => {
  if (!isArray(list)) return undefined;
  charge(list.length * ITEM_STEPS);
  return list.toReversed();
};

const union: Builtin = ([a, b], { charge }) => {
  if (!(a instanceof ValueSet && b instanceof ValueSet)) return undefined;
  charge((weightOf(a) + weightOf(b)) * ITEM_STEPS);
  return setOf([...a, ...b]);
};

const intersection: Builtin = ([a, b], { charge }) => {
  if (!(a instanceof ValueSet && b instanceof ValueSet)) return undefined;
  charge((weightOf(a) + weightOf(b)) * ITEM_STEPS);
  return setOf([...a].filter((item) => b.has(item)));
};

const setsOf = (value: RegoValue | undefined): readonly ValueSet[] | null => {
  if (!(value instanceof ValueSet)) return null;
  const sets = value.sorted();
  return sets.every((set) => set instanceof ValueSet) ? sets : null;
};

const unionOfAll: Builtin = ([value], { charge }) => {
  const sets = setsOf(value);
  if (sets === null) return undefined;
  charge(weightOf(value) * ITEM_STEPS);
  return setOf(sets.flatMap((set) => [...set]));
};

const intersectionOfAll: Builtin = ([value], { charge }) => {
  const sets = setsOf(value);
  if (sets === null) return undefined;
  charge(weightOf(value) * ITEM_STEPS);
  const [first, ...rest] = sets;
  return setOf([...(first ?? [])].filter((item) => rest.every((set) => set.has(item))));
};

const reachable: Builtin = ([graph, starts], { charge }) => {
  if (!(graph instanceof ValueObject) || !(isArray(starts) || isSet(starts))) return undefined;
  const reached = new ValueSet();
  const waiting: RegoValue[] = [...starts];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    charge(ITEM_STEPS * weightOf(node));
    const edges = graph.get(node);
    if (edges === undefined || reached.has(node)) continue;
    reached.add(node);
    if (isArray(edges) || isSet(edges)) waiting.push(...edges);
  }
  return reached;
};

export const COLLECTION_BUILTINS: Readonly<Record<string, Builtin>> = {
  count,
  sort,
  all: every,
  any: some,
  'array.concat': joined,
  'array.flatten': flattened,
  'array.slice': slice,
  'array.reverse': reversed,
  or: union,
  and: intersection,
  union: unionOfAll,
  intersection: intersectionOfAll,
  'graph.reachable': reachable,
};
