/** What a sidecar counts and which calls it shows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { COMPARED, EVAL_BOUNDS_US, EXAMPLES_MAX, exampleSchema } from '../../src/rollout/report.ts';
import { type ComparedCall, Tally } from '../../src/rollout/tally.ts';
import { REVISIONS, verdict } from './verdicts.ts';

const call = (change: Partial<ComparedCall> = {}): ComparedCall => ({
  decisionId: '019a',
  at: '2026-11-22T10:00:00Z',
  tool: 'gmail.send',
  stable: verdict(),
  candidate: verdict({ policy: REVISIONS.candidate }),
  difference: 'same',
  enforced: false,
  times: 1,
  ...change,
});
const sum = (counts: readonly number[]) => counts.reduce((a, b) => a + b, 0);

test('every call is counted once in each place, and counters only grow', () => {
  const calls = fc.array(
    fc.record({
      difference: fc.constantFrom(...COMPARED),
      enforced: fc.boolean(),
      evalNs: fc.double({ min: 0, max: 1e10, noNaN: true }),
    }),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(calls, (all) => {
      const tally = new Tally();
      let before = tally.counts();
      for (const { difference, enforced, evalNs } of all) {
        tally.count(call({ difference, enforced, candidate: verdict({ evalNs }) }));
        const after = tally.counts();
        for (const name of COMPARED) assert.ok(after.comparison[name] >= before.comparison[name]);
        assert.deepEqual(before.evalCandidate.length, EVAL_BOUNDS_US.length + 1);
        before = after;
      }
      const { comparison, enforced, evalStable, evalCandidate, examples } = tally.counts();
      const total = all.length;
      assert.deepEqual([sum(Object.values(comparison)), sum(evalStable)], [total, total]);
      assert.deepEqual(
        [sum(evalCandidate), enforced],
        [total, all.filter((c) => c.enforced).length],
      );
      assert.ok(examples.length <= EXAMPLES_MAX);
      assert.ok(!examples.some((example) => example.class === 'same'));
    }),
  );
});

test('a flood of one kind leaves room for the others, and what became allowed is always shown', () => {
  const tally = new Tally();
  for (const difference of ['reason', 'obligation', 'newly_denied', 'error'] as const) {
    for (let i = 0; i < 50; i += 1) tally.count(call({ difference }));
  }
  const kinds = () => new Set(tally.counts().examples.map((example) => example.class));
  assert.equal(tally.counts().examples.length, EXAMPLES_MAX);
  assert.ok(!kinds().has('newly_allowed'));
  for (let i = 0; i < 50; i += 1) tally.count(call({ difference: 'newly_allowed' }));
  const { examples } = tally.counts();
  assert.equal(examples.filter((example) => example.class === 'newly_allowed').length, 4);
  assert.equal(examples.length, EXAMPLES_MAX);
});

test('a failure that should have decided counts twice', () => {
  const tally = new Tally();
  tally.count(call({ difference: 'error', times: 2 }));
  assert.equal(tally.counts().comparison.error, 2);
});

test('whatever names stand in a call, its example can be sent', () => {
  const name = fc.string({ unit: 'binary', maxLength: 600 });
  fc.assert(
    fc.property(name, name, name, (tool, policy, rule) => {
      const tally = new Tally();
      const reasons = [{ code: 'x', policy, rule, message: 'never shown' }];
      tally.count(call({ difference: 'reason', tool, candidate: verdict({ reasons }) }));
      const [example] = tally.counts().examples;
      assert.ok(exampleSchema.safeParse(example).success);
      assert.ok(!JSON.stringify(example).includes('never shown'));
      assert.ok(example?.tool.isWellFormed());
    }),
  );
});
