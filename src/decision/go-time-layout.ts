/**
 * Layouts of Go's time package, where a layout is how one certain moment would be written (`2006-01-02 15:04:05`):
 * formatting of a moment and reading of a text. Pure.
 */

/** A moment as a clock in some zone shows it. */
export interface ShownTime {
  /** Read as if it were UTC. */
  readonly local: Date;
  /** Within the second. */
  readonly nanoseconds: number;
  /** East of Greenwich. */
  readonly offsetSeconds: number;
  /** As `CET`. */
  readonly zoneName: () => string;
}

const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];
export const WEEKDAYS = [
  'Sunday',
  'Monday',
  'Tuesday',
  'Wednesday',
  'Thursday',
  'Friday',
  'Saturday',
];
const short = (name: string) => name.slice(0, 3);

/** The names of layouts that OPA knows. */
export const LAYOUTS: ReadonlyMap<string, string> = new Map([
  ['ANSIC', 'Mon Jan _2 15:04:05 2006'],
  ['UnixDate', 'Mon Jan _2 15:04:05 MST 2006'],
  ['RubyDate', 'Mon Jan 02 15:04:05 -0700 2006'],
  ['RFC822', '02 Jan 06 15:04 MST'],
  ['RFC822Z', '02 Jan 06 15:04 -0700'],
  ['RFC850', 'Monday, 02-Jan-06 15:04:05 MST'],
  ['RFC1123', 'Mon, 02 Jan 2006 15:04:05 MST'],
  ['RFC1123Z', 'Mon, 02 Jan 2006 15:04:05 -0700'],
  ['RFC3339', '2006-01-02T15:04:05Z07:00'],
  ['RFC3339Nano', '2006-01-02T15:04:05.999999999Z07:00'],
]);

/** The elements of a layout, longest first; a name in short form may not go on in lower case. */
const ELEMENT =
  /January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|Z070000|Z07:00:00|Z0700|Z07:00|Z07|-070000|-07:00:00|-0700|-07:00|-07|002|0[1-6]|15|1|2006|2|_2006|_2|__2|3|4|5|PM|pm|[.,](?:0+|9+)(?![0-9])/g;

/** Literals and elements in turn: the first is a literal. */
function elementsOf(layout: string): readonly string[] {
  const parts: string[] = [];
  let from = 0;
  for (const { 0: found, index } of layout.matchAll(ELEMENT)) {
    const underYear = found === '_2006'; // the mark belongs to the text before the year
    parts.push(layout.slice(from, index + (underYear ? 1 : 0)), underYear ? '2006' : found);
    from = index + found.length;
  }
  return [...parts, layout.slice(from)];
}

const pad = (value: number, width: number, fill = '0') => String(value).padStart(width, fill);

export function formatTime(time: ShownTime, layout: string): string {
  return elementsOf(layout)
    .map((part, i) => (i % 2 === 0 ? part : formatElement(time, part)))
    .join('');
}

function formatElement(time: ShownTime, element: string): string {
  const { local } = time;
  const [year, hour] = [local.getUTCFullYear(), local.getUTCHours()];
  const [month, day] = [local.getUTCMonth() + 1, local.getUTCDate()];
  const yearDay = Math.floor((local.getTime() - Date.UTC(year, 0, 1)) / 86_400_000) + 1;
  const monthName = MONTHS[month - 1] as string;
  const weekday = WEEKDAYS[local.getUTCDay()] as string;
  const simple: Readonly<Record<string, string>> = {
    January: monthName,
    Jan: short(monthName),
    Monday: weekday,
    Mon: short(weekday),
    '002': pad(yearDay, 3),
    __2: pad(yearDay, 3, ' '),
    '01': pad(month, 2),
    '1': String(month),
    '02': pad(day, 2),
    _2: pad(day, 2, ' '),
    '2': String(day),
    '15': pad(hour, 2),
    '03': pad(hour % 12 || 12, 2),
    '3': String(hour % 12 || 12),
    '04': pad(local.getUTCMinutes(), 2),
    '4': String(local.getUTCMinutes()),
    '05': pad(local.getUTCSeconds(), 2),
    '5': String(local.getUTCSeconds()),
    '06': pad(year % 100, 2),
    '2006': pad(year, 4),
    PM: hour >= 12 ? 'PM' : 'AM',
    pm: hour >= 12 ? 'pm' : 'am',
  };
  if (element === 'MST') return time.zoneName();
  const text = simple[element];
  if (text !== undefined) return text;
  return /^[.,]/.test(element) ? fraction(time, element) : offset(time.offsetSeconds, element);
}

