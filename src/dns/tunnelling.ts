/**
 * Watches for signs that an agent tries to carry data in names: long labels, labels that look like encoded data, many
 * names under one parent, queries for types that hold data, sheer number. Nothing gets out that way; the signs tell
 * the operator what the agent tried. Memory is bounded, reports are few, and none holds a name. Pure.
 */
import type { Standing } from './names.ts';

export const TUNNELLING_SIGNS = [
  'long_name',
  'random_labels',
  'data_types',
  'many_names',
  'rate',
] as const;
export type TunnellingSign = (typeof TUNNELLING_SIGNS)[number];

export interface Suspicion {
  /** Address of the client. */
  readonly client: string;
  /** The last two labels, those that could hold a secret by their length only; `*` when the sign is `rate`. */
  readonly parent: string;
  readonly sign: TunnellingSign;
  /** Queries under the parent, or of the client for `rate`, within the minute. */
  readonly queries: number;
  /** Different names under the parent within the minute, counted up to 50. */
  readonly names: number;
}

export interface WatchedQuery {
  readonly client: string;
  readonly standing: Standing;
  /** Whether the type was refused, because it can carry data. */
  readonly refusedType: boolean;
}

export interface Noticed {
  /** The first sign this query shows, in the order of `TUNNELLING_SIGNS`. */
  readonly sign: TunnellingSign | null;
  /** At most one per client, parent and minute, and 30 per minute in all. */
  readonly report: Suspicion | null;
}

export interface TunnellingWatch {
  /** @param nowMs milliseconds on a monotonic clock. */
  observe(query: WatchedQuery, nowMs: number): Noticed;
}

const WINDOW_MS = 60_000;
/** Longer labels are rare: the longest that tools and clouds make up have about 40 characters. */
const LABEL_CHARS_LONG = 50;
const NAME_CHARS_LONG = 130;
const RANDOM_NAMES = 3;
const DATA_TYPE_QUERIES = 3;
const MANY_NAMES = 50;
/** Sixteen a second for a minute, for names that nobody may ask for. */
const UNLISTED_QUERIES = 1000;

/** Parents remembered, the one unused longest goes first; with 50 names of 130 characters each at most 2 MB. */
const PARENTS_MAX = 256;
const CLIENTS_MAX = 16;
const REPORTS_PER_WINDOW = 30;

const NOTHING: Noticed = { sign: null, report: null };

interface Counts {
  startedMs: number;
  queries: number;
}

interface ParentCounts extends Counts {
  readonly names: Set<string>;
  random: number;
  dataTypes: number;
}

export function createTunnellingWatch(): TunnellingWatch {
  const clients = new Map<string, Counts>();
  const parents = new Map<string, ParentCounts>();
  const report = createReporter();
  return {
    observe({ client, standing, refusedType }, nowMs) {
      const { kind, own } = standing;
      const counted = kind === 'unlisted' || kind === 'reverse';
      const rate = counted ? count(clients, client, CLIENTS_MAX, { nowMs, fresh }).queries : 0;
      if (own !== '') {
        const key = `${client} ${lastLabels(own).join('.')}`;
        const under = count(parents, key, PARENTS_MAX, { nowMs, fresh: freshParent });
        const sign = signOf(under, own, refusedType);
        if (sign !== null) {
          const { queries, names } = under;
          const parent = shortParent(own);
          const suspicion = { client, parent, sign, queries, names: names.size };
          return { sign, report: report(key, suspicion, nowMs) };
        }
      }
      if (rate <= UNLISTED_QUERIES) return NOTHING;
      const suspicion = { client, parent: '*', sign: 'rate', queries: rate, names: 0 } as const;
      return { sign: 'rate', report: report(client, suspicion, nowMs) };
    },
  };
}

