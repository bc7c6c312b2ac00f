/**
 * Counts what the comparison of two revisions says, in one rollout, for the report to the controller. Counters only
 * grow. Of each kind of difference the first few calls are kept as examples, with names and codes only: nothing that an
 * agent made up stands in them. Pure; it keeps what it was told.
 */
import type { Verdict } from '../decision/verdict.ts';
import type { DifferenceClass } from './difference.ts';
import {
  COMPARED,
  type Compared,
  type Comparison,
  EVAL_BOUNDS_US,
  EXAMPLES_MAX,
  type Example,
} from './report.ts';

/** Of one kind, so that a flood of one leaves room for the others. */
const EXAMPLES_PER_KIND = 4;
const NAME_CHARS_MAX = 128;

export interface ComparedCall {
  readonly decisionId: string;
  /** RFC 3339. */
  readonly at: string;
  /** As it may be shown. */
  readonly tool: string;
  readonly stable: Verdict;
  readonly candidate: Verdict;
  readonly difference: Exclude<DifferenceClass, 'not_replayable'>;
  /** The candidate had a say in what was enforced. */
  readonly enforced: boolean;
  /** How often it counts: twice when a failing candidate should have decided. */
  readonly times: number;
}

export class Tally {
  readonly #comparison: Record<Compared, number> = none();
  readonly #stableTimes = EVAL_BOUNDS_US.map(() => 0).concat(0);
  readonly #candidateTimes = EVAL_BOUNDS_US.map(() => 0).concat(0);
  readonly #examples: Example[] = [];
  #enforced = 0;

  count(call: ComparedCall): void {
    this.#comparison[call.difference] += call.times;
    if (call.enforced) this.#enforced += 1;
    bump(this.#stableTimes, call.stable.evalNs);
    bump(this.#candidateTimes, call.candidate.evalNs);
    if (call.difference !== 'same') this.#keep(call);
  }

  counts() {
    return {
      comparison: { ...this.#comparison },
      enforced: this.#enforced,
      evalStable: [...this.#stableTimes],
      evalCandidate: [...this.#candidateTimes],
      examples: [...this.#examples],
    };
  }

  #keep({ decisionId, at, tool, stable, candidate, difference }: ComparedCall): void {
    const known = this.#examples.filter((example) => example.class === difference).length;
    if (known >= EXAMPLES_PER_KIND) return;
    if (this.#examples.length >= EXAMPLES_MAX && !this.#makeRoom(difference)) return;
    const names = { stable: said(stable), candidate: said(candidate) };
    this.#examples.push({ class: difference, at, decisionId, tool: cutName(tool), ...names });
  }

  /** What became allowed is what a human must see. */
  #makeRoom(difference: string): boolean {
    if (difference !== 'newly_allowed') return false;
    const at = this.#examples.findLastIndex((example) => example.class !== 'newly_allowed');
    if (at === -1) return false;
    this.#examples.splice(at, 1);
    return true;
  }
}

export const none = (): Comparison & Record<Compared, number> =>
  Object.fromEntries(COMPARED.map((name) => [name, 0])) as Record<Compared, number>;

function bump(times: number[], evalNs: number): void {
  const us = evalNs / 1000;
  let at = 0;
  while (at < EVAL_BOUNDS_US.length && us > (EVAL_BOUNDS_US[at] as number)) at += 1;
  times[at] = (times[at] ?? 0) + 1;
}

const said = ({ outcome, reason, reasons }: Verdict) => {
  const [first] = reasons;
  return {
    outcome,
    reason,
    rule: first === undefined ? null : cutName(`${first.policy}.${first.rule}`),
  };
};

export const cutName = (text: string) =>
  text.length <= NAME_CHARS_MAX
    ? text.toWellFormed()
    : `${text.slice(0, NAME_CHARS_MAX - 1).toWellFormed()}…`;