function fraction({ nanoseconds }: ShownTime, element: string): string {
  const digits = pad(nanoseconds, 9)
    .padEnd(element.length - 1, '0')
    .slice(0, element.length - 1);
  const kept = element[1] === '9' ? digits.replace(/0+$/, '') : digits;
  return kept === '' ? '' : element[0] + kept;
}

function offset(seconds: number, element: string): string {
  if (element.startsWith('Z') && seconds === 0) return 'Z';
  const size = Math.abs(seconds);
  const hours = pad(Math.floor(size / 3600), 2);
  const minutes = pad(Math.floor(size / 60) % 60, 2);
  const parts = [hours, minutes, pad(size % 60, 2)];
  const bare = element.slice(1);
  const count = bare.replaceAll(':', '').length / 2;
  const separator = bare.includes(':') ? ':' : '';
  return (seconds < 0 ? '-' : '+') + parts.slice(0, count).join(separator);
}

/** What a text says; what it does not say is not there. */
interface Read {
  year: number;
  month: number;
  day: number;
  yearDay: number;
  hour: number;
  minute: number;
  second: number;
  nanoseconds: number;
  half: 'AM' | 'PM' | '';
  offsetSeconds: number;
}

/** Nanoseconds since 1970; null when the text does not fit the layout or names no real time. */
export function parseTime(text: string, layout: string): bigint | null {
  const read: Read = {
    year: 0,
    month: 0,
    day: 0,
    yearDay: 0,
    hour: 0,
    minute: 0,
    second: 0,
    nanoseconds: 0,
    half: '',
    offsetSeconds: 0,
  };
  let rest: string | null = text;
  const parts = elementsOf(layout);
  for (const [i, part] of parts.entries()) {
    rest = i % 2 === 0 ? skipLiteral(rest, part) : readElement(rest, part, read);
    if (rest === null) return null;
    // A fraction may follow the seconds although the layout has none.
    const next = parts[i + 2] ?? '';
    if (/^0?5$/.test(part) && i % 2 === 1 && !(parts[i + 1] === '' && /^[.,]/.test(next))) {
      rest = /^[.,][0-9]/.test(rest) ? readFraction(rest, read) : rest;
    }
  }
  return rest === '' ? nanosecondsOf(read) : null;
}

/** Spaces in a layout stand for any number of spaces. */
function skipLiteral(text: string, literal: string): string | null {
  let rest = text;
  for (let at = 0; at < literal.length; at++) {
    if (literal[at] === ' ') {
      if (rest.length > 0 && rest[0] !== ' ') return null;
      while (literal[at + 1] === ' ') at++;
      rest = rest.replace(/^ +/, '');
    } else {
      if (rest[0] !== literal[at]) return null;
      rest = rest.slice(1);
    }
  }
  return rest;
}

type Field = 'year' | 'month' | 'day' | 'yearDay' | 'hour' | 'minute' | 'second';

/** Elements that are numbers: how they look, where they go, and the largest. */
const NUMBERS: Readonly<Record<string, readonly [RegExp, Field, number]>> = {
  '2006': [/^[0-9]{4}/, 'year', 9999],
  '06': [/^[0-9]{2}/, 'year', 99],
  '01': [/^[0-9]{2}/, 'month', 12],
  '1': [/^[0-9]{1,2}/, 'month', 12],
  '02': [/^[0-9]{2}/, 'day', 99],
  '2': [/^[0-9]{1,2}/, 'day', 99],
  _2: [/^ ?[0-9]{1,2}/, 'day', 99],
  '002': [/^[0-9]{3}/, 'yearDay', 366],
  __2: [/^ {0,2}[0-9]{1,3}/, 'yearDay', 366],
  '15': [/^[0-9]{1,2}/, 'hour', 23],
  '03': [/^[0-9]{2}/, 'hour', 12],
  '3': [/^[0-9]{1,2}/, 'hour', 12],
  '04': [/^[0-9]{2}/, 'minute', 59],
  '4': [/^[0-9]{1,2}/, 'minute', 59],
  '05': [/^[0-9]{2}/, 'second', 59],
  '5': [/^[0-9]{1,2}/, 'second', 59],
};

