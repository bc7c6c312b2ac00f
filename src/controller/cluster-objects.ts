/**
 * What the ConfigMaps of a namespace say about policy sets, as the worker of a set needs it: specification, command and
 * problems of the set, its bundles, its state. Pure.
 */
import type { ReadObject } from '../kubernetes/object.ts';
import { ANNOTATIONS, LABELS, stateName } from '../rollout/objects.ts';
import { POLICY_SET_KEY, readPolicySet } from '../rollout/policy-set.ts';
import { readState } from '../rollout/state-codec.ts';
import { commandOf } from './commands.ts';
import type { SetSeen, StateRead } from './set-worker.ts';

export type Objects = ReadonlyMap<string, ReadObject>;

/** Newest objects by kind; each map is by name of the object. */
export interface ClusterView {
  readonly sets: Objects;
  readonly bundles: Objects;
  readonly states: Objects;
}

/** Every set that is declared, or has a state. */
export function setNames({ sets, states }: ClusterView): Set<string> {
  const named = (objects: Objects, label: string) =>
    [...objects.values()].flatMap(({ metadata }) => metadata.labels?.[label] ?? []);
  const stated = named(states, LABELS.state).filter((set) => states.has(stateName(set)));
  return new Set([...named(sets, LABELS.set), ...stated].filter(isSetName));
}

const isSetName = (name: string) => /^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$/.test(name);

/** The ConfigMaps that declare a set; more than one is a problem. By name, so that all replicas agree. */
export const declarationsOf = ({ sets }: ClusterView, set: string): readonly ReadObject[] =>
  [...sets.values()]
    .filter((object) => object.metadata.labels?.[LABELS.set] === set)
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));

export const bundlesOf = ({ bundles }: ClusterView, set: string): readonly ReadObject[] =>
  [...bundles.values()].filter((object) => object.metadata.labels?.[LABELS.bundle] === set);

export function stateOf({ states }: ClusterView, set: string): StateRead | null {
  // By its name, as sidecars read it: a label is easily put on something else.
  const object = states.get(stateName(set));
  return object === undefined ? null : stateFrom(object, set);
}

/** @returns null when the object holds no state of this set: then it is as if there were none. */
export function stateFrom(object: ReadObject, set: string): StateRead | null {
  const state = readState(textsOf(object));
  if (state === null || state.set !== set) return null;
  return { state, resourceVersion: object.metadata.resourceVersion };
}

export function seenOf(view: ClusterView, set: string): SetSeen {
  const stored = stateOf(view, set);
  const [object, second] = declarationsOf(view, set);
  if (object === undefined) {
    return { spec: null, problems: [], command: null, author: null, stored };
  }
  const annotations = object.metadata.annotations ?? {};
  const command = commandOf(annotations);
  const author = annotations[ANNOTATIONS.author] ?? null;
  const document = documentOf(object, set);
  const problems = [
    ...(second === undefined ? [] : [twice(set, object, second)]),
    ...document.problems,
    ...(command.ok ? [] : [command.problem]),
  ];
  // A set that is declared twice has no specification: nobody knows which one was meant.
  const spec = second === undefined ? document.spec : null;
  return { spec, problems, command: command.ok ? command.command : null, author, stored };
}

const twice = (set: string, ...objects: readonly ReadObject[]) =>
  `${LABELS.set}=${set}: found ${objects.map(({ metadata }) => metadata.name).join(' and ')}, expected one ConfigMap`;

function documentOf(object: ReadObject, set: string): Pick<SetSeen, 'spec' | 'problems'> {
  const text = textsOf(object)[POLICY_SET_KEY];
  if (text === undefined) {
    return { spec: null, problems: [`${POLICY_SET_KEY}: found nothing, expected a PolicySet`] };
  }
  const reading = readPolicySet(text);
  if (!reading.ok) return { spec: null, problems: reading.problems };
  const { metadata, spec } = reading.value;
  if (metadata.name === set) return { spec, problems: [] };
  const problem = `${POLICY_SET_KEY}: metadata.name: found "${metadata.name}", expected "${set}" as in the label ${LABELS.set}`;
  return { spec: null, problems: [problem] };
}

function textsOf(object: ReadObject): Readonly<Record<string, string>> {
  const { data } = object as { data?: unknown };
  if (data === null || typeof data !== 'object') return {};
  const texts = Object.entries(data).filter(([, text]) => typeof text === 'string');
  return Object.fromEntries(texts) as Record<string, string>;
}
