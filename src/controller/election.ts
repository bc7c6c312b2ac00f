/**
 * Leader election over a Lease. A replica leads only while its last renewal is younger than the renewal deadline, which
 * it checks again before each write (`mayWrite`), so a replica that was frozen does not go on as if it led. Never stops
 * trying until it is closed. Shell: owns one loop and the knowledge of who leads.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type LeaseSpec, leaseMove, type Observed, released } from './lease.ts';

export interface LeaseStore {
  read(): Promise<{ readonly spec: LeaseSpec; readonly resourceVersion: string } | null>;
  /**
   * @param resourceVersion that was read; null creates.
   * @returns the new version, or null when somebody else was faster.
   */
  write(spec: LeaseSpec, resourceVersion: string | null): Promise<string | null>;
}

export interface ElectionOptions {
  readonly store: LeaseStore;
  readonly identity: string;
  readonly durationSeconds: number;
  readonly renewDeadlineSeconds: number;
  readonly retrySeconds: number;
  readonly monotonicMs: () => number;
  readonly wallMs: () => number;
  /** Leads from now on, or no longer. */
  readonly onChange: (leads: boolean) => void;
  /** The API server did not answer, or refused. */
  readonly onError: (error: unknown) => void;
}

export class Election {
  readonly #options: ElectionOptions;
  readonly #stop = new AbortController();
  #loop: Promise<void> | null = null;
  #seen: Observed | null = null;
  #renewedMs = Number.NEGATIVE_INFINITY;
  #told = false;
  #holder: string | null = null;

  constructor(options: ElectionOptions) {
    this.#options = options;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** Whether this replica leads now; asked before every write. */
  mayWrite(): boolean {
    const { monotonicMs, renewDeadlineSeconds } = this.#options;
    return monotonicMs() - this.#renewedMs < renewDeadlineSeconds * 1000;
  }

  /** Who held the Lease when it was last read; null when nobody did. */
  holder(): string | null {
    return this.#holder;
  }

  /** Gives the Lease back, so that another replica can lead at once. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
    const led = this.mayWrite();
    this.#renewedMs = Number.NEGATIVE_INFINITY;
    this.#tell();
    if (!led) return;
    try {
      const { store, identity, wallMs } = this.#options;
      const lease = await store.read();
      if (lease?.spec.holderIdentity !== identity) return;
      await store.write(released(lease.spec, wallMs()), lease.resourceVersion);
    } catch (error) {
      this.#options.onError(error);
    }
  }

  async #run(): Promise<void> {
    const { retrySeconds } = this.#options;
    while (!this.#stop.signal.aborted) {
      await this.round();
      await sleep(retrySeconds * 1000, undefined, { signal: this.#stop.signal, ref: false }).catch(
        () => undefined,
      );
    }
  }

  /** One try, all that the loop repeats. */
  async round(): Promise<void> {
    await this.#try();
    this.#tell();
  }

  async #try(): Promise<void> {
    const { store, identity, durationSeconds, monotonicMs, wallMs } = this.#options;
    try {
      const lease = await store.read();
      const atMs = monotonicMs();
      const version = lease?.resourceVersion ?? '';
      if (this.#seen?.resourceVersion !== version) this.#seen = { resourceVersion: version, atMs };
      this.#holder = lease?.spec.holderIdentity ?? null;
      const by = { identity, durationSeconds, nowMs: atMs, wallMs: wallMs() };
      const move = leaseMove(lease?.spec ?? null, this.#seen, by);
      if (move.move === 'wait') {
        // Somebody else holds it, whatever this replica believed.
        this.#renewedMs = Number.NEGATIVE_INFINITY;
        return;
      }
      const written = await store.write(move.spec, lease?.resourceVersion ?? null);
      if (written === null) return;
      this.#seen = { resourceVersion: written, atMs };
      this.#holder = identity;
      // Counted from before the write: the others wait from when they see it.
      this.#renewedMs = atMs;
    } catch (error) {
      this.#options.onError(error);
    }
  }

  #tell(): void {
    const leads = this.mayWrite();
    if (leads === this.#told) return;
    this.#told = leads;
    this.#options.onChange(leads);
  }
}
