/**
 * Host builtins on versions, sizes, addresses and identifiers: semver.*, units.parse_bytes, net.cidr_is_valid and
 * uuid.parse, with the same idea of what is valid as OPA. Pure.
 */
import { type Builtin, ofText, ofTexts } from './builtin.ts';
import type { RegoValue } from './rego-value.ts';

interface Version {
  readonly numbers: readonly bigint[];
  readonly preRelease: string;
}

const IDENTIFIERS = /^[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*$/;
const INT64_MAX = 2n ** 63n - 1n;

function parseVersion(text: string): Version | null {
  const [beforeMeta, metadata] = cut(text.startsWith('v') ? text.slice(1) : text, '+');
  const [core, preRelease] = cut(beforeMeta, '-');
  for (const part of [metadata, preRelease])
    if (part !== '' && !IDENTIFIERS.test(part)) return null;
  const parts = core.split('.');
  if (parts.length !== 3 || !parts.every((part) => /^[+-]?[0-9]{1,40}$/.test(part))) return null;
  const numbers = parts.map((part) => BigInt(part.replace('+', '')));
  return numbers.every((n) => n <= INT64_MAX && n >= -INT64_MAX - 1n)
    ? { numbers, preRelease }
    : null;
}

function cut(text: string, separator: string): readonly [string, string] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

function compareVersions(a: Version, b: Version): number {
  for (let i = 0; i < 3; i++) {
    const order = sign(a.numbers[i] as bigint, b.numbers[i] as bigint);
    if (order !== 0) return order;
  }
  if (a.preRelease === b.preRelease) return 0;
  if (a.preRelease === '' || b.preRelease === '') return a.preRelease === '' ? 1 : -1;
  const [x, y] = [a.preRelease.split('.'), b.preRelease.split('.')];
  for (let i = 0; i < Math.min(x.length, y.length); i++) {
    const order = compareIdentifiers(x[i] as string, y[i] as string);
    if (order !== 0) return order;
  }
  return sign(x.length, y.length);
}

function compareIdentifiers(a: string, b: string): number {
  const [aNumeric, bNumeric] = [/^[0-9]+$/.test(a), /^[0-9]+$/.test(b)];
  if (aNumeric !== bNumeric) return aNumeric ? -1 : 1;
  return aNumeric ? sign(clamped(a), clamped(b)) : sign(a, b);
}

/** As strconv.Atoi, whose result for a number too large is the largest. The length bounds the conversion. */
const clamped = (digits: string) => {
  const significant = digits.replace(/^0+(?=.)/, '');
  const value = significant.length > 19 ? INT64_MAX : BigInt(significant);
  return value > INT64_MAX ? INT64_MAX : value;
};

const sign = <T extends bigint | number | string>(a: T, b: T) => (a < b ? -1 : a > b ? 1 : 0);

const UNITS: Readonly<Record<string, bigint>> = Object.fromEntries([
  ['', 1n],
  ...['k', 'm', 'g', 't', 'p', 'e'].flatMap((letter, i) => {
    const [decimal, binary] = [1000n ** BigInt(i + 1), 1024n ** BigInt(i + 1)];
    return [
      [letter, decimal],
      [`${letter}b`, decimal],
      [`${letter}i`, binary],
      [`${letter}ib`, binary],
    ] as const;
  }),
]);

/** OPA multiplies 64-bit binary fractions; this is exact, so the last digit of a fraction may differ by one. */
const parseBytes = ofText((raw) => {
  const text = raw.toLowerCase().replaceAll('"', '');
  const match = /^([+-]?)([0-9]*)(?:\.([0-9]*))?(?:e([+-]?[0-9]{1,6}))?([a-z]*)$/.exec(text);
  if (match === null || text.length > 1024) return undefined;
  const [, minus, whole = '', fraction = '', exponent, unit = ''] = match;
  const factor = Object.hasOwn(UNITS, unit) ? UNITS[unit] : undefined;
  if (factor === undefined || whole + fraction === '') return undefined;
  const shift = Number(exponent ?? 0) - fraction.length;
  if (shift > 1000) return undefined;
  const digits = BigInt(whole + fraction) * factor;
  const bytes =
    shift >= 0 ? digits * 10n ** BigInt(shift) : digits / 10n ** BigInt(Math.min(-shift, 2100));
  return minus === '-' ? -bytes : bytes;
});

const UUID =
  /^(?:urn:uuid:)?([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})$/i;
const BARE_UUID = /^([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})$/i;
/** 100 ns intervals from 15 October 1582 to 1970. */
const GREGORIAN_OFFSET = 122_192_928_000_000_000n;

const parseUuid = ofText((text) => {
  const bare = text.length === 38 ? text.slice(1, -1) : text; // in braces; Go does not look which
  const match = UUID.exec(bare) ?? BARE_UUID.exec(bare);
  if (match === null) return undefined;
  const [, low = '', middle = '', high = '', clock = '', node = ''] = match;
  const version = Number.parseInt(high[0] as string, 16);
  const fields = new Map<RegoValue, RegoValue>([
    ['version', version],
    ['variant', uuidVariant(Number.parseInt(clock[0] as string, 16))],
  ]);
  if (version !== 1 && version !== 2) return fields;
  const ticks = BigInt(`0x${high.slice(1)}${middle}${low}`);
  fields.set('time', (ticks - GREGORIAN_OFFSET) * 100n);
  fields.set('nodeid', node.toLowerCase().replace(/..(?=.)/g, '$&-'));
  fields.set('macvariables', macVariables(Number.parseInt(node.slice(0, 2), 16)));
  fields.set('clocksequence', Number.parseInt(clock, 16) & 0x3fff);
  if (version === 2) {
    const domain = Number.parseInt(clock.slice(2), 16);
    fields.set('id', Number.parseInt(low, 16));
    fields.set('domain', ['Person', 'Group', 'Org'][domain] ?? `Domain${domain}`);
  }
  return fields;
});

function uuidVariant(digit: number): string {
  if ((digit & 0xc) === 0x8) return 'RFC4122';
  if ((digit & 0xe) === 0xc) return 'Microsoft';
  return (digit & 0xe) === 0xe ? 'Future' : 'Reserved';
}

const macVariables = (byte: number) =>
  `${(byte & 2) !== 0 ? 'local' : 'global'}:${(byte & 1) !== 0 ? 'multicast' : 'unicast'}`;

export const VERSION_BUILTINS: Readonly<Record<string, Builtin>> = {
  'semver.is_valid': ([text]) => typeof text === 'string' && parseVersion(text) !== null,
  'semver.compare': ofTexts((a, b) => {
    const [x, y] = [parseVersion(a), parseVersion(b)];
    return x === null || y === null ? undefined : compareVersions(x, y);
  }),
  'units.parse_bytes': parseBytes,
  'uuid.parse': parseUuid,
};
