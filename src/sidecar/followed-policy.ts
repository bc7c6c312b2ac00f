/**
 * The policy in force as a source says it, with the candidate beside it: what each call pins, what is reported, what the
 * status shows. Every bundle goes through the one gate; whatever is wrong with a candidate stays with the candidate.
 * Shell: owns the revisions and the counters of the rollout under way.
 */
import type { Revision } from '../bundle/activation.ts';
import { ActivePolicy, type ActivePolicyOptions } from '../bundle/active-policy.ts';
import type { BuiltInCatalogue } from '../bundle/built-in.ts';
import type { BundleError, BundleErrorCode } from '../bundle/bundle-error.ts';
import type { Catalogue } from '../call/catalogue.ts';
import type { PinnedPolicy, PolicyState, Trial } from '../proxy/ports.ts';
import type { Directive } from '../rollout/directive.ts';
import { examplesOf } from '../rollout/replay-tally.ts';
import type { Report } from '../rollout/report.ts';
import type { SourceListener, Wanted } from '../source/policy-source.ts';
import { Replay, type ReplayParts } from './replay.ts';
import { RolloutTrial, type TrialParts } from './trial.ts';

export interface FollowedOptions
  extends Omit<ActivePolicyOptions<Catalogue>, 'validateCatalogue' | 'onActivated'> {
  readonly builtIn: BuiltInCatalogue;
  readonly trial: Pick<TrialParts, 'metrics' | 'monotonicMs'>;
  readonly onActivated: (revision: Revision<Catalogue>, policy: PinnedPolicy) => void;
  readonly onFollowed: (directive: Directive) => void;
  readonly onTripped: (directive: Directive) => void;
  /** Whether this sidecar takes part in the rollout. */
  readonly selected: (directive: Directive) => boolean;
  readonly records: ReplayParts['records'];
  /** @param error null when it is done. */
  readonly onReplayed: (directive: Directive, end: ReplayEnd) => void;
}

export interface ReplayEnd {
  readonly replay: Replay;
  readonly seconds: number;
  /** Null when it is done. */
  readonly error: unknown;
}

/** What the status shows about the rollout of a set. */
export interface RolloutStatus {
  readonly phase: string;
  readonly generation: number;
  readonly rollout: string | null;
  readonly candidate_revision: string | null;
  readonly candidate_digest: string | null;
  readonly candidate_errors: readonly BundleError[];
  /** Percent. */
  readonly weight: number;
  readonly mode: string;
  readonly tripped: boolean;
}

/** The bundle was never seen, so nothing is known about it. */
const NOT_YET: ReadonlySet<BundleErrorCode> = new Set<BundleErrorCode>([
  'source_missing',
  'source_unreadable',
  'source_unstable',
]);

export class FollowedPolicy implements SourceListener {
  readonly active: ActivePolicy<Catalogue>;
  readonly #options: FollowedOptions;
  #pinned: PinnedPolicy | null = null;
  #directive: Directive | null = null;
  #rollout: RolloutTrial | null = null;
  #trial: Trial | null = null;
  #told = '';
  #replayed: { readonly rolloutId: string; readonly of: string; readonly replay: Replay } | null =
    null;

