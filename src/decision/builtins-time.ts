/**
 * Host builtins on time, in UTC and in IANA zones, with the calendar rules of Go. The clock is the frozen time of
 * the evaluation. Zone rules come from the ICU data of the runtime; `Local` is no zone here, because a decision must
 * not depend on where it runs. Pure.
 */
import { type Builtin, type BuiltinContext, isArray, isNumber, ofText } from './builtin.ts';
import type { RegoValue } from './rego-value.ts';

const INT64_MAX = 2n ** 63n - 1n;
const NS_PER_SECOND = 1_000_000_000n;
const ZONE_NAME = /^[A-Za-z][A-Za-z0-9_+-]{0,31}(?:\/[A-Za-z0-9_+-]{1,31}){0,2}$/;
const ZONES_MAX = 64;
/** Asking ICU is much dearer than its result shows. */
const ZONE_STEPS = 20_000;
const WEEKDAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];

interface Moment {
  readonly ns: bigint;
  /** Seconds since 1970 of what a clock in the zone shows, read as if it were UTC. */
  readonly localSeconds: number;
  readonly zone: Intl.DateTimeFormat | null;
}

/** Formatters by zone; what they say never changes, so keeping them cannot be observed. */
const formatters = new Map<string, Intl.DateTimeFormat>();

function zoneOf(name: string): Intl.DateTimeFormat | null {
  const known = formatters.get(name);
  if (known !== undefined) return known;
  if (!ZONE_NAME.test(name) || name === 'Local') return null;
  try {
    const formatter = new Intl.DateTimeFormat('en-US-u-ca-gregory-nu-latn', {
      timeZone: name,
      hourCycle: 'h23',
      era: 'short',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    if (formatters.size >= ZONES_MAX) formatters.clear();
    formatters.set(name, formatter);
    return formatter;
  } catch (error) {
    if (error instanceof RangeError) return null; // no such zone
    throw error;
  }
}

/** Shown local time minus UTC in seconds. */
function offsetSeconds(zone: Intl.DateTimeFormat | null, unixSeconds: number): number {
  if (zone === null) return 0;
  const fields: Record<string, string> = {};
  for (const { type, value } of zone.formatToParts(unixSeconds * 1000)) fields[type] = value;
  const number = (name: string) => Number(fields[name]);
  const year = fields['era'] === 'BC' ? 1 - number('year') : number('year');
  const shown = new Date(0);
  shown.setUTCFullYear(year, number('month') - 1, number('day'));
  shown.setUTCHours(number('hour'), number('minute'), number('second'));
  return shown.getTime() / 1000 - unixSeconds;
}

/** A time is nanoseconds, or `[nanoseconds, zone]`; a third item (a layout) does not matter here. */
function momentOf(value: RegoValue | undefined, context: BuiltinContext): Moment | null {
  const [time, zoneName = ''] = isArray(value) ? value : [value];
  if (!isNumber(time) || typeof zoneName !== 'string') return null;
  if (typeof time === 'number' && !Number.isInteger(time)) return null;
  const ns = BigInt(time);
  if (ns > INT64_MAX || ns < -INT64_MAX - 1n) return null;
  const utc = zoneName === '' || zoneName === 'UTC';
  if (!utc) context.charge(ZONE_STEPS);
  const zone = utc ? null : zoneOf(zoneName);
  if (!utc && zone === null) return null;
  const seconds = Number(floorDivide(ns, NS_PER_SECOND));
  return { ns, zone, localSeconds: seconds + offsetSeconds(zone, seconds) };
}

const floorDivide = (a: bigint, b: bigint) => a / b - (a % b < 0n ? 1n : 0n);

/** A builtin of one moment that looks at its local date. */
const ofMoment =
  (compute: (local: Date) => RegoValue): Builtin =>
  ([value], context) => {
    const moment = momentOf(value, context);
    return moment === null ? undefined : compute(new Date(moment.localSeconds * 1000));
  };

const addDate: Builtin = ([value, ...amounts], context) => {
  const moment = momentOf(value, context);
  const fits = (n: RegoValue | undefined): n is number =>
    typeof n === 'number' && Number.isInteger(n) && Math.abs(n) < 1e7;
  const [years, months, days] = amounts;
  if (moment === null || !fits(years) || !fits(months) || !fits(days)) return undefined;
  const date = new Date(moment.localSeconds * 1000);
  date.setUTCFullYear(
    date.getUTCFullYear() + years,
    date.getUTCMonth() + months,
    date.getUTCDate() + days,
  );
  const local = date.getTime() / 1000;
  if (Number.isNaN(local)) return undefined;
  // As Go: first as if the local time were UTC, then once more from what that gave.
  const guess = offsetSeconds(moment.zone, local);
  const offset = guess === 0 ? 0 : offsetSeconds(moment.zone, local - guess);
  const fraction = moment.ns - floorDivide(moment.ns, NS_PER_SECOND) * NS_PER_SECOND;
  return inRange(BigInt(local - offset) * NS_PER_SECOND + fraction);
};

const inRange = (ns: bigint) => (ns <= INT64_MAX && ns >= -INT64_MAX - 1n ? ns : undefined);

const RFC3339 =
  /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:[.,](\d+))?(?:Z|([+-])(\d{2}):(\d{2}))$/;

const parseRfc3339 = ofText((text) => {
  const match = text.length > 128 ? null : RFC3339.exec(text);
  if (match === null) return undefined;
  const part = (index: number) => Number(match[index] ?? 0);
  const [year, month, day, hour, minute, second] = [1, 2, 3, 4, 5, 6].map(part) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  date.setUTCHours(hour, minute, second);
  const real = date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  if (!real || hour > 23 || minute > 59 || second > 59 || part(9) > 24 || part(10) > 60)
    return undefined;
  const offset = (match[8] === '-' ? -1 : 1) * (part(9) * 3600 + part(10) * 60);
  const fraction = BigInt((match[7] ?? '').slice(0, 9).padEnd(9, '0'));
  return inRange(BigInt(date.getTime() / 1000 - offset) * NS_PER_SECOND + fraction);
});

const DURATION_UNITS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
  d: 24 * 3600e9,
  w: 7 * 24 * 3600e9,
  y: 365 * 24 * 3600e9,
};

