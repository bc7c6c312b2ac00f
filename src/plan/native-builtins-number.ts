/**
 * Native builtins on numbers: decimal arithmetic, bits, ranges, aggregates. Pure.
 */
import {
  type Builtin,
  type BuiltinContext,
  isArray,
  isNumber,
  isSet,
} from '../decision/builtin.ts';
import { compareRego, type RegoValue } from '../decision/rego-value.ts';
import {
  type Decimal,
  decimalFrom,
  decimalOf,
  minus,
  numberOf,
  over,
  plus,
  rounded,
  times,
} from './decimal.ts';
import { ValueSet, weightOf } from './value.ts';

const ITEM_STEPS = 40;

const onNumbers =
  (compute: (a: Decimal, b: Decimal) => Decimal | null): Builtin =>
  ([a, b], context) => {
    if (!isNumber(a) || !isNumber(b)) return undefined;
    const result = compute(decimalOf(a), decimalOf(b));
    return result === null ? undefined : checked(numberOf(result), context);
  };

/** Pays for a large number by its length, so that doubling one over and over ends. */
function checked(value: number | bigint, { charge }: BuiltinContext): number | bigint {
  if (typeof value === 'bigint') charge(value.toString(16).length);
  return value;
}

const integer = (value: RegoValue | undefined): bigint | null => {
  if (typeof value === 'bigint') return value;
  return typeof value === 'number' && Number.isInteger(value) ? BigInt(value) : null;
};

const plain = (value: bigint) => numberOf({ digits: value, exponent: 0 });

const onIntegers =
  (compute: (a: bigint, b: bigint) => bigint | undefined): Builtin =>
  ([a, b], context) => {
    const [x, y] = [integer(a), integer(b)];
    const result = x === null || y === null ? undefined : compute(x, y);
    return result === undefined ? undefined : checked(plain(result), context);
  };

const toWhole =
  (way: 'floor' | 'ceil' | 'round'): Builtin =>
  ([value]) =>
    isNumber(value) ? rounded(decimalOf(value), way) : undefined;

const shiftLeft: Builtin = ([a, b], context) => {
  const [value, bits] = [integer(a), integer(b)];
  if (value === null || bits === null || bits < 0n) return undefined;
  context.charge(Number(bits));
  return checked(plain(value << bits), context);
};

/** `a - b` of numbers or of sets. */
const minusOrDifference: Builtin = (args, context) => {
  const [a, b] = args;
  if (!(a instanceof ValueSet && b instanceof ValueSet)) return onNumbers(minus)(args, context);
  context.charge(weightOf(a) * ITEM_STEPS);
  const rest = new ValueSet();
  for (const item of a) if (!b.has(item)) rest.add(item);
  return rest;
};

const items = (value: RegoValue | undefined, { charge }: BuiltinContext) => {
  if (!isArray(value) && !isSet(value)) return null;
  const list: readonly RegoValue[] = [...value];
  charge(list.length * ITEM_STEPS);
  return list;
};

const aggregate =
  (start: bigint, step: (a: Decimal, b: Decimal) => Decimal): Builtin =>
  ([value], context) => {
    const list = items(value, context);
    if (list === null || !list.every(isNumber)) return undefined;
    let total: Decimal = { digits: start, exponent: 0 };
    for (const item of list) {
      total = step(total, decimalOf(item));
      context.charge(Math.abs(total.exponent) + total.digits.toString(16).length);
    }
    return numberOf(total);
  };

const extreme =
  (better: (order: number) => boolean): Builtin =>
  ([value], context) => {
    const list = items(value, context);
    if (list === null) return undefined;
    context.charge(weightOf(value) * ITEM_STEPS);
    return list.reduce<RegoValue | undefined>(
      (best, item) => (best === undefined || better(compareRego(item, best)) ? item : best),
      undefined,
    );
  };

const range: Builtin = ([a, b], { charge }) => {
  const [from, to] = [integer(a), integer(b)];
  if (from === null || to === null) return undefined;
  const length = (to > from ? to - from : from - to) + 1n;
  charge(Number(length) * ITEM_STEPS);
  const step = to >= from ? 1n : -1n;
  return Array.from({ length: Number(length) }, (_, i) => plain(from + step * BigInt(i)));
};

/** Go's grammar of numbers, as far as JSON has it. */
const toNumber: Builtin = ([value]) => {
  if (value === null) return 0;
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (isNumber(value)) return value;
  if (typeof value !== 'string' || !/^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$/.test(value)) {
    return undefined;
  }
  const decimal = decimalFrom(value);
  return decimal === null ? undefined : numberOf(decimal);
};

const BASES: ReadonlySet<number> = new Set([2, 8, 10, 16]);

const formatInt: Builtin = ([value, base]) => {
  if (!isNumber(value) || typeof base !== 'number' || !BASES.has(base)) return undefined;
  const decimal = decimalOf(value);
  const way = decimal.digits < 0n ? 'ceil' : 'floor';
  return rounded(decimal, way).toString(base);
};

export const NUMBER_BUILTINS: Readonly<Record<string, Builtin>> = {
  plus: onNumbers(plus),
  minus: minusOrDifference,
  mul: onNumbers(times),
  div: onNumbers(over),
  rem: onIntegers((a, b) => (b === 0n ? undefined : a % b)),
  abs: ([value]) => {
    if (!isNumber(value)) return undefined;
    return value < 0 ? -value : value;
  },
  round: toWhole('round'),
  ceil: toWhole('ceil'),
  floor: toWhole('floor'),
  'bits.or': onIntegers((a, b) => a | b),
  'bits.and': onIntegers((a, b) => a & b),
  'bits.xor': onIntegers((a, b) => a ^ b),
  'bits.negate': ([value]) => {
    const number = integer(value);
    return number === null ? undefined : plain(~number);
  },
  'bits.lsh': shiftLeft,
  'bits.rsh': onIntegers((a, b) => (b < 0n ? undefined : a >> b)),
  'numbers.range': range,
  sum: aggregate(0n, plus),
  product: aggregate(1n, times),
  max: extreme((order) => order > 0),
  min: extreme((order) => order < 0),
  to_number: toNumber,
  format_int: formatInt,
};
