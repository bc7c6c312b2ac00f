/**
 * How a rollout goes from step to step and into force. Time alone never moves it: the last look since a step began must
 * have passed, a window must be open, and what allows more must be approved. Pure.
 */
import type { Phase } from './directive.ts';
import type { PolicySetSpec } from './policy-set.ts';
import type { Rollout } from './state.ts';
import {
  basisPoints,
  phaseOf,
  placeIn,
  stepMinimumMs,
  stepSentence,
  stepsHash,
} from './step-place.ts';
import { change, changeRollout, pauseRollout, promoteCandidate, say, type Turn } from './turn.ts';
import { isOpen } from './window.ts';

/** Nobody agreed yet that the candidate may allow what stable denies. */
export const needsApproval = (spec: PolicySetSpec, rollout: Rollout): boolean =>
  rollout.widening !== null &&
  rollout.approval === null &&
  !(spec.widen === 'unattended' && spec.analysis.checks.newlyAllowed === 'ignore');

/** What time and the last look allow. */
export function moveOn(turn: Turn) {
  const { spec, candidate } = turn.seen;
  const { rollout, phase, pauseReason } = turn.state;
  // Without the set or its bundle nothing says that this candidate is still wanted.
  if (spec === null || rollout === null || candidate.status !== 'stored') return;
  if (rollout.id !== turn.before.rollout?.id) return;
  if (phase === 'Promoting') return intoForce(turn, spec, rollout);
  const waits = phase === 'Paused' && pauseReason !== 'Window' && pauseReason !== 'Step';
  if (waits) return;
  if (pauseReason === 'Window' && isOpen(spec.windows, turn.nowMs)) {
    resumeStep(turn, spec, 'The window is open');
  }
  if (isStepDone(turn, spec, rollout)) nextStep(turn, spec, rollout);
}

function isStepDone(turn: Turn, spec: PolicySetSpec, rollout: Rollout): boolean {
  if (rollout.step === -1) {
    // At first nothing is known that could hold it; begun again it must pass a look like any step.
    const first = rollout.stepStartedAtMs === rollout.startedAtMs;
    return rollout.lastLook === 'passed' || (first && rollout.lastLook !== 'failed');
  }
  const step = spec.steps[rollout.step];
  const minimumMs = step === undefined ? 0 : stepMinimumMs(step);
  if (minimumMs === null || turn.nowMs - rollout.stepStartedAtMs < minimumMs) return false;
  if (rollout.lastLook !== 'passed') return false;
  if (step === undefined || !('replay' in step)) return true;
  const replay = turn.seen.analysis?.replay;
  return replay?.done === true && replay.decisions >= step.replay.minDecisions;
}

function nextStep(turn: Turn, spec: PolicySetSpec, rollout: Rollout) {
  if (needsApproval(spec, rollout)) return askForWidening(turn, rollout);
  if (rollout.revert || isOpen(spec.windows, turn.nowMs)) return enterNext(turn, spec, rollout);
  if (turn.state.pauseReason === 'Window') return;
  pauseRollout(turn, 'Window', 'The next step waits for a window');
}

/** Whatever time, looks and windows say. */
export function enterNext(turn: Turn, spec: PolicySetSpec, rollout: Rollout) {
  const next = rollout.step + 1;
  if (!rollout.revert && next < spec.steps.length) return enterStep(turn, spec, next);
  const message = 'Every step is done; going into force';
  change(turn, { phase: 'Promoting', pausedIn: null, pauseReason: null, message });
  changeRollout(turn, { replayLastMs: null });
}

function enterStep(turn: Turn, spec: PolicySetSpec, at: number): void {
  const step = spec.steps[at];
  if (step === undefined) return;
  changeRollout(turn, {
    step: at,
    stepStartedAtMs: turn.nowMs,
    lastLook: 'none',
    inconclusive: 0,
    replayLastMs: 'replay' in step ? step.replay.last : null,
    ...('weight' in step ? { weight: basisPoints(step.weight) } : {}),
  });
  const message = stepSentence(spec.steps, at);
  say(turn, 'Normal', 'StepStarted', message);
  settle(turn, spec, interrupted(turn));
  change(turn, { message });
}

