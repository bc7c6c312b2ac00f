/**
 * Counts what a candidate says about recorded decisions, for the report to the controller. Of what became allowed and
 * what became denied the first few are kept as examples, with names and codes only. Pure; it keeps what it was told.
 */
import type { DifferenceClass, Said } from './difference.ts';
import { type Compared, type Comparison, EXAMPLES_MAX, type Example } from './report.ts';
import { cutName, none } from './tally.ts';

const EXAMPLES_PER_KIND = 4;

export interface ReplayedCall {
  readonly decisionId: string;
  /** RFC 3339. */
  readonly at: string;
  readonly tool: string;
  readonly before: Said;
  readonly after: Said;
  readonly difference: Exclude<DifferenceClass, 'not_replayable'>;
}

export interface ReplayCounts {
  readonly done: boolean;
  readonly notReplayable: number;
  readonly comparison: Comparison;
}

export class ReplayTally {
  readonly #comparison: Record<Compared, number> = none();
  readonly #examples: Example[] = [];
  #notReplayable = 0;
  #decisions = 0;

  /** That were compared or not. */
  get decisions(): number {
    return this.#decisions;
  }

  /** @param call null when it could not be replayed. */
  count(call: ReplayedCall | null): void {
    this.#decisions += 1;
    if (call === null) this.#notReplayable += 1;
    else this.#compared(call);
  }

  counts(done: boolean): ReplayCounts {
    return { done, notReplayable: this.#notReplayable, comparison: { ...this.#comparison } };
  }

  examples(): readonly Example[] {
    return [...this.#examples];
  }

  #compared({ decisionId, at, tool, before, after, difference }: ReplayedCall): void {
    this.#comparison[difference] += 1;
    if (difference !== 'newly_allowed' && difference !== 'newly_denied') return;
    const known = this.#examples.filter((example) => example.class === difference).length;
    if (known >= EXAMPLES_PER_KIND) return;
    const names = { stable: saidShort(before), candidate: saidShort(after) };
    const call = { at: at.slice(0, 40), decisionId: decisionId.slice(0, 64), tool: cutName(tool) };
    this.#examples.push({ class: difference, ...call, ...names });
  }
}

/** Those of calls and those of records in one list: what became allowed first, because a human must see it. */
export function examplesOf(
  calls: readonly Example[],
  records: readonly Example[],
): readonly Example[] {
  const all = [...calls, ...records];
  const allowed = all.filter((example) => example.class === 'newly_allowed');
  const others = all.filter((example) => example.class !== 'newly_allowed');
  return [...allowed, ...others].slice(0, EXAMPLES_MAX);
}

const saidShort = ({ outcome, reason, rules }: Said) => {
  const [first] = rules;
  // `policy.rule code`
  const rule = first === undefined ? null : cutName(first.slice(0, first.lastIndexOf(' ')));
  return { outcome: cutName(outcome), reason: cutName(reason), rule };
};
