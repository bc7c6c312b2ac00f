/**
 * What a change of the bundle in Git does to the state: a new revision begins or replaces a rollout, the stable one
 * ends it, a bad one is refused. What ended badly is not tried again by itself. Pure.
 */
import type { StoredRevision } from './state.ts';
import {
  change,
  leaveRollout,
  nameOf,
  remember,
  say,
  sentence,
  shortDigest,
  startRollout,
  type Turn,
} from './turn.ts';

export function takeCandidate(turn: Turn) {
  const { candidate, spec } = turn.seen;
  if (spec === null || candidate.status === 'missing') return;
  if (candidate.status === 'rejected') return reject(turn, candidate.digest, candidate.errors);
  const { revision } = candidate;
  const { stable, rollout, refused, phase } = turn.state;
  if (revision.digest === stable?.digest) return backToStable(turn);
  if (revision.digest === rollout?.candidate.digest) return;
  // What the gate refused may pass it now, with another key say; what failed in use stays refused.
  if (revision.digest === refused?.digest && phase !== 'Rejected') return;
  if (stable === null) return first(turn, revision);
  if (rollout !== null) supersede(turn, `replaced by ${nameOf(revision)}`);
  startRollout(turn, spec, revision);
  if (turn.state.rollout?.revert === true) turn.urgent = true;
}

function backToStable(turn: Turn): void {
  const { rollout, phase } = turn.state;
  if (rollout !== null) supersede(turn, 'taken back');
  else if (phase === 'Stable') return;
  const { stable } = turn.state;
  const message = stable === null ? '' : `${nameOf(stable)} is in force`;
  change(turn, { phase: 'Stable', refused: null, message });
}

function supersede(turn: Turn, reason: string): void {
  const { rollout } = turn.state;
  if (rollout === null) return;
  leaveRollout(turn, 'Superseded', reason);
  say(turn, 'Normal', 'Superseded', `${nameOf(rollout.candidate)}: ${reason}`);
  turn.urgent = true;
}

/** There is nothing to compare with, and until then every call is refused. */
function first(turn: Turn, revision: StoredRevision): void {
  const { nowMs, seen } = turn;
  remember(turn, {
    rolloutId: seen.fresh.rolloutId,
    revision,
    result: 'Promoted',
    reason: 'the first policy of this set',
    startedAtMs: nowMs,
    endedAtMs: nowMs,
    approval: null,
  });
  const message = `${nameOf(revision)} is in force`;
  change(turn, { phase: 'Stable', stable: revision, refused: null, message });
  say(turn, 'Normal', 'Promoted', message);
  turn.urgent = true;
}

function reject(turn: Turn, digest: string, errors: readonly string[]): void {
  const { stable, refused, rollout } = turn.state;
  if (digest === stable?.digest || digest === refused?.digest) return;
  const reason = sentence(errors.join('; ') || 'the gate refused it');
  if (rollout?.candidate.digest === digest) {
    leaveRollout(turn, 'Rejected', reason);
    turn.urgent = true;
  } else {
    if (rollout !== null) supersede(turn, 'replaced by a bundle that is not good');
    remember(turn, {
      rolloutId: turn.seen.fresh.rolloutId,
      revision: { digest, revision: 'unknown', pieces: 1 },
      result: 'Rejected',
      reason,
      startedAtMs: turn.nowMs,
      endedAtMs: turn.nowMs,
      approval: null,
    });
  }
  const message = `Bundle ${shortDigest(digest)} is refused: ${reason}`;
  change(turn, { phase: 'Rejected', refused: { digest, reason }, message });
  say(turn, 'Warning', 'BundleRejected', message);
}
