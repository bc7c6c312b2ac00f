/**
 * Recorded decisions against a candidate policy, one at a time: the input as it was, at the time it was, and what the
 * candidate says now instead of what was said then. Deterministic: time and id of a call come from its record, and a
 * policy has no other clock and no random numbers. Bounded: counts for everything, examples for a few. Pure, but for
 * the engine it is given.
 */
import type { LogLine } from '../audit/read-log.ts';
import { decide } from '../decision/decide.ts';
import type { PolicyInput } from '../decision/input.ts';
import {
  CLASSES,
  classOf,
  type DifferenceClass,
  type Said,
  saidBy,
} from '../rollout/difference.ts';
import { type InputReads, inputReads, PLAN_FILE } from './input-reads.ts';
import type { Openings } from './openings.ts';
import type { LoadedPolicy } from './policy-source.ts';
import {
  fitting,
  type RecordedDecision,
  recordedDecision,
  restoredInput,
  saidWhole,
} from './recorded.ts';

export type Counts = Readonly<Record<DifferenceClass, number>>;

export interface ReplayExample {
  readonly decision_id: string;
  readonly seq: number;
  readonly timestamp: string;
  readonly tool: string;
  readonly before: Said | null;
  readonly after: Said | null;
  /** Values that were not there and were left out. */
  readonly missing: readonly string[];
}

export interface ReplayReport {
  /** Revisions: of the candidate, and of what decided then. */
  readonly candidate: string;
  readonly recorded: Readonly<Record<string, number>>;
  readonly first: string | null;
  readonly last: string | null;
  readonly decisions: number;
  readonly counts: Counts;
  /** Decisions that were compared although some of their values were not there. */
  readonly incomplete: number;
  readonly tools: readonly (Counts & { readonly tool: string })[];
  /** How often each rule spoke then and now, over the decisions that were compared. */
  readonly rules: readonly {
    readonly rule: string;
    readonly before: number;
    readonly after: number;
  }[];
  readonly notReplayable: Readonly<Record<string, number>>;
  readonly examples: Readonly<Partial<Record<DifferenceClass, readonly ReplayExample[]>>>;
}

export interface ReplayOptions {
  readonly lines: Iterable<LogLine>;
  readonly openings: Openings;
  readonly policy: LoadedPolicy;
  /** Decide even when values are not there, as if the call did not have them. */
  readonly missingAllowed: boolean;
  /** Kept for each class. */
  readonly examplesMax: number;
  readonly onDecision: (count: number) => void;
}

/** Names come from the log; more different ones than this are counted together. */
const NAMES_MAX = 1000;
const OTHERS = '(others)';

export function replay(options: ReplayOptions): ReplayReport {
  const tally = new ReplayTally(options);
  const reads = inputReads(options.policy.files.get(PLAN_FILE));
  for (const line of options.lines) {
    const decision = recordedDecision(line);
    if (decision === null) continue;
    tally.add(decision, compared(options, reads, decision));
    options.onDecision(tally.decisions);
  }
  return tally.report();
}

type Compared =
  | {
      readonly ok: true;
      readonly before: Said;
      readonly after: Said;
      readonly missing: readonly string[];
    }
  | { readonly ok: false; readonly why: string };

function compared(options: ReplayOptions, reads: InputReads, decision: RecordedDecision): Compared {
  const { openings, policy, missingAllowed } = options;
  const values = fitting(decision, openings.of(decision.index));
  const restored = restoredInput(decision, values, { reads, missingAllowed });
  if (!restored.ok || decision.said === null) {
    return { ok: false, why: restored.ok ? 'refused before policy' : restored.why };
  }
  const after = decided(policy, restored.input);
  if (after === null) return { ok: false, why: 'the recorded input is nested too deeply' };
  return { ok: true, before: saidWhole(decision.said, values), after, missing: restored.missing };
}

/** Null when the input, which comes from the log, cannot even be written as JSON. */
export function decided(
  policy: Pick<LoadedPolicy, 'ref' | 'engine' | 'dialect'>,
  input: PolicyInput,
): Said | null {
  try {
    return saidBy(decide(policy, input, () => 0));
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

const zeros = (): Record<DifferenceClass, number> =>
  Object.fromEntries(CLASSES.map((name) => [name, 0])) as Record<DifferenceClass, number>;

/** Owns the counts while a log is read. */
class ReplayTally {
  decisions = 0;
  readonly #options: ReplayOptions;
  readonly #counts = zeros();
  readonly #tools = new Map<string, Record<DifferenceClass, number>>();
  readonly #rules = new Map<string, { before: number; after: number }>();
  readonly #why = new Map<string, number>();
  readonly #revisions = new Map<string, number>();
  readonly #examples: Partial<Record<DifferenceClass, ReplayExample[]>> = {};
  #incomplete = 0;
  #first: string | null = null;
  #last: string | null = null;

  constructor(options: ReplayOptions) {
    this.#options = options;
  }

  add(decision: RecordedDecision, result: Compared): void {
    const { id, index, timestamp, tool, said, revision } = decision;
    const name = result.ok ? classOf(result.before, result.after) : 'not_replayable';
    this.decisions += 1;
    this.#first ??= timestamp;
    this.#last = timestamp;
    this.#counts[name] += 1;
    entryOf(this.#tools, tool, zeros)[name] += 1;
    if (revision !== null) count(this.#revisions, revision);
    if (result.ok) {
      if (result.missing.length > 0) this.#incomplete += 1;
      for (const rule of new Set(result.before.rules)) this.#rule(rule).before += 1;
      for (const rule of new Set(result.after.rules)) this.#rule(rule).after += 1;
    } else count(this.#why, result.why);
    if (name === 'same') return;
    this.#examples[name] ??= [];
    const examples = this.#examples[name];
    if (examples.length >= this.#options.examplesMax) return;
    const [before, after, missing] = result.ok
      ? [result.before, result.after, result.missing]
      : [said, null, []];
    examples.push({ decision_id: id, seq: index, timestamp, tool, before, after, missing });
  }

  report(): ReplayReport {
    return {
      candidate: this.#options.policy.ref.revision,
      recorded: Object.fromEntries(this.#revisions),
      first: this.#first,
      last: this.#last,
      decisions: this.decisions,
      counts: this.#counts,
      incomplete: this.#incomplete,
      tools: [...this.#tools]
        .map(([tool, counts]) => ({ tool, ...counts }))
        .sort(
          (a, b) =>
            b.newly_allowed - a.newly_allowed ||
            b.newly_denied - a.newly_denied ||
            (a.tool < b.tool ? -1 : 1),
        ),
      rules: [...this.#rules]
        .map(([rule, { before, after }]) => ({ rule, before, after }))
        .sort((a, b) => changeOf(b) - changeOf(a) || (a.rule < b.rule ? -1 : 1)),
      notReplayable: Object.fromEntries(this.#why),
      examples: Object.fromEntries(
        CLASSES.flatMap((name) =>
          this.#examples[name] === undefined ? [] : [[name, this.#examples[name]]],
        ),
      ),
    };
  }

  #rule(rule: string) {
    return entryOf(this.#rules, rule, () => ({ before: 0, after: 0 }));
  }
}

const changeOf = ({ before, after }: { before: number; after: number }) => Math.abs(after - before);

function entryOf<T>(map: Map<string, T>, name: string, make: () => T): T {
  const key = map.has(name) || map.size < NAMES_MAX ? name : OTHERS;
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

function count(map: Map<string, number>, name: string): void {
  const key = map.has(name) || map.size < NAMES_MAX ? name : OTHERS;
  map.set(key, (map.get(key) ?? 0) + 1);
}
