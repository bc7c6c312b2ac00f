/** Verdicts for tests of what is enforced when two revisions answer. Pure. */
import fc from 'fast-check';
import type { ReasonCode } from '../../src/decision/reason.ts';
import type { Obligation, Verdict } from '../../src/decision/verdict.ts';

export const REVISIONS = {
  stable: { set: 'main', revision: 'old', digest: `sha256:${'a'.repeat(64)}` },
  candidate: { set: 'main', revision: 'new', digest: `sha256:${'b'.repeat(64)}` },
};

const REASON = {
  allow: 'policy.allowed',
  deny: 'policy.denied',
  require_approval: 'approval.required',
} as const;

export function verdict(change: Partial<Verdict> = {}): Verdict {
  const outcome = change.outcome ?? 'allow';
  return {
    outcome,
    reason: REASON[outcome],
    message: '',
    reasons: [],
    obligations: [],
    warnings: [],
    policy: REVISIONS.stable,
    fuel: 1,
    evalNs: 1000,
    ...change,
  };
}

/** The policy failed: no answer, not in time, or none of the right shape. */
export const FAILURES: readonly ReasonCode[] = [
  'policy.undefined',
  'policy.error',
  'policy.fuel_exhausted',
  'policy.memory_exhausted',
  'policy.invalid_result',
  'policy.unknown_obligation',
];

const path = fc.constantFrom('/arguments/a', '/arguments/a/b', '/arguments/c', '/arguments/l/0');
const obligation: fc.Arbitrary<Obligation> = fc.oneof(
  fc.record({ kind: fc.constant('redact'), path }),
  fc.record({
    kind: fc.constant('patch'),
    op: fc.constantFrom('add', 'replace', 'remove'),
    path,
    value: fc.integer({ min: 0, max: 2 }),
  }),
  fc.record({
    kind: fc.constant('header'),
    name: fc.constantFrom('X-A', 'x-a', 'x-b'),
    value: fc.constantFrom('1', '2'),
  }),
  fc.record({ kind: fc.constant('log'), level: fc.constantFrom('full', 'none') }),
);

export const answered = (policy: Verdict['policy']): fc.Arbitrary<Verdict> =>
  fc
    .record({
      outcome: fc.constantFrom('allow', 'deny', 'require_approval'),
      obligations: fc.array(obligation, { maxLength: 4 }),
    })
    .map(({ outcome, obligations }) => verdict({ outcome, obligations, policy }));

export const failing = (policy: Verdict['policy']): fc.Arbitrary<Verdict> =>
  fc
    .constantFrom(...FAILURES)
    .map((reason) => verdict({ outcome: 'deny', reason, policy, fuel: 9 }));
