/**
 * Addresses and networks as Go's net package reads and writes them: IPv4 without leading zeros, IPv6 without zones,
 * IPv4 inside IPv6 counted as IPv4. Pure.
 */

/** Four bytes or sixteen. */
type Bits = 32 | 128;

export interface IpAddress {
  readonly bits: Bits;
  readonly value: bigint;
}

export interface IpNetwork extends IpAddress {
  readonly prefix: number;
}

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;
const IPV6 = /^[0-9a-f:.]{2,45}$/i;
const MAPPED = 0xffffn << 32n;
const V4_MASK = 0xffffffffn;

export function parseIp(text: string): IpAddress | null {
  const address = parseRaw(text);
  return address === null ? null : narrowed(address);
}

/** IPv4 in IPv6 keeps its 128 bits here. */
function parseRaw(text: string): IpAddress | null {
  if (IPV4.test(text)) {
    const value = text.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n);
    return { bits: 32, value };
  }
  if (!text.includes(':') || !IPV6.test(text)) return null;
  // The URL parser reads IPv6 addresses by the same rules, and writes them without a dotted end.
  const url = URL.parse(`http://[${text}]/`);
  return url === null ? null : { bits: 128, value: numberOf(url.hostname.slice(1, -1)) };
}

function numberOf(text: string): bigint {
  const [head = '', tail] = text.split('::');
  const groups = (part: string) => part.split(':').filter((group) => group !== '');
  const [left, right] = [groups(head), groups(tail ?? '')];
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  const all = [...left, ...Array<string>(zeros).fill('0'), ...right];
  return all.reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n);
}

const narrowed = ({ bits, value }: IpAddress): IpAddress =>
  bits === 128 && value >> 32n === 0xffffn ? { bits: 32, value: value & V4_MASK } : { bits, value };

export function parseCidr(text: string): IpNetwork | null {
  const slash = text.indexOf('/');
  if (slash === -1) return null;
  const address = parseRaw(text.slice(0, slash));
  const mask = text.slice(slash + 1);
  if (address === null || !/^[0-9]{1,64}$/.test(mask)) return null;
  const prefix = Number(mask);
  if (prefix > address.bits) return null;
  const value = (address.value >> shift(address.bits, prefix)) << shift(address.bits, prefix);
  const { bits, value: narrow } = narrowed({ bits: address.bits, value });
  return { bits, value: narrow, prefix: bits < address.bits ? Math.max(0, prefix - 96) : prefix };
}

const shift = (bits: Bits, prefix: number) => BigInt(bits - prefix);

export function containsIp(network: IpNetwork, address: IpAddress): boolean {
  const places = shift(network.bits, network.prefix);
  return address.bits === network.bits && address.value >> places === network.value >> places;
}

export const lastIp = ({ bits, value, prefix }: IpNetwork): IpAddress => ({
  bits,
  value: value | ((1n << shift(bits, prefix)) - 1n),
});

/** The network of a single IPv4 address by its class. */
export const classOf = (address: IpAddress): IpNetwork => ({
  ...address,
  prefix: address.value < 0x80000000n ? 8 : address.value < 0xc0000000n ? 16 : 24,
});

/** The address among all addresses: IPv4 at its place inside IPv6. */
export const position = ({ bits, value }: IpAddress): bigint =>
  bits === 32 ? MAPPED | value : value;

export const atPosition = (value: bigint): IpAddress => narrowed({ bits: 128, value });

export function renderIp({ bits, value }: IpAddress): string {
  if (bits === 32) return [24n, 16n, 8n, 0n].map((by) => (value >> by) & 255n).join('.');
  const groups = Array.from({ length: 8 }, (_, i) =>
    ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16),
  );
  const runs = [
    ...groups
      .map((group) => (group === '0' ? '0' : 'x'))
      .join('')
      .matchAll(/0{2,}/g),
  ];
  const longest = runs.reduce((best, [run]) => Math.max(best, run.length), 0);
  const run = runs.find(([zeros]) => zeros.length === longest);
  if (run === undefined) return groups.join(':');
  return `${groups.slice(0, run.index).join(':')}::${groups.slice(run.index + longest).join(':')}`;
}

/** The fewest networks that cover all from `first` to `last`. */
export function coveringNetworks(first: bigint, last: bigint): readonly IpNetwork[] {
  const networks: IpNetwork[] = [];
  for (let at = first; at <= last; ) {
    const address = atPosition(at);
    let size = 0n;
    while (size < address.bits && fits(at, size + 1n, last)) size++;
    networks.push({ ...address, prefix: address.bits - Number(size) });
    at += 1n << size;
  }
  return networks;
}

const fits = (at: bigint, size: bigint, last: bigint) =>
  at % (1n << size) === 0n && at + (1n << size) - 1n <= last;
