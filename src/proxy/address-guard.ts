/**
 * May a connection go to this address? Public ones may; of the rest only what the operator opened, and never cloud
 * metadata, link-local or the addresses that lead back into the sidecar. The networks of the cluster count as private
 * even when they are public ones. Pure.
 */
import {
  type Block,
  block,
  classify,
  contains,
  embeddedAddresses,
  parseAddress,
  within,
} from './address.ts';
import { type IpClass, NEVER_OPENED } from './address-table.ts';

export interface GuardOptions {
  /** CIDR blocks outside the public internet that may be reached. */
  readonly privateAddresses: readonly string[];
  /** Pod, service and node networks. A block of `privateAddresses` opens one only from inside it. */
  readonly clusterNetworks: readonly string[];
  /** Addresses that are refused whatever is opened: those the sidecar's own DNS hands out. */
  readonly neverAddresses?: readonly string[];
}

/** `cluster`: in a network of the cluster; `own`: an address of this machine. */
export type Place = IpClass | 'cluster' | 'own';

export interface GuardAnswer {
  readonly allowed: boolean;
  readonly place: Place;
}

export interface Guard {
  /**
   * May a call that an agent named go there?
   * @param own addresses of this machine, four or sixteen bytes each.
   */
  check(address: string, own: readonly Uint8Array[]): GuardAnswer;
  /** May a call that the operator placed go there? Everywhere but where nothing may. */
  checkFixed(address: string, own: readonly Uint8Array[]): GuardAnswer;
}

/** @throws Error naming the text of a block that is none. */
export function createGuard(options: GuardOptions): Guard {
  const opened = options.privateAddresses.map(block);
  const cluster = options.clusterNetworks.map(block);
  const never = (options.neverAddresses ?? []).map((address) =>
    block(`${address}/${address.includes(':') ? 128 : 32}`),
  );
  const isNever = (bytes: Uint8Array): boolean =>
    NEVER_OPENED.has(classify(bytes)) || inAny(never, bytes);
  /** A wide block such as 10.0.0.0/8 is not meant to open the cluster that happens to lie in it. */
  const isOpened = (bytes: Uint8Array): boolean => {
    const networks = cluster.filter((network) => contains(network, bytes));
    return opened.some(
      (rule) => contains(rule, bytes) && networks.every((network) => within(rule, network)),
    );
  };
  const placeOf = (bytes: Uint8Array, own: readonly Uint8Array[]): Place => {
    const ipClass = classify(bytes);
    if (ipClass === 'loopback') return ipClass;
    if (own.some((one) => sameBytes(one, bytes))) return 'own';
    return inAny(cluster, bytes) ? 'cluster' : ipClass;
  };
  const judge = (
    text: string,
    own: readonly Uint8Array[],
    isOpen: (outer: Uint8Array, place: Place, inner: readonly Uint8Array[]) => boolean,
  ): GuardAnswer => {
    const bytes = parseAddress(text);
    if (bytes === null) return { allowed: false, place: 'invalid' };
    const inner = embeddedAddresses(bytes);
    const place = placeOf(bytes, own);
    return { allowed: ![bytes, ...inner].some(isNever) && isOpen(bytes, place, inner), place };
  };
  return {
    check: (text, own) =>
      judge(text, own, (bytes, place, inner) => {
        // What is carried inside must be open in its own right.
        const reachable = (one: Uint8Array) => isOpened(one) || placeOf(one, own) === 'public';
        return place === 'public' || (isOpened(bytes) && inner.every(reachable));
      }),
    checkFixed: (text, own) => judge(text, own, () => true),
  };
}

const inAny = (blocks: readonly Block[], bytes: Uint8Array): boolean =>
  blocks.some((one) => contains(one, bytes));

const sameBytes = (left: Uint8Array, right: Uint8Array): boolean =>
  left.length === right.length && left.every((byte, at) => byte === right[at]);
