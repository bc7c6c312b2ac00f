/**
 * Decimal digits of a double as C and Go print them: exact, with ties rounded to even (JavaScript's own toFixed and
 * toExponential round ties up). Takes finite numbers that are not negative. Pure.
 */

/** A double has no digits beyond these after the point; further places are zeros. */
const PLACES_MAX = 1100;

/** The exact value as a fraction of two integers. */
function fraction(value: number): { numerator: bigint; denominator: bigint } {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const biased = Number((bits >> 52n) & 0x7ffn);
  const mantissa = (bits & 0xfffffffffffffn) | (biased === 0 ? 0n : 1n << 52n);
  const exponent = Math.max(biased, 1) - 1075;
  return exponent >= 0
    ? { numerator: mantissa << BigInt(exponent), denominator: 1n }
    : { numerator: mantissa, denominator: 1n << BigInt(-exponent) };
}

/** value × 10^places, rounded half to even. */
function scaled(value: number, places: number): bigint {
  const { numerator, denominator } = fraction(value);
  const top = places >= 0 ? numerator * 10n ** BigInt(places) : numerator;
  const bottom = places >= 0 ? denominator : denominator * 10n ** BigInt(-places);
  const quotient = top / bottom;
  const twice = (top % bottom) * 2n;
  const up = twice > bottom || (twice === bottom && quotient % 2n === 1n);
  return up ? quotient + 1n : quotient;
}

/** `%f`: `places` digits after the point. */
export function fixedDigits(value: number, places: number): string {
  const exact = Math.min(places, PLACES_MAX);
  const digits = scaled(value, exact)
    .toString()
    .padStart(exact + 1, '0');
  if (places === 0) return digits;
  const point = digits.length - exact;
  return `${digits.slice(0, point)}.${digits.slice(point)}${'0'.repeat(places - exact)}`;
}

/** `%e`: one digit, the point, `places` digits, and an exponent of at least two digits. */
export function scientificDigits(value: number, places: number): string {
  const exact = Math.min(places, PLACES_MAX);
  const { digits, exponent } = significant(value, exact + 1);
  return exponential(digits + '0'.repeat(places - exact), exponent);
}

/** `%g`: the shorter of both forms. `precision` counts digits; null asks for as few as identify the number. */
export function generalDigits(value: number, precision: number | null): string {
  const wanted = precision === 0 ? 1 : precision;
  const { digits: all, exponent } =
    wanted === null ? shortest(value) : significant(value, Math.min(wanted, PLACES_MAX));
  const digits = all.replace(/0+$/, '') || '0';
  let limit = wanted ?? 6;
  if (limit > digits.length && digits.length >= exponent + 1) limit = digits.length;
  if (wanted === null) limit = 6;
  if (exponent < -4 || exponent >= limit) return exponential(digits, exponent);
  if (exponent < 0) return `0.${'0'.repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  return digits.length > exponent + 1 ? `${whole}.${digits.slice(exponent + 1)}` : whole;
}

function exponential(digits: string, exponent: number): string {
  const point = digits.length > 1 ? `.${digits.slice(1)}` : '';
  const size = Math.abs(exponent).toString().padStart(2, '0');
  return `${digits[0]}${point}e${exponent < 0 ? '-' : '+'}${size}`;
}

/** Exactly `count` digits, correctly rounded, and the power of ten of the first. */
function significant(value: number, count: number): { digits: string; exponent: number } {
  if (value === 0) return { digits: '0'.repeat(count), exponent: 0 };
  let { exponent } = shortest(value);
  let digits = scaled(value, count - 1 - exponent).toString();
  // The shortest form may have been rounded over a power of ten, and so may this one.
  if (digits.length !== count) {
    exponent += digits.length - count;
    digits = scaled(value, count - 1 - exponent).toString();
  }
  return { digits, exponent };
}

function shortest(value: number): { digits: string; exponent: number } {
  const [mantissa, exponent] = value.toExponential().split('e') as [string, string];
  return { digits: mantissa.replace('.', ''), exponent: Number(exponent) };
}
