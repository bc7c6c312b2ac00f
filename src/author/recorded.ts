/**
 * A decision of the audit log as something that can be decided again. The log is not trusted: every shape is checked,
 * and a value that was kept out of the log counts only when it fits the commitment in the entry. Pure.
 */
import { z } from 'zod';
import { canonicalText } from '../audit/canonical.ts';
import { type Opening, opens } from '../audit/commitment.ts';
import type { LogLine } from '../audit/read-log.ts';
import type { Json } from '../call/tool-call.ts';
import type { PolicyInput } from '../decision/input.ts';
import type { Said } from '../rollout/difference.ts';
import { type InputReads, partsOf } from './input-reads.ts';
import { restored } from './recorded-input.ts';

const name = z.string().max(256);

const decisionEntry = z.object({
  decision_id: name,
  timestamp: z.string().max(64),
  input: z.record(z.string(), z.unknown()).nullable(),
  erased: z.array(z.string().max(512)).max(1000).default([]),
  masked: z.array(z.string().max(512)).max(1000).default([]),
  result: z
    .object({
      outcome: z.enum(['allow', 'deny', 'require_approval']),
      reason: name,
      reasons: z.array(z.object({ code: name, policy: name, rule: name })).max(64),
      obligations: z.array(z.object({ kind: name, path: name.nullable() })).max(64),
    })
    .nullable(),
  egret: z.object({
    kind: z.literal('decision'),
    enforcement: z.object({ action: z.enum(['forward', 'refuse', 'advise']), reason: name }),
    policy: z.object({ revision: name, digest: name.optional() }).nullable(),
    rollout: z.object({ arm: name }).optional(),
    redaction: z.object({
      commits: z
        .array(z.object({ pointer: z.string().max(512), commit: z.string().max(64) }))
        .max(1000),
    }),
  }),
});

export type DecisionEntry = z.output<typeof decisionEntry>;

export interface RecordedDecision {
  readonly index: number;
  readonly id: string;
  readonly timestamp: string;
  readonly action: DecisionEntry['egret']['enforcement']['action'];
  /** Null when the call was refused before any policy. */
  readonly said: Said | null;
  readonly reason: string;
  /** Revision that decided; null when there was none. */
  readonly revision: string | null;
  readonly digest: string | null;
  /** A candidate had a say in it. */
  readonly mixed: boolean;
  readonly tool: string;
  readonly entry: DecisionEntry;
}

export type Restored =
  | {
      readonly ok: true;
      readonly input: PolicyInput;
      /** Pointers of values that were not there and are left out. */
      readonly missing: readonly string[];
    }
  | { readonly ok: false; readonly why: string };

/** @returns null when the line is no decision; a decision of another shape is none. */
export function recordedDecision({ index, entry }: LogLine): RecordedDecision | null {
  const parsed = decisionEntry.safeParse(entry);
  if (!parsed.success) return null;
  const { decision_id: id, timestamp, result, input, egret } = parsed.data;
  const tool = (input?.['tool'] as { name?: unknown } | undefined)?.name;
  return {
    index,
    id,
    timestamp,
    action: egret.enforcement.action,
    said: result === null ? null : saidOf(result),
    reason: result?.reason ?? egret.enforcement.reason,
    revision: egret.policy?.revision ?? null,
    digest: egret.policy?.digest ?? null,
    mixed: egret.rollout?.arm === 'guarded' || egret.rollout?.arm === 'candidate',
    tool: typeof tool === 'string' ? tool : '(not recognised)',
    entry: parsed.data,
  };
}

function saidOf(result: NonNullable<DecisionEntry['result']>): Said {
  const { outcome, reason, reasons, obligations } = result;
  return {
    outcome,
    reason,
    rules: reasons.map(({ policy, rule, code }) => `${policy}.${rule} ${code}`),
    obligations: obligations.map(({ kind, path }) => (path === null ? kind : `${kind} ${path}`)),
    obligationsWhole: null,
  };
}

/** Values that fit a commitment of the entry, by pointer. */
export function fitting(
  { entry }: RecordedDecision,
  openings: readonly Opening[],
): ReadonlyMap<string, Json> {
  const commits = new Map(entry.egret.redaction.commits.map((one) => [one.pointer, one.commit]));
  const found = new Map<string, Json>();
  for (const opening of openings) {
    const commit = commits.get(opening.pointer);
    if (commit === undefined || !opens(opening, commit)) continue;
    const value = parsed(opening.value);
    if (value !== undefined) found.set(opening.pointer, value);
  }
  return found;
}

function parsed(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

/** What was said, with all that obligations hold when the verdict has been opened. */
export function saidWhole(said: Said, values: ReadonlyMap<string, Json>): Said {
  const whole = values.get('/result') as { obligations?: Json } | undefined;
  const obligations = whole?.obligations;
  if (!Array.isArray(obligations)) return said;
  return { ...said, obligationsWhole: canonicalText(obligations as Json) };
}

export interface Asking {
  /** What the policy that is asked can read; the rest need not be there. */
  readonly reads: InputReads;
  /** Go on when something is not there that the policy can read, as if the call did not have it. */
  readonly missingAllowed: boolean;
}

/** The input that policy saw, as exactly as the log and the openings tell. */
export function restoredInput(
  decision: RecordedDecision,
  values: ReadonlyMap<string, Json>,
  asking: Asking,
): Restored {
  const { entry, said, reason, revision } = decision;
  if (said === null) return { ok: false, why: `refused before policy (${reason})` };
  if (revision === null) return { ok: false, why: `decided without a policy (${reason})` };
  const pointers = new Set([
    ...entry.erased,
    ...entry.masked,
    ...entry.egret.redaction.commits.map(({ pointer }) => pointer),
  ]);
  const isMissing = (pointer: string) =>
    (pointer === '/input' || pointer.startsWith('/input/')) &&
    !values.has(pointer) &&
    partsOf(pointer).some((part) => asking.reads.mayRead(part));
  const missing = [...pointers].filter(isMissing);
  if (missing.length > 0 && !asking.missingAllowed) {
    return { ok: false, why: `only commitments of ${kindsOf(missing).join(', ')}` };
  }
  const whole = values.get('/input');
  const base = entry.input ?? whole;
  if (base === null || typeof base !== 'object' || Array.isArray(base)) {
    return { ok: false, why: 'the input was too large for the log' };
  }
  const result = restored(base as Record<string, unknown>, values, whole !== undefined);
  return result.ok ? { ...result, missing } : result;
}

/** Pointers without what differs from call to call, so that reasons can be counted. */
const kindsOf = (pointers: readonly string[]) =>
  [...new Set(pointers.map((pointer) => pointer.replace(/\/[0-9]+\//, '/*/')))].sort().slice(0, 8);
