/**
 * One entry of the audit log: the canonical JSON line (RFC 8785) of a decision, an outcome or an event. The keys of
 * OPA's decision log stand at the top level, everything of ours in the object `egret`; docs/audit.md lists them. The
 * literals below have their keys in order, so that JSON.stringify gives the canonical text; a property test compares
 * it with `canonicalize`. No line is longer than 60 KiB: what does not fit is replaced by its commitment. Pure.
 */
import type { Json, JsonObject } from '../call/tool-call.ts';
import { canonicalText } from './canonical.ts';
import { committer, type Opening, openingOf } from './commitment.ts';
import {
  type Disclosure,
  disclosedFields,
  disclosureOf,
  erase,
  foreign,
  type Ledger,
  NOTHING_DISCLOSED,
  newLedger,
} from './disclosure.ts';
import {
  agentOf,
  bounded,
  bundlesOf,
  errorOf,
  maskedInput,
  metricsOf,
  policyOf,
  requestOf,
  resultOf,
  rolloutOf,
  sourcesOf,
  wholeInput,
} from './facts.ts';
import type { Boot, DecisionRecord, LifecycleEvent, OutcomeRecord, Stamp } from './record.ts';
import type { Hash } from './tree.ts';

export const ENTRY_VERSION = 1;
/** Bytes of a line without its line feed. Entry bundles allow 65,535. */
export const ENTRY_BYTES_MAX = 60 * 1024;
const PATH = 'egret/decision';

export interface Entry {
  /** Canonical JSON without a line feed. */
  readonly line: string;
  readonly kind: 'decision' | 'outcome' | 'lifecycle';
  /** Decision id of a forwarded call that still needs an outcome; null for all other entries. */
  readonly opens: string | null;
  /** Decision id whose call this entry ends; null for all other entries. */
  readonly closes: string | null;
  /** What the side file may keep so that committed values can be shown later. */
  readonly openings: () => readonly Opening[];
}

/** Everything an entry needs besides its record. */
export interface EntryContext {
  readonly boot: Boot;
  readonly stamp: Stamp;
  /** Gives 32 fresh random bytes each time. */
  readonly salt: () => Hash;
}

type Level = { readonly disclosure: Disclosure; readonly withInput: boolean };

/** The record of a decision. Cost: one hash for each committed value. */
export function decisionEntry(record: DecisionRecord, context: EntryContext): Entry {
  const disclosure = disclosureOf(record.verdict);
  const levels: readonly Level[] = [
    { disclosure, withInput: true },
    { disclosure: NOTHING_DISCLOSED, withInput: true },
    { disclosure: NOTHING_DISCLOSED, withInput: false },
  ];
  for (const level of levels) {
    const ledger = newLedger(committer(context.salt));
    const line = render(decisionObject(record, context, level, ledger), ledger);
    if (!fits(line)) continue;
    const opens = record.enforcement.action === 'forward' ? record.decisionId : null;
    const openings = () => openingsToKeep(ledger, disclosure);
    return { line, kind: 'decision', opens, closes: null, openings };
  }
  throw tooLong('decision');
}

function decisionObject(
  record: DecisionRecord,
  context: EntryContext,
  level: Level,
  ledger: Ledger,
) {
  const { verdict, enforcement } = record;
  const { boot, stamp } = context;
  const input = level.withInput ? record.input : null;
  if (record.input !== null && input === null) {
    erase(ledger, '/input', canonicalText(wholeInput(record.input)), true);
  }
  const masked = input === null ? null : maskedInput(record, input, level.disclosure, ledger);
  const inputs = input === null ? [] : sourcesOf(input, ledger);
  const req = requestOf(record, ledger);
  const result = resultOf(verdict, ledger);
  const disclosed = input === null ? [] : disclosedFields(input, level.disclosure, ledger);
  return {
    bundles: bundlesOf(verdict),
    decision_id: record.decisionId,
    egret: {
      agent: record.input === null ? agentOf(record.agent ?? null) : undefined,
      approval: null,
      boot_id: boot.bootId,
      enforcement: {
        action: enforcement.action,
        mode: enforcement.mode,
        reason: enforcement.reason,
        would_deny: enforcement.would_deny,
      },
      inputs,
      kind: 'decision',
      log: boot.log,
      mono_ns: stamp.monoNs,
      policy: policyOf(verdict),
      redaction: { commits: commitsOf(ledger), disclosed, level: level.disclosure.level },
      ref: null,
      req,
      rollout: record.rollout ? rolloutOf(record.rollout) : undefined,
      seq: stamp.seq,
      v: ENTRY_VERSION,
    },
    erased: ledger.erased,
    error: errorOf(record),
    input: masked,
    labels: boot.labels,
    masked: ledger.masked,
    metrics: metricsOf(verdict),
    path: PATH,
    requested_by: bounded(record.requestedBy, 128),
    result,
    span_id: bounded(record.spanId, 16),
    timestamp: stamp.timestamp,
    trace_id: bounded(record.traceId, 32),
  };
}

