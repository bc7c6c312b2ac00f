/**
 * Two answers about one call, compared: the class of their difference. What became allowed stands first, because that
 * is what a review must not miss. Pure.
 */
import { canonicalText } from '../audit/canonical.ts';
import type { ReasonCode } from '../decision/reason.ts';
import type { Verdict } from '../decision/verdict.ts';

export const CLASSES = [
  'newly_allowed',
  'newly_denied',
  'obligation',
  'reason',
  'error',
  'same',
  'not_replayable',
] as const;
export type DifferenceClass = (typeof CLASSES)[number];

/** What was said about a call, as far as two answers can be compared. */
export interface Said {
  readonly outcome: string;
  readonly reason: string;
  /** `policy.rule code`, in the order of the verdict. */
  readonly rules: readonly string[];
  /** `kind` or `kind path`, in the order of the verdict. */
  readonly obligations: readonly string[];
  /** Canonical JSON of all obligations; null when only kinds and paths are known. */
  readonly obligationsWhole: string | null;
}

/** The policy itself failed. */
const FAILURES: ReadonlySet<string> = new Set<ReasonCode>([
  'policy.undefined',
  'policy.error',
  'policy.fuel_exhausted',
  'policy.memory_exhausted',
  'policy.invalid_result',
  'policy.unknown_obligation',
]);

export const isFailure = (reason: string): boolean => FAILURES.has(reason);

/** As many of each as the audit log keeps, cut as there. */
const LISTED_MAX = 16;
const NAME_CHARS_MAX = 128;

export function saidBy({ outcome, reason, reasons, obligations }: Verdict): Said {
  return {
    outcome,
    reason,
    rules: reasons
      .slice(0, LISTED_MAX)
      .map(({ policy, rule, code }) => `${cut(policy)}.${cut(rule)} ${cut(code)}`),
    obligations: obligations
      .slice(0, LISTED_MAX)
      .map(({ kind, path }) =>
        typeof path === 'string' ? `${cut(kind)} ${cut(path)}` : cut(kind),
      ),
    obligationsWhole: canonicalText(obligations),
  };
}

/** As the audit log cuts a name. */
const cut = (text: string) =>
  text.length <= NAME_CHARS_MAX
    ? text.toWellFormed()
    : `${text.slice(0, NAME_CHARS_MAX - 1).toWellFormed()}…`;

export function classOf(before: Said, after: Said): Exclude<DifferenceClass, 'not_replayable'> {
  if (FAILURES.has(after.reason) && before.reason !== after.reason) return 'error';
  const allowed = after.outcome === 'allow';
  if (allowed !== (before.outcome === 'allow')) return allowed ? 'newly_allowed' : 'newly_denied';
  if (!sameObligations(before, after)) return 'obligation';
  const same =
    before.outcome === after.outcome &&
    before.reason === after.reason &&
    before.rules.join('\n') === after.rules.join('\n');
  return same ? 'same' : 'reason';
}

function sameObligations(before: Said, after: Said): boolean {
  if (before.obligationsWhole !== null && after.obligationsWhole !== null) {
    return before.obligationsWhole === after.obligationsWhole;
  }
  return before.obligations.join('\n') === after.obligations.join('\n');
}