const parseDuration = ofText((text) => {
  const match = text.length > 256 ? null : /^([+-]?)(.+)$/.exec(text);
  if (match === null) return undefined;
  const [, sign, rest = ''] = match;
  if (rest === '0') return 0;
  const segment = /(\d*)(?:\.(\d*))?([a-zµμ]+)/gy;
  let total = 0n;
  for (let at = 0; at < rest.length; at = segment.lastIndex) {
    segment.lastIndex = at;
    const found = segment.exec(rest);
    if (found === null) return undefined;
    const [, whole = '', fraction = '', unit = ''] = found;
    const size = Object.hasOwn(DURATION_UNITS, unit) ? DURATION_UNITS[unit] : undefined;
    if (size === undefined || whole + fraction === '') return undefined;
    total += BigInt(whole || '0') * BigInt(size);
    if (fraction !== '') total += BigInt(Math.trunc(Number(`0.${fraction}`) * size));
  }
  return inRange(sign === '-' ? -total : total);
});

export const TIME_BUILTINS: Readonly<Record<string, Builtin>> = {
  'time.now_ns': (_, context) => context.timeNs,
  'time.date': ofMoment((t) => [t.getUTCFullYear(), t.getUTCMonth() + 1, t.getUTCDate()]),
  'time.clock': ofMoment((t) => [t.getUTCHours(), t.getUTCMinutes(), t.getUTCSeconds()]),
  'time.weekday': ofMoment((t) => WEEKDAYS[t.getUTCDay()] as string),
  'time.add_date': addDate,
  'time.parse_rfc3339_ns': parseRfc3339,
  'time.parse_duration_ns': parseDuration,
};
