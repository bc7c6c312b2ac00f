/**
 * A sidecar takes itself out of a rollout when the candidate fails it, without asking anybody: the controller may be
 * gone. It stays out for this rollout. Pure; it keeps what it was told.
 */

const FAILURES_MAX = 3;
const WITHIN_MS = 60_000;
const RATIO_MAX = 0.01;
const RATIO_SAMPLES_MIN = 50;

export class Trip {
  #tripped = false;
  #calls = 0;
  #failures = 0;
  /** When the last few failures were, oldest first. */
  #recent: number[] = [];

  get tripped(): boolean {
    return this.#tripped;
  }

  /**
   * @param failures of the candidate in this call: none, one, or two when it should have decided.
   * @returns true when this very call trips it.
   */
  count(failures: number, monotonicMs: number): boolean {
    if (this.#tripped) return false;
    this.#calls += 1;
    if (this.#failures + failures === 0) return false;
    this.#failures += failures;
    const since = monotonicMs - WITHIN_MS;
    this.#recent = [
      ...this.#recent.filter((atMs) => atMs > since),
      ...Array.from({ length: failures }, () => monotonicMs),
    ].slice(-FAILURES_MAX);
    const often = this.#recent.length >= FAILURES_MAX;
    const ratio = this.#calls >= RATIO_SAMPLES_MIN && this.#failures / this.#calls > RATIO_MAX;
    this.#tripped = often || ratio;
    return this.#tripped;
  }
}
