/**
 * The newest report of each sidecar that this replica heard of, itself or through another replica. Reports are
 * cumulative, so only the newest counts: the higher sequence within one epoch, and of two epochs the one that was heard
 * last. Silent sidecars are forgotten. Bounded. Shell: owns these reports.
 */
import type { Report } from '../rollout/report.ts';

interface Heard {
  readonly report: Report;
  /** Monotonic, milliseconds. */
  readonly atMs: number;
  /** From the sidecar itself, not from another replica. */
  readonly own: boolean;
}

const SIDECARS_MAX = 20_000;

export class ReportStore {
  readonly #silentMs: number;
  readonly #heard = new Map<string, Heard>();

  /** @param silentMs after so long without a report a sidecar is gone. */
  constructor(silentMs: number) {
    this.#silentMs = silentMs;
  }

  /** @returns false when it would be one sidecar too many. */
  take(report: Report, atMs: number, own: boolean): boolean {
    const key = JSON.stringify([report.set, report.sidecar]);
    const before = this.#heard.get(key);
    if (before === undefined) {
      this.forget(atMs);
      if (this.#heard.size >= SIDECARS_MAX) return false;
    } else if (!isNewer(report, before, own)) return true;
    this.#heard.set(key, { report, atMs, own });
    return true;
  }

  /** Reports about a set, of sidecars that are not silent. */
  of(set: string, nowMs: number): Report[] {
    this.forget(nowMs);
    return [...this.#heard.values()].flatMap(({ report }) => (report.set === set ? [report] : []));
  }

  /** What the sidecars told this very replica, for the others. */
  own(nowMs: number): Report[] {
    this.forget(nowMs);
    return [...this.#heard.values()].flatMap(({ report, own }) => (own ? [report] : []));
  }

  get size(): number {
    return this.#heard.size;
  }

  forget(nowMs: number): void {
    for (const [key, { atMs }] of this.#heard) {
      if (nowMs - atMs > this.#silentMs) this.#heard.delete(key);
    }
  }
}

function isNewer(report: Report, before: Heard, own: boolean): boolean {
  if (report.epoch === before.report.epoch) return report.sequence > before.report.sequence;
  // A process that started anew speaks for itself; what another replica still holds may be of the one before.
  return own || !before.own;
}