/** The phase that the step under way has; a pause step interrupts the phase before it. */
function settle(turn: Turn, spec: PolicySetSpec, before: Phase) {
  const step = spec.steps[turn.state.rollout?.step ?? -1];
  const phase = step === undefined ? 'Verifying' : phaseOf(step, spec.mode);
  if (phase !== null) return change(turn, { phase, pausedIn: null, pauseReason: null });
  const pauseReason = step !== undefined && 'pause' in step && step.pause === null;
  change(turn, {
    phase: 'Paused',
    // The records are played only once.
    pausedIn: before === 'Replay' ? 'Shadow' : before,
    pauseReason: pauseReason ? 'Approval' : 'Step',
  });
}

function interrupted({ state }: Turn): Phase {
  return state.phase === 'Paused' ? (state.pausedIn ?? 'Verifying') : state.phase;
}

/** Ends a pause: back to the step, which may be a pause itself. */
export function resumeStep(turn: Turn, spec: PolicySetSpec, why: string): void {
  const before = interrupted(turn);
  if (before === 'Promoting') {
    change(turn, { phase: 'Promoting', pausedIn: null, pauseReason: null, message: why });
  } else {
    settle(turn, spec, before);
    change(turn, {
      message: `${why}. ${stepSentence(spec.steps, turn.state.rollout?.step ?? -1)}`,
    });
  }
  say(turn, 'Normal', 'Resumed', why);
}

function intoForce(turn: Turn, spec: PolicySetSpec, rollout: Rollout) {
  if (needsApproval(spec, rollout)) return askForWidening(turn, rollout);
  const { lastLook, forced, revert } = rollout;
  // A person can overrule that too little is known, but not that what is known is bad.
  const goes = revert || lastLook === 'passed' || (forced !== null && lastLook === 'unclear');
  if (goes) promoteCandidate(turn);
}

export function askForWidening(turn: Turn, rollout: Rollout): void {
  const { count, examples } = rollout.widening ?? { count: 0, examples: [] };
  const tools = [...new Set(examples.map(({ tool }) => tool))].slice(0, 3).join(', ');
  const calls = count === 1 ? '1 call' : `${count} calls`;
  const where = tools === '' ? '' : ` (${tools})`;
  pauseRollout(turn, 'Widening', `Allows ${calls} that stable denies${where}; needs approval`);
}

/**
 * The specification may have changed under the rollout. A new list of steps is entered at the weight that holds or
 * below; another mode or unit means that what was seen says nothing, so the steps begin again.
 */
export function takeSpec(turn: Turn): void {
  const { spec } = turn.seen;
  if (spec === null) return;
  const { told, rollout } = turn.state;
  const now = {
    mode: spec.mode,
    unit: spec.unit,
    selector: spec.selector,
    maxStaleness:
      spec.maxStaleness === undefined
        ? null
        : { afterMs: spec.maxStaleness.after, action: spec.maxStaleness.action },
  };
  if (JSON.stringify(now) !== JSON.stringify(told)) change(turn, { told: now });
  if (rollout === null) return;
  const other = told.mode !== now.mode || told.unit !== now.unit;
  const hash = stepsHash(spec);
  if (!other && hash === rollout.stepsHash) return;
  changeRollout(turn, { stepsHash: hash, stepCount: spec.steps.length });
  if (rollout.revert || rollout.forced !== null) return;
  standAt(turn, spec, other ? -1 : placeIn(spec.steps, rollout.weight));
}

function standAt(turn: Turn, spec: PolicySetSpec, at: number) {
  const { rollout, phase, pauseReason } = turn.state;
  if (rollout === null) return;
  const step = spec.steps[at];
  const weight = step !== undefined && 'weight' in step ? basisPoints(step.weight) : 0;
  if (weight < rollout.weight) turn.urgent = true;
  // Equal to the start of the rollout only while no step ran.
  const restartedAtMs = Math.max(turn.nowMs, rollout.startedAtMs + 1);
  const untouched = rollout.step === -1 && at === -1;
  changeRollout(turn, {
    step: at,
    stepStartedAtMs: untouched ? rollout.stepStartedAtMs : restartedAtMs,
    lastLook: rollout.lastLook === 'failed' ? 'failed' : 'none',
    inconclusive: 0,
    replayLastMs: null,
    weight,
  });
  const here = step === undefined ? 'Verifying' : (phaseOf(step, spec.mode) ?? 'Verifying');
  const ofStep = pauseReason === 'Window' || pauseReason === 'Step' || pauseReason === 'Approval';
  if (phase === 'Paused' && !ofStep) return change(turn, { pausedIn: here });
  const message = `The steps changed. ${stepSentence(spec.steps, at)}`;
  change(turn, { phase: here, pausedIn: null, pauseReason: null, message });
}
