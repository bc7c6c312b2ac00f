/**
 * Host builtins on numbers and quantities, and what is random: numbers.range_step, units.*, rand.intn and
 * uuid.rfc4122. Randomness is a function of the seed of the evaluation and the arguments, so equal calls in one
 * evaluation give equal values, as in OPA, and a recorded seed replays them. Pure.
 */
import { createHmac } from 'node:crypto';
import { type Builtin, type BuiltinContext, BuiltinRefused, isNumber, ofText } from './builtin.ts';
import { type RegoValue, renderRego } from './rego-value.ts';

const STEPS_PER_NUMBER = 1000;
/** Larger powers of ten would be large only to be large. */
const EXPONENT_MAX = 5000;

function integerOf(value: RegoValue | undefined): bigint | null {
  if (!isNumber(value)) return null;
  return typeof value === 'bigint' || Number.isInteger(value) ? BigInt(value) : null;
}

const narrow = (value: bigint): number | bigint =>
  Number.isSafeInteger(Number(value)) ? Number(value) : value;

const range =
  (stepOf: (args: readonly RegoValue[]) => RegoValue | undefined): Builtin =>
  (args, { charge }) => {
    const [from, to, step] = [integerOf(args[0]), integerOf(args[1]), integerOf(stepOf(args))];
    if (from === null || to === null || step === null || step <= 0n) return undefined;
    const distance = from < to ? to - from : from - to;
    const signed = from < to ? step : -step;
    charge(Number(distance / step + 1n) * STEPS_PER_NUMBER);
    const numbers: RegoValue[] = [];
    for (let i = 0n; i <= distance / step; i++) numbers.push(narrow(from + i * signed));
    return numbers;
  };

const binaryPowers = Object.fromEntries(
  ['ki', 'mi', 'gi', 'ti', 'pi', 'ei'].map((unit, i) => [unit, 1024n ** BigInt(i + 1)]),
);
const decimalPowers = Object.fromEntries(
  ['k', 'm', 'g', 't', 'p', 'e'].map((unit, i) => [unit, 1000n ** BigInt(i + 1)]),
);

/** The exact value of the double 0.001, as a fraction of 2^60: OPA's milli is that double. */
const MILLI = BigInt(0.001 * 2 ** 60);
const MILLI_PARTS = 2n ** 60n;

/** Units of units.parse as fractions; `m` is milli and `M` is mega. */
function unitOf(unit: string): readonly [bigint, bigint] | null {
  if (unit === '') return [1n, 1n];
  if (unit === 'm') return [MILLI, MILLI_PARTS];
  const name = unit.toLowerCase();
  const size = Object.hasOwn(binaryPowers, name) ? binaryPowers[name] : decimalPower(name);
  return size === undefined ? null : [size, 1n];
}

const decimalPower = (name: string) =>
  Object.hasOwn(decimalPowers, name) ? decimalPowers[name] : undefined;

const parseUnits = ofText((raw, { charge }) => {
  const text = raw.replaceAll('"', '');
  const match = /^([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,6}))?([a-zA-Z]*)$/.exec(text);
  if (match === null) return undefined;
  const [, sign, whole = '', fraction = '', exponent = '0', unitName = ''] = match;
  const unit = unitOf(unitName);
  if (unit === null || whole + fraction === '') return undefined;
  const shift = Number(exponent) - fraction.length;
  charge(Math.abs(shift) > EXPONENT_MAX + text.length ? Infinity : text.length ** 2 + shift ** 2);
  const [up, down] = shift >= 0 ? [10n ** BigInt(shift), 1n] : [1n, 10n ** BigInt(-shift)];
  const top = BigInt(whole + fraction) * unit[0] * up * (sign === '-' ? -1n : 1n);
  const bottom = unit[1] * down;
  return top % bottom === 0n ? narrow(top / bottom) : decimal(top, bottom);
});

/** Ten places, ties away from zero. */
function decimal(top: bigint, bottom: bigint): number {
  const size = top < 0n ? -top : top;
  const scaled = (size * 20_000_000_000n + bottom) / (2n * bottom);
  const digits = scaled.toString().padStart(11, '0');
  const text = `${digits.slice(0, -10)}.${digits.slice(-10)}`;
  return Number(text) * (top < 0n ? -1 : 1);
}

/** Sixteen bytes that only the seed and the arguments decide. */
function seededBytes(name: string, args: readonly RegoValue[], { seed }: BuiltinContext): Buffer {
  if (seed === undefined) throw new BuiltinRefused(`${name}: this evaluation has no random seed`);
  return createHmac('sha256', seed)
    .update(JSON.stringify([name, ...args.map(renderRego)]))
    .digest()
    .subarray(0, 16);
}

const randomInteger: Builtin = ([key, size], context) => {
  const limit = integerOf(size);
  if (typeof key !== 'string' || limit === null) return undefined;
  if (limit === 0n) return 0;
  const values = limit < 0n ? -limit : limit;
  const bytes = seededBytes('rand.intn', [key, narrow(values)], context);
  return narrow(BigInt(`0x${bytes.toString('hex')}`) % values);
};

const randomUuid: Builtin = ([key], context) => {
  if (key === undefined) return undefined;
  const bytes = seededBytes('uuid.rfc4122', [key], context);
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
};

export const NUMBER_BUILTINS: Readonly<Record<string, Builtin>> = {
  'numbers.range': range(() => 1),
  'numbers.range_step': range(([, , step]) => step),
  'units.parse': parseUnits,
  'rand.intn': randomInteger,
  'uuid.rfc4122': randomUuid,
  /** A policy sees nothing of the process it runs in. */
  'opa.runtime': () => new Map(),
  trace: ofText(() => true),
};
