/**
 * A clock that goes only when a test says so, while sockets and promises go as they do. Shell: owns the timers that were
 * asked for.
 */
import assert from 'node:assert/strict';
import type { Timing } from '../../src/kubernetes/timing.ts';

interface Due {
  readonly atMs: number;
  readonly fire: () => void;
}

const REAL_MS_MAX = 20_000;

export class SimulatedTiming implements Timing {
  #now = 0;
  #seed: number;
  readonly #timers = new Set<Due>();

  constructor(seed = 1) {
    this.#seed = seed;
  }

  nowMs(): number {
    return this.#now;
  }

  /** The same row of numbers for the same seed. */
  random(): number {
    this.#seed = (this.#seed * 48_271) % 2_147_483_647;
    return this.#seed / 2_147_483_647;
  }

  timer(ms: number, fire: () => void): () => void {
    const due = { atMs: this.#now + ms, fire };
    this.#timers.add(due);
    return () => this.#timers.delete(due);
  }

  get timers(): number {
    return this.#timers.size;
  }

  /** Milliseconds to the next timer. */
  get nextInMs(): number {
    return Math.min(...[...this.#timers].map(({ atMs }) => atMs - this.#now));
  }

  /** Lets that much time pass, timer by timer, in their order. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const [next] = [...this.#timers].sort((a, b) => a.atMs - b.atMs);
      if (next === undefined || next.atMs > end) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.atMs);
      next.fire();
    }
    this.#now = end;
  }
}

/** Waits for what real sockets bring. Fails with the sentence when it never comes. */
export async function until(holds: () => boolean, sentence: string): Promise<void> {
  const deadline = performance.now() + REAL_MS_MAX;
  while (!holds()) {
    assert.ok(performance.now() < deadline, `never: ${sentence}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
