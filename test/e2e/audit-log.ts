/**
 * Reads the leaves of an audit directory in its own simple way, and has the log judged by `egret audit verify`.
 * Shell: reads files.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runEgret } from './sidecar-process.ts';

export interface Leaf {
  readonly decision_id: string | null;
  readonly trace_id?: string | null;
  readonly revision?: string;
  readonly bundles?: Readonly<Record<string, { readonly revision: string }>>;
  readonly requested_by?: string;
  readonly input?: { readonly destination?: { readonly tls_intercepted: boolean } };
  readonly egret: {
    readonly seq: number;
    readonly kind: 'decision' | 'outcome' | 'lifecycle';
    readonly ref: string | null;
    readonly req?: { readonly listener: string };
    readonly enforcement?: {
      readonly action: string;
      readonly mode: string;
      readonly reason: string;
      readonly would_deny: boolean;
    };
    readonly outcome?: {
      readonly result: string;
      readonly reason: string | null;
      readonly status: number | null;
      readonly resp_bytes: number;
      readonly is_error: boolean | null;
      readonly peer: string | null;
    };
    readonly lifecycle?: { readonly event: string; readonly detail: unknown };
  };
}

/** Every leaf of the log, by its place. Sealed and live copies of a leaf must say the same. */
export function readLeaves(directory: string): Leaf[] {
  const found = new Map<number, string>();
  for (const text of [...sealedTexts(directory), ...liveTexts(directory)]) {
    const { egret } = JSON.parse(text) as Leaf;
    const before = found.get(egret.seq);
    assert.ok(before === undefined || before === text, `leaf ${egret.seq} has two contents`);
    found.set(egret.seq, text);
  }
  const leaves = [...found]
    .toSorted(([a], [b]) => a - b)
    .map(([, text]) => JSON.parse(text) as Leaf);
  leaves.forEach((leaf, index) => {
    assert.equal(leaf.egret.seq, index, 'a leaf is missing');
  });
  return leaves;
}

function sealedTexts(directory: string): string[] {
  const entries = join(directory, 'tile', 'entries');
  if (!existsSync(entries)) return [];
  return readdirSync(entries, { recursive: true, withFileTypes: true })
    .filter(
      (entry) => entry.isFile() && !entry.parentPath.endsWith('.p') && !entry.name.includes('.'),
    )
    .flatMap((entry) => bundleTexts(readFileSync(join(entry.parentPath, entry.name))));
}

function bundleTexts(bytes: Buffer): string[] {
  const texts: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 2 + bytes.readUInt16BE(at);
    texts.push(bytes.toString('utf8', at + 2, end));
    at = end;
  }
  return texts;
}

function liveTexts(directory: string): string[] {
  const wals = readdirSync(directory).filter((name) => /^wal-\d+\.jsonl$/.test(name));
  return wals.flatMap((name) => {
    const text = readFileSync(join(directory, name), 'utf8');
    return text
      .slice(0, text.lastIndexOf('\n') + 1)
      .split('\n')
      .filter(Boolean);
  });
}

export const decisionsOf = (leaves: readonly Leaf[]) =>
  leaves.filter(({ egret }) => egret.kind === 'decision');

export const outcomesOf = (leaves: readonly Leaf[]) =>
  leaves.filter(({ egret }) => egret.kind === 'outcome');

/** The reason and result with which a call ended, by its decision id. */
export function outcomeOf(leaves: readonly Leaf[], decisionId: string) {
  const [found, second] = outcomesOf(leaves).filter(({ egret }) => egret.ref === decisionId);
  assert.equal(second, undefined, 'two outcomes of one call');
  return found?.egret.outcome;
}

/** Fails with what the command says when the log does not verify. */
export async function assertVerifies(directory: string): Promise<void> {
  const { code, stdout, stderr } = await runEgret(['audit', 'verify', directory]);
  assert.equal(code, 0, `egret audit verify: ${stdout}${stderr}`);
}

/** Every forwarded decision has exactly one outcome, and no outcome is of anything else. */
export function assertPaired(leaves: readonly Leaf[]): void {
  const forwarded = decisionsOf(leaves)
    .filter(({ egret }) => egret.enforcement?.action === 'forward')
    .map((leaf) => leaf.decision_id);
  const ended = outcomesOf(leaves).map(({ egret }) => egret.ref);
  assert.deepEqual(ended.toSorted(), forwarded.toSorted());
}
