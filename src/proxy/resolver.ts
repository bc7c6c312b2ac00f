/**
 * Finds the addresses a permitted call may go to: fixed by the operator, or resolved once, every answer classified, all
 * pinned. If any answer is forbidden the whole name is refused, so that a mixed answer cannot smuggle one in. Ports and
 * names that may never be reached are refused before anybody is asked. Shell: asks DNS, keeps its answers.
 */
import { parseAuthority } from '../call/authority.ts';
import type { ReasonCode } from '../decision/reason.ts';
import { parseAddress } from './address.ts';
import { createGuard, type Guard, type GuardAnswer, type GuardOptions } from './address-guard.ts';
import { classifyName, type NameClass } from './host-name.ts';
import { NameCache } from './name-cache.ts';
import { createDnsLookup, lookupBySystem, type NameLookup } from './name-lookup.ts';
import { ownAddressSource } from './own-addresses.ts';

export type Resolution =
  | {
      readonly ok: true;
      /** Where to go: the first of `addresses`. */
      readonly address: string;
      /** The addresses that may be tried, best first: one to four. */
      readonly addresses: readonly string[];
      readonly port: number;
    }
  | { readonly ok: false; readonly reason: ReasonCode };

export interface ResolverOptions extends GuardOptions {
  /** `host:port` of a call to `address:port`: the operator's word, refused only where nothing may go. */
  readonly hosts: Readonly<Record<string, string>>;
  /** TCP ports that calls may reach besides those in `hosts`. */
  readonly ports: readonly number[];
  /** The sidecar's own listeners: never a destination. */
  readonly ownPorts: () => ReadonlySet<number>;
  /** DNS servers, `address:port`; none for those of the system. */
  readonly dnsServers: readonly string[];
}

/** `operator`: the place stands in the configuration; `agent`: it stands in the call. */
export type Chooser = 'agent' | 'operator';

/**
 * @param host in normal form, an IPv6 address without brackets.
 * @param chosenBy default `agent`, the one that may do less.
 * @returns `upstream.address_denied`, `upstream.port_denied` or `upstream.unresolved` when not ok.
 */
export type Resolver = (host: string, port: number, chosenBy?: Chooser) => Promise<Resolution>;

/** @throws Error naming a block, a fixed place or a DNS server that is none. */
export function createResolver(options: ResolverOptions): Resolver {
  const nowMs = () => performance.now();
  const names = (lookup: NameLookup) => new NameCache({ lookup, nowMs });
  const rules: Rules = {
    guard: createGuard(options),
    own: ownAddressSource(nowMs),
    ownPorts: options.ownPorts,
    ports: new Set(options.ports),
    privateNames: options.privateAddresses.length > 0,
    public: names(createDnsLookup(options.dnsServers)),
    system: names(lookupBySystem),
  };
  const fixed = new Map(Object.entries(options.hosts).map(([from, to]) => fixedPlace(from, to)));
  return async (host, port, chosenBy = 'agent') => {
    const target = fixed.get(`${host} ${port}`);
    if (target !== undefined) return chosenByOperator(rules, target.host, target.port);
    if (chosenBy === 'operator') return chosenByOperator(rules, host, port);
    return parseAddress(host) === null
      ? nameChosenByAgent(rules, host, port)
      : addressChosenByAgent(rules, host, port);
  };
}

/** Each may cost a whole connect time-out, and the agent waits. */
const TRIED_MAX = 4;

interface Rules {
  readonly guard: Guard;
  readonly own: () => readonly Uint8Array[];
  readonly ownPorts: () => ReadonlySet<number>;
  readonly ports: ReadonlySet<number>;
  /** False: no private address is open, so names that only lead to such are not asked for. */
  readonly privateNames: boolean;
  readonly public: NameCache;
  readonly system: NameCache;
}

/** The key and the target of one fixed place. */
function fixedPlace(from: string, to: string): [string, { host: string; port: number }] {
  const [key, target] = [parseAuthority(from, null), parseAuthority(to, null)];
  if (!key.ok) throw new Error(`found "${from}", expected HOST:PORT of a call`);
  if (!target.ok || target.kind === 'name') {
    throw new Error(`found "${to}", expected ADDRESS:PORT, an IPv6 address in brackets`);
  }
  return [`${key.host} ${key.port}`, target];
}

async function chosenByOperator(rules: Rules, host: string, port: number): Promise<Resolution> {
  const answers = parseAddress(host) === null ? await addressesOf(rules.system, host) : [host];
  if (answers.length === 0) return denied('upstream.unresolved');
  const own = rules.own();
  const refused = answers.some((address) => {
    const { allowed, place } = rules.guard.checkFixed(address, own);
    return !allowed || (isHere(place) && rules.ownPorts().has(port));
  });
  return refused ? denied('upstream.address_denied') : found(answers, port);
}

function addressChosenByAgent(rules: Rules, address: string, port: number): Resolution {
  const answer = rules.guard.check(address, rules.own());
  if (!answer.allowed || ownListener(rules, answer, port)) return denied('upstream.address_denied');
  return rules.ports.has(port) ? found([address], port) : denied('upstream.port_denied');
}

async function nameChosenByAgent(rules: Rules, host: string, port: number): Promise<Resolution> {
  const nameClass = classifyName(host);
  const unasked = refusedName(rules, nameClass);
  if (unasked !== null) return denied(unasked);
  if (!rules.ports.has(port)) return denied('upstream.port_denied');
  const answers = await addressesOf(rules.public, host);
  if (answers.length === 0) return denied('upstream.unresolved');
  const own = rules.own();
  const refused = answers.some((address) => {
    const answer = rules.guard.check(address, own);
    // A public address under a name of the private network is a name that somebody else registered.
    const astray = nameClass === 'private' && answer.place === 'public';
    return !answer.allowed || astray || ownListener(rules, answer, port);
  });
  return refused ? denied('upstream.address_denied') : found(answers, port);
}

function refusedName(rules: Rules, nameClass: NameClass): ReasonCode | null {
  switch (nameClass) {
    case 'public':
      return null;
    case 'private':
      return rules.privateNames ? null : 'upstream.address_denied';
    case 'void':
      return 'upstream.unresolved';
    case 'local':
    case 'metadata':
      return 'upstream.address_denied';
    default:
      return nameClass satisfies never;
  }
}

/** On any address that is not public: a service of the cluster may lead back into this pod. */
const ownListener = (rules: Rules, { place }: GuardAnswer, port: number): boolean =>
  place !== 'public' && rules.ownPorts().has(port);

const isHere = (place: GuardAnswer['place']): boolean => place === 'loopback' || place === 'own';

async function addressesOf(names: NameCache, host: string): Promise<readonly string[]> {
  const answer = await names.ask(host);
  return answer.ok ? answer.addresses : [];
}

const denied = (reason: ReasonCode): Resolution => ({ ok: false, reason });

/** IPv4 first: a pod without IPv6 still gets IPv6 addresses from DNS. */
function found(answers: readonly string[], port: number): Resolution {
  const addresses = [
    ...answers.filter((address) => !address.includes(':')),
    ...answers.filter((address) => address.includes(':')),
  ];
  const tried = addresses.slice(0, TRIED_MAX);
  return { ok: true, address: tried[0] as string, addresses: tried, port };
}