  constructor(options: FollowedOptions) {
    this.#options = options;
    const { builtIn, onActivated } = options;
    this.active = new ActivePolicy<Catalogue>({
      ...options,
      validateCatalogue: builtIn.validate,
      onActivated: (revision) => {
        const { ref, engine, dialect, catalogue } = revision;
        this.#pinned = { ref, engine, dialect, catalogue: builtIn.under(catalogue) };
        this.#arm();
        onActivated(revision, this.#pinned);
      },
    });
  }

  /** What a call decides with; null before the first bundle. */
  pinned(): { readonly policy: PinnedPolicy; readonly trial: Trial | null } | null {
    return this.#pinned === null ? null : { policy: this.#pinned, trial: this.#trial };
  }

  directive(): Directive | null {
    return this.#directive;
  }

  holds(digest: string): boolean {
    return this.active.holds(digest);
  }

  async onWanted({ stable, candidate, directive }: Wanted, keptAtMs?: number): Promise<boolean> {
    if (stable.content === null) {
      if (!this.active.adopt(stable.digest)) return false;
    } else {
      await this.active.admit(stable.content);
      if (this.active.current()?.ref.digest !== stable.digest) return false;
    }
    if (keptAtMs !== undefined) this.active.age(keptAtMs);
    this.#begin(directive);
    // While another candidate goes through the gate, nobody takes part in deciding.
    if (this.active.candidate()?.ref.digest === candidate?.digest) this.#arm();
    else this.#disarm();
    if (candidate !== null && 'errors' in candidate) {
      await this.active.tryOut(null);
      this.active.refuseCandidate(candidate.digest, candidate.errors);
    } else {
      await this.active.tryOut(candidate);
    }
    this.#arm();
    if (directive !== null) this.#tell(directive);
    return true;
  }

  /** Each look of the controller gives a new generation; what is new to this sidecar is told once. */
  #tell(directive: Directive): void {
    const { phase, rolloutId, weight, mode, stable, candidate } = directive;
    const held = this.active.candidate()?.ref.digest;
    const parts = [phase, rolloutId, weight, mode, stable?.digest, candidate?.digest, held];
    const print = parts.join(' ');
    if (print === this.#told) return;
    this.#told = print;
    this.#options.onFollowed(directive);
  }

  onUnchanged(): void {
    this.active.confirm();
  }

  onError(errors: readonly BundleError[]): void {
    this.active.fail(errors);
  }

  /** @returns null when there is nothing to say: no rollout, or this sidecar is not in it. */
  report(): Omit<Report, 'sidecar' | 'epoch' | 'sequence'> | null {
    const directive = this.#directive;
    if (directive === null) return null;
    const candidate = this.active.candidate()?.ref.digest ?? null;
    const rollout = this.#rollout;
    const replay = this.#replay();
    const codes = this.active.candidateErrors().map(({ code }) => code);
    // What could not be fetched yet is not there yet, which is another check than what the gate refused.
    const loadErrors = codes.filter((code) => !NOT_YET.has(code));
    return {
      apiVersion: 'egret.dev/v1alpha1',
      kind: 'PolicyReport',
      set: directive.set,
      generation: directive.generation,
      stable: this.#pinned?.ref.digest ?? null,
      rollout:
        rollout === null
          ? null
          : {
              id: rollout.rolloutId,
              candidate,
              loadErrors: [...new Set(loadErrors)].slice(0, 16),
              tripped: rollout.tripped,
              ...rollout.counts(),
              replay: replay?.counts() ?? null,
              examples: [...examplesOf(rollout.counts().examples, replay?.examples() ?? [])],
            },
    };
  }

  status(): RolloutStatus | null {
    const directive = this.#directive;
    if (directive === null) return null;
    const { ref } = this.active.candidate() ?? {};
    return {
      phase: directive.phase,
      generation: directive.generation,
      rollout: directive.rolloutId,
      candidate_revision: ref?.revision ?? null,
      candidate_digest: ref?.digest ?? null,
      candidate_errors: this.active.candidateErrors(),
      weight: directive.weight / 100,
      mode: directive.mode,
      tripped: this.#rollout?.tripped ?? false,
    };
  }

  /** Resolves when nothing is played any more. */
  async close(): Promise<void> {
    await this.#replayed?.replay.stop();
  }

  /** That of the rollout under way. */
  #replay(): Replay | null {
    const known = this.#replayed;
    return known !== null && known.rolloutId === this.#rollout?.rolloutId ? known.replay : null;
  }

  /** A rollout has counters of its own, which last as long as it does. */
  #begin(directive: Directive | null): void {
    this.#directive = directive;
    const rolloutId = directive?.rolloutId ?? null;
    // Who is left out is in no rollout, so nobody waits for it.
    const isIn = directive?.candidate != null && this.#options.selected(directive);
    if (directive === null || rolloutId === null || !isIn) {
      this.#rollout = null;
    } else if (this.#rollout?.rolloutId !== rolloutId) {
      const { set, salt } = directive;
      const onTripped = () => this.#tripped();
      this.#rollout = new RolloutTrial({
        ...this.#options.trial,
        set,
        rolloutId,
        salt,
        onTripped,
      });
    }
  }

  /** What calls pin from now on: one reference, swapped at once. */
  #arm(): void {
    const candidate = this.active.candidate();
    const rollout = this.#rollout;
    const directive = this.#directive;
    const idle = candidate === null || rollout === null || directive === null || rollout.tripped;
    this.#trial = idle ? null : rollout.under(directive, candidate);
    this.#play();
  }

  /** Plays the records once for each rollout and what is compared in it; never when nobody asks for it any more. */
  #play(): void {
    const [stable, candidate] = [this.active.current(), this.active.candidate()];
    const directive = this.#directive;
    const lastMs = directive?.replayLastMs ?? null;
    const rolloutId = this.#rollout?.rolloutId;
    const wanted = this.#trial !== null && stable !== null && candidate !== null;
    if (!wanted || directive === null || lastMs === null || rolloutId === undefined) {
      void this.#replayed?.replay.stop();
      return;
    }
    const of = `${rolloutId} ${lastMs} ${stable.ref.digest} ${candidate.ref.digest}`;
    if (this.#replayed?.of === of && !this.#replayed.replay.stopped) return;
    void this.#replayed?.replay.stop();
    const { records, trial, onReplayed } = this.#options;
    const replay = new Replay({
      records,
      monotonicMs: trial.monotonicMs,
      stable,
      candidate,
      lastMs,
      onEnded: (seconds, error) => onReplayed(directive, { replay, seconds, error }),
    });
    this.#replayed = { rolloutId, of, replay };
  }

  #disarm(): void {
    this.#trial = null;
    this.#play();
  }

  #tripped(): void {
    this.#disarm();
    if (this.#directive !== null) this.#options.onTripped(this.#directive);
  }
}

/** What a call is told when nothing may be decided. */
export function stateOf(
  pinned: ReturnType<FollowedPolicy['pinned']>,
  isStale: boolean,
): PolicyState {
  if (pinned === null) return { ok: false, reason: 'bundle.missing', policy: null };
  if (isStale) return { ok: false, reason: 'bundle.stale', policy: pinned.policy };
  return { ok: true, ...pinned };
}
