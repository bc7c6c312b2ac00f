/**
 * Asks for the addresses of a name: at real DNS servers for names that agents choose, so that neither /etc/hosts nor a
 * search list has a say; at the system's resolver for names that the operator configured. Every question has an end.
 * Shell: owns the sockets of its questions while they are open.
 */
import { lookup as systemLookup } from 'node:dns';
import { Resolver } from 'node:dns/promises';

/** `lasting`: the name has no address, as opposed to nobody having answered. */
export type NameAnswer =
  | { readonly ok: true; readonly addresses: readonly string[]; readonly ttlSeconds: number }
  | { readonly ok: false; readonly lasting: boolean };

export type NameLookup = (name: string) => Promise<NameAnswer>;

/** More answers than any honest name has. */
const ANSWERS_MAX = 32;
/** The agent waits: longer than a retry at a second server, shorter than its patience. */
const LOOKUP_MS = 5000;
const ATTEMPT_MS = 1500;
const ATTEMPTS = 2;
/** The system's resolver tells no TTL. */
const SYSTEM_TTL_SECONDS = 5;

const UNANSWERED: NameAnswer = { ok: false, lasting: false };
const NO_ADDRESS: NameAnswer = { ok: false, lasting: true };
/** What DNS says of a name without addresses of one family. */
const LASTING = new Set(['ENOTFOUND', 'ENODATA']);

/**
 * @param servers `address:port` or `address`, none for those of the system.
 * @throws Error of code ERR_INVALID_IP_ADDRESS for a server that is no address.
 */
export function createDnsLookup(servers: readonly string[]): NameLookup {
  const resolver = new Resolver({ timeout: ATTEMPT_MS, tries: ATTEMPTS });
  if (servers.length > 0) resolver.setServers(servers);
  return (name) =>
    bounded(
      Promise.all([
        family(resolver.resolve4(name, { ttl: true })),
        family(resolver.resolve6(name, { ttl: true })),
      ]).then(joined),
    );
}

/** Names as this machine knows them, /etc/hosts and search list included. */
export const lookupBySystem: NameLookup = (name) =>
  bounded(
    new Promise((resolve) => {
      systemLookup(name, { all: true, order: 'ipv4first' }, (error, found) => {
        if (error !== null) resolve({ ok: false, lasting: error.code === 'ENOTFOUND' });
        else resolve(answer(found.map(({ address }) => ({ address, ttl: SYSTEM_TTL_SECONDS }))));
      });
    }),
  );

interface Found {
  readonly address: string;
  readonly ttl: number;
}

/** The records of one family, or why there are none: `lasting` as in NameAnswer. */
function family(question: Promise<readonly Found[]>): Promise<readonly Found[] | boolean> {
  return question.then(
    (found) => found,
    (error: Error & { code?: string }) => LASTING.has(error.code ?? ''),
  );
}

/** One family that cannot be asked for does not hide the other: only addresses that were given are ever dialled. */
function joined(families: readonly (readonly Found[] | boolean)[]): NameAnswer {
  const found = families.flatMap((one) => (typeof one === 'boolean' ? [] : one));
  if (found.length > 0) return answer(found);
  return families.every((one) => one !== false) ? NO_ADDRESS : UNANSWERED;
}

function answer(found: readonly Found[]): NameAnswer {
  const addresses = [...new Set(found.map(({ address }) => address))];
  if (addresses.length === 0 || addresses.length > ANSWERS_MAX) return NO_ADDRESS;
  return { ok: true, addresses, ttlSeconds: Math.min(...found.map(({ ttl }) => ttl)) };
}

async function bounded(question: Promise<NameAnswer>): Promise<NameAnswer> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<NameAnswer>((resolve) => {
    timer = setTimeout(() => resolve(UNANSWERED), LOOKUP_MS);
  });
  try {
    return await Promise.race([question, late]);
  } finally {
    clearTimeout(timer);
  }
}
