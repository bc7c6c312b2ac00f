/** What holds for a policy set right now, as the conditions of a Kubernetes object say it. Pure. */
import type { PauseReason, Phase } from './directive.ts';
import type { SetView } from './set-view.ts';
import { revisionText } from './step-text.ts';

export interface Condition {
  readonly type: 'Valid' | 'Available' | 'Progressing' | 'Healthy' | 'CommandObserved';
  readonly status: boolean;
  readonly reason: string;
  readonly message: string;
}

const MOVING: ReadonlySet<Phase> = new Set<Phase>([
  'Verifying',
  'Replay',
  'Shadow',
  'Guarded',
  'Canary',
  'Promoting',
  'Aborting',
]);
const TROUBLED: ReadonlySet<PauseReason> = new Set<PauseReason>([
  'Failed',
  'Inconclusive',
  'NoData',
]);

export const isMoving = (phase: Phase): boolean => MOVING.has(phase);

export function conditionsOf(view: SetView): readonly Condition[] {
  const { state, problems, command } = view;
  const valid: Condition = {
    type: 'Valid',
    status: problems.length === 0,
    reason: problems.length === 0 ? 'Read' : view.object === null ? 'Missing' : 'Invalid',
    message: problems[0] ?? 'rollout.yaml is good',
  };
  if (state === null) {
    const message = 'no state yet; its bundle is missing, or no controller is running';
    return [valid, { type: 'Available', status: false, reason: 'NoState', message }];
  }
  const { phase, stable, pauseReason } = state;
  const ill = phase === 'Aborted' || phase === 'Rejected' || TROUBLED.has(pauseReason ?? 'Step');
  const heard = command === null || command === state.observedCommand;
  return [
    valid,
    {
      type: 'Available',
      status: stable !== null,
      reason: stable === null ? 'NoPolicy' : 'InForce',
      message: stable === null ? 'no policy is in force yet' : `in force: ${revisionText(stable)}`,
    },
    {
      type: 'Progressing',
      status: isMoving(phase),
      reason: pauseReason ?? phase,
      message: state.message,
    },
    {
      type: 'Healthy',
      status: !ill,
      reason: ill ? (pauseReason ?? phase) : 'AsExpected',
      message: ill ? state.message : 'nothing needs attention',
    },
    {
      type: 'CommandObserved',
      status: heard,
      reason: heard ? 'Observed' : 'Waiting',
      message: heard ? 'no command waits' : `${command} waits; is the controller running?`,
    },
  ];
}
