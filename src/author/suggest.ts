/**
 * Reads an audit log for a suggestion, and checks the suggestion by deciding the same log with it. Pure, but for the
 * engine it is given.
 */
import type { LogLine } from '../audit/read-log.ts';
import type { PolicyInput } from '../decision/input.ts';
import { READS_ALL } from './input-reads.ts';
import { Observation, type ObservedTool, wentThrough } from './observed.ts';
import type { Openings } from './openings.ts';
import { AuthorError, type LoadedPolicy } from './policy-source.ts';
import { fitting, type RecordedDecision, recordedDecision, restoredInput } from './recorded.ts';
import { decided } from './replay.ts';

export interface RecordedLog {
  /** A new reading each time. */
  readonly lines: () => Iterable<LogLine>;
  readonly openings: Openings;
}

export interface Observed {
  readonly tools: readonly ObservedTool[];
  readonly decisions: number;
  /** Decisions whose arguments or files are not all in the log. */
  readonly incomplete: number;
  /** Calls that never reached policy. */
  readonly unrecognised: number;
}

export interface Agreement {
  readonly through: number;
  readonly refused: number;
  /** Decisions of which the suggestion says the other thing. */
  readonly wrong: readonly {
    readonly decision_id: string;
    readonly tool: string;
    readonly allowed: boolean;
  }[];
}

const WRONG_LISTED_MAX = 20;

/** Headers are left out: what a policy allows should not hang on a version of an HTTP library. */
const matters = (pointer: string) => pointer !== '/input/http/headers';

export function observe(log: RecordedLog, onDecision: (count: number) => void): Observed {
  const observation = new Observation();
  const counts = { decisions: 0, incomplete: 0, unrecognised: 0 };
  for (const { decision, input, missing } of calls(log)) {
    counts.decisions += 1;
    onDecision(counts.decisions);
    if (input === null) {
      counts.unrecognised += 1;
      continue;
    }
    if (missing.length > 0) counts.incomplete += 1;
    if (observation.add(input, missing, wentThrough(decision))) continue;
    throw new AuthorError(
      'the log holds too many different calls to suggest rules from; give a shorter log',
    );
  }
  return { tools: [...observation.tools.values()], ...counts };
}

/** Decides every call again with the suggestion. */
export function agreement(log: RecordedLog, policy: LoadedPolicy): Agreement {
  const wrong: Agreement['wrong'][number][] = [];
  const counts = { through: 0, refused: 0 };
  for (const { decision, input } of calls(log)) {
    if (input === null) continue;
    const through = wentThrough(decision);
    counts[through ? 'through' : 'refused'] += 1;
    const allowed = decided(policy, input)?.outcome === 'allow';
    if (allowed === through || wrong.length >= WRONG_LISTED_MAX) continue;
    wrong.push({ decision_id: decision.id, tool: decision.tool, allowed });
  }
  return { ...counts, wrong };
}

/** What the suggestion will read is not known before it is written. */
const EVERYTHING = { reads: READS_ALL, missingAllowed: true };

interface ReadCall {
  readonly decision: RecordedDecision;
  /** Null when the call never reached policy, or when its record cannot be read. */
  readonly input: PolicyInput | null;
  readonly missing: readonly string[];
}

function* calls({ lines, openings }: RecordedLog): Generator<ReadCall> {
  for (const line of lines()) {
    const decision = recordedDecision(line);
    if (decision === null) continue;
    const values = fitting(decision, openings.of(decision.index));
    const restored = restoredInput(decision, values, EVERYTHING);
    if (!restored.ok) yield { decision, input: null, missing: [] };
    else yield { decision, input: restored.input, missing: restored.missing.filter(matters) };
  }
}
