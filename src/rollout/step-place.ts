/** Where a rollout stands in a list of steps, and where it stands when somebody changes that list under it. Pure. */
import { createHash } from 'node:crypto';
import type { Phase } from './directive.ts';
import { durationText } from './duration.ts';
import type { PolicySetSpec, RolloutStep } from './policy-set.ts';

export const stepsHash = ({ steps }: Pick<PolicySetSpec, 'steps'>): string =>
  createHash('sha256').update(JSON.stringify(steps)).digest('hex').slice(0, 16);

/** Hundredths of a percent. */
export const basisPoints = (percent: number): number => Math.round(percent * 100);

/** The phase of a step; null for a pause, which interrupts the phase before it. */
export function phaseOf(step: RolloutStep, mode: PolicySetSpec['mode']): Phase | null {
  if ('replay' in step) return 'Replay';
  if ('shadow' in step) return 'Shadow';
  if ('weight' in step) return mode === 'guarded' ? 'Guarded' : 'Canary';
  return null;
}

/** How long it takes at least; null when a person ends it. */
export function stepMinimumMs(step: RolloutStep): number | null {
  if ('replay' in step) return 0;
  if ('shadow' in step) return step.shadow;
  if ('weight' in step) return step.for;
  return step.pause;
}

/**
 * @param weight that holds now.
 * @returns the step of a new list to stand at, which never has more weight: the first one with the greatest weight that
 * is not above, or -1, before the first.
 */
export function placeIn(steps: readonly RolloutStep[], weight: number): number {
  let place = -1;
  let best = 0;
  for (const [at, step] of steps.entries()) {
    if (!('weight' in step)) continue;
    const here = basisPoints(step.weight);
    if (here <= weight && here > best) {
      best = here;
      place = at;
    }
  }
  return place;
}

export function stepSentence(steps: readonly RolloutStep[], at: number): string {
  const step = steps[at];
  const place = `Step ${at + 1} of ${steps.length}`;
  return step === undefined ? place : `${place}: ${stepText(step)}`;
}

export function stepText(step: RolloutStep): string {
  if ('replay' in step) return `replay of the last ${durationText(step.replay.last)}`;
  if ('shadow' in step) return `shadow for ${durationText(step.shadow)}`;
  if ('weight' in step) return `${step.weight}% for ${durationText(step.for)}`;
  return step.pause === null
    ? 'waits for a person to promote it'
    : `pause for ${durationText(step.pause)}`;
}
