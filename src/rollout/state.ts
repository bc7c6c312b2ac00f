/**
 * All that is known about the rollout of one policy set, as the controller keeps it in the state ConfigMap, and what
 * the state machine is told. Times are milliseconds since 1970 and come from the state itself, so a controller that
 * starts anew goes on where another ended. Pure.
 */
import type { Directive, PauseReason, Phase, RevisionName } from './directive.ts';
import type { PolicySetSpec } from './policy-set.ts';
import type { Example } from './report.ts';

/** A bundle that passed the gate of the controller and of which an immutable copy is kept. */
export type StoredRevision = RevisionName;

/** A decision of a human, with who and why as far as they are known. */
export interface Approval {
  readonly by: string;
  readonly why: string;
  readonly atMs: number;
}

export interface HistoryEntry {
  readonly rolloutId: string;
  readonly revision: StoredRevision;
  readonly result: 'Promoted' | 'Aborted' | 'Rejected' | 'Superseded' | 'Undone';
  readonly reason: string;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly approval: Approval | null;
}
export const HISTORY_MAX = 20;
/** Of a history entry, a message and a refusal; the rest is cut. */
export const SENTENCE_CHARS_MAX = 512;

/** The rollout under way. */
export interface Rollout {
  readonly id: string;
  readonly candidate: StoredRevision;
  readonly startedAtMs: number;
  /** Index into the steps; -1 before the first. */
  readonly step: number;
  readonly stepStartedAtMs: number;
  /** The steps it was started with or moved to, as a hash: a change is noticed. */
  readonly stepsHash: string;
  readonly stepCount: number;
  /** Generation of the state that began it: who reports an older one has not heard of it. */
  readonly sinceGeneration: number;
  /** The candidate is what was stable before: it goes back without steps. */
  readonly revert: boolean;
  /** Hundredths of a percent. */
  readonly weight: number;
  /** Of the step under way, when it is a replay; null otherwise. */
  readonly replayLastMs: number | null;
  /** Failed looks so far, and looks without a conclusion in a row. */
  readonly failures: number;
  readonly inconclusive: number;
  readonly lastLookAtMs: number;
  /**
   * The last look since the step began. `failed` stays until a look passes, also through looks without a conclusion and
   * other steps, because nothing may go on after a failure on the strength of no news.
   */
  readonly lastLook: 'none' | 'passed' | 'failed' | 'unclear';
  /** The candidate allowed what stable denied: with a few examples. */
  readonly widening: { readonly count: number; readonly examples: readonly Example[] } | null;
  readonly approval: Approval | null;
  /** Who sent it to the end before its steps were over. */
  readonly forced: Approval | null;
  readonly salt: string;
}

export interface RolloutState {
  readonly apiVersion: 'egret.dev/v1alpha1';
  readonly kind: 'RolloutState';
  readonly set: string;
  readonly generation: number;
  readonly phase: Phase;
  /** The phase a pause interrupts. */
  readonly pausedIn: Phase | null;
  readonly pauseReason: PauseReason | null;
  readonly stable: StoredRevision | null;
  /** Stable before the last promotion, for `undo`. */
  readonly previous: StoredRevision | null;
  readonly rollout: Rollout | null;
  /** Candidate that ended badly; it is not tried again until it changes or `retry` is said. */
  readonly refused: { readonly digest: string; readonly reason: string } | null;
  /** One sentence for people. */
  readonly message: string;
  readonly observedCommand: string | null;
  readonly updatedAtMs: number;
  /** The newest first. */
  readonly history: readonly HistoryEntry[];
  /** As of the last valid specification; what sidecars are told when the set is deleted or broken. */
  readonly told: Pick<Directive, 'mode' | 'unit' | 'selector' | 'maxStaleness'>;
}

/** What the bundle ConfigMaps of the set hold now. */
export type CandidateSeen =
  | { readonly status: 'missing' }
  | { readonly status: 'rejected'; readonly digest: string; readonly errors: readonly string[] }
  /** Passed the gate, and an immutable copy is stored. */
  | { readonly status: 'stored'; readonly revision: StoredRevision };

export const VERBS = [
  'promote',
  'promote-full',
  'pause',
  'resume',
  'abort',
  'retry',
  'undo',
] as const;
export type Verb = (typeof VERBS)[number];

export interface Command {
  /** The annotation as it stands; one is carried out once. */
  readonly text: string;
  readonly verb: Verb;
  readonly rolloutId: string;
  readonly by: string;
  readonly why: string;
}

/** What one look at the reports, or at Prometheus, says about the step under way. */
export type Look =
  | { readonly result: 'passed' }
  /** `hard` rolls back at once, whatever `onFailure` says. */
  | { readonly result: 'failed'; readonly hard: boolean; readonly reasons: readonly string[] }
  | { readonly result: 'inconclusive'; readonly reasons: readonly string[] }
  | { readonly result: 'no_data'; readonly reasons: readonly string[] };

export interface Analysis {
  readonly look: Look;
  /** Calls that the candidate would allow and stable denies, in the whole rollout. */
  readonly newlyAllowed: number;
  readonly examples: readonly Example[];
  /** All sidecars that take part have played their records; null outside phase Replay. */
  readonly replay: {
    readonly done: boolean;
    readonly decisions: number;
    readonly newlyDenied: number;
    readonly newlyAllowed: number;
  } | null;
}

/** Everything the state machine may look at, besides state and time. */
export interface Observation {
  /** Null when the set is gone or its `rollout.yaml` is wrong: then nothing moves on. */
  readonly spec: PolicySetSpec | null;
  readonly candidate: CandidateSeen;
  readonly command: Command | null;
  /** Null when no look is due. */
  readonly analysis: Analysis | null;
  /** Who changed the set last, as far as known; for four eyes. */
  readonly author: string | null;
  /** For a new rollout: fresh and random, so that the machine has neither. */
  readonly fresh: { readonly rolloutId: string; readonly salt: string };
}

export interface RolloutEvent {
  readonly type: 'Normal' | 'Warning';
  readonly reason:
    | 'RolloutStarted'
    | 'StepStarted'
    | 'Paused'
    | 'Resumed'
    | 'AnalysisFailed'
    | 'Aborted'
    | 'Promoted'
    | 'Undone'
    | 'BundleRejected'
    | 'Superseded'
    | 'CommandIgnored'
    | 'WideningApproved';
  readonly message: string;
}

export interface Advance {
  /** The very same object when nothing changed. */
  readonly state: RolloutState;
  readonly events: readonly RolloutEvent[];
  /**
   * Whether the change must be written now (safety and commands), or may wait for the next routine write
   * (counters, progress). False when nothing changed.
   */
  readonly urgent: boolean;
  /** Milliseconds since 1970 at which time alone may change something; null when it cannot. */
  readonly wakeAtMs: number | null;
}
