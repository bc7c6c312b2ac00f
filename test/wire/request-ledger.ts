/**
 * Two columns that must agree: what the tools saw, and what is on record. A request that a tool saw has one decision to
 * forward it, with the same meaning; a call that ended well was seen once. Pure.
 */
import type { OriginName, Sighting } from './origin.ts';
import type { Recorded, RecordLeaf } from './record.ts';
import { assertSameMeaning, traceIdOf } from './same-meaning.ts';

interface Decided {
  readonly id: string;
  readonly leaf: RecordLeaf;
  seen: number;
  ended: string | null;
}

export interface Counts {
  seen: number;
  forwarded: number;
  refused: number;
  /** Refusals by their reason. */
  readonly reasons: Map<string, number>;
}

export class Ledger {
  readonly counts: Counts = { seen: 0, forwarded: 0, refused: 0, reasons: new Map() };
  /** What does not agree, in words. */
  readonly findings: string[] = [];
  readonly #decided = new Map<string, Decided>();
  readonly #traceOf = new Map<string, string>();
  readonly #waiting: [OriginName, Sighting][] = [];

  leaf(leaf: RecordLeaf): void {
    const { kind, enforcement, ref, outcome } = leaf.egret;
    if (kind === 'outcome') {
      const decided = this.#decided.get(this.#traceOf.get(ref ?? '') ?? '');
      if (decided === undefined) this.findings.push(`an outcome of no decision: ${ref}`);
      else decided.ended = outcome?.result ?? '';
    }
    if (kind !== 'decision' || enforcement === undefined) return;
    const { action, reason } = enforcement;
    if (reason === 'proxy.internal') this.findings.push(`the sidecar failed: ${leaf.decision_id}`);
    if (action !== 'forward') {
      this.counts.refused += 1;
      this.counts.reasons.set(reason, (this.counts.reasons.get(reason) ?? 0) + 1);
      return;
    }
    this.counts.forwarded += 1;
    const [id, trace] = [leaf.decision_id ?? '', leaf.trace_id ?? ''];
    if (this.#decided.has(trace)) this.findings.push(`two decisions of one trace: ${trace}`);
    this.#decided.set(trace, { id, leaf, seen: 0, ended: null });
    this.#traceOf.set(id, trace);
  }

  sighting(origin: OriginName, seen: Sighting): void {
    this.counts.seen += 1;
    this.#waiting.push([origin, seen]);
  }

  /** Compares what has come in. A decision is on record before its request is seen, so nothing may be left over. */
  compare(recorded: (leaf: RecordLeaf) => Recorded | null): void {
    for (const [origin, seen] of this.#waiting.splice(0)) {
      const decided = this.#decided.get(traceIdOf(seen));
      if (decided === undefined) {
        this.findings.push(`${origin} saw what is on no record: ${JSON.stringify(seen)}`);
        continue;
      }
      decided.seen += 1;
      if (decided.seen > 1) {
        this.findings.push(`${origin} saw one call twice: ${JSON.stringify(seen)}`);
        continue;
      }
      const opened = recorded(decided.leaf);
      if (opened === null) {
        decided.seen -= 1;
        this.#waiting.push([origin, seen]);
        continue;
      }
      this.#sameMeaning(origin, seen, opened);
    }
    this.#forgetEnded();
  }

  /** Calls that ended well and that no tool has told of yet. */
  get untold(): number {
    let untold = this.#waiting.length;
    for (const { seen, ended } of this.#decided.values()) {
      if (seen === 0 && ended === 'completed') untold += 1;
    }
    return untold;
  }

  /** After the last call has ended. */
  close(): void {
    for (const [origin, seen] of this.#waiting) {
      this.findings.push(`${origin} saw what nobody can open: ${JSON.stringify(seen)}`);
    }
    for (const { id, seen, ended } of this.#decided.values()) {
      if (ended === null) this.findings.push(`a call without outcome: ${id}`);
      else if (seen === 0 && ended === 'completed') this.findings.push(`nobody saw ${id}`);
    }
  }

  #sameMeaning(origin: OriginName, seen: Sighting, opened: Recorded): void {
    try {
      assertSameMeaning(origin, seen, opened);
    } catch (error) {
      const pair = JSON.stringify({ seen, opened });
      this.findings.push(`${origin} saw another meaning: ${String(error)}\n${pair}`);
    }
  }

  #forgetEnded(): void {
    for (const [trace, { id, seen, ended }] of this.#decided) {
      if (seen === 0 || ended === null) continue;
      this.#decided.delete(trace);
      this.#traceOf.delete(id);
    }
  }
}
