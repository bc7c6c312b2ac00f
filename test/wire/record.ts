/**
 * The audit log as it grows, leaf by leaf, with the openings of what is committed in it. Each opening is checked
 * against its commitment here, by the rule that docs/audit.md states. Shell: reads files.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { lineReader } from './origin.ts';

export interface RecordLeaf {
  readonly decision_id: string | null;
  readonly trace_id: string | null;
  readonly input: null | {
    readonly http: { readonly method: string };
    readonly mcp: object | null;
    readonly destination: {
      readonly scheme: string;
      readonly host: string;
      readonly port: number;
      readonly path: string;
    };
  };
  readonly egret: {
    readonly seq: number;
    readonly kind: 'decision' | 'outcome' | 'lifecycle';
    readonly ref: string | null;
    readonly req?: { readonly body_bytes: number | null };
    readonly enforcement?: { readonly action: string; readonly reason: string };
    readonly outcome?: { readonly result: string; readonly reason: string | null };
    readonly redaction: { readonly commits: readonly { pointer: string; commit: string }[] };
  };
}

/** What a forwarded decision says left the sidecar. */
export interface Recorded {
  readonly mcp: boolean;
  readonly method: string;
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly segments: readonly string[] | null;
  readonly query: Readonly<Record<string, readonly string[]>>;
  readonly headers: Readonly<Record<string, readonly string[]>>;
  readonly bytes: number;
  readonly sha256: string;
}

export interface RecordReader {
  /** New leaves, in order. */
  take(): RecordLeaf[];
  /** @returns null while the openings are not on disk. */
  recorded(leaf: RecordLeaf): Recorded | null;
}

interface Opening {
  readonly pointer: string;
  readonly salt: string;
  readonly value: string;
}

/** A record without a body says the same as one with an empty body. */
const NO_BYTES = createHash('sha256').digest('hex');
const BUNDLE_LEAVES = 256;

export function readRecords(audit: string, openings: string): RecordReader {
  let next = 0;
  const waiting = new Map<number, RecordLeaf>();
  const openingsOf = new Map<number, readonly Opening[]>();
  const newLeaves = newLines(audit, /^wal-\d+\.jsonl$/);
  const newOpenings = newLines(openings, /\.jsonl$/);
  const look = () => {
    for (const line of newLeaves()) {
      const leaf = JSON.parse(line) as RecordLeaf;
      if (leaf.egret.seq >= next) waiting.set(leaf.egret.seq, leaf);
    }
    if (waiting.has(next)) return;
    // A file of the live tail goes when its leaves are sealed.
    for (const leaf of sealed(audit, next)) waiting.set(leaf.egret.seq, leaf);
  };
  return {
    take() {
      const taken: RecordLeaf[] = [];
      for (look(); waiting.has(next); ) {
        taken.push(waiting.get(next) as RecordLeaf);
        waiting.delete(next);
        next += 1;
        if (!waiting.has(next)) look();
      }
      return taken;
    },
    recorded(leaf) {
      const { seq } = leaf.egret;
      if (!openingsOf.has(seq)) {
        for (const line of newOpenings()) {
          const said = JSON.parse(line) as { seq: number; openings: Opening[] };
          openingsOf.set(said.seq, said.openings);
        }
      }
      const found = openingsOf.get(seq);
      if (found === undefined) return null;
      openingsOf.delete(seq);
      return recordedOf(leaf, found);
    },
  };
}

/** Lines that were added to the files of a directory since the last time. */
function newLines(directory: string, names: RegExp): () => string[] {
  const readers = new Map<string, () => string[]>();
  return () =>
    readdirSync(directory)
      .filter((name) => names.test(name))
      .toSorted()
      .flatMap((name) => {
        const read = readers.get(name) ?? lineReader(join(directory, name));
        readers.set(name, read);
        return read().map((line) => Buffer.from(line, 'latin1').toString('utf8'));
      });
}

/** The rest of a full bundle of leaves; nothing when it is not sealed yet. */
function sealed(audit: string, next: number): RecordLeaf[] {
  const digits = String(Math.floor(next / BUNDLE_LEAVES)).padStart(3, '0');
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/.{3}/g) ?? [];
  const path = groups.map((group, at) => (at < groups.length - 1 ? `x${group}` : group));
  const file = join(audit, 'tile', 'entries', ...path);
  if (!existsSync(file)) return [];
  const bytes = readFileSync(file);
  const leaves: RecordLeaf[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 2 + bytes.readUInt16BE(at);
    leaves.push(JSON.parse(bytes.toString('utf8', at + 2, end)) as RecordLeaf);
    at = end;
  }
  return leaves.slice(next % BUNDLE_LEAVES);
}

function recordedOf(leaf: RecordLeaf, openings: readonly Opening[]): Recorded {
  const { input, egret } = leaf;
  assert.ok(input !== null, 'a forwarded decision without input');
  const value = (pointer: string) => opened(leaf, openings, pointer);
  const committed = value('/input/destination') as
    | Pick<Recorded, 'host' | 'port' | 'path' | 'segments' | 'query'>
    | undefined;
  const { host, port, path } = input.destination;
  if (committed !== undefined) {
    assert.deepEqual([committed.host, committed.port], [host, port]);
  }
  return {
    mcp: input.mcp !== null,
    method: input.http.method,
    host,
    port,
    path: committed?.path ?? path,
    segments: committed?.segments ?? null,
    query: committed?.query ?? {},
    headers: (value('/input/http/headers') ?? {}) as Recorded['headers'],
    bytes: egret.req?.body_bytes ?? 0,
    sha256: (value('/egret/req/body_sha256') as string | undefined) ?? NO_BYTES,
  };
}

/** The value behind a commitment; undefined when there is no such commitment. */
function opened(leaf: RecordLeaf, openings: readonly Opening[], pointer: string): unknown {
  const commit = leaf.egret.redaction.commits.find((one) => one.pointer === pointer)?.commit;
  if (commit === undefined) return undefined;
  const opening = openings.find((one) => one.pointer === pointer);
  assert.ok(opening !== undefined, `no opening of ${pointer}`);
  const text = Buffer.from(opening.value);
  const length = Buffer.alloc(8);
  length.writeBigUInt64BE(BigInt(text.length));
  const bytes = [Buffer.of(2), Buffer.from(opening.salt, 'hex'), length, text];
  const hash = createHash('sha256').update(Buffer.concat(bytes)).digest('hex');
  assert.equal(hash, commit, `the opening of ${pointer} is not what the log is bound to`);
  return JSON.parse(opening.value);
}