/** Counts the query under the parent and tells the first sign it shows. */
function signOf(under: ParentCounts, own: string, refusedType: boolean): TunnellingSign | null {
  const labels = own.split('.');
  if (refusedType) under.dataTypes += 1;
  if (own.length > NAME_CHARS_LONG || labels.some(({ length }) => length > LABEL_CHARS_LONG)) {
    return 'long_name';
  }
  const encoded = labels.some(looksEncoded);
  if (under.names.size < MANY_NAMES && !under.names.has(own)) {
    under.names.add(own);
    if (encoded) under.random += 1;
  }
  if (under.random >= RANDOM_NAMES && encoded) return 'random_labels';
  if (under.dataTypes >= DATA_TYPE_QUERIES && refusedType) return 'data_types';
  return under.names.size >= MANY_NAMES ? 'many_names' : null;
}

const RUN_CHARS_MIN = 16;
/** Changes between letters and digits: years and numbers of hosts stand together, encoded digits do not. */
const RUN_CHANGES_MIN = 4;
const RUN_BITS_MIN = 3.2;

/** Tells whether a label holds a run of letters and digits as base16, base32 or base64 make them. */
export function looksEncoded(label: string): boolean {
  return label.split(/[^a-z0-9]/).some((run) => {
    if (run.length < RUN_CHARS_MIN) return false;
    const changes = (run.match(/\d+|\D+/g) ?? []).length - 1;
    return changes >= RUN_CHANGES_MIN && bitsPerCharacter(run) >= RUN_BITS_MIN;
  });
}

/** Shannon's entropy of the characters of a text. */
function bitsPerCharacter(text: string): number {
  const counts = new Map<string, number>();
  for (const one of text) counts.set(one, (counts.get(one) ?? 0) + 1);
  let bits = 0;
  for (const n of counts.values()) bits -= (n / text.length) * Math.log2(n / text.length);
  return bits;
}

const lastLabels = (name: string) => name.split('.').slice(-2);

const SHOWN_CHARS_MAX = 20;
const SHOWN_DIGITS_MAX = 3;

/**
 * The last two labels of a name for a log: labels that are long, full of digits or of odd bytes, as secrets are, become
 * their length, `[40]`.
 */
export function shortParent(name: string): string {
  const shown = lastLabels(name).map((label) => {
    const plain = /^[a-z0-9_-]+$/.test(label) && label.length <= SHOWN_CHARS_MAX;
    const digits = label.replace(/\D/g, '').length;
    return plain && digits <= SHOWN_DIGITS_MAX ? label : `[${label.length}]`;
  });
  return shown.join('.');
}

const fresh = (startedMs: number): Counts => ({ startedMs, queries: 0 });
const freshParent = (startedMs: number): ParentCounts => ({
  ...fresh(startedMs),
  names: new Set(),
  random: 0,
  dataTypes: 0,
});

/** The counts of a key with one query more, new ones when their minute is over; the key becomes the youngest. */
function count<C extends Counts>(
  all: Map<string, C>,
  key: string,
  max: number,
  { nowMs, fresh: make }: { readonly nowMs: number; readonly fresh: (startedMs: number) => C },
): C {
  const known = all.get(key);
  const counts = known !== undefined && nowMs - known.startedMs < WINDOW_MS ? known : make(nowMs);
  all.delete(key);
  all.set(key, counts);
  if (all.size > max) {
    for (const oldest of all.keys()) {
      all.delete(oldest);
      break;
    }
  }
  counts.queries += 1;
  return counts;
}

/** Lets a report through when its key had none for a minute and the minute has not had too many. */
function createReporter() {
  const reportedMs = new Map<string, number>();
  return (key: string, suspicion: Suspicion, nowMs: number): Suspicion | null => {
    // In the order of their time, so the old ones stand first.
    for (const [old, atMs] of reportedMs) {
      if (nowMs - atMs < WINDOW_MS) break;
      reportedMs.delete(old);
    }
    if (reportedMs.has(key) || reportedMs.size >= REPORTS_PER_WINDOW) return null;
    reportedMs.set(key, nowMs);
    return suspicion;
  };
}
