/**
 * Work in small slices beside the calls: a few milliseconds of it, then a rest that is longer, so that a call waits at
 * most for one slice and most of the processor stays free. Shell: owns one timer.
 */
import { setTimeout as sleep } from 'node:timers/promises';

const SLICE_MS = 5;
/** Rest for each part of work: a fifth of one processor at most. */
const REST = 4;
const REST_MS_MAX = 1000;

export class Pace {
  readonly #monotonicMs: () => number;
  readonly #signal: AbortSignal;
  #sinceMs: number;

  constructor(monotonicMs: () => number, signal: AbortSignal) {
    this.#monotonicMs = monotonicMs;
    this.#signal = signal;
    this.#sinceMs = monotonicMs();
  }

  /** To be awaited often: rests when the slice is over. Never rejects. */
  async rest(): Promise<void> {
    const workedMs = this.#monotonicMs() - this.#sinceMs;
    if (workedMs < SLICE_MS) return;
    const ms = Math.min(REST * workedMs, REST_MS_MAX);
    await sleep(ms, undefined, { signal: this.#signal, ref: false }).catch(() => undefined);
    this.#sinceMs = this.#monotonicMs();
  }
}
