/**
 * One entry of the audit log: the canonical JSON line (RFC 8785) of a decision, an outcome or an event. The keys of
 * OPA's decision log stand at the top level, everything of ours in the object `egret`; docs/audit.md lists them. The
 * shapes are fixed, so the text is written in key order at once; a property test compares it with `canonicalize`.
 * No line is longer than 60 KiB: what does not fit is replaced by its commitment. Pure.
 */
import { canonicalText, objectOf, quoted } from './canonical.ts';
import { committer, type Opening } from './commitment.ts';
import {
  clearFields,
  type Disclosure,
  disclosureOf,
  erase,
  type Ledger,
  NOTHING_DISCLOSED,
  newLedger,
} from './disclosure.ts';
import {
  bundlesText,
  egretFacts,
  errorText,
  inputText,
  metricsText,
  nullable,
  resultText,
  wholeInput,
} from './facts.ts';
import type { Boot, DecisionRecord, LifecycleEvent, OutcomeRecord, Stamp } from './record.ts';
import type { Hash } from './tree.ts';

export const ENTRY_VERSION = 1;
/** Bytes of a line without its line feed. Entry bundles allow 65,535. */
export const ENTRY_BYTES_MAX = 60 * 1024;

export interface Entry {
  /** Canonical JSON without a line feed. */
  readonly line: string;
  readonly kind: 'decision' | 'outcome' | 'lifecycle';
  /** Decision id of a forwarded call that still needs an outcome; null for all other entries. */
  readonly opens: string | null;
  /** Decision id whose call this entry ends; null for all other entries. */
  readonly closes: string | null;
  /** What the side file may keep so that committed values can be shown later. */
  readonly openings: readonly Opening[];
}

/** Everything an entry needs besides its record. */
export interface EntryContext {
  readonly boot: Boot;
  readonly stamp: Stamp;
  /** 32 fresh random bytes, never used for a second entry. */
  readonly key: Hash;
}

type Level = { readonly disclosure: Disclosure; readonly withInput: boolean };

/** The record of a decision. Cost: three hashes for each committed value. */
export function decisionEntry(record: DecisionRecord, context: EntryContext): Entry {
  const disclosure = disclosureOf(record.verdict);
  const levels: readonly Level[] = [
    { disclosure, withInput: true },
    { disclosure: NOTHING_DISCLOSED, withInput: true },
    { disclosure: NOTHING_DISCLOSED, withInput: false },
  ];
  for (const level of levels) {
    const ledger = newLedger(committer(context.key));
    const line = decisionLine(record, context, level, ledger);
    if (!fits(line)) continue;
    const opens = record.enforcement.action === 'forward' ? record.decisionId : null;
    const openings = openingsToKeep(ledger, disclosure);
    return { line, kind: 'decision', opens, closes: null, openings };
  }
  throw tooLong('decision');
}

function decisionLine(
  record: DecisionRecord,
  context: EntryContext,
  level: Level,
  ledger: Ledger,
): string {
  const { verdict } = record;
  const input = level.withInput ? record.input : null;
  if (record.input !== null && input === null) {
    erase(ledger, '/input', canonicalText(wholeInput(record.input)), true);
  }
  const inputs = input === null ? 'null' : inputText(record, input, level.disclosure, ledger);
  const facts = egretFacts(record, ledger);
  const result = resultText(verdict, ledger);
  const disclosed = input === null ? undefined : clearFields(input, level.disclosure);
  const egret = objectOf({
    agent: facts.agent,
    approval: 'null',
    ...stampStart(context),
    dest: facts.dest,
    enforcement: facts.enforcement,
    inputs: facts.inputs,
    kind: '"decision"',
    ...stampMiddle(context),
    on_behalf_of: facts.onBehalfOf,
    policy: facts.policy,
    redaction: redactionText(ledger, level.disclosure.level, disclosed),
    ref: 'null',
    req: facts.req,
    run: facts.run,
    seq: String(context.stamp.seq),
    tool: facts.tool,
    v: String(ENTRY_VERSION),
  });
  return objectOf({
    bundles: bundlesText(verdict),
    decision_id: quoted(record.decisionId),
    egret,
    erased: JSON.stringify(ledger.erased),
    error: errorText(record),
    input: inputs,
    labels: context.boot.labels,
    masked: JSON.stringify(ledger.masked),
    metrics: metricsText(verdict),
    path: '"egret/decision"',
    requested_by: nullable(record.requestedBy, 128),
    result,
    span_id: nullable(record.spanId, 16),
    timestamp: quoted(context.stamp.timestamp),
    trace_id: nullable(record.traceId, 32),
  });
}

