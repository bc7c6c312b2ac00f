/** Settings of a policy set that are allowed and risky. Each has a code, so that it can be looked up and talked about. Pure. */
import { durationText } from './duration.ts';
import type { PolicySetSpec } from './policy-set.ts';
import { stepMinimumMs } from './step-place.ts';

export interface SpecWarning {
  readonly code: WarningCode;
  /** Where in the document. */
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** In the words of docs/rollout-cli.md. */
export const WARNING_CODES = {
  'no-shadow': 'A weight comes before any shadow or replay step.',
  'no-minimum-time': 'A weight below 100 has no time in which anything could be seen.',
  'no-minimum-samples': 'A step passes without a single compared call.',
  'unattended-widening': 'A candidate may allow more and nobody is asked.',
  'own-approval': 'The candidate decides alone, and its author may approve a widening.',
  'jump-to-all': 'The last weight is below 50, so promotion more than doubles it.',
  'deadline-too-short': 'The steps take longer than the deadline, so no rollout can succeed.',
  'no-label': 'The ConfigMap lacks the label by which the controller finds it.',
} as const;
export type WarningCode = keyof typeof WARNING_CODES;

const LAST_WEIGHT_MIN = 50;

export function warningsOf(spec: PolicySetSpec): readonly SpecWarning[] {
  return [...stepWarnings(spec), ...settingWarnings(spec)];
}

function stepWarnings({ steps, deadline }: PolicySetSpec): SpecWarning[] {
  const found: SpecWarning[] = [];
  const firstWeight = steps.findIndex((step) => 'weight' in step);
  const watched = steps.findIndex((step) => 'shadow' in step || 'replay' in step);
  if (firstWeight !== -1 && (watched === -1 || watched > firstWeight)) {
    const message = 'the candidate takes part before it was watched in a shadow or replay step';
    found.push({ code: 'no-shadow', path: ['spec', 'steps', firstWeight], message });
  }
  for (const [at, step] of steps.entries()) {
    const next = steps[at + 1];
    const heldNext = next !== undefined && 'pause' in next;
    if (!('weight' in step) || step.for > 0 || step.weight === 100 || heldNext) continue;
    const message = `weight ${step.weight} without \`for\`: it is left as soon as a look passes`;
    found.push({ code: 'no-minimum-time', path: ['spec', 'steps', at], message });
  }
  const last = steps.findLastIndex((step) => 'weight' in step);
  const step = steps[last];
  if (step !== undefined && 'weight' in step && step.weight < LAST_WEIGHT_MIN) {
    const message = `promotion goes from ${step.weight} to 100 percent in one step`;
    found.push({ code: 'jump-to-all', path: ['spec', 'steps', last, 'weight'], message });
  }
  const least = steps.reduce((sum, one) => sum + (stepMinimumMs(one) ?? 0), 0);
  if (least > deadline) {
    const message = `the steps take ${durationText(least)} at least, the deadline is ${durationText(deadline)}`;
    found.push({ code: 'deadline-too-short', path: ['spec', 'deadline'], message });
  }
  return found;
}

function settingWarnings({ analysis, widen, fourEyes, mode }: PolicySetSpec): SpecWarning[] {
  const found: SpecWarning[] = [];
  if (analysis.minSamples === 0) {
    const message = 'minSamples 0: a step passes without a single compared call';
    found.push({ code: 'no-minimum-samples', path: ['spec', 'analysis', 'minSamples'], message });
  }
  if (widen === 'unattended') {
    const message = 'a candidate may allow what stable denies, and nobody is asked';
    found.push({ code: 'unattended-widening', path: ['spec', 'widen'], message });
  }
  if (mode === 'candidate' && widen === 'approval' && !fourEyes) {
    const message = 'the author of a candidate may approve its widening: consider fourEyes: true';
    found.push({ code: 'own-approval', path: ['spec', 'mode'], message });
  }
  return found;
}
