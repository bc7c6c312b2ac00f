/**
 * Classifies IP addresses by the IANA special-purpose registries: what is `public` may be reached, everything else
 * only by an explicit rule, `metadata` and `unspecified` never. Text that is not exactly one canonical address is
 * `invalid`, which is refused like all others. Pure.
 */

export type IpClass =
  | 'public'
  | 'loopback'
  | 'private'
  | 'link_local'
  | 'shared'
  | 'metadata'
  | 'multicast'
  | 'reserved'
  | 'embedded'
  | 'unspecified'
  | 'invalid';

interface Block {
  readonly bytes: Uint8Array;
  readonly bits: number;
  readonly ipClass: IpClass;
}

/** Cloud metadata and infrastructure services: reachable by no rule. */
const METADATA = [
  '169.254.169.254/32',
  '169.254.169.253/32',
  '169.254.169.123/32',
  '169.254.170.2/32',
  '169.254.170.23/32',
  '168.63.129.16/32',
  '100.100.100.200/32',
  '192.0.0.192/32',
  'fd00:ec2::23/128',
  'fd00:ec2::254/128',
  'fd20:ce::254/128',
];

const SPECIAL: readonly (readonly [string, IpClass])[] = [
  ...METADATA.map((cidr) => [cidr, 'metadata'] as const),
  ['0.0.0.0/8', 'unspecified'],
  ['10.0.0.0/8', 'private'],
  ['100.64.0.0/10', 'shared'],
  ['127.0.0.0/8', 'loopback'],
  ['169.254.0.0/16', 'link_local'],
  ['172.16.0.0/12', 'private'],
  ['192.0.0.0/24', 'reserved'],
  ['192.0.2.0/24', 'reserved'],
  ['192.88.99.0/24', 'reserved'],
  ['192.168.0.0/16', 'private'],
  ['198.18.0.0/15', 'reserved'],
  ['198.51.100.0/24', 'reserved'],
  ['203.0.113.0/24', 'reserved'],
  ['224.0.0.0/4', 'multicast'],
  ['240.0.0.0/4', 'reserved'],
  ['::/128', 'unspecified'],
  ['::1/128', 'loopback'],
  ['::/96', 'embedded'],
  ['::ffff:0:0/96', 'embedded'],
  ['::ffff:0:0:0/96', 'embedded'],
  ['64:ff9b::/96', 'embedded'],
  ['64:ff9b:1::/48', 'embedded'],
  ['2001::/23', 'reserved'],
  ['2001:db8::/32', 'reserved'],
  ['2002::/16', 'embedded'],
  ['3fff::/20', 'reserved'],
  ['fc00::/7', 'private'],
  ['fe80::/10', 'link_local'],
  ['ff00::/8', 'multicast'],
];

const BLOCKS: readonly Block[] = SPECIAL.map(([cidr, ipClass]) => ({ ...block(cidr), ipClass }));
/** The only IPv6 block that is handed out for the public internet. */
const GLOBAL_UNICAST = block('2000::/3');

export function classifyAddress(text: string): IpClass {
  const bytes = parseAddress(text);
  if (bytes === null) return 'invalid';
  const special = BLOCKS.find((candidate) => contains(candidate, bytes));
  if (special !== undefined) return special.ipClass;
  if (bytes.length === 16 && !contains(GLOBAL_UNICAST, bytes)) return 'reserved';
  return 'public';
}

/**
 * May a connection go to this address?
 * @param allowed CIDR blocks the operator opened; they never open `metadata`, `unspecified` or `invalid`.
 */
export function addressAllowed(text: string, allowed: readonly string[]): boolean {
  const ipClass = classifyAddress(text);
  if (ipClass === 'public') return true;
  if (ipClass === 'metadata' || ipClass === 'unspecified' || ipClass === 'invalid') return false;
  const bytes = parseAddress(text) as Uint8Array;
  return allowed.some((cidr) => contains(block(cidr), bytes));
}

/** @throws Error naming the text when it is not `address/bits`. */
export function block(cidr: string): { readonly bytes: Uint8Array; readonly bits: number } {
  const [address = '', length = ''] = cidr.split('/');
  const bytes = parseAddress(address);
  const bits = /^(0|[1-9][0-9]{0,2})$/.test(length) ? Number(length) : Number.NaN;
  if (bytes === null || !(bits <= bytes.length * 8)) {
    throw new Error(`found "${cidr}", expected a CIDR block such as 10.0.0.0/8`);
  }
  return { bytes, bits };
}

function contains(outer: { bytes: Uint8Array; bits: number }, address: Uint8Array): boolean {
  if (outer.bytes.length !== address.length) return false;
  let bits = outer.bits;
  for (let index = 0; bits > 0; index += 1, bits -= 8) {
    const mask = bits >= 8 ? 0xff : (0xff << (8 - bits)) & 0xff;
    const [left, right] = [outer.bytes[index] ?? 0, address[index] ?? 0];
    if ((left & mask) !== (right & mask)) return false;
  }
  return true;
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
  const [head = '', tail, more] = text.split('::');
  if (more !== undefined) return null;
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  if (before === null || after === null) return null;
  const missing = 8 - before.length - after.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return null;
  const all = [...before, ...Array<number>(tail === undefined ? 0 : missing).fill(0), ...after];
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

/** 16-bit groups of one side of `::`; a dotted quad may stand last. */
function groups(text: string): number[] | null {
  if (text === '') return [];
  const result: number[] = [];
  const parts = text.split(':');
  for (const [index, part] of parts.entries()) {
    const quad = part.includes('.') && index === parts.length - 1 ? parseIpv4(part) : null;
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
