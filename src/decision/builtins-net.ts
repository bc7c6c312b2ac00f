/**
 * Host builtins on networks: net.cidr_*. Those that make many results charge for each one before it is made. Pure.
 */
import { type Builtin, type BuiltinContext, isArray, isObject, isSet, ofTexts } from './builtin.ts';
import {
  atPosition,
  classOf,
  containsIp,
  coveringNetworks,
  type IpNetwork,
  lastIp,
  parseCidr,
  parseIp,
  position,
  renderIp,
} from './ip-network.ts';
import { canonicalRego, type RegoValue } from './rego-value.ts';

const STEPS_PER_ADDRESS = 20_000;
const STEPS_PER_COMPARISON = 40_000;

/** Whether a network holds an address or all of another network; undefined when one is neither. */
function contains(network: string, other: string): boolean | undefined {
  const outer = parseCidr(network);
  if (outer === null) return undefined;
  const address = parseIp(other);
  if (address !== null) return containsIp(outer, address);
  const inner = parseCidr(other);
  if (inner === null) return undefined;
  return containsIp(outer, inner) && containsIp(outer, lastIp(inner));
}

const intersects = ofTexts((a, b) => {
  const [x, y] = [parseCidr(a), parseCidr(b)];
  if (x === null || y === null) return undefined;
  return containsIp(x, y) || containsIp(y, x);
});

/** The networks of an operand, each with what the result calls it; null when one is no text. */
function named(value: RegoValue | undefined): readonly (readonly [string, RegoValue])[] | null {
  if (typeof value === 'string') return [[value, value]];
  const entries: [RegoValue, RegoValue][] = [];
  if (isArray(value)) entries.push(...value.map((item, i): [RegoValue, RegoValue] => [item, i]));
  else if (isSet(value)) for (const item of value) entries.push([item, item]);
  else if (isObject(value)) for (const [key, item] of value) entries.push([item, key]);
  const texts = entries.map(([item, name]) => [isArray(item) ? item[0] : item, name] as const);
  return texts.every((pair): pair is [string, RegoValue] => typeof pair[0] === 'string')
    ? texts
    : null;
}

const containsMatches: Builtin = ([networks, others], { charge }) => {
  const [outer, inner] = [named(networks), named(others)];
  if (outer === null || inner === null) return undefined;
  charge(outer.length * inner.length * STEPS_PER_COMPARISON);
  const found = new Map<string, RegoValue>();
  for (const [network, outerName] of outer) {
    for (const [other, innerName] of inner) {
      const holds = contains(network, other);
      if (holds === undefined) return undefined;
      const pair = [outerName, innerName];
      if (holds) found.set(canonicalRego(pair), pair);
    }
  }
  return new Set(found.values());
};

const expand: Builtin = ([text], { charge }) => {
  const network = typeof text === 'string' ? parseCidr(text) : null;
  if (network === null) return undefined;
  const { bits, value: first } = network;
  const { value: last } = lastIp(network);
  charge(Number(last - first + 1n) * STEPS_PER_ADDRESS);
  const addresses = new Set<RegoValue>();
  for (let value = first; value <= last; value++) addresses.add(renderIp({ bits, value }));
  return addresses;
};

interface AddressRange {
  readonly first: bigint;
  readonly last: bigint;
  /** As it was given; null for one that came from several. */
  readonly network: IpNetwork | null;
}

/** A network, or an IPv4 address, which stands for the network of its class. */
function rangeOf(value: RegoValue): AddressRange | null {
  if (typeof value !== 'string') return null;
  const address = parseIp(value);
  if (address !== null && address.bits !== 32) return null;
  const network = address === null ? parseCidr(value) : classOf(address);
  if (network === null) return null;
  const places = BigInt(network.bits - network.prefix);
  const first = position({ bits: network.bits, value: (network.value >> places) << places });
  return { first, last: position(lastIp(network)), network };
}

const merge: Builtin = ([value], { charge }) => {
  if (!isArray(value) && !isSet(value)) return undefined;
  const given = [...value].map(rangeOf);
  if (!given.every((range) => range !== null)) return undefined;
  charge(given.length * STEPS_PER_COMPARISON);
  const order = (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0);
  const sorted = given.toSorted((a, b) => order(a.last, b.last) || order(a.first, b.first));
  return new Set(merged(sorted).flatMap((range) => networksOf(range, charge)));
};

/** From the last to the first: a range that touches the one before it becomes one with it. */
function merged(sorted: readonly AddressRange[]): readonly AddressRange[] {
  const result: AddressRange[] = [];
  for (const range of sorted.toReversed()) {
    const next = result.at(-1);
    if (next === undefined || before(next.first) > range.last) {
      result.push(range);
      continue;
    }
    // biome-ignore lint/complexity/useMathMinMax: Math.min takes no bigint
    const first = next.first < range.first ? next.first : range.first;
    result[result.length - 1] = { first, last: next.last, network: null };
  }
  return result;
}

/** Nothing is before the first address of IPv4, or of IPv6. */
function before(at: bigint): bigint {
  const { value } = atPosition(at);
  return value === 0n ? at : at - 1n;
}

function networksOf(range: AddressRange, charge: BuiltinContext['charge']): readonly string[] {
  const { first, last, network } = range;
  const networks = network === null ? coveringNetworks(first, last) : [network];
  charge(networks.length * STEPS_PER_ADDRESS);
  return networks.map((one) => `${renderIp(one)}/${one.prefix}`);
}

export const NET_BUILTINS: Readonly<Record<string, Builtin>> = {
  'net.cidr_is_valid': ([text]) => typeof text === 'string' && parseCidr(text) !== null,
  'net.cidr_contains': ofTexts(contains),
  'net.cidr_overlap': ofTexts(contains),
  'net.cidr_intersects': intersects,
  'net.cidr_contains_matches': containsMatches,
  'net.cidr_expand': expand,
  'net.cidr_merge': merge,
};
