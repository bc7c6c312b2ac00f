/**
 * Host builtins on time, in UTC and in IANA zones, with the calendar rules of Go. The clock is the frozen time of
 * the evaluation. Zone rules come from the ICU data of the runtime; `Local` is no zone here, because a decision must
 * not depend on where it runs. Pure.
 */
import {
  type Builtin,
  type BuiltinContext,
  isArray,
  isNumber,
  ofText,
  ofTexts,
} from './builtin.ts';
import { formatTime, LAYOUTS, parseTime, WEEKDAYS } from './go-time-layout.ts';
import type { RegoValue } from './rego-value.ts';

const INT64_MAX = 2n ** 63n - 1n;
const NS_PER_SECOND = 1_000_000_000n;
const ZONE_NAME = /^[A-Za-z][A-Za-z0-9_+-]{0,31}(?:\/[A-Za-z0-9_+-]{1,31}){0,2}$/;
const ZONES_MAX = 64;
/** Asking ICU is much dearer than its result shows. */
const ZONE_STEPS = 20_000;
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

const STEPS_PER_LAYOUT_CHARACTER = 2000;

const layoutOf = (text: string) => LAYOUTS.get(text) ?? text;

const parsed = (text: string, layout: string, { charge }: BuiltinContext) => {
  charge((text.length + layout.length) * STEPS_PER_LAYOUT_CHARACTER);
  const ns = parseTime(text, layout);
  return ns === null ? undefined : inRange(ns);
};

const format: Builtin = ([value], context) => {
  const moment = momentOf(value, context);
  const layout = isArray(value) ? (value[2] ?? '') : '';
  if (moment === null || typeof layout !== 'string') return undefined;
  context.charge(layout.length * STEPS_PER_LAYOUT_CHARACTER);
  const seconds = floorDivide(moment.ns, NS_PER_SECOND);
  const local = new Date(moment.localSeconds * 1000);
  const time = {
    local,
    nanoseconds: Number(moment.ns - seconds * NS_PER_SECOND),
    offsetSeconds: moment.localSeconds - Number(seconds),
    zoneName: () => zoneName(moment, Number(seconds), context),
  };
  return formatTime(time, layoutOf(layout === '' ? 'RFC3339Nano' : layout));
};

/** Abbreviations that are used where a zone is; ICU has them by language. */
const LANGUAGES = ['en-US', 'en-GB', 'en-AU', 'en-IN', 'ja', 'en-NZ', 'en-ZA'];

const CALENDAR_CYCLE_SECONDS = 28 * 365.25 * 24 * 3600;

/** ICU has names from 1970 on: an equal day of a later year, if the zone has the same offset then. */
function namedSeconds({ zone, localSeconds }: Moment, seconds: number): number {
  if (seconds >= 0) return seconds;
  const later = seconds + Math.ceil(-seconds / CALENDAR_CYCLE_SECONDS) * CALENDAR_CYCLE_SECONDS;
  return offsetSeconds(zone, later) === localSeconds - seconds ? later : seconds;
}

/** As `CET`; where ICU knows none, the offset as Go writes it for zones without names. */
function zoneName(moment: Moment, seconds: number, { charge }: BuiltinContext): string {
  if (moment.zone === null) return 'UTC';
  const { timeZone } = moment.zone.resolvedOptions();
  for (const language of LANGUAGES) {
    charge(ZONE_STEPS);
    const parts = new Intl.DateTimeFormat(language, { timeZone, timeZoneName: 'short' });
    const name = parts
      .formatToParts(namedSeconds(moment, seconds) * 1000)
      .find(({ type }) => type === 'timeZoneName')?.value;
    if (name !== undefined && /^[A-Z]{3,5}$/.test(name)) return name;
  }
  const offset = Math.abs(moment.localSeconds - seconds);
  const minutes = Math.floor(offset / 60) % 60;
  const two = (value: number) => String(value).padStart(2, '0');
  const sign = moment.localSeconds < seconds ? '-' : '+';
  return `${sign}${two(Math.floor(offset / 3600))}${minutes === 0 ? '' : two(minutes)}`;
}

/** Years, months, days, hours, minutes and seconds between two moments, in the zone of the first. */
const difference: Builtin = ([a, b], context) => {
  const [x, y] = [momentOf(a, context), momentOf(b, context)];
  if (x === null || y === null) return undefined;
  const shown = ({ ns }: Moment) => {
    const seconds = Number(floorDivide(ns, NS_PER_SECOND));
    return new Date((seconds + offsetSeconds(x.zone, seconds)) * 1000);
  };
  const [from, to] = x.ns > y.ns ? [shown(y), shown(x)] : [shown(x), shown(y)];
  const fields = [
    to.getUTCFullYear() - from.getUTCFullYear(),
    to.getUTCMonth() - from.getUTCMonth(),
    to.getUTCDate() - from.getUTCDate(),
    to.getUTCHours() - from.getUTCHours(),
    to.getUTCMinutes() - from.getUTCMinutes(),
    to.getUTCSeconds() - from.getUTCSeconds(),
  ];
  const monthDays = new Date(Date.UTC(from.getUTCFullYear(), from.getUTCMonth() + 1, 0));
  const sizes = [Infinity, 12, monthDays.getUTCDate(), 24, 60, 60];
  for (let i = fields.length - 1; i > 0; i--) {
    if ((fields[i] as number) >= 0) continue;
    fields[i] = (fields[i] as number) + (sizes[i] as number);
    fields[i - 1] = (fields[i - 1] as number) - 1;
  }
  return fields;
};

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
  'time.diff': difference,
  'time.format': format,
  'time.parse_ns': ofTexts((layout, text, context) => parsed(text, layoutOf(layout), context)),
  'time.parse_rfc3339_ns': ofText((text, context) => parsed(text, layoutOf('RFC3339'), context)),
  'time.parse_duration_ns': parseDuration,
};
