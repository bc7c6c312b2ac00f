/**
 * From a directive to what should be held: fetches the bundles it names, checks that the bytes have the digest, and
 * hands on one consistent word. An older generation never replaces a newer one, and a candidate that cannot be fetched
 * never holds up what is said about stable. Shell: owns the newest directive.
 */
import { createHash } from 'node:crypto';
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
}

export class DirectiveFollower {
  readonly #options: FollowerOptions;
  #newest: Directive | null = null;
  #applied = -1;
  #running: Promise<void> = Promise.resolve();

  constructor(options: FollowerOptions) {
    this.#options = options;
  }

  /** Generation of the directive that is in force; -1 before there is one. */
  get generation(): number {
    return this.#applied;
  }

  /** One at a time; of those that wait only the newest is followed. */
  take(directive: Directive): Promise<void> {
    if (this.#newest !== null && directive.generation < this.#newest.generation) {
      return this.#running;
    }
    this.#newest = directive;
    this.#running = this.#running.then(() => this.#follow());
    return this.#running;
  }

  async #follow(): Promise<void> {
    const { listener, lastGood } = this.#options;
    const directive = this.#newest;
    if (directive === null) return;
    if (directive.generation === this.#applied) return listener.onUnchanged();
    const { stable } = directive;
    if (stable === null) {
      const place = { file: `state of ${directive.set}` };
      return listener.onError([
        bundleError('source_missing', place, 'no stable revision', 'a first bundle'),
      ]);
    }
    const wanted = await this.#wanted(stable).catch((error: unknown) => {
      listener.onError(errorsOf(error, stable));
      return null;
    });
    // A newer one came meanwhile, and its turn is next.
    if (wanted === null || this.#newest !== directive) return;
    const candidate = await this.#candidate(directive);
    if (this.#newest !== directive) return;
    const inForce = await listener.onWanted({ stable: wanted.bundle, candidate, directive });
    if (!inForce) return;
    this.#applied = directive.generation;
    await lastGood?.keep(directive, wanted.archive);
  }

  async #wanted(revision: RevisionName): Promise<{
    readonly bundle: WantedBundle;
    readonly archive: Uint8Array | null;
  }> {
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

  async #candidate(directive: Directive): Promise<WantedCandidate | null> {
    const { candidate } = directive;
    const { listener, selected, candidateDelayMs = () => 0 } = this.#options;
    if (candidate === null || !selected(directive)) return null;
    if (!listener.holds(candidate.digest)) {
      const ms = candidateDelayMs();
      if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms).unref());
      if (this.#newest !== directive) return null;
    }
    try {
      return (await this.#wanted(candidate)).bundle;
    } catch (error) {
      return { digest: candidate.digest, errors: errorsOf(error, candidate) };
    }
  }
}

function errorsOf(error: unknown, { digest }: RevisionName): readonly BundleError[] {
  if (error instanceof BundleRefused) return error.errors;
  const found = error instanceof Error ? error.message : 'something that failed';
  return [bundleError('source_unreadable', { file: digest }, found, 'the archive')];
}
