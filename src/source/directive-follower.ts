/**
 * From a directive to what should be held: fetches the bundles it names, checks that the bytes have the digest, and
 * hands on one word at a time. An older generation never replaces a newer one. What is said about stable never waits
 * for a candidate: that is fetched beside, again and again until it is there or a newer directive ends it.
 * Shell: owns the newest directive and one fetch of a candidate.
 */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { readArchive } from '../bundle/archive.ts';
import { type BundleError, BundleRefused, bundleError } from '../bundle/bundle-error.ts';
import type { Directive, RevisionName } from '../rollout/directive.ts';
import type { LastGood } from './last-good.ts';
import type { SourceListener, WantedBundle, WantedCandidate } from './policy-source.ts';

export interface FollowerOptions {
  readonly listener: SourceListener;
  /** The archive of a revision. @throws BundleRefused, or anything else when it cannot be had. */
  readonly fetch: (revision: RevisionName) => Promise<Uint8Array>;
  /** Whether this sidecar takes part in the rollout. */
  readonly selected: (directive: Directive) => boolean;
  readonly lastGood: LastGood | null;
  /** Before a candidate is fetched, so that a fleet does not fetch it at once. Milliseconds. */
  readonly candidateDelayMs?: () => number;
  /** Before the second try to fetch a candidate; twice as long each time, a minute at most. Default 1 s. */
  readonly retryMs?: number;
}

const RETRY_MS_MAX = 60_000;

interface Fetched {
  readonly bundle: WantedBundle;
  /** Null when it was held already. */
  readonly archive: Uint8Array | null;
}

export class DirectiveFollower {
  readonly #options: FollowerOptions;
  #newest: Directive | null = null;
  #applied = -1;
  /** One word at a time; never rejects. */
  #turn: Promise<void> = Promise.resolve();
  /** Ends what is done for a directive that is no longer the newest. */
  #hurry = new AbortController();
  #trying: Promise<void> = Promise.resolve();
  /** Digest of the candidate that was handed on: whatever the gate said of it, it is not fetched again. */
  #offered: string | null = null;
  /** Digest of the stable revision that the gate refused: asking again changes nothing. */
  #refused: string | null = null;
  /** Something was wrong since the last word, so the next one is said in full. */
  #troubled = false;
  #closed = false;

  constructor(options: FollowerOptions) {
    this.#options = options;
  }

  /** Generation of the directive that is in force; -1 before there is one. */
  get generation(): number {
    return this.#applied;
  }

  /** The newest directive is not in force, and it is worth to try again. */
  get behind(): boolean {
    if (this.#newest === null) return true;
    const { generation, stable } = this.#newest;
    return generation !== this.#applied && (stable === null || stable.digest !== this.#refused);
  }

  /**
   * Resolves when stable is settled. One at a time; of those that wait only the newest is followed.
   * @returns a promise that rejects when the listener does.
   */
  take(directive: Directive): Promise<void> {
    if (this.#closed) return Promise.resolve();
    if (this.#newest !== null && directive.generation < this.#newest.generation) return this.#turn;
    if (directive.generation !== this.#newest?.generation) {
      this.#newest = directive;
      this.#hurry.abort();
      this.#hurry = new AbortController();
    }
    return this.#next(() => this.#follow());
  }

  /** The transport was asked, and nothing is new. */
  unchanged(): Promise<void> {
    return this.#next(async () => {
      if (this.#newest !== null && !this.behind) await this.#again(this.#newest);
    });
  }

  /** The transport has a problem; what is in force stays. */
  fail(errors: readonly BundleError[]): void {
    this.#troubled = true;
    this.#options.listener.onError(errors);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#hurry.abort();
    await this.#trying;
    await this.#turn;
  }

  #next(work: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(() => (this.#closed ? undefined : work()));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #follow(): Promise<void> {
    const directive = this.#newest;
    if (directive === null) return;
    if (directive.generation === this.#applied) return this.#again(directive);
    const { stable } = directive;
    if (stable === null) {
      const place = { file: `state of ${directive.set}` };
      return this.fail([
        bundleError('source_missing', place, 'no stable revision', 'a first bundle'),
      ]);
    }
    if (stable.digest === this.#refused) return;
    const fetched = await this.#fetched(stable).catch((error: unknown) => {
      this.fail(errorsOf(error, stable));
      return null;
    });
    // A newer one came meanwhile, and its turn is next.
    if (fetched === null || this.#newest !== directive) return;
    await this.#settle(directive, stable, fetched);
  }

  async #settle(directive: Directive, { digest }: RevisionName, fetched: Fetched): Promise<void> {
    const { listener, lastGood } = this.#options;
    const candidate = this.#candidateOf(directive);
    const inForce = await listener.onWanted({ stable: fetched.bundle, candidate, directive });
    this.#refused = inForce ? null : digest;
    if (!inForce) return;
    this.#applied = directive.generation;
    this.#troubled = false;
    await lastGood?.keep(directive, fetched.archive);
    // What was held as the revision before the last may be gone now.
    const wanted = this.#wanted(directive)?.digest ?? null;
    if (wanted !== null && wanted !== this.#offered && !listener.holds(wanted)) {
      this.#tryCandidate(directive);
    }
  }

  /** Says once more what is in force: in full after a problem, because that made the listener forget it. */
  async #again(directive: Directive): Promise<void> {
    const { listener } = this.#options;
    const { stable } = directive;
    if (!this.#troubled || stable === null || !listener.holds(stable.digest)) {
      return listener.onUnchanged();
    }
    const candidate = this.#candidateOf(directive);
    const held = { digest: stable.digest, content: null };
    this.#troubled = !(await listener.onWanted({ stable: held, candidate, directive }));
  }

