/** A policy set for programs: what the table and the text say, and the whole state behind it. Pure. */
import { type Condition, conditionsOf } from './condition.ts';
import type { PolicySetSpec } from './policy-set.ts';
import type { SetView } from './set-view.ts';
import type { RolloutState } from './state.ts';
import { type TimelineStep, timelineOf } from './timeline.ts';

export interface StatusJson {
  readonly apiVersion: 'egret.dev/v1alpha1';
  readonly kind: 'RolloutStatus';
  readonly namespace: string;
  readonly set: string;
  /** Name of the ConfigMap of Git. */
  readonly configMap: string | null;
  readonly problems: readonly string[];
  readonly conditions: readonly Condition[];
  readonly steps: readonly TimelineStep[];
  readonly command: string | null;
  /** Null when the set is wrong. */
  readonly spec: PolicySetSpec | null;
  /** Null before the controller saw the set. */
  readonly state: RolloutState | null;
}

export const statusJson = (view: SetView): StatusJson => ({
  apiVersion: 'egret.dev/v1alpha1',
  kind: 'RolloutStatus',
  namespace: view.namespace,
  set: view.set,
  configMap: view.object?.name ?? null,
  problems: view.problems,
  conditions: conditionsOf(view),
  steps: view.state === null ? [] : timelineOf(view.spec, view.state),
  command: view.command,
  spec: view.spec,
  state: view.state,
});
