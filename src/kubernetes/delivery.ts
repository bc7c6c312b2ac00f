/**
 * Hands the newest set of objects to one worker, never two at a time and never an old set after a new one. Sets that came
 * while the worker was busy are passed over; a set that failed is tried again until a newer one comes. Shell: owns the
 * worker's turn.
 */
import type { ReadObject } from './object.ts';
import { backoffMs, type View } from './reflection.ts';
import { pause, type Timing } from './timing.ts';

export interface DeliveryOptions {
  readonly timing: Timing;
  readonly onObjects: (objects: View) => void | Promise<void>;
  /** Sets whose objects have equal prints are the same set. */
  readonly print: (object: ReadObject) => string;
  readonly onError: (error: unknown) => void;
}

export class Delivery {
  readonly #options: DeliveryOptions;
  readonly #closed = new AbortController();
  #newest: View | null = null;
  #applied: string | null = null;
  #turn: Promise<void> | null = null;
  /** Ends the rest after a failure, since there is something newer. */
  #hurry: AbortController = new AbortController();

  constructor(options: DeliveryOptions) {
    this.#options = options;
  }

  offer(view: View): void {
    if (this.#closed.signal.aborted) return;
    this.#newest = view;
    this.#hurry.abort();
    this.#turn ??= this.#work();
  }

  async close(): Promise<void> {
    this.#closed.abort();
    this.#hurry.abort();
    await this.#turn;
  }

  async #work(): Promise<void> {
    const { timing, onObjects, onError } = this.#options;
    // Never inside of `offer`: the caller has more to do before anyone acts on it.
    await Promise.resolve();
    for (let streak = 0; this.#newest !== null && !this.#closed.signal.aborted; ) {
      const view: View = this.#newest;
      this.#newest = null;
      const print = this.#printOf(view);
      if (print === this.#applied) continue;
      this.#hurry = new AbortController();
      try {
        await onObjects(view);
        this.#applied = print;
        streak = 0;
      } catch (error) {
        onError(error);
        this.#applied = null;
        await pause(timing, backoffMs(streak, timing.random()), this.#hurry.signal);
        streak += 1;
        this.#newest ??= view;
      }
    }
    this.#turn = null;
  }

  #printOf(view: View): string {
    const names = [...view.keys()].toSorted();
    return JSON.stringify(
      names.map((name) => [name, this.#options.print(view.get(name) as ReadObject)]),
    );
  }
}
