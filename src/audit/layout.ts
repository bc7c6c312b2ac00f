/**
 * Where things are in the directory of a log.
 *
 *   checkpoint            newest signed checkpoint       log.vkey         public key, text form
 *   checkpoints/<size>    older ones, thinned out        open-calls.json  forwarded calls without outcome
 *   tile/...              sealed leaves, C2SP tlog-tiles  quarantine/<n>/  what recovery could not continue
 *   wal-<n>.jsonl         live tail                       lock             who writes
 *
 * Pure.
 */
export const CHECKPOINT = 'checkpoint';
export const HISTORY = 'checkpoints';
export const VERIFIER_KEY = 'log.vkey';
export const OPEN_CALLS = 'open-calls.json';
export const QUARANTINE = 'quarantine';
export const TILES = 'tile';
export const LOCK = 'lock';

export const walName = (number: number): string => `wal-${String(number).padStart(6, '0')}.jsonl`;

/** @returns null when the name is not that of a live tail. */
export function walNumber(name: string): number | null {
  const digits = /^wal-([0-9]{6,15})\.jsonl$/.exec(name)?.[1];
  return digits !== undefined && walName(Number(digits)) === name ? Number(digits) : null;
}

/** Forwarded calls without an outcome among the first `size` leaves. */
export interface OpenCalls {
  readonly size: number;
  readonly open: readonly string[];
}

export function renderOpenCalls({ size, open }: OpenCalls): string {
  return `${JSON.stringify({ open: [...open].sort(), size })}\n`;
}

/** @returns null when the text is not what `renderOpenCalls` writes. */
export function parseOpenCalls(text: string): OpenCalls | null {
  const found = parseJson(text) as Partial<OpenCalls> | null;
  if (found === null || typeof found !== 'object') return null;
  const { open, size } = found;
  if (!Array.isArray(open) || !open.every((id) => typeof id === 'string')) return null;
  if (!Number.isSafeInteger(size)) return null;
  const calls = { size: size as number, open };
  return renderOpenCalls(calls) === text ? calls : null;
}

/** @returns null when the text is no JSON: the caller says what that means. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** What the journal and the verifier must know about a leaf. */
export interface LeafFacts {
  readonly seq: number;
  readonly kind: 'decision' | 'outcome' | 'lifecycle';
  readonly opens: string | null;
  readonly closes: string | null;
  /** Event of a lifecycle leaf. */
  readonly event: string | null;
}

/** @returns null when the value is no entry of version 1. */
export function leafFacts(value: unknown): LeafFacts | null {
  const entry = value as { decision_id?: unknown; egret?: Record<string, unknown> } | null;
  const egret = entry?.egret;
  if (typeof egret !== 'object' || egret === null || egret['v'] !== 1) return null;
  const { seq, kind, ref } = egret;
  if (typeof seq !== 'number' || !Number.isSafeInteger(seq) || seq < 0) return null;
  const plain = { seq, opens: null, closes: null, event: null };
  if (kind === 'decision') {
    const id = entry?.decision_id;
    const action = (egret['enforcement'] as { action?: unknown } | undefined)?.action;
    if (typeof id !== 'string' || typeof action !== 'string') return null;
    return { ...plain, kind, opens: action === 'forward' ? id : null };
  }
  if (kind === 'outcome') return typeof ref === 'string' ? { ...plain, kind, closes: ref } : null;
  if (kind !== 'lifecycle') return null;
  const event = (egret['lifecycle'] as { event?: unknown } | undefined)?.event;
  return typeof event === 'string' ? { ...plain, kind, event } : null;
}
