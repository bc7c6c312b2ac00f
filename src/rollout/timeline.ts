/**
 * The steps of a rollout as a list that can be read at a glance: what is done, where it stands, what comes and when at
 * the earliest. Pure.
 */
import type { PolicySetSpec } from './policy-set.ts';
import type { RolloutState } from './state.ts';
import { stepMinimumMs, stepText } from './step-place.ts';
import { ageText, clockText } from './step-text.ts';

export interface Marks {
  readonly done: string;
  readonly now: string;
  readonly next: string;
  readonly bad: string;
}
export const PLAIN_MARKS: Marks = { done: '+', now: '>', next: '.', bad: '!' };
export const TERMINAL_MARKS: Marks = { done: '✓', now: '▶', next: '·', bad: '✗' };

export interface TimelineStep {
  readonly number: number;
  readonly text: string;
  readonly status: 'done' | 'current' | 'ahead';
  /** Milliseconds since 1970; null when it has not begun, or began before what the state remembers. */
  readonly startedAtMs: number | null;
  /** At the earliest; null when a human, the sidecars or a pause decide. */
  readonly dueAtMs: number | null;
}

/** @returns nothing when no rollout is under way. */
export function timelineOf(spec: PolicySetSpec | null, state: RolloutState): TimelineStep[] {
  const { rollout, phase } = state;
  if (spec === null || rollout === null || isOver(phase)) return [];
  let due: number | null = null;
  return spec.steps.map((step, at) => {
    const current = at === rollout.step && phase !== 'Promoting';
    const done = at < rollout.step || phase === 'Promoting';
    if (current) due = isHeld(state) ? null : after(rollout.stepStartedAtMs, stepMinimumMs(step));
    const begins = at > rollout.step ? due : null;
    if (at > rollout.step) due = after(due, stepMinimumMs(step));
    return {
      number: at + 1,
      text: stepText(step),
      status: current ? 'current' : done ? 'done' : 'ahead',
      startedAtMs: current ? rollout.stepStartedAtMs : null,
      dueAtMs: current ? due : begins,
    };
  });
}

const after = (start: number | null, ms: number | null) =>
  start === null || ms === null ? null : start + ms;

const isOver = (phase: RolloutState['phase']) =>
  phase === 'Stable' || phase === 'Aborted' || phase === 'Rejected';

/** A pause that is a step ends by itself; every other one needs somebody or something. */
const isHeld = ({ phase, pauseReason }: RolloutState) =>
  phase === 'Paused' && pauseReason !== 'Step';

/** @returns lines. */
export function timelineLines(
  steps: readonly TimelineStep[],
  state: RolloutState,
  now: number,
  marks: Marks,
): readonly string[] {
  const width = Math.max(0, ...steps.map(({ text }) => text.length));
  return steps.map((step) => {
    const mark =
      step.status === 'done' ? marks.done : step.status === 'current' ? marks.now : marks.next;
    const number = String(step.number).padStart(2);
    return `  ${mark} ${number}  ${step.text.padEnd(width)}   ${when(step, state, now)}`.trimEnd();
  });
}

function when(step: TimelineStep, state: RolloutState, now: number): string {
  if (step.status === 'done') return 'done';
  if (step.status === 'ahead') {
    return step.dueAtMs === null ? '' : `not before ${clockText(Math.max(step.dueAtMs, now), now)}`;
  }
  const since = `since ${clockText(step.startedAtMs ?? now, now)}`;
  const spent = ageText(now - (step.startedAtMs ?? now));
  if (isHeld(state)) return `${since}, ${spent}; held: ${state.pauseReason ?? 'paused'}`;
  if (step.dueAtMs === null) return `${since}, ${spent}`;
  const left = step.dueAtMs - now;
  const rest = left > 0 ? `${ageText(left)} left` : 'time is up, waits for its checks';
  return `${since}, ${spent}; ${rest}`;
}
