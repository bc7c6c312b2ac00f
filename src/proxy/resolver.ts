/**
 * Finds the address a permitted call may go to: fixed by the operator, or resolved once, every answer classified, one
 * pinned. If any answer is forbidden the whole name is refused, so that a mixed answer cannot smuggle one in.
 * Shell: asks the system's resolver.
 */
import { lookup } from 'node:dns/promises';
import type { ReasonCode } from '../decision/reason.ts';
import { addressAllowed, parseAddress } from './address.ts';

export type Resolution =
  | { readonly ok: true; readonly address: string; readonly port: number }
  | { readonly ok: false; readonly reason: ReasonCode };

export interface ResolverOptions {
  /** `host:port` to `address:port`; the operator's word, so not classified. */
  readonly hosts: Readonly<Record<string, string>>;
  /** CIDR blocks outside the public internet that may be reached. */
  readonly privateAddresses: readonly string[];
  /** The sidecar's own listeners: never a destination. */
  readonly ownPorts: () => ReadonlySet<number>;
}

export type Resolver = (host: string, port: number) => Promise<Resolution>;

/** More answers than any honest name has. */
const ANSWERS_MAX = 32;
const LOOKUP_MS = 5000;

export function createResolver(options: ResolverOptions): Resolver {
  const fixed = new Map(Object.entries(options.hosts));
  const allowed = (address: string) => addressAllowed(address, options.privateAddresses);
  const own = (address: string, port: number) =>
    options.ownPorts().has(port) && !addressAllowed(address, []);
  return async (host, port) => {
    const target = fixed.get(`${host}:${port}`);
    if (target !== undefined) return splitTarget(target);
    const answers = parseAddress(host) === null ? await answersFor(host) : [host];
    const [first] = answers;
    if (first === undefined) return { ok: false, reason: 'upstream.unresolved' };
    const refused = answers.some((address) => !allowed(address) || own(address, port));
    if (refused) return { ok: false, reason: 'upstream.address_denied' };
    return { ok: true, address: first, port };
  };
}

function splitTarget(target: string): Resolution {
  const colon = target.lastIndexOf(':');
  const address = target.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  return { ok: true, address, port: Number(target.slice(colon + 1)) };
}

async function answersFor(host: string): Promise<string[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never[]>((resolve) => {
    timer = setTimeout(() => resolve([]), LOOKUP_MS);
  });
  try {
    const found = lookup(host, { all: true, order: 'ipv4first' }).catch(() => []);
    const answers = await Promise.race([found, late]);
    return answers.length > ANSWERS_MAX ? [] : answers.map((answer) => answer.address);
  } finally {
    clearTimeout(timer);
  }
}
