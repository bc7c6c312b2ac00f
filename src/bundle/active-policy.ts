/**
 * Which policy is in force: one reference that is swapped at once, so a call sees one revision from start to end.
 * The last good revision stays when a new bundle is refused or its source fails; the one before it is kept too, so
 * going back needs no gate. Evaluation is synchronous, so an old engine is simply dropped.
 * Shell: owns the current and the previous revision.
 */
import {
  type Activation,
  type ActivationOptions,
  activate,
  type BundleContent,
  type Revision,
} from './activation.ts';
import { type BundleError, BundleRefused } from './bundle-error.ts';
import { type CheckedSignature, type Verification, verifySignature } from './signature.ts';

/** The fields of OPA's bundle status, and what is ours: `active_digest` and `activations`. */
export interface BundleStatus {
  readonly name: string;
  readonly active_revision: string | null;
  readonly active_digest: string | null;
  /** RFC 3339. */
  readonly last_successful_activation: string | null;
  /** When the source last held what is active; RFC 3339. */
  readonly last_successful_request: string | null;
  /** `bundle_error` when the newest bundle was refused or could not be read; then code and path of each problem. */
  readonly code: string | null;
  readonly message: string | null;
  readonly errors: readonly BundleError[];
  readonly activations: number;
}

export interface ActivePolicyOptions<T>
  extends Omit<ActivationOptions<T>, 'set' | 'nowMs' | 'signature' | 'signatureRequired'> {
  readonly name: string;
  /** How signatures are checked. Default: not at all, and a bundle that has one is refused. */
  readonly verification?: Verification | undefined;
  /** Wall clock in milliseconds since 1970. Default: the system's. */
  readonly nowMs?: () => number;
  /** A clock in milliseconds that never goes back, for the age. Default: the process's. */
  readonly monotonicMs?: () => number;
  /** Called after the swap. */
  readonly onActivated?: (revision: Revision<T>, previous: Revision<T> | null) => void;
  /** Called when a candidate was refused or could not be read; nothing else changes. */
  readonly onCandidateRefused?: (errors: readonly BundleError[], digest: string) => void;
  /** Called when a bundle was refused or could not be read; the last good revision stays. */
  readonly onRejected?: (errors: readonly BundleError[], digest: string | null) => void;
}

interface Refused {
  readonly digest: string;
  readonly errors: readonly BundleError[];
  /** The gate said so, which is final; without it the bytes could not be had, so far. */
  readonly final: boolean;
}

export class ActivePolicy<T = unknown> {
  readonly #options: ActivePolicyOptions<T>;
  readonly #nowMs: () => number;
  readonly #monotonicMs: () => number;
  #current: Revision<T> | null = null;
  #previous: Revision<T> | null = null;
  #candidate: Revision<T> | null = null;
  #refused: Refused | null = null;
  #errors: readonly BundleError[] = [];
  #offeredDigest: string | null = null;
  #activations = 0;
  #confirmed: { readonly wallMs: number; readonly monotonicMs: number } | null = null;

