/**
 * Commands of people. Each is carried out once, names the rollout it is about, and never leads around what is known to
 * be bad: a failed look must be followed by one that passed, and what allows more must be approved as such. Pure.
 */
import { takeCandidate } from './candidate-change.ts';
import type { PolicySetSpec } from './policy-set.ts';
import { enterNext, needsApproval, resumeStep } from './progress.ts';
import type { Approval, Command, Rollout, Verb } from './state.ts';
import {
  abortRollout,
  change,
  changeRollout,
  commandId,
  nameOf,
  pauseRollout,
  plain,
  remember,
  say,
  type Turn,
} from './turn.ts';

/** What a command did not do, and why; null when it was carried out. */
type Ignored = string | null;

const CARRIED_OUT: Readonly<Record<Verb, (turn: Turn, by: Approval) => Ignored>> = {
  promote,
  'promote-full': promoteFull,
  pause,
  resume,
  abort,
  retry,
  undo,
};

export function obey(turn: Turn): void {
  const { command } = turn.seen;
  if (command === null || command.text === turn.state.observedCommand) return;
  const id = commandId(turn.state);
  change(turn, { observedCommand: command.text });
  turn.urgent = true;
  const ignored =
    command.rolloutId === id
      ? CARRIED_OUT[command.verb](turn, approvalOf(turn, command))
      : `it names rollout ${command.rolloutId || '(none)'}, the last one is ${id || '(none)'}`;
  if (ignored !== null) say(turn, 'Warning', 'CommandIgnored', `${command.verb}: ${ignored}`);
}

const approvalOf = ({ nowMs }: Turn, { by, why }: Command): Approval => ({
  by: by === '' ? 'unknown' : plain(by, BY_MAX),
  why: plain(why, WHY_MAX),
  atMs: nowMs,
});

const BY_MAX = 128;
const WHY_MAX = 256;

const NOTHING = 'nothing is being rolled out';
const NO_SET = 'the set is gone or its rollout.yaml is wrong';
const FAILING = 'the last look failed; wait for one that passes, or abort';

function promote(turn: Turn, by: Approval): Ignored {
  const { spec } = turn.seen;
  const { rollout, phase } = turn.state;
  if (rollout === null) return NOTHING;
  if (spec === null) return NO_SET;
  const widens = needsApproval(spec, rollout);
  if (widens) {
    const refused = approve(turn, spec, by);
    if (refused !== null) return refused;
  }
  if (phase === 'Promoting') return widens ? null : 'it is going into force already';
  if (widens && !isApprovalStep(spec, rollout)) {
    if (phase === 'Paused') resumeStep(turn, spec, `${by.by} approved that it allows more`);
    return null;
  }
  if (rollout.lastLook === 'failed') return widens ? null : FAILING;
  if (rollout.step + 1 >= spec.steps.length && !isApprovalStep(spec, rollout))
    return force(turn, by);
  if (turn.state.rollout !== null) enterNext(turn, spec, turn.state.rollout);
  if (turn.state.phase === 'Promoting') changeRollout(turn, { lastLook: 'none', forced: by });
  return null;
}

const isApprovalStep = (spec: PolicySetSpec, { step }: Rollout): boolean => {
  const now = spec.steps[step];
  return now !== undefined && 'pause' in now && now.pause === null;
};

function approve(turn: Turn, spec: PolicySetSpec, by: Approval): Ignored {
  const { author, command } = turn.seen;
  if (spec.fourEyes) {
    if (command?.by === '' || author === null)
      return 'four eyes need to know who asks and who wrote';
    if (command?.by === author) return `${author} changed the set and cannot approve it too`;
  }
  changeRollout(turn, { approval: by });
  say(turn, 'Normal', 'WideningApproved', `${by.by}: ${by.why || 'no reason given'}`);
  return null;
}

function promoteFull(turn: Turn, by: Approval): Ignored {
  const { spec } = turn.seen;
  const { rollout, phase } = turn.state;
  if (rollout === null) return NOTHING;
  if (spec === null) return NO_SET;
  if (phase === 'Promoting') return 'it is going into force already';
  if (needsApproval(spec, rollout))
    return 'it allows more than stable; say promote to approve that';
  if (rollout.lastLook === 'failed') return FAILING;
  return force(turn, by);
}

/** Into force after one more look, which may know too little but must not be bad. */
function force(turn: Turn, by: Approval): null {
  const message = `${by.by} sent it to the end; one more look`;
  change(turn, { phase: 'Promoting', pausedIn: null, pauseReason: null, message });
  changeRollout(turn, { lastLook: 'none', replayLastMs: null, forced: by });
  return null;
}

function pause(turn: Turn, by: Approval): Ignored {
  const { rollout, pauseReason } = turn.state;
  if (rollout === null) return NOTHING;
  const person = ['Approval', 'Widening', 'Failed', 'Manual'].includes(pauseReason ?? '');
  if (person) return 'it waits for a person already';
  pauseRollout(turn, 'Manual', `Paused by ${by.by}${because(by)}`);
  return null;
}

function resume(turn: Turn, by: Approval): Ignored {
  const { spec } = turn.seen;
  const { rollout, phase, pauseReason } = turn.state;
  if (rollout === null) return NOTHING;
  if (spec === null) return NO_SET;
  if (phase !== 'Paused') return 'it is not paused';
  if (pauseReason === 'Approval' || pauseReason === 'Widening') return 'it needs promote';
  if (pauseReason === 'Step' || pauseReason === 'Window') return 'it goes on by itself; or promote';
  changeRollout(turn, { failures: 0, inconclusive: 0 });
  resumeStep(turn, spec, `Resumed by ${by.by}${because(by)}`);
  return null;
}

function abort(turn: Turn, by: Approval): Ignored {
  if (turn.state.rollout === null) return NOTHING;
  abortRollout(turn, `by ${by.by}${because(by)}`, by);
  return null;
}

function retry(turn: Turn): Ignored {
  const { rollout, refused } = turn.state;
  if (rollout !== null) return 'a rollout is under way';
  if (refused === null) return 'nothing was refused';
  if (turn.seen.spec === null) return NO_SET;
  if (turn.seen.candidate.status === 'missing') return 'its bundle is missing';
  change(turn, { refused: null });
  takeCandidate(turn);
  return null;
}

function undo(turn: Turn, by: Approval): Ignored {
  const { rollout, stable, previous } = turn.state;
  if (rollout !== null) return 'a rollout is under way; say abort';
  if (stable === null || previous === null) return 'there is nothing to go back to';
  remember(turn, {
    rolloutId: commandId(turn.state),
    revision: stable,
    result: 'Undone',
    reason: by.why || 'no reason given',
    startedAtMs: turn.nowMs,
    endedAtMs: turn.nowMs,
    approval: by,
  });
  const reason = `undone by ${by.by}${because(by)}`;
  const message = `Back to ${nameOf(previous)}: ${nameOf(stable)} was ${reason}`;
  const wanted = wantedDigest(turn) ?? stable.digest;
  const phase = wanted === previous.digest ? 'Stable' : 'Aborted';
  // No previous any more: what was undone must not come back without steps.
  change(turn, {
    phase,
    stable: previous,
    previous: null,
    refused: phase === 'Stable' ? null : { digest: wanted, reason },
    message,
  });
  say(turn, 'Warning', 'Undone', message);
  return null;
}

function wantedDigest({ seen: { candidate } }: Turn): string | null {
  if (candidate.status === 'missing') return null;
  return candidate.status === 'stored' ? candidate.revision.digest : candidate.digest;
}

const because = ({ why }: Approval) => (why === '' ? '' : `: ${why}`);
