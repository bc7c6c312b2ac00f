/** Verdict by mode: what is forwarded, what is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type EnforcementMode, enforce } from '../../src/decision/enforcement.ts';
import type { ReasonCode } from '../../src/decision/reason.ts';
import type { Outcome, Verdict } from '../../src/decision/verdict.ts';

const verdict = (outcome: Outcome, reason: ReasonCode): Verdict => ({
  outcome,
  reason,
  message: 'because',
  reasons: [],
  obligations: [{ kind: 'log', level: 'full' }],
  warnings: [],
  policy: null,
  fuel: 1,
  evalNs: 1,
});

type Row = readonly [Outcome, ReasonCode, EnforcementMode, 'forward' | 'refuse'];

const TABLE: readonly Row[] = [
  ['allow', 'policy.allowed', 'deny', 'forward'],
  ['allow', 'policy.allowed', 'warn', 'forward'],
  ['allow', 'policy.allowed', 'dryrun', 'forward'],
  ['deny', 'policy.denied', 'deny', 'refuse'],
  ['deny', 'policy.denied', 'warn', 'forward'],
  ['deny', 'policy.denied', 'dryrun', 'forward'],
  ['deny', 'policy.no_match', 'deny', 'refuse'],
  ['deny', 'policy.no_match', 'dryrun', 'forward'],
  ['require_approval', 'approval.required', 'deny', 'refuse'],
  ['require_approval', 'approval.required', 'warn', 'forward'],
  ['deny', 'policy.undefined', 'dryrun', 'refuse'],
  ['deny', 'policy.error', 'dryrun', 'refuse'],
  ['deny', 'policy.fuel_exhausted', 'warn', 'refuse'],
  ['deny', 'policy.memory_exhausted', 'warn', 'refuse'],
  ['deny', 'policy.invalid_result', 'warn', 'refuse'],
  ['deny', 'policy.unknown_obligation', 'dryrun', 'refuse'],
  ['deny', 'bundle.missing', 'dryrun', 'refuse'],
  ['deny', 'bundle.stale', 'warn', 'refuse'],
];

for (const [outcome, reason, mode, action] of TABLE) {
  test(`a verdict ${reason} in mode ${mode} leads to: ${action}`, () => {
    const enforcement = enforce(verdict(outcome, reason), mode, 'id-1');
    assert.equal(enforcement.action, action);
    if (enforcement.action === 'refuse') {
      assert.equal(enforcement.refusal.reason, reason);
      return;
    }
    const soft = outcome !== 'allow';
    assert.equal(enforcement.permit.wouldDeny, soft);
    assert.equal(enforcement.permit.warning, soft && mode === 'warn' ? reason : null);
    assert.equal(enforcement.permit.obligations.length, soft ? 0 : 1);
  });
}
