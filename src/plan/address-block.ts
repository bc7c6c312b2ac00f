/**
 * Blocks of IP addresses as numbers: `10.0.0.0/8`, `2001:db8::/32`. Pure.
 */

export interface Block {
  readonly bits: 32 | 128;
  /** Network address; bits beyond the prefix are zero. */
  readonly network: bigint;
  readonly prefix: number;
}

/** @returns null when the text is no address with a prefix length. */
export function addressBlock(text: string): Block | null {
  const slash = text.indexOf('/');
  if (slash === -1) return null;
  const address = blockOf(text.slice(0, slash));
  const length = text.slice(slash + 1);
  if (address === null || address.prefix !== address.bits || !/^[0-9]{1,3}$/.test(length)) {
    return null;
  }
  const prefix = Number(length);
  if (prefix > address.bits) return null;
  const host = BigInt(address.bits - prefix);
  return { bits: address.bits, network: (address.network >> host) << host, prefix };
}

/** A block, or an address as a block of one. */
export function blockOf(text: string): Block | null {
  if (text.includes('/')) return addressBlock(text);
  const four = ipv4(text);
  if (four !== null) return { bits: 32, network: four, prefix: 32 };
  const six = ipv6(text);
  return six === null ? null : { bits: 128, network: six, prefix: 128 };
}

/** Whether all of b lies in a. */
export function holds(a: Block, b: Block): boolean {
  const host = BigInt(a.bits - a.prefix);
  return a.bits === b.bits && b.prefix >= a.prefix && b.network >> host === a.network >> host;
}

function ipv4(text: string): bigint | null {
  const parts = text.split('.');
  if (parts.length !== 4) return null;
  let address = 0n;
  for (const part of parts) {
    if (!/^(?:0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return null;
    address = address * 256n + BigInt(part);
  }
  return address;
}

function ipv6(text: string): bigint | null {
  const [head, tail, more] = text.split('::');
  if (head === undefined || more !== undefined) return null;
  const left = groups(head, tail === undefined);
  const right = tail === undefined ? [] : groups(tail, true);
  if (left === null || right === null) return null;
  const missing = 8 - left.length - right.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return null;
  const all = [...left, ...Array<bigint>(missing).fill(0n), ...right];
  return all.reduce((address, group) => address * 65536n + group, 0n);
}

/** @param last whether an IPv4 address may end this part. */
function groups(text: string, last: boolean): bigint[] | null {
  if (text === '') return [];
  const parts = text.split(':');
  const found: bigint[] = [];
  for (const [i, part] of parts.entries()) {
    const four = last && i === parts.length - 1 && part.includes('.') ? ipv4(part) : null;
    if (four !== null) found.push(four >> 16n, four & 0xffffn);
    else if (/^[0-9a-fA-F]{1,4}$/.test(part)) found.push(BigInt(`0x${part}`));
    else return null;
  }
  return found;
}
