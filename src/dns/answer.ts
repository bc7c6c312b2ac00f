/**
 * What a query is answered: the one synthetic address for names that may be asked for, "no such name" for all others,
 * "refused" for every type that can carry data. Depends on nothing but the query and the configured set; no query is
 * ever sent on, so a name tells nobody outside anything. Pure.
 */
import { type Answer, CLASS_IN, type Query, TYPE } from './message.ts';
import type { NameKind } from './names.ts';

export interface Zone {
  readonly ipv4: Uint8Array;
  /** Null: names have no IPv6 address. */
  readonly ipv6: Uint8Array | null;
  /** Seconds an address may be kept. */
  readonly ttlSeconds: number;
}

/** Seconds a "no" may be kept at most: a policy activated a moment later may list the name. */
export const NEGATIVE_TTL_SECONDS_MAX = 5;

const LOOPBACK: Zone = {
  ipv4: Uint8Array.of(127, 0, 0, 1),
  ipv6: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1),
  ttlSeconds: 3600,
};
/** Types that get an answer about the name; a "no" for HTTPS and SVCB keeps clients from HTTP/3 and from ECH. */
const ANSWERED: ReadonlySet<number> = new Set(Object.values(TYPE));

/**
 * Decides on one query. Names that nobody may ask for do not exist, instead of being refused: resolvers go on to the
 * next search domain only after "no such name", and some wait for their timeout after "refused".
 */
export function answerFor(query: Query, kind: NameKind, zone: Zone): Answer {
  if (query.edns !== null && query.edns.version !== 0) return { kind: 'bad_version' };
  if (query.class !== CLASS_IN || !ANSWERED.has(query.type)) return { kind: 'refused' };
  const negativeTtl = Math.min(zone.ttlSeconds, NEGATIVE_TTL_SECONDS_MAX);
  switch (kind) {
    case 'listed':
      return addressFrom(zone, query.type) ?? { kind: 'no_data', ttlSeconds: negativeTtl };
    case 'loopback':
      return addressFrom(LOOPBACK, query.type) ?? { kind: 'no_data', ttlSeconds: negativeTtl };
    case 'ancestor':
      return { kind: 'no_data', ttlSeconds: negativeTtl };
    case 'reverse':
    case 'expansion':
    case 'unlisted':
      return { kind: 'no_name', ttlSeconds: negativeTtl };
  }
}

function addressFrom({ ipv4, ipv6, ttlSeconds }: Zone, type: number): Answer | null {
  const address = type === TYPE.A ? ipv4 : type === TYPE.AAAA ? ipv6 : null;
  return address === null ? null : { kind: 'address', address, ttlSeconds };
}

/**
 * The zone of the configured addresses.
 * @throws RangeError when a text is no address of its family.
 */
export function createZone(configured: {
  readonly ipv4: string;
  readonly ipv6?: string | undefined;
  readonly ttlSeconds: number;
}): Zone {
  const { ipv4, ipv6, ttlSeconds } = configured;
  return { ipv4: ipv4Bytes(ipv4), ipv6: ipv6 === undefined ? null : ipv6Bytes(ipv6), ttlSeconds };
}

function ipv4Bytes(text: string): Uint8Array {
  const parts = text.split('.');
  const plain = parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255);
  if (parts.length !== 4 || !plain) throw notAddress('an IPv4', text);
  return Uint8Array.from(parts, Number);
}

function ipv6Bytes(text: string): Uint8Array {
  const url = /^[0-9a-f:.]+$/i.test(text) ? URL.parse(`http://[${text}]/`) : null;
  if (url === null) throw notAddress('an IPv6', text);
  // The URL has it in its shortest form: groups of hexadecimal digits, at most one `::`.
  const [front = '', back = ''] = url.hostname.slice(1, -1).split('::');
  const head = front === '' ? [] : front.split(':');
  const tail = back === '' ? [] : back.split(':');
  const zeros = Array<string>(8 - head.length - tail.length).fill('0');
  const groups = [...head, ...zeros, ...tail].map((group) => Number.parseInt(group, 16));
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

const notAddress = (family: string, found: string) =>
  new RangeError(`expected ${family} address, found ${JSON.stringify(found)}`);
