/**
 * The state machine of a rollout: from what is, what is seen and what time it is to what is next. It has no clock and no
 * memory but its state, so a controller that is killed and started again goes on as if nothing had been. One call makes
 * at most one step; docs/rollout.md has the rules. Pure.
 */
import { takeCandidate } from './candidate-change.ts';
import type { Directive, Phase } from './directive.ts';
import { durationText } from './duration.ts';
import { takeLook } from './look.ts';
import { obey } from './obey.ts';
import { moveOn, takeSpec } from './progress.ts';
import type { Advance, Observation, RolloutState } from './state.ts';
import { stepMinimumMs } from './step-place.ts';
import { abortRollout, change, type Turn } from './turn.ts';
import { nextOpening } from './window.ts';

/** Looks are never asked for more often than this, whatever the interval says. */
const LOOK_MS_MIN = 1000;

export const initialState = (set: string, nowMs: number): RolloutState => ({
  apiVersion: 'egret.dev/v1alpha1',
  kind: 'RolloutState',
  set,
  generation: 0,
  phase: 'Verifying',
  pausedIn: null,
  pauseReason: null,
  stable: null,
  previous: null,
  rollout: null,
  refused: null,
  message: 'Waits for the first bundle',
  observedCommand: null,
  updatedAtMs: nowMs,
  history: [],
  told: { mode: 'guarded', unit: 'agent', selector: {}, maxStaleness: null },
});

export function advance(state: RolloutState, observation: Observation, nowMs: number): Advance {
  const turn: Turn = {
    before: state,
    seen: observation,
    nowMs,
    state,
    urgent: false,
    events: [],
  };
  takeSpec(turn);
  takeCandidate(turn);
  // Before commands: what a person says must not overtake what is known.
  takeLook(turn);
  endAtDeadline(turn);
  obey(turn);
  moveOn(turn);
  return result(turn);
}

function endAtDeadline(turn: Turn): void {
  const { spec } = turn.seen;
  const { rollout } = turn.state;
  if (spec === null || rollout === null) return;
  if (turn.nowMs - rollout.startedAtMs < spec.deadline) return;
  abortRollout(turn, `not done within ${durationText(spec.deadline)}`);
}

function result(turn: Turn): Advance {
  const { before, nowMs, events } = turn;
  const changed = turn.state !== before && !isSame(turn.state, before);
  if (changed) change(turn, { generation: generationAfter(before, nowMs), updatedAtMs: nowMs });
  const state = changed ? turn.state : before;
  return { state, events, urgent: changed && turn.urgent, wakeAtMs: wakeAt(state, turn) };
}

/**
 * The first one is the time in seconds, and one write a second is more than there are: a state that somebody deleted and
 * that begins anew is newer than whatever a sidecar was told before.
 */
const generationAfter = ({ generation }: RolloutState, nowMs: number) =>
  generation === 0 ? Math.max(1, Math.floor(nowMs / 1000)) : generation + 1;

const isSame = (a: RolloutState, b: RolloutState) => JSON.stringify(a) === JSON.stringify(b);

function wakeAt(state: RolloutState, { seen, nowMs }: Turn): number | null {
  const { spec } = seen;
  const { rollout, phase, pauseReason } = state;
  if (spec === null || rollout === null) return null;
  const times = [rollout.startedAtMs + spec.deadline];
  times.push(rollout.lastLookAtMs + Math.max(spec.analysis.interval, LOOK_MS_MIN));
  if (phase === 'Verifying' && rollout.stepStartedAtMs === rollout.startedAtMs) times.push(nowMs);
  if (phase === 'Promoting' && (rollout.revert || rollout.lastLook === 'passed')) times.push(nowMs);
  if (pauseReason === 'Window') times.push(nextOpening(spec.windows, nowMs) ?? Infinity);
  const step = spec.steps[rollout.step];
  const end = step === undefined ? null : stepMinimumMs(step);
  if (end !== null) {
    const endMs = rollout.stepStartedAtMs + end;
    // Later than that only a look changes something.
    if (endMs > nowMs) times.push(endMs);
  }
  return Math.max(nowMs, Math.min(...times));
}

/** Not a hexadecimal digit of a secret: nobody is chosen by it while nothing is rolled out. */
const NO_SALT = '0'.repeat(32);

const AT_STABLE: ReadonlySet<Phase> = new Set<Phase>(['Stable', 'Aborting', 'Aborted', 'Rejected']);
const WEIGHTLESS: ReadonlySet<Phase> = new Set<Phase>(['Verifying', 'Replay', 'Shadow']);

/** What sidecars are told. */
export function directiveOf(state: RolloutState): Directive {
  const { set, generation, phase, pausedIn, stable, told } = state;
  const rollout = AT_STABLE.has(phase) ? null : state.rollout;
  const enforced = pausedIn ?? phase;
  return {
    set,
    generation,
    phase,
    rolloutId: rollout?.id ?? null,
    stable,
    candidate: rollout?.candidate ?? null,
    mode: told.mode,
    unit: told.unit,
    weight: rollout === null || WEIGHTLESS.has(enforced) ? 0 : rollout.weight,
    salt: rollout?.salt ?? NO_SALT,
    selector: told.selector,
    replayLastMs: rollout !== null && enforced === 'Replay' ? rollout.replayLastMs : null,
    maxStaleness: told.maxStaleness,
  };
}