function readElement(text: string, element: string, read: Read): string | null {
  if (Object.hasOwn(NUMBERS, element)) return readNumber(text, element, read);
  if (element === 'January' || element === 'Jan') return readMonth(text, element, read);
  if (element === 'Monday' || element === 'Mon') {
    return afterName(text, element === 'Mon' ? WEEKDAYS.map(short) : WEEKDAYS)?.rest ?? null;
  }
  if (element === 'PM' || element === 'pm') {
    const half = text.slice(0, 2);
    if (half.toUpperCase() !== 'AM' && half.toUpperCase() !== 'PM') return null;
    if ((half === half.toUpperCase()) !== (element === 'PM')) return null;
    read.half = half.toUpperCase() as 'AM' | 'PM';
    return text.slice(2);
  }
  if (element === 'MST') {
    // The name of a zone does not move the moment, because no zone is the local one.
    const name = /^(?:ChST|MeST|GMT[+-][0-9]{1,2}|[+-][0-9]{1,2}|[A-Z]{3,5}(?![A-Z]))/.exec(text);
    return name === null ? null : text.slice(name[0].length);
  }
  if (!/^[.,]/.test(element)) return readOffset(text, element, read);
  if (element[1] === '9') return /^[.,][0-9]/.test(text) ? readFraction(text, read) : text;
  const exact = text.slice(0, element.length);
  if (exact.length < element.length || !/^[.,][0-9]+$/.test(exact)) return null;
  return readFraction(exact, read) === null ? null : text.slice(element.length);
}

function readNumber(text: string, element: string, read: Read): string | null {
  const [pattern, field, largest] = NUMBERS[element] as (typeof NUMBERS)[string];
  const found = pattern.exec(text)?.[0];
  if (found === undefined || Number(found) > largest) return null;
  const value = Number(found);
  if ((field === 'month' || field === 'day' || field === 'yearDay') && value === 0) return null;
  read[field] = element === '06' ? value + (value >= 69 ? 1900 : 2000) : value;
  return text.slice(found.length);
}

function afterName(text: string, names: readonly string[]) {
  const start = text.toLowerCase();
  const index = names.findIndex((name) => start.startsWith(name.toLowerCase()));
  return index === -1 ? null : { index, rest: text.slice((names[index] as string).length) };
}

function readMonth(text: string, element: string, read: Read): string | null {
  const found = afterName(text, element === 'Jan' ? MONTHS.map(short) : MONTHS);
  if (found !== null) read.month = found.index + 1;
  return found?.rest ?? null;
}

function readFraction(text: string, read: Read): string {
  const digits = /^[.,]([0-9]*)/.exec(text)?.[1] ?? '';
  read.nanoseconds = Number(digits.slice(0, 9).padEnd(9, '0'));
  return text.slice(digits.length + 1);
}

function readOffset(text: string, element: string, read: Read): string | null {
  if (element.startsWith('Z') && text.startsWith('Z')) return text.slice(1);
  const bare = element.slice(1);
  const pattern = bare.replace(/07|00/g, '([0-9]{2})');
  const found = new RegExp(`^([+-])${pattern}`).exec(text);
  if (found === null) return null;
  const [hours, minutes, seconds] = [found[2], found[3], found[4]].map((part) => Number(part ?? 0));
  if (hours === undefined || minutes === undefined || seconds === undefined) return null;
  if (hours > 24 || minutes > 60 || seconds > 60) return null;
  read.offsetSeconds = (found[1] === '-' ? -1 : 1) * (hours * 3600 + minutes * 60 + seconds);
  return text.slice(found[0].length);
}

function nanosecondsOf(read: Read): bigint | null {
  let { month, day, hour } = read;
  if (read.half === 'PM' && hour < 12) hour += 12;
  if (read.half === 'AM' && hour === 12) hour = 0;
  const date = new Date(0);
  if (read.yearDay > 0) {
    date.setUTCFullYear(read.year, 0, read.yearDay);
    if (date.getUTCFullYear() !== read.year) return null;
    if (month !== 0 && month !== date.getUTCMonth() + 1) return null;
    if (day !== 0 && day !== date.getUTCDate()) return null;
    [month, day] = [date.getUTCMonth() + 1, date.getUTCDate()];
  }
  date.setUTCFullYear(read.year, (month || 1) - 1, day || 1);
  if (date.getUTCDate() !== (day || 1)) return null;
  date.setUTCHours(hour, read.minute, read.second);
  const seconds = BigInt(date.getTime() / 1000 - read.offsetSeconds);
  return seconds * 1_000_000_000n + BigInt(read.nanoseconds);
}
