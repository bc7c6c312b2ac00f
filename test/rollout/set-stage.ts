// A policy set, its bundles and its states as the tests of the commands need them. Times are fixed.

import type { SetEvent } from '../../src/rollout/event-text.ts';
import { ANNOTATIONS, LABELS } from '../../src/rollout/objects.ts';
import { readPolicySet } from '../../src/rollout/policy-set.ts';
import type { SetObject, SetView } from '../../src/rollout/set-view.ts';
import { viewsOf } from '../../src/rollout/set-view.ts';
import type { Rollout, RolloutState } from '../../src/rollout/state.ts';
import { stepsHash } from '../../src/rollout/step-place.ts';

export const NOW = Date.parse('2026-11-28T02:46:18Z');
const STARTED = Date.parse('2026-11-28T02:14:05Z');

const digest = (of: string) => `sha256:${of.repeat(64).slice(0, 64)}`;
export const STABLE = { digest: digest('4b22'), revision: '2026-11-20.3', pieces: 1 };
export const CANDIDATE = { digest: digest('ef2d'), revision: '2026-11-28.1', pieces: 1 };
export const OLDER = { digest: digest('0a9c'), revision: '2026-11-02.1', pieces: 1 };

export const YAML = `apiVersion: egret.dev/v1alpha1
kind: PolicySet
metadata: {name: mail}
spec:
  candidate: {bundle: mail-bundle}
  steps:
    - {shadow: 10m}
    - {weight: 1, for: 10m}
    - {weight: 5, for: 15m}
    - {pause: approval}
    - {weight: 25, for: 30m}
    - {weight: 100, for: 30m}
`;

function hashOf(yaml: string): string {
  const reading = readPolicySet(yaml);
  if (!reading.ok) throw new Error(reading.problems.join());
  return stepsHash(reading.value.spec);
}

export const ROLLOUT: Rollout = {
  id: 'r-7f3c',
  candidate: CANDIDATE,
  startedAtMs: STARTED,
  step: 2,
  stepStartedAtMs: Date.parse('2026-11-28T02:34:10Z'),
  stepsHash: hashOf(YAML),
  stepCount: 6,
  sinceGeneration: 9,
  revert: false,
  weight: 500,
  replayLastMs: null,
  failures: 1,
  inconclusive: 0,
  lastLookAtMs: NOW - 20_000,
  lastLook: 'passed',
  widening: null,
  approval: null,
  forced: null,
  salt: '00'.repeat(16),
};

export const GUARDED: RolloutState = {
  apiVersion: 'egret.dev/v1alpha1',
  kind: 'RolloutState',
  set: 'mail',
  generation: 17,
  phase: 'Guarded',
  pausedIn: null,
  pauseReason: null,
  stable: STABLE,
  previous: OLDER,
  rollout: ROLLOUT,
  refused: null,
  message: 'Step 3 of 6: 5% for 15m',
  observedCommand: null,
  updatedAtMs: NOW - 20_000,
  history: [
    {
      rolloutId: 'r-6e10',
      revision: { ...CANDIDATE, digest: digest('99cd'), revision: '2026-11-27.4' },
      result: 'Aborted',
      reason: 'newlyDenied 0.021 is above 0.005',
      startedAtMs: STARTED - 86_400_000,
      endedAtMs: STARTED - 86_400_000 + 754_000,
      approval: null,
    },
    {
      rolloutId: 'r-51aa',
      revision: STABLE,
      result: 'Promoted',
      reason: 'all steps passed',
      startedAtMs: STARTED - 8 * 86_400_000,
      endedAtMs: STARTED - 8 * 86_400_000 + 5_400_000,
      approval: {
        by: 'ada@example.com',
        why: 'the accountant is new',
        atMs: STARTED - 691_000_000,
      },
    },
  ],
  told: { mode: 'guarded', unit: 'agent', selector: {}, maxStaleness: null },
};

export const WIDENING: RolloutState = {
  ...GUARDED,
  generation: 18,
  phase: 'Paused',
  pausedIn: 'Guarded',
  pauseReason: 'Widening',
  message: 'Allows 37 calls that stable denies (gmail.send); needs approval',
  rollout: {
    ...ROLLOUT,
    widening: {
      count: 37,
      examples: [
        {
          class: 'newly_allowed',
          at: '2026-11-28T02:41:09Z',
          decisionId: '01JDQ4E0W9',
          tool: 'gmail.send',
          stable: { outcome: 'deny', reason: 'policy.denied', rule: 'mail.recipient_not_allowed' },
          candidate: { outcome: 'allow', reason: 'policy.allowed', rule: null },
        },
      ],
    },
  },
};

export const ABORTED: RolloutState = {
  ...GUARDED,
  generation: 19,
  phase: 'Aborted',
  rollout: null,
  refused: { digest: CANDIDATE.digest, reason: 'errorRatio 0.4 is above 0.001' },
  message: 'errorRatio 0.4 is above 0.001; stable stays in force',
  history: [
    {
      rolloutId: 'r-7f3c',
      revision: CANDIDATE,
      result: 'Aborted',
      reason: 'errorRatio 0.4 is above 0.001',
      startedAtMs: STARTED,
      endedAtMs: NOW - 60_000,
      approval: null,
    },
    ...GUARDED.history,
  ],
};

export const PROMOTED: RolloutState = {
  ...ABORTED,
  phase: 'Stable',
  stable: CANDIDATE,
  previous: STABLE,
  refused: null,
  message: 'nothing is being rolled out',
  history: [
    {
      rolloutId: 'r-7f3c',
      revision: CANDIDATE,
      result: 'Promoted',
      reason: 'all steps passed',
      startedAtMs: STARTED,
      endedAtMs: NOW - 60_000,
      approval: { by: 'ada@example.com', why: 'new accountant', atMs: NOW - 90_000 },
    },
    ...GUARDED.history,
  ],
};

export const setObject = (
  annotations: Readonly<Record<string, string>> = {},
  yaml: string = YAML,
): SetObject => ({
  metadata: {
    name: 'mail-policy',
    namespace: 'agents',
    resourceVersion: '41',
    labels: { [LABELS.set]: 'mail' },
    annotations,
  },
  data: { 'rollout.yaml': yaml },
});

export const stateObject = (state: RolloutState): SetObject => ({
  metadata: {
    name: 'mail-state',
    namespace: 'agents',
    resourceVersion: '42',
    labels: { [LABELS.state]: 'mail' },
  },
  data: { 'state.json': JSON.stringify(state) },
});

export function viewWith(state: RolloutState | null, command?: string): SetView {
  const notes = command === undefined ? {} : { [ANNOTATIONS.command]: command };
  const [view] = viewsOf([setObject(notes)], state === null ? [] : [stateObject(state)]);
  if (view === undefined) throw new Error('no view');
  return view;
}

export const EVENTS: readonly SetEvent[] = [
  {
    atMs: STARTED,
    type: 'Normal',
    reason: 'RolloutStarted',
    message: 'Rolling out 2026-11-28.1 (ef2def2def2d)',
  },
  {
    atMs: Date.parse('2026-11-28T02:24:10Z'),
    type: 'Normal',
    reason: 'StepStarted',
    message: 'Step 2 of 6: 1% for 10m',
  },
  {
    atMs: Date.parse('2026-11-28T02:44:48Z'),
    type: 'Warning',
    reason: 'AnalysisFailed',
    message: 'newlyDenied 0.012 is above 0.005',
  },
];
