/**
 * Those who wait for news of a policy set: each is called once, at the news, at the end of its time, or when it leaves.
 * Bounded. Shell: owns their timers.
 */

/** Each holds one connection; more are answered at once. */
const WAITING_MAX = 20_000;

export class WaitingRoom {
  readonly #waiting = new Map<string, Set<() => void>>();
  #count = 0;

  get size(): number {
    return this.#count;
  }

  /** Resolves at once when the room is full. @param left calls back when the one who waits is gone. */
  wait(set: string, ms: number, left: (gone: () => void) => void): Promise<void> {
    if (ms <= 0 || this.#count >= WAITING_MAX) return Promise.resolve();
    return new Promise((resolve) => {
      const here = this.#waiting.get(set) ?? new Set();
      this.#waiting.set(set, here);
      const done = () => {
        clearTimeout(timer);
        if (!here.delete(done)) return;
        this.#count -= 1;
        if (here.size === 0 && this.#waiting.get(set) === here) this.#waiting.delete(set);
        resolve();
      };
      const timer = setTimeout(done, ms);
      here.add(done);
      this.#count += 1;
      left(done);
    });
  }

  /** There is news. */
  wake(set: string): void {
    for (const done of [...(this.#waiting.get(set) ?? [])]) done();
  }

  wakeAll(): void {
    for (const set of [...this.#waiting.keys()]) this.wake(set);
  }
}