  constructor(options: ActivePolicyOptions<T>) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? Date.now;
    this.#monotonicMs = options.monotonicMs ?? (() => performance.now());
  }

  /** The revision in force; null until the first bundle has passed the gate. Pin it once per call. */
  current(): Revision<T> | null {
    return this.#current;
  }

  /** The revision that was in force before; null when there was none. */
  previous(): Revision<T> | null {
    return this.#previous;
  }

  /** The revision that is tried out beside it; null outside a rollout, and when the gate refused it. */
  candidate(): Revision<T> | null {
    return this.#candidate;
  }

  /** Why the candidate is not there; empty when it is, or when none is wanted. */
  candidateErrors(): readonly BundleError[] {
    return this.#refused?.errors ?? [];
  }

  /** Whether a bundle passed the gate and is still loaded, in whatever role. */
  holds(digest: string): boolean {
    return this.#held(digest) !== undefined;
  }

  /** Puts in force what is held already, without another gate: a promotion, or the way back. @returns false when it is not. */
  adopt(digest: string): boolean {
    const held = this.#held(digest);
    if (held === undefined) return false;
    this.#offeredDigest = digest;
    this.#errors = [];
    if (held === this.#current) this.confirm();
    else this.#swap({ ...held, activatedAtMs: this.#nowMs() });
    return true;
  }

  /** Holds a candidate beside what is in force, after the same gate. Whatever is wrong with it stays with it. */
  async tryOut(candidate: { digest: string; content: BundleContent | null } | null): Promise<void> {
    const digest = candidate?.digest ?? null;
    if (digest !== null && this.#isSettled(digest, candidate?.content ?? null)) return;
    this.#refused = null;
    const held = digest === null ? null : (this.#held(digest) ?? null);
    // What is in force is nothing to try out.
    this.#setCandidate(held === this.#current ? null : held);
    if (candidate === null || candidate.content === null || held !== null) return;
    const { content } = candidate;
    try {
      const signature = await this.#signatureOf(content);
      const activation = this.#gate(content, signature);
      if (!activation.ok) this.#refuse(content.digest, activation.errors, true);
      else this.#setCandidate(activation.revision);
    } catch (error) {
      if (!(error instanceof BundleRefused)) throw error;
      this.#refuse(content.digest, error.errors, true);
    }
  }

  /** The bytes of the candidate cannot be had; when they come, `tryOut` takes them. */
  refuseCandidate(digest: string, errors: readonly BundleError[]): void {
    if (digest !== this.#refused?.digest) this.#refuse(digest, errors, false);
  }

  /** Milliseconds since the source was last seen to hold what is in force; null when nothing is. */
  ageMs(): number | null {
    return this.#confirmed === null ? null : this.#monotonicMs() - this.#confirmed.monotonicMs;
  }

  /** As `offer`, with the signature looked at before. */
  async admit(content: BundleContent): Promise<void> {
    const { verification } = this.#options;
    const { digest } = content;
    const inForce = digest === this.#current?.ref.digest;
    const refused = digest === this.#offeredDigest && this.#errors.length > 0;
    if (verification === undefined || inForce || refused) return this.offer(content);
    try {
      this.offer(content, await this.#signatureOf(content));
    } catch (error) {
      if (!(error instanceof BundleRefused)) throw error;
      this.#offeredDigest = digest;
      this.#reject(error.errors, digest);
    }
  }

  /** The source holds this bundle: passes it through the gate unless it is known already. */
  offer(content: BundleContent, signature?: CheckedSignature): void {
    const known = content.digest === this.#offeredDigest;
    this.#offeredDigest = content.digest;
    if (content.digest === this.#current?.ref.digest) {
      this.#errors = [];
      this.confirm();
      return;
    }
    if (known && this.#errors.length > 0) return;
    if (this.adopt(content.digest)) return;
    const activation = this.#gate(content, signature);
    if (activation.ok) this.#swap(activation.revision);
    else this.#reject(activation.errors, content.digest);
  }

  /** The source still holds what was offered last. */
  confirm(): void {
    if (this.#current === null || this.#offeredDigest !== this.#current.ref.digest) return;
    this.#confirmed = { wallMs: this.#nowMs(), monotonicMs: this.#monotonicMs() };
  }

  /** What is in force was confirmed then, and not now. @param wallMs milliseconds since 1970. */
  age(wallMs: number): void {
    const passedMs = Math.max(0, this.#nowMs() - wallMs);
    this.#confirmed = { wallMs, monotonicMs: this.#monotonicMs() - passedMs };
  }

  /** The source could not be read. */
  fail(errors: readonly BundleError[]): void {
    this.#offeredDigest = null;
    this.#reject(errors, null);
  }

  status(): BundleStatus {
    const [first] = this.#errors;
    const current = this.#current;
    return {
      name: this.#options.name,
      active_revision: current?.ref.revision ?? null,
      active_digest: current?.ref.digest ?? null,
      last_successful_activation: timestamp(current?.activatedAtMs),
      last_successful_request: timestamp(this.#confirmed?.wallMs),
      code: first === undefined ? null : 'bundle_error',
      message: first?.message ?? null,
      errors: this.#errors,
      activations: this.#activations,
    };
  }

  #held(digest: string): Revision<T> | undefined {
    return this.#revisions().find(({ ref }) => ref.digest === digest);
  }

  #revisions(): Revision<T>[] {
    return [this.#current, this.#previous, this.#candidate].filter((one) => one !== null);
  }

  /** Held as the candidate, or refused, and nothing came that could change that. */
  #isSettled(digest: string, content: BundleContent | null): boolean {
    if (digest === this.#candidate?.ref.digest) return true;
    if (digest !== this.#refused?.digest) return false;
    return this.#refused.final || (content === null && !this.holds(digest));
  }

  #refuse(digest: string, errors: readonly BundleError[], final: boolean): void {
    this.#setCandidate(null);
    this.#refused = { digest, errors, final };
    this.#options.onCandidateRefused?.(errors, digest);
  }

  async #signatureOf(content: BundleContent): Promise<CheckedSignature | undefined> {
    const { verification } = this.#options;
    if (verification === undefined) return undefined;
    return verifySignature(content, verification, this.#nowMs());
  }

  #gate(content: BundleContent, signature: CheckedSignature | undefined): Activation<T> {
    const { name, verification, ...options } = this.#options;
    const signatureRequired = verification?.required ?? false;
    const nowMs = this.#nowMs();
    return activate(content, { ...options, signature, signatureRequired, set: name, nowMs });
  }

  #setCandidate(revision: Revision<T> | null): void {
    const before = this.#revisions();
    this.#candidate = revision;
    this.#closeForgotten(before);
  }

  /** An engine may have several roles; it ends with the last one. */
  #closeForgotten(before: readonly Revision<T>[]): void {
    const engines = new Set(this.#revisions().map(({ engine }) => engine));
    for (const { engine } of before) if (!engines.has(engine)) engine.close();
  }

  #swap(revision: Revision<T>): void {
    const held = this.#revisions();
    const before = this.#current;
    this.#previous = before;
    this.#current = revision; // the swap: calls from here on see the new revision
    if (this.#candidate?.ref.digest === revision.ref.digest) this.#candidate = null;
    this.#closeForgotten(held);
    this.#errors = [];
    this.#activations++;
    this.confirm();
    this.#options.onActivated?.(revision, before);
  }

  #reject(errors: readonly BundleError[], digest: string | null): void {
    this.#errors = errors;
    this.#options.onRejected?.(errors, digest);
  }
}

const timestamp = (ms: number | undefined) =>
  ms === undefined ? null : new Date(ms).toISOString();