/** The record of how a forwarded call ended. */
export function outcomeEntry(record: OutcomeRecord, context: EntryContext): Entry {
  const ledger = newLedger(committer(context.key));
  if (record.sha256 !== null) {
    erase(ledger, '/egret/outcome/resp_sha256', quoted(record.sha256), false);
  }
  const outcome = objectOf({
    content_type: nullable(mediaType(record.contentType), 128),
    cost: costText(record.cost ?? null),
    is_error: String(record.isError),
    reason: nullable(record.reason, 64),
    resp_bytes: number(record.bytes),
    result: quoted(record.result),
    status: number(record.status),
    tokens: record.tokens
      ? objectOf({ in: number(record.tokens.in), out: number(record.tokens.out) })
      : 'null',
    total_ms: number(record.totalMs),
    ttfb_ms: number(record.ttfbMs),
  });
  const line = entryLine(context, {
    kind: 'outcome',
    id: quoted(record.ref),
    members: { outcome },
    ref: quoted(record.ref),
    ledger,
    spanId: nullable(record.spanId, 16),
    traceId: nullable(record.traceId, 32),
  });
  if (!fits(line)) throw tooLong('outcome');
  return {
    line,
    kind: 'outcome',
    opens: null,
    closes: record.ref,
    openings: ledger.commits,
  };
}

/** The record of an event in the life of the sidecar. Longer details are cut to their commitment. */
export function lifecycleEntry(event: LifecycleEvent, context: EntryContext): Entry {
  const ledger = newLedger(committer(context.key));
  const detail = canonicalText(event.detail);
  const kept = Buffer.byteLength(detail) <= ENTRY_BYTES_MAX / 2;
  if (!kept) erase(ledger, '/egret/lifecycle/detail', detail, false);
  const lifecycle = objectOf({
    detail: kept ? detail : 'null',
    event: quoted(event.event),
  });
  const line = entryLine(context, {
    kind: 'lifecycle',
    id: 'null',
    members: { lifecycle },
    ref: 'null',
    ledger,
    spanId: 'null',
    traceId: 'null',
  });
  if (!fits(line)) throw tooLong('lifecycle');
  return { line, kind: 'lifecycle', opens: null, closes: null, openings: ledger.commits };
}

interface Plain {
  readonly kind: 'outcome' | 'lifecycle';
  readonly id: string;
  /** The one member of its kind; sorts between `log` and `ref`. */
  readonly members: { readonly lifecycle: string } | { readonly outcome: string };
  readonly ref: string;
  readonly ledger: Ledger;
  readonly spanId: string;
  readonly traceId: string;
}

function entryLine(context: EntryContext, plain: Plain): string {
  const { members } = plain;
  const egret = objectOf({
    ...stampStart(context),
    kind: quoted(plain.kind),
    ...('lifecycle' in members ? members : {}),
    ...stampMiddle(context),
    ...('outcome' in members ? members : {}),
    redaction: redactionText(plain.ledger, 'metadata', undefined),
    ref: plain.ref,
    seq: String(context.stamp.seq),
    v: String(ENTRY_VERSION),
  });
  return objectOf({
    decision_id: plain.id,
    egret,
    erased: JSON.stringify(plain.ledger.erased),
    labels: context.boot.labels,
    masked: '[]',
    path: '"egret/decision"',
    span_id: plain.spanId,
    timestamp: quoted(context.stamp.timestamp),
    trace_id: plain.traceId,
  });
}

const stampStart = ({ boot }: EntryContext) => ({ boot_id: quoted(boot.bootId) });
const stampMiddle = ({ boot, stamp }: EntryContext) => ({
  log: quoted(boot.log),
  mono_ns: String(stamp.monoNs),
});

function redactionText(ledger: Ledger, level: string, disclosed: string | undefined): string {
  const commits = ledger.commits.map(
    ({ pointer, commit }) => `{"commit":"${commit}","pointer":${quoted(pointer)}}`,
  );
  return objectOf({ commits: `[${commits.join(',')}]`, disclosed, level: quoted(level) });
}

/** Hashes always; what the agent sent only when the policy asked for the full log. */
function openingsToKeep(ledger: Ledger, disclosure: Disclosure): readonly Opening[] {
  if (disclosure.level === 'full') return ledger.commits;
  return ledger.commits.filter(({ pointer }) => !ledger.content.has(pointer));
}

function costText(cost: OutcomeRecord['cost'] | null): string {
  if (!cost) return 'null';
  return objectOf({
    amount: number(cost.amount),
    currency: nullable(cost.currency, 16),
    source: nullable(cost.source, 64),
  });
}

/** Type and subtype; parameters such as boundaries and names are cut. */
function mediaType(text: string | null): string | null {
  const type = text?.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  return /^[a-z0-9.+-]{1,63}\/[a-z0-9.+-]{1,63}$/.test(type) ? type : null;
}

const number = (value: number | null) => JSON.stringify(value);

const fits = (line: string) =>
  line.length * 3 <= ENTRY_BYTES_MAX || Buffer.byteLength(line) <= ENTRY_BYTES_MAX;

const tooLong = (kind: string) =>
  new Error(`audit entry: ${kind} is over ${ENTRY_BYTES_MAX} bytes; expected shorter labels`);
