/**
 * A policy set as people look at it: the ConfigMap of Git and the state of the controller side by side, either of which
 * can be missing or wrong. Pure.
 */
import { ANNOTATIONS, LABELS, stateName } from './objects.ts';
import { POLICY_SET_KEY, type PolicySetSpec, readPolicySet } from './policy-set.ts';
import type { RolloutState } from './state.ts';
import { readState } from './state-codec.ts';

/** What is read of a ConfigMap. */
export interface SetObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly resourceVersion: string;
    readonly labels?: Readonly<Record<string, string>> | undefined;
    readonly annotations?: Readonly<Record<string, string>> | undefined;
  };
  readonly data?: Readonly<Record<string, string>> | undefined;
}

export interface SetView {
  readonly namespace: string;
  readonly set: string;
  /** The ConfigMap of Git; null when it is gone. */
  readonly object: { readonly name: string; readonly resourceVersion: string } | null;
  /** Null when the set is gone or its `rollout.yaml` is wrong. */
  readonly spec: PolicySetSpec | null;
  /** What is wrong with the set, one line each. */
  readonly problems: readonly string[];
  /** The last command, whether it was taken up or not. */
  readonly command: string | null;
  /** Null before the controller saw the set, and when its state cannot be read. */
  readonly state: RolloutState | null;
}

/** @returns one view for each set that has a ConfigMap or a state, by namespace and name. */
export function viewsOf(sets: readonly SetObject[], states: readonly SetObject[]): SetView[] {
  const groups = new Map<string, { sets: SetObject[]; states: SetObject[] }>();
  const add = (kind: 'sets' | 'states', label: string) => (object: SetObject) => {
    const { namespace, labels } = object.metadata;
    const key = `${namespace}/${labels?.[label] ?? ''}`;
    const group = groups.get(key) ?? { sets: [], states: [] };
    group[kind].push(object);
    groups.set(key, group);
  };
  sets.forEach(add('sets', LABELS.set));
  states.forEach(add('states', LABELS.state));
  return [...groups]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, group]) => {
      const [namespace = '', set = ''] = key.split('/');
      return viewOf(namespace, set, group.sets, group.states);
    });
}

/** @param sets ConfigMaps that claim the set. @param states among them that of the controller. */
export function viewOf(
  namespace: string,
  set: string,
  sets: readonly SetObject[],
  states: readonly SetObject[],
): SetView {
  const [object] = sets;
  const kept = states.find(({ metadata }) => metadata.name === stateName(set));
  const state = kept === undefined ? null : readState(kept.data);
  const unreadable =
    kept !== undefined && state === null ? [`ConfigMap ${stateName(set)}: not readable`] : [];
  const read = readSet(set, sets);
  // The controller writes its problems there; those that are not seen from here too are worth a line.
  const said = object?.metadata.annotations?.[ANNOTATIONS.status]?.split('\n') ?? [];
  const others = said
    .filter((line) => line !== '' && !read.problems.includes(line))
    .map((line) => `the controller says: ${line}`);
  return {
    namespace,
    set,
    object:
      object === undefined
        ? null
        : { name: object.metadata.name, resourceVersion: object.metadata.resourceVersion },
    spec: read.spec,
    problems: [...read.problems, ...unreadable, ...others],
    command: object?.metadata.annotations?.[ANNOTATIONS.command] ?? null,
    state,
  };
}

function readSet(
  set: string,
  sets: readonly SetObject[],
): { readonly spec: PolicySetSpec | null; readonly problems: readonly string[] } {
  const [object] = sets;
  if (object === undefined) {
    return { spec: null, problems: [`no ConfigMap has the label ${LABELS.set}=${set}`] };
  }
  if (sets.length > 1) {
    const names = sets.map(({ metadata }) => metadata.name).join(' and ');
    const problem = `${LABELS.set}=${set}: found ${names}, expected one ConfigMap`;
    return { spec: null, problems: [problem] };
  }
  const text = object.data?.[POLICY_SET_KEY];
  if (text === undefined) {
    return { spec: null, problems: [`${POLICY_SET_KEY}: found nothing, expected a PolicySet`] };
  }
  const reading = readPolicySet(text);
  if (!reading.ok) return { spec: null, problems: reading.problems };
  const { name } = reading.value.metadata;
  if (name === set) return { spec: reading.value.spec, problems: [] };
  const problem = `${POLICY_SET_KEY}: metadata.name: found "${name}", expected "${set}" as in the label ${LABELS.set}`;
  return { spec: null, problems: [problem] };
}
