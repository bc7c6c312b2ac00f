/** From a policy's answer to a verdict: exactly the agreed shape passes, everything else denies. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { verdictOf } from '../../src/decision/verdict-from-result.ts';

const POLICY = { set: 'main', revision: 'r1', digest: 'sha256:00' };
const KINDS = new Set(['log', 'redact']);
const ALLOW = {
  allowed: true,
  outcome: 'allow',
  code: 'policy.allowed',
  message: 'fine',
  reasons: [{ code: 'mail', policy: 'receipts', rule: 'allow', message: 'to the accountant' }],
  obligations: [{ kind: 'redact', path: '/arguments/text' }],
  warnings: ['careful'],
};
const DENY = { ...ALLOW, allowed: false, outcome: 'deny', code: 'policy.denied', obligations: [] };

const verdict = (value: unknown) => verdictOf({ ok: true, value, fuel: 7 }, POLICY, 900, KINDS);

test('an answer of the agreed shape becomes a verdict with everything in it', () => {
  const { reasons, obligations, warnings } = ALLOW;
  assert.deepEqual(verdict(ALLOW), {
    outcome: 'allow',
    reason: 'policy.allowed',
    message: 'fine',
    reasons,
    obligations,
    warnings,
    policy: POLICY,
    fuel: 7,
    evalNs: 900,
  });
  assert.equal(verdict(DENY).reason, 'policy.denied');
  assert.equal(verdict({ ...DENY, code: 'policy.no_match' }).reason, 'policy.no_match');
  const held = verdict({ ...DENY, outcome: 'require_approval', code: 'approval.required' });
  assert.deepEqual([held.outcome, held.reason], ['require_approval', 'approval.required']);
});

test('a wrong shape or a contradiction denies with policy.invalid_result', () => {
  const wrong: unknown[] = [
    true,
    null,
    'allow',
    [],
    {},
    undefined,
    { ...ALLOW, allowed: 'true' },
    { ...ALLOW, allowed: 1 },
    { ...ALLOW, allowed: false },
    { ...DENY, allowed: true },
    { ...DENY, outcome: 'allow' },
    { ...ALLOW, code: 'policy.denied' },
    { ...ALLOW, code: 'policy.unheard_of' },
    { ...ALLOW, code: 'toString' },
    { ...ALLOW, outcome: 'Allow' },
    { ...ALLOW, message: null },
    { ...ALLOW, message: undefined },
    { ...ALLOW, reasons: {} },
    { ...ALLOW, reasons: [{}] },
    { ...ALLOW, reasons: [{ ...ALLOW.reasons[0], rule: 5 }] },
    { ...ALLOW, obligations: null },
    { ...ALLOW, obligations: ['redact'] },
    { ...ALLOW, obligations: [{ path: '/x' }] },
    { ...ALLOW, obligations: Array.from({ length: 65 }, () => ({ kind: 'log' })) },
    { ...ALLOW, warnings: [1] },
    { ...ALLOW, extra: 1 },
  ];
  for (const value of wrong) {
    const { outcome, reason } = verdict(value);
    assert.deepEqual([outcome, reason], ['deny', 'policy.invalid_result'], JSON.stringify(value));
  }
});

test('an allow with an obligation that nobody can carry out denies', () => {
  for (const outcome of [
    {},
    { allowed: false, outcome: 'require_approval', code: 'approval.required' },
  ]) {
    const { reason, obligations } = verdict({
      ...ALLOW,
      ...outcome,
      obligations: [{ kind: 'fax' }],
    });
    assert.deepEqual([reason, obligations], ['policy.unknown_obligation', []]);
  }
});

test('a deny keeps what is to be logged and stays a deny whatever else it asks for', () => {
  const denied = verdict({
    ...DENY,
    obligations: [{ kind: 'log', level: 'full' }, { kind: 'fax' }],
  });
  assert.equal(denied.reason, 'policy.denied');
  assert.deepEqual(denied.obligations, [{ kind: 'log', level: 'full' }]);
});

test('an engine failure denies with its own reason and without its detail', () => {
  for (const reason of [
    'policy.undefined',
    'policy.error',
    'policy.fuel_exhausted',
    'policy.memory_exhausted',
  ] as const) {
    const failed = verdictOf(
      { ok: false, reason, detail: 'inner words', fuel: 3 },
      POLICY,
      1,
      KINDS,
    );
    assert.deepEqual([failed.outcome, failed.reason, failed.fuel], ['deny', reason, 3]);
    assert.doesNotMatch(JSON.stringify(failed), /inner words/);
  }
});

test('texts and lists are bounded, and an empty message is replaced', () => {
  const long = 'x'.repeat(100_000);
  const reasons = Array.from({ length: 100 }, () => ({
    code: long,
    policy: long,
    rule: long,
    message: long,
  }));
  const bounded = verdict({ ...DENY, message: long, reasons, warnings: Array(100).fill(long) });
  assert.ok(JSON.stringify(bounded).length < 100_000);
  assert.notEqual(verdict({ ...DENY, message: '' }).message, '');
  assert.ok(verdict({ ...DENY, message: `${'x'.repeat(1023)}😀` }).message.isWellFormed());
});

test('no value whatever is an allow unless it says so consistently', () => {
  const shape = fc.record(
    {
      allowed: fc.oneof(fc.boolean(), fc.constant('true')),
      outcome: fc.constantFrom('allow', 'deny', 'require_approval', 'x'),
      code: fc.constantFrom(
        'policy.allowed',
        'policy.denied',
        'policy.no_match',
        'approval.required',
        'x',
      ),
      message: fc.string(),
      reasons: fc.constant([]),
      obligations: fc.constantFrom([], [{ kind: 'log' }], [{ kind: 'fax' }]),
      warnings: fc.constant([]),
    },
    { requiredKeys: ['allowed'] },
  );
  fc.assert(
    fc.property(fc.oneof(shape, fc.jsonValue()), (value) => {
      const { outcome } = verdict(value);
      if (outcome !== 'allow') return;
      const said = value as Record<string, unknown>;
      assert.deepEqual(
        [said['allowed'], said['outcome'], said['code']],
        [true, 'allow', 'policy.allowed'],
      );
      assert.notDeepEqual(said['obligations'], [{ kind: 'fax' }]);
    }),
    { numRuns: 3000 },
  );
});
