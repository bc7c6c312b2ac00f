/**
 * The difference in behaviour of two policies: recorded inputs, if there are any, and generated ones, each decided by
 * both. Counts per class, and for each class the smallest example that was met. Pure, but for the engines it is given.
 */

import type { PolicyInput } from '../decision/input.ts';
import { renderPolicyInput } from '../decision/input.ts';
import { CLASSES, classOf, type DifferenceClass, type Said } from '../rollout/difference.ts';
import { vocabularyOf } from './constants.ts';
import { generated, simpler, varied } from './generate.ts';
import type { LoadedPolicy } from './policy-source.ts';
import { seeded } from './random.ts';
import { decided } from './replay.ts';

export type DiffClass = Exclude<DifferenceClass, 'not_replayable'>;
export const DIFF_CLASSES = CLASSES.filter((name): name is DiffClass => name !== 'not_replayable');

export interface RecordedInput {
  readonly id: string;
  readonly input: PolicyInput;
}

export interface DiffExample {
  readonly source: 'recorded' | 'generated';
  /** Of a recorded call, whose content is not repeated here. */
  readonly decision_id: string | null;
  /** JSON of a generated input. */
  readonly input: string | null;
  readonly before: Said;
  readonly after: Said;
}

export interface DiffReport {
  readonly before: string;
  readonly after: string;
  readonly recorded: number;
  readonly generated: number;
  readonly counts: Readonly<Record<DiffClass, number>>;
  readonly examples: Readonly<Partial<Record<DiffClass, DiffExample>>>;
}

export interface DiffOptions {
  readonly before: LoadedPolicy;
  readonly after: LoadedPolicy;
  readonly recorded: Iterable<RecordedInput>;
  readonly count: number;
  readonly seed: number;
  readonly onInput: (count: number) => void;
}

/** Inputs that a policy allowed, to start from. */
const POOL_MAX = 500;
/** Simplifications of one example. */
const STEPS_MAX = 200;

export function diff(options: DiffOptions): DiffReport {
  const comparison = new Comparison(options);
  for (const { id, input } of options.recorded) comparison.add(input, id);
  const recorded = comparison.compared;
  const random = seeded(options.seed);
  const source = { words: vocabularyOf(options.before, options.after), random };
  for (let at = 0; at < options.count; at += 1) {
    const start = random.chance(0.5) ? random.pick(comparison.allowed) : undefined;
    comparison.add(start === undefined ? generated(source) : varied(source, start), null);
  }
  comparison.simplify();
  return {
    before: options.before.ref.revision,
    after: options.after.ref.revision,
    recorded,
    generated: comparison.compared - recorded,
    counts: comparison.counts,
    examples: comparison.examples,
  };
}

/** Owns what was found. */
class Comparison {
  compared = 0;
  readonly allowed: PolicyInput[] = [];
  readonly counts = Object.fromEntries(DIFF_CLASSES.map((name) => [name, 0])) as Record<
    DiffClass,
    number
  >;
  readonly examples: Partial<Record<DiffClass, DiffExample>> = {};
  readonly #options: DiffOptions;
  readonly #sizes = new Map<DiffClass, number>();
  /** Generated inputs behind the examples. */
  readonly #made = new Map<DiffClass, PolicyInput>();

  constructor(options: DiffOptions) {
    this.#options = options;
  }

  add(input: PolicyInput, id: string | null): void {
    const said = this.#ask(input);
    if (said === null) return;
    const [before, after] = said;
    this.compared += 1;
    this.#options.onInput(this.compared);
    const name = classOf(before, after);
    this.counts[name] += 1;
    if (before.outcome !== 'deny' || after.outcome !== 'deny') this.#keep(input);
    if (name !== 'same') this.#example(name, input, id, said);
  }

  /** Takes away from the generated examples whatever they do not need. */
  simplify(): void {
    for (const [name, made] of this.#made) {
      let smallest = made;
      for (let steps = 0; steps < STEPS_MAX; steps += 1) {
        const next = this.#simplerOf(name, smallest);
        if (next === null) break;
        smallest = next;
      }
    }
  }

  #simplerOf(name: DiffClass, input: PolicyInput): PolicyInput | null {
    for (const candidate of simpler(input)) {
      const said = this.#ask(candidate);
      if (said === null || classOf(...said) !== name) continue;
      this.#sizes.delete(name);
      this.#example(name, candidate, null, said);
      return candidate;
    }
    return null;
  }

  #ask(input: PolicyInput): readonly [Said, Said] | null {
    const before = decided(this.#options.before, input);
    const after = decided(this.#options.after, input);
    return before === null || after === null ? null : [before, after];
  }

  #example(
    name: DiffClass,
    input: PolicyInput,
    id: string | null,
    [before, after]: readonly [Said, Said],
  ): void {
    const text = renderPolicyInput(input);
    // A recorded call that really happened says more than any that was made up.
    const size = id === null ? text.length : 0;
    if (size >= (this.#sizes.get(name) ?? Number.POSITIVE_INFINITY)) return;
    this.#sizes.set(name, size);
    const source = id === null ? 'generated' : 'recorded';
    if (id === null) this.#made.set(name, input);
    const shown = id === null ? text : null;
    this.examples[name] = { source, decision_id: id, input: shown, before, after };
  }

  #keep(input: PolicyInput): void {
    if (this.allowed.length < POOL_MAX) this.allowed.push(input);
    else this.allowed[this.compared % POOL_MAX] = input;
  }
}
