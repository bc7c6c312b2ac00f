/**
 * One turn of the state machine: the state so far, the events, and how a rollout begins and ends in it. Everything that
 * changes a state goes through here, so that generation and history cannot be forgotten. Pure.
 */
import type { PauseReason, Phase } from './directive.ts';
import type { PolicySetSpec } from './policy-set.ts';
import {
  type Approval,
  HISTORY_MAX,
  type HistoryEntry,
  type Observation,
  type Rollout,
  type RolloutEvent,
  type RolloutState,
  SENTENCE_CHARS_MAX,
  type StoredRevision,
} from './state.ts';
import { stepsHash } from './step-place.ts';

export interface Turn {
  readonly before: RolloutState;
  readonly seen: Observation;
  readonly nowMs: number;
  state: RolloutState;
  urgent: boolean;
  readonly events: RolloutEvent[];
}

/** One line without control characters, which would grow sixfold in JSON and can trick a terminal. */
export const plain = (text: string, max: number): string => {
  const line = text.toWellFormed().replaceAll(CONTROL, ' ');
  return line.length <= max ? line : `${line.slice(0, max - 1).toWellFormed()}…`;
};
const CONTROL = /[\p{Cc}\p{Cf}\u2028\u2029]/gu;

export const sentence = (text: string): string => plain(text, SENTENCE_CHARS_MAX);

export function change(turn: Turn, patch: Partial<RolloutState>): void {
  const message = patch.message ?? turn.state.message;
  turn.state = { ...turn.state, ...patch, message: sentence(message) };
}

export function changeRollout(turn: Turn, patch: Partial<Rollout>): void {
  const { rollout } = turn.state;
  if (rollout !== null) change(turn, { rollout: { ...rollout, ...patch } });
}

export function say(
  turn: Turn,
  type: RolloutEvent['type'],
  reason: RolloutEvent['reason'],
  message: string,
): void {
  turn.events.push({ type, reason, message: sentence(message) });
}

export const nameOf = ({ revision, digest }: StoredRevision): string =>
  `${revision} (${shortDigest(digest)})`;

export const shortDigest = (digest: string): string => digest.replace('sha256:', '').slice(0, 12);

/** The id that commands must name: of the rollout under way, or of the last one. Empty before the first. */
export const commandId = ({ rollout, history }: RolloutState): string =>
  rollout?.id ?? history[0]?.rolloutId ?? '';

/** With weight 0 at Verifying. */
export function startRollout(turn: Turn, spec: PolicySetSpec, candidate: StoredRevision): void {
  const { nowMs, seen, before, state } = turn;
  const rollout: Rollout = {
    id: seen.fresh.rolloutId,
    candidate,
    startedAtMs: nowMs,
    step: -1,
    stepStartedAtMs: nowMs,
    stepsHash: stepsHash(spec),
    stepCount: spec.steps.length,
    sinceGeneration: before.generation + 1,
    // Nobody would have looked at it, so with four eyes it is a candidate like any other.
    revert: candidate.digest === state.previous?.digest && !spec.fourEyes,
    weight: 0,
    replayLastMs: null,
    failures: 0,
    inconclusive: 0,
    lastLookAtMs: nowMs,
    lastLook: 'none',
    widening: null,
    approval: null,
    forced: null,
    salt: seen.fresh.salt,
  };
  const message = rollout.revert
    ? `Going back to ${nameOf(candidate)}`
    : `Rolling out ${nameOf(candidate)}`;
  change(turn, {
    phase: 'Verifying',
    pausedIn: null,
    pauseReason: null,
    rollout,
    refused: null,
    message,
  });
  say(turn, 'Normal', 'RolloutStarted', message);
}

export function pauseRollout(turn: Turn, reason: PauseReason, message: string): void {
  const { phase, pausedIn } = turn.state;
  const interrupted: Phase = phase === 'Paused' ? (pausedIn ?? 'Verifying') : phase;
  change(turn, { phase: 'Paused', pausedIn: interrupted, pauseReason: reason, message });
  const troubled = reason === 'Failed' || reason === 'NoData' || reason === 'Inconclusive';
  say(turn, troubled ? 'Warning' : 'Normal', 'Paused', message);
}

/** Back on stable, at once. */
export function abortRollout(turn: Turn, reason: string, by: Approval | null = null): void {
  const { rollout } = turn.state;
  if (rollout === null) return;
  const message = `Aborted ${nameOf(rollout.candidate)}: ${reason}`;
  leaveRollout(turn, 'Aborted', reason, by);
  change(turn, {
    phase: 'Aborted',
    refused: { digest: rollout.candidate.digest, reason: sentence(reason) },
    message,
  });
  say(turn, 'Warning', 'Aborted', message);
  turn.urgent = true;
}

export function promoteCandidate(turn: Turn): void {
  const { rollout, stable } = turn.state;
  if (rollout === null) return;
  const { candidate } = rollout;
  const reason = rollout.revert ? 'back to what was stable before' : 'every step passed';
  leaveRollout(turn, 'Promoted', rollout.forced === null ? reason : 'by a person');
  const message = `${nameOf(candidate)} is in force`;
  // What was reverted must not come back without steps.
  const previous = rollout.revert ? null : stable;
  change(turn, { phase: 'Stable', stable: candidate, previous, refused: null, message });
  say(turn, 'Normal', 'Promoted', message);
  if (rollout.revert) turn.urgent = true;
}

/** Writes the rollout under way into the history. */
export function leaveRollout(
  turn: Turn,
  result: HistoryEntry['result'],
  reason: string,
  by: Approval | null = null,
): void {
  const { rollout } = turn.state;
  if (rollout === null) return;
  remember(turn, {
    rolloutId: rollout.id,
    revision: rollout.candidate,
    result,
    reason,
    startedAtMs: rollout.startedAtMs,
    endedAtMs: turn.nowMs,
    approval: by ?? rollout.approval ?? rollout.forced,
  });
  change(turn, { rollout: null, pausedIn: null, pauseReason: null });
}

export function remember(turn: Turn, entry: HistoryEntry): void {
  const whole = { ...entry, reason: sentence(entry.reason) };
  change(turn, { history: [whole, ...turn.state.history].slice(0, HISTORY_MAX) });
}