  #wanted(directive: Directive): RevisionName | null {
    return this.#options.selected(directive) ? directive.candidate : null;
  }

  /** What can be said of the candidate before anything is fetched; null when it is still to come. */
  #candidateOf(directive: Directive): WantedBundle | null {
    const digest = this.#wanted(directive)?.digest ?? null;
    if (digest !== this.#offered || digest === directive.stable?.digest) this.#offered = null;
    if (digest === null) return null;
    const known = digest === this.#offered || this.#options.listener.holds(digest);
    return known ? { digest, content: null } : null;
  }

  #tryCandidate(directive: Directive): void {
    const before = this.#trying;
    const { signal } = this.#hurry;
    this.#trying = before.then(() => this.#bringCandidate(directive, signal));
  }

  /** Until it was handed on, or the directive is an old one. Never rejects. */
  async #bringCandidate(directive: Directive, signal: AbortSignal): Promise<void> {
    const revision = this.#wanted(directive);
    const { candidateDelayMs = () => 0, retryMs = 1000 } = this.#options;
    if (revision === null) return;
    let waitMs = candidateDelayMs();
    for (let failures = 0; ; failures += 1) {
      if (waitMs > 0) await sleep(waitMs, undefined, { signal, ref: false }).catch(() => undefined);
      if (signal.aborted) return;
      const fetched = await this.#fetched(revision).catch((error: unknown) => error);
      if (signal.aborted) return;
      const { digest } = revision;
      const failed = !isFetched(fetched);
      const word = failed ? { digest, errors: errorsOf(fetched, revision) } : fetched.bundle;
      // What keeps failing is said once.
      if (!failed || failures === 0) await this.#sayCandidate(directive, word);
      if (!failed && fetched.archive !== null) {
        await this.#options.lastGood?.store(digest, fetched.archive);
      }
      if (failed) waitMs = Math.min(RETRY_MS_MAX, retryMs * 2 ** failures);
      else return;
    }
  }

  async #sayCandidate(directive: Directive, candidate: WantedCandidate): Promise<void> {
    const { listener } = this.#options;
    const { stable } = directive;
    await this.#next(async () => {
      if (stable === null || this.#newest !== directive) return;
      if (!('errors' in candidate)) this.#offered = candidate.digest;
      const held = { digest: stable.digest, content: null };
      await listener.onWanted({ stable: held, candidate, directive });
    }).catch((error: unknown) => this.fail(errorsOf(error, { digest: candidate.digest })));
  }

  async #fetched(revision: RevisionName): Promise<Fetched> {
    const { digest } = revision;
    const { listener, fetch } = this.#options;
    if (listener.holds(digest)) return { bundle: { digest, content: null }, archive: null };
    const archive = await fetch(revision);
    const found = `sha256:${createHash('sha256').update(archive).digest('hex')}`;
    if (found !== digest) {
      const place = { file: 'bundle' };
      throw new BundleRefused([bundleError('digest_mismatch', place, found, digest)]);
    }
    const content = { files: readArchive(archive, 'bundle.tar.gz'), digest };
    return { bundle: { digest, content }, archive };
  }
}

const isFetched = (result: unknown): result is Fetched =>
  typeof result === 'object' && result !== null && 'bundle' in result;

function errorsOf(error: unknown, { digest }: { digest: string }): readonly BundleError[] {
  if (error instanceof BundleRefused) return error.errors;
  const found = error instanceof Error ? error.message : 'something that failed';
  return [bundleError('source_unreadable', { file: digest }, found, 'the archive')];
}
