/**
 * Arithmetic on decimals, as OPA's WebAssembly does it: 0.1 + 0.2 is 0.3. A number stands for the shortest decimal
 * that reads back as it. Whole results of any size are exact; fractions are rounded once, at the end. Pure.
 */

/** digits x 10^exponent */
export interface Decimal {
  readonly digits: bigint;
  readonly exponent: number;
}

/** Digits of a quotient in OPA's module, where everything else is exact. */
const QUOTIENT_DIGITS = 18;
/** Exponents beyond this cannot come from a number and would make endless zeros. */
export const EXPONENT_MAX = 4096;

const NUMBER = /^(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?$/;

export function decimalOf(value: number | bigint): Decimal {
  if (typeof value === 'bigint') return { digits: value, exponent: 0 };
  if (Number.isSafeInteger(value)) return { digits: BigInt(value), exponent: 0 };
  return decimalFrom(String(value)) ?? { digits: 0n, exponent: 0 };
}

/** @returns null when the text is no decimal number, or one with a huge exponent. */
export function decimalFrom(text: string): Decimal | null {
  const match = NUMBER.exec(text);
  if (match === null) return null;
  const [, sign = '', whole = '', fraction = '', power = '0'] = match;
  const exponent = Number(power) - fraction.length;
  if (Math.abs(exponent) > EXPONENT_MAX) return null;
  return { digits: BigInt(`${sign}${whole}${fraction}`), exponent };
}

export function numberOf({ digits, exponent }: Decimal): number | bigint {
  if (exponent >= 0) return whole(digits * 10n ** BigInt(exponent));
  const unit = 10n ** BigInt(-exponent);
  if (digits % unit === 0n) return whole(digits / unit);
  return Number(`${digits}e${exponent}`);
}

const whole = (value: bigint) =>
  value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;

function aligned(a: Decimal, b: Decimal): readonly [bigint, bigint, number] {
  const exponent = Math.min(a.exponent, b.exponent);
  const scaled = (d: Decimal) => d.digits * 10n ** BigInt(d.exponent - exponent);
  return [scaled(a), scaled(b), exponent];
}

export function plus(a: Decimal, b: Decimal): Decimal {
  const [x, y, exponent] = aligned(a, b);
  return { digits: x + y, exponent };
}

export function minus(a: Decimal, b: Decimal): Decimal {
  const [x, y, exponent] = aligned(a, b);
  return { digits: x - y, exponent };
}

export const times = (a: Decimal, b: Decimal): Decimal => ({
  digits: a.digits * b.digits,
  exponent: a.exponent + b.exponent,
});

/** @returns null for a division by zero. */
export function over(a: Decimal, b: Decimal): Decimal | null {
  if (b.digits === 0n) return null;
  const shift = Math.max(0, QUOTIENT_DIGITS + 2 + lengthOf(b.digits) - lengthOf(a.digits));
  const scaled = a.digits * 10n ** BigInt(shift);
  const exponent = a.exponent - b.exponent - shift;
  const whole = scaled / b.digits;
  // A digit that stands for the rest, so that what lies just above a half is rounded up.
  const sticky = scaled % b.digits === 0n ? 0n : scaled < 0n === b.digits < 0n ? 1n : -1n;
  return trimmed(shortened({ digits: whole * 10n + sticky, exponent: exponent - 1 }));
}

const lengthOf = (value: bigint) => String(value < 0n ? -value : value).length;

/** Rounded to the digits of a quotient; half goes away from zero. */
function shortened({ digits, exponent }: Decimal): Decimal {
  const extra = lengthOf(digits) - QUOTIENT_DIGITS;
  if (extra <= 0) return { digits, exponent };
  const unit = 10n ** BigInt(extra);
  const half = digits < 0n ? -unit / 2n : unit / 2n;
  return { digits: (digits + half) / unit, exponent: exponent + extra };
}

function trimmed(value: Decimal): Decimal {
  let { digits, exponent } = value;
  for (; exponent < 0 && digits !== 0n && digits % 10n === 0n; exponent++) digits /= 10n;
  return { digits, exponent };
}

/** The whole number below, above or nearest; half goes away from zero. */
export function rounded(
  { digits, exponent }: Decimal,
  way: 'floor' | 'ceil' | 'round',
): number | bigint {
  if (exponent >= 0) return numberOf({ digits, exponent });
  const unit = 10n ** BigInt(-exponent);
  const truncated = digits / unit;
  const rest = digits % unit;
  if (way === 'floor') return whole(rest < 0n ? truncated - 1n : truncated);
  if (way === 'ceil') return whole(rest > 0n ? truncated + 1n : truncated);
  const far = (rest < 0n ? -rest : rest) * 2n >= unit;
  return whole(far ? truncated + (digits < 0n ? -1n : 1n) : truncated);
}
