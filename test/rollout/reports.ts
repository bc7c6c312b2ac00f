/** Reports of sidecars for tests. Pure. */
import {
  COMPARED,
  type Comparison,
  EVAL_BOUNDS_US,
  type Report,
} from '../../src/rollout/report.ts';
import { revisionOf } from './transcript.ts';

export const CANDIDATE = revisionOf('B').digest;

export const comparisonOf = (given: Partial<Comparison>): Comparison =>
  Object.fromEntries(COMPARED.map((name) => [name, given[name] ?? 0])) as Comparison;

/** All evaluations in one bucket. */
export const timesOf = (bucket: number, count: number): number[] =>
  Array.from({ length: EVAL_BOUNDS_US.length + 1 }, (_, at) => (at === bucket ? count : 0));

export interface Given {
  readonly sidecar?: string;
  readonly epoch?: string;
  readonly sequence?: number;
  readonly generation?: number;
  /** Null outside a rollout. */
  readonly rollout?: Partial<NonNullable<Report['rollout']>> | null;
  readonly counts?: Partial<Comparison>;
}

export function reportOf(given: Given): Report {
  const { sidecar = 's1', epoch = 'e1', sequence = 1, generation = 5, counts = {} } = given;
  const rollout = {
    id: 'r1',
    candidate: CANDIDATE,
    loadErrors: [],
    tripped: false,
    comparison: comparisonOf(counts),
    enforced: 0,
    evalStable: timesOf(0, 0),
    evalCandidate: timesOf(0, 0),
    replay: null,
    examples: [],
    ...given.rollout,
  };
  return {
    apiVersion: 'egret.dev/v1alpha1',
    kind: 'PolicyReport',
    set: 'shop',
    sidecar,
    epoch,
    sequence,
    generation,
    stable: revisionOf('A').digest,
    rollout: given.rollout === null ? null : rollout,
  };
}
