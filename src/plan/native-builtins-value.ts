/**
 * Native builtins about any value: comparing, types, membership. Pure.
 */
import type { Builtin, BuiltinContext } from '../decision/builtin.ts';
import { compareRego, type RegoValue, regoType } from '../decision/rego-value.ts';
import { entriesOf, equalRego, memberOf, ValueObject, ValueSet, weightOf } from './value.ts';

/** Comparing sorts sets and keys, so it costs a few steps for each thing that a value holds. */
const COMPARE_STEPS = 40;

const ordered =
  (holds: (order: number) => boolean): Builtin =>
  ([a, b], { charge }) => {
    if (a === undefined || b === undefined) return undefined;
    charge(COMPARE_STEPS * Math.min(weightOf(a), weightOf(b)));
    return holds(compareRego(a, b));
  };

const isType =
  (...names: readonly string[]): Builtin =>
  ([value]) =>
    value === undefined ? undefined : names.includes(regoType(value));

function isMember(
  value: RegoValue | undefined,
  collection: RegoValue | undefined,
  { charge }: BuiltinContext,
): boolean {
  if (collection instanceof ValueSet && value !== undefined) {
    charge(weightOf(value));
    return collection.has(value);
  }
  if (collection instanceof ValueObject) {
    return [...collection.values()].some((item) => equalRego(item, value, charge));
  }
  return Array.isArray(collection) && collection.some((item) => equalRego(item, value, charge));
}

/** Every path to every value inside, the value itself first. */
const walk: Builtin = ([value], { charge }) => {
  const found: RegoValue[] = [];
  const visit = (node: RegoValue, path: readonly RegoValue[]) => {
    charge(COMPARE_STEPS + path.length);
    found.push([path, node]);
    for (const [key, child] of entriesOf(node)) visit(child, [...path, key]);
  };
  if (value !== undefined) visit(value, []);
  return found;
};

export const VALUE_BUILTINS: Readonly<Record<string, Builtin>> = {
  equal: ([a, b], { charge }) => equalRego(a, b, charge),
  neq: ([a, b], { charge }) => !equalRego(a, b, charge),
  gt: ordered((order) => order > 0),
  gte: ordered((order) => order >= 0),
  lt: ordered((order) => order < 0),
  lte: ordered((order) => order <= 0),
  is_number: isType('number'),
  is_string: isType('string'),
  is_boolean: isType('boolean'),
  is_array: isType('array'),
  is_set: isType('set'),
  is_object: isType('object'),
  is_null: isType('null'),
  type_name: ([value]) => (value === undefined ? undefined : regoType(value)),
  walk,
  'internal.member_2': ([value, collection], context) => isMember(value, collection, context),
  'internal.member_3': ([key, value, collection], { charge }) =>
    equalRego(memberOf(collection, key), value, charge),
};