/** The record of how a forwarded call ended. */
export function outcomeEntry(record: OutcomeRecord, context: EntryContext): Entry {
  const ledger = newLedger(committer(context.salt));
  const { cost, tokens } = record;
  if (record.sha256 !== null) {
    erase(ledger, '/egret/outcome/resp_sha256', JSON.stringify(record.sha256), false);
  }
  const outcome = {
    content_type: mediaType(record.contentType),
    cost: cost
      ? {
          amount: cost.amount,
          currency: bounded(cost.currency, 16),
          source: bounded(cost.source, 64),
        }
      : null,
    is_error: record.isError,
    peer: bounded(record.peer ?? null, 64),
    reason: record.reason,
    resp_bytes: record.bytes,
    result: record.result,
    status: record.status,
    tokens: tokens ? { in: tokens.in, out: tokens.out } : null,
    total_ms: record.totalMs,
    ttfb_ms: record.ttfbMs,
  };
  const { boot, stamp } = context;
  const entry = {
    decision_id: record.ref,
    egret: {
      boot_id: boot.bootId,
      kind: 'outcome',
      log: boot.log,
      mono_ns: stamp.monoNs,
      outcome,
      redaction: { commits: commitsOf(ledger) },
      ref: record.ref,
      seq: stamp.seq,
      v: ENTRY_VERSION,
    },
    erased: ledger.erased,
    labels: boot.labels,
    path: PATH,
    span_id: bounded(record.spanId, 16),
    timestamp: stamp.timestamp,
    trace_id: bounded(record.traceId, 32),
  };
  const line = render(entry, ledger);
  if (!fits(line)) throw tooLong('outcome');
  const openings = () => ledger.commits.map(openingOf);
  return { line, kind: 'outcome', opens: null, closes: record.ref, openings };
}

/** The record of an event in the life of the sidecar. A detail over 30 KiB is cut to its commitment. */
export function lifecycleEntry(event: LifecycleEvent, context: EntryContext): Entry {
  const ledger = newLedger(committer(context.salt));
  const { boot, stamp } = context;
  const text = canonicalText(event.detail);
  const kept = Buffer.byteLength(text) <= ENTRY_BYTES_MAX / 2;
  if (!kept) erase(ledger, '/egret/lifecycle/detail', text, false);
  const entry = {
    decision_id: null,
    egret: {
      boot_id: boot.bootId,
      kind: 'lifecycle',
      lifecycle: { detail: kept ? event.detail : null, event: event.event },
      log: boot.log,
      mono_ns: stamp.monoNs,
      redaction: { commits: commitsOf(ledger) },
      ref: null,
      seq: stamp.seq,
      v: ENTRY_VERSION,
    },
    erased: ledger.erased,
    labels: boot.labels,
    path: PATH,
    timestamp: stamp.timestamp,
  };
  const line = canonicalText(entry as unknown as Json);
  if (!fits(line)) throw tooLong('lifecycle');
  const openings = () => ledger.commits.map(openingOf);
  return { line, kind: 'lifecycle', opens: null, closes: null, openings };
}

/** Canonical text of an object whose literal is in order; what came from outside may not be, and the ledger knows. */
function render(entry: { readonly labels: JsonObject }, ledger: Ledger): string {
  foreign(entry.labels, ledger);
  return ledger.inOrder ? JSON.stringify(entry) : canonicalText(entry as unknown as Json);
}

const commitsOf = (ledger: Ledger) =>
  ledger.commits.map(({ commit, pointer }) => ({ commit, pointer }));

/** Hashes always; what the agent sent only when the policy asked for the full log. */
function openingsToKeep(ledger: Ledger, disclosure: Disclosure): readonly Opening[] {
  const full = disclosure.level === 'full';
  return ledger.commits.filter((c) => full || !ledger.content.has(c.pointer)).map(openingOf);
}

/** Type and subtype; parameters such as boundaries and names are cut. */
function mediaType(text: string | null): string | null {
  const type = text?.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  return /^[a-z0-9.+-]{1,63}\/[a-z0-9.+-]{1,63}$/.test(type) ? type : null;
}

const fits = (line: string) =>
  line.length * 3 <= ENTRY_BYTES_MAX || Buffer.byteLength(line) <= ENTRY_BYTES_MAX;

const tooLong = (kind: string) =>
  new Error(`audit entry: ${kind} is over ${ENTRY_BYTES_MAX} bytes; expected shorter labels`);
