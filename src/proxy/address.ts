/**
 * Classifies IP addresses: what is `public` may be reached, everything else only by an explicit rule, and the classes in
 * NEVER_OPENED by none. An IPv6 address that carries an IPv4 one is as bad as what it carries, and never better than
 * `embedded`. Text that is not exactly one canonical address is `invalid`. Pure.
 */
import {
  EMBEDDINGS,
  GLOBAL_UNICAST,
  type IpClass,
  ISATAP_IDENTIFIERS,
  NEVER_OPENED,
  SPECIAL_BLOCKS,
} from './address-table.ts';

export interface Block {
  /** Four or sixteen. */
  readonly bytes: Uint8Array;
  readonly bits: number;
}

const SPECIAL = SPECIAL_BLOCKS.map(([cidr, ipClass]) => ({ ...block(cidr), ipClass }));
const SPECIAL_4 = SPECIAL.filter(({ bytes }) => bytes.length === 4);
const SPECIAL_6 = SPECIAL.filter(({ bytes }) => bytes.length === 16);
const CARRIERS = EMBEDDINGS.map((embedding) => ({ ...embedding, ...block(embedding.cidr) }));
const GLOBAL = block(GLOBAL_UNICAST);

/** The class of one address in text. */
export function classifyAddress(text: string): IpClass {
  const bytes = parseAddress(text);
  return bytes === null ? 'invalid' : classify(bytes);
}

/** @param bytes four or sixteen, as `parseAddress` gives them. */
export function classify(bytes: Uint8Array): IpClass {
  const table = bytes.length === 4 ? SPECIAL_4 : SPECIAL_6;
  const special = table.find((candidate) => contains(candidate, bytes))?.ipClass;
  if (bytes.length === 4) return special ?? 'public';
  if (special !== undefined && NEVER_OPENED.has(special)) return special;
  const carried = embeddedAddresses(bytes).map(classify);
  const never = carried.find((ipClass) => NEVER_OPENED.has(ipClass));
  if (never !== undefined) return never;
  if (special !== undefined && special !== 'reserved') return special;
  // A public address inside another is still a detour that nobody asked for.
  if (carried.length > 0) return carried.find((ipClass) => ipClass !== 'public') ?? 'embedded';
  return special ?? (contains(GLOBAL, bytes) ? 'public' : 'reserved');
}

/** RFC 4291: these two are not IPv4-compatible addresses. */
const ITSELF = [block('::/128'), block('::1/128')];

/** Every IPv4 address that some translator or tunnel would read out of an IPv6 address; none for most. */
export function embeddedAddresses(bytes: Uint8Array): Uint8Array[] {
  if (bytes.length !== 16 || ITSELF.some((one) => contains(one, bytes))) return [];
  const at = (indexes: readonly number[], mask = 0) =>
    Uint8Array.from(indexes.map((index) => (bytes[index] ?? 0) ^ mask));
  const found = CARRIERS.filter((carrier) => contains(carrier, bytes)).flatMap(
    ({ readings, inverted }) => [
      ...meant(readings.map((indexes) => at(indexes))),
      ...(inverted === undefined ? [] : [at(inverted, 0xff)]),
    ],
  );
  const isatap = ISATAP_IDENTIFIERS.some((identifier) =>
    identifier.every((byte, index) => bytes[8 + index] === byte),
  );
  return isatap ? [...found, at([12, 13, 14, 15])] : found;
}

/** Of several readings those that hold nothing are not meant, unless none holds anything. */
function meant(readings: readonly Uint8Array[]): readonly Uint8Array[] {
  const filled = readings.filter(([first]) => first !== 0);
  return filled.length > 0 ? filled : readings;
}

/** @throws Error naming the text when it is not `address/bits`. */
export function block(cidr: string): Block {
  const [address = '', length = '', more] = cidr.split('/');
  const bytes = more === undefined ? parseAddress(address) : null;
  const bits = /^(0|[1-9][0-9]{0,2})$/.test(length) ? Number(length) : Number.NaN;
  if (bytes === null || !(bits <= bytes.length * 8)) {
    throw new Error(`found "${cidr}", expected a CIDR block such as 10.0.0.0/8`);
  }
  return { bytes, bits };
}

export function contains(outer: Block, address: Uint8Array): boolean {
  if (outer.bytes.length !== address.length) return false;
  let bits = outer.bits;
  for (let index = 0; bits > 0; index += 1, bits -= 8) {
    const mask = bits >= 8 ? 0xff : (0xff << (8 - bits)) & 0xff;
    const [left, right] = [outer.bytes[index] ?? 0, address[index] ?? 0];
    if ((left & mask) !== (right & mask)) return false;
  }
  return true;
}

/** True when the whole of `inner` lies in `outer`. */
export const within = (inner: Block, outer: Block): boolean =>
  inner.bits >= outer.bits && contains(outer, inner.bytes);

/**
 * True when both texts are one address, however each is written. The kernel gives an IPv4 peer of an IPv6 socket as an
 * IPv4-mapped address, which is the same peer.
 */
export function sameAddress(left: string, right: string): boolean {
  const [a, b] = [parseAddress(left), parseAddress(right)].map(unmapped);
  return a != null && b != null && a.length === b.length && a.every((byte, at) => byte === b[at]);
}

const MAPPED = block('::ffff:0:0/96');

function unmapped(bytes: Uint8Array | null): Uint8Array | null {
  return bytes !== null && contains(MAPPED, bytes) ? bytes.subarray(12) : bytes;
}

/** Four or sixteen bytes of a canonical textual address; null for anything else, scoped addresses included. */
export function parseAddress(text: string): Uint8Array | null {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

function parseIpv4(text: string): Uint8Array | null {
  const parts = text.split('.');
  if (parts.length !== 4) return null;
  const bytes = parts.map((part) => (/^(0|[1-9][0-9]{0,2})$/.test(part) ? Number(part) : 256));
  return bytes.some((byte) => byte > 255) ? null : Uint8Array.from(bytes);
}

function parseIpv6(text: string): Uint8Array | null {
  if (text.length > 45) return null;
  const [head = '', tail, more] = text.split('::');
  if (more !== undefined) return null;
  const before = groups(head, tail === undefined);
  const after = tail === undefined ? [] : groups(tail, true);
  if (before === null || after === null) return null;
  const missing = 8 - before.length - after.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return null;
  const all = [...before, ...Array<number>(tail === undefined ? 0 : missing).fill(0), ...after];
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

/** 16-bit groups of one side of `::`; a dotted quad may stand last in the address. */
function groups(text: string, endsAddress: boolean): number[] | null {
  if (text === '') return [];
  const result: number[] = [];
  const parts = text.split(':');
  for (const [index, part] of parts.entries()) {
    const last = endsAddress && index === parts.length - 1;
    const quad = last && part.includes('.') ? parseIpv4(part) : null;
    if (quad !== null) {
      const [a = 0, b = 0, c = 0, d = 0] = quad;
      result.push((a << 8) | b, (c << 8) | d);
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      result.push(Number.parseInt(part, 16));
    } else {
      return null;
    }
  }
  return result;
}
