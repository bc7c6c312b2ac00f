/**
 * What every entry gets from the journal: its index, the time by both clocks, and random salts that are used once.
 * Shell: owns a pool of randomness.
 */
import { randomBytes } from 'node:crypto';
import { SALT_BYTES } from './commitment.ts';
import type { EntryContext } from './entry.ts';
import type { JournalClock } from './journal-options.ts';
import type { Boot } from './record.ts';

/** Salts made at once; asking the system for each costs more than the hash it is for. */
const POOL_SALTS = 512;

export class Stamper {
  readonly #boot: Boot;
  readonly #clock: JournalClock;
  readonly #startedMs: number;
  /** Wall clock minus monotonic clock when it was last compared. */
  #offsetMs: number;
  #salts = Buffer.alloc(0);
  #used = 0;
  #wallMs = Number.NaN;
  #timestamp = '';

  constructor(boot: Boot, clock: JournalClock) {
    this.#boot = boot;
    this.#clock = clock;
    this.#startedMs = clock.monotonicMs();
    this.#offsetMs = clock.wallMs() - this.#startedMs;
  }

  context(seq: number): EntryContext {
    const monoNs = Math.round((this.#clock.monotonicMs() - this.#startedMs) * 1e6);
    const stamp = { seq, timestamp: this.timestamp(), monoNs };
    return { boot: this.#boot, stamp, salt: this.#salt };
  }

  /** RFC 3339, UTC, milliseconds; made once for each millisecond. */
  timestamp(): string {
    const now = this.#clock.wallMs();
    if (now !== this.#wallMs) {
      this.#wallMs = now;
      this.#timestamp = new Date(now).toISOString();
    }
    return this.#timestamp;
  }

  /** Milliseconds that the wall clock has moved against the monotonic one since the last question. */
  clockStepMs(): number {
    const offsetMs = this.#clock.wallMs() - this.#clock.monotonicMs();
    const stepMs = Math.round(offsetMs - this.#offsetMs);
    this.#offsetMs = offsetMs;
    return stepMs;
  }

  /** A used pool is left to whoever still holds a salt of it, never filled again. */
  readonly #salt = (): Buffer => {
    if (this.#used === this.#salts.length) {
      this.#salts = randomBytes(POOL_SALTS * SALT_BYTES);
      this.#used = 0;
    }
    this.#used += SALT_BYTES;
    return this.#salts.subarray(this.#used - SALT_BYTES, this.#used);
  };
}
