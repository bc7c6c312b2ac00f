// What a look says: each check, and that what is missing is never good.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Aggregate } from '../../src/rollout/aggregate.ts';
import { lookAt, lookFromNumbers, type Numbers } from '../../src/rollout/analysis.ts';
import { advance, initialState } from '../../src/rollout/machine.ts';
import type { Analysis, Rollout } from '../../src/rollout/state.ts';
import { type Given, reportOf, timesOf } from './reports.ts';
import { revisionOf, specOf } from './transcript.ts';

const ROLLOUT = rollout();

function rollout(): Rollout {
  const see = (letter: string) => ({
    spec: specOf({}),
    candidate: { status: 'stored' as const, revision: revisionOf(letter) },
    command: null,
    analysis: null,
    author: null,
    fresh: { rolloutId: letter === 'A' ? 'r0' : 'r1', salt: '0'.repeat(32) },
  });
  const first = advance(initialState('shop', 0), see('A'), 0).state;
  return advance(first, see('B'), 0).state.rollout ?? assert.fail('a rollout');
}

function look(given: readonly Given[], analysis: object = {}, replaying = false): Analysis {
  const aggregate = new Aggregate();
  aggregate.open(ROLLOUT);
  given.forEach((one, at) => {
    aggregate.take(reportOf({ sidecar: `s${at}`, ...one }), 0);
  });
  const spec = specOf({ analysis }).analysis;
  return lookAt(aggregate, { rollout: ROLLOUT, spec, replaying, nowMs: 0 });
}

const shown = ({ look: one }: Analysis) =>
  one.result === 'failed' && one.hard ? 'hard' : one.result;
const slow = (bucket: number) => ({
  evalStable: timesOf(9, 300),
  evalCandidate: timesOf(bucket, 300),
});
const many = { same: 1000 };

const TABLE: readonly [string, readonly Given[], object, string][] = [
  ['all is well', [{ counts: many }], {}, 'passed'],
  ['nobody reports', [], {}, 'no_data'],
  ['only sidecars outside of the rollout report', [{ rollout: null }], {}, 'no_data'],
  ['too few calls', [{ counts: { same: 199 } }], {}, 'inconclusive'],
  ['too few sidecars', [{ counts: many }], { minSidecars: 2 }, 'inconclusive'],
  [
    'some do not hold the candidate yet',
    [{ counts: many }, { rollout: { candidate: null } }],
    {},
    'inconclusive',
  ],
  [
    'some have not even heard of it',
    [{ counts: many }, { generation: 0, rollout: null }],
    {},
    'inconclusive',
  ],
  [
    'one sidecar refused it',
    [{ counts: many }, { rollout: { loadErrors: ['bundle.unsigned'] } }],
    {},
    'hard',
  ],
  [
    'one refusal is allowed',
    [{ counts: many }, { rollout: { loadErrors: ['bundle.unsigned'] } }],
    { checks: { loadFailures: 1 } },
    'passed',
  ],
  ['one took itself out', [{ counts: many }, { rollout: { tripped: true } }], {}, 'hard'],
  ['errors above the bound', [{ counts: { same: 998, error: 2 } }], {}, 'hard'],
  ['errors at the bound', [{ counts: { same: 999, error: 1 } }], {}, 'passed'],
  ['errors that can only end above it', [{ counts: { error: 1 } }], {}, 'hard'],
  ['denials above the bound', [{ counts: { same: 994, newly_denied: 6 } }], {}, 'failed'],
  ['denials at the bound', [{ counts: { same: 995, newly_denied: 5 } }], {}, 'passed'],
  ['denials that can only end above it', [{ counts: { newly_denied: 2 } }], {}, 'failed'],
  ['what it allows is for a person', [{ counts: { ...many, newly_allowed: 4 } }], {}, 'passed'],
  [
    'what it allows is a failure when it is to be',
    [{ counts: { newly_allowed: 1 } }],
    { checks: { newlyAllowed: 'fail' } },
    'failed',
  ],
  ['slower than twice and 2 ms', [{ counts: many, rollout: slow(14) }], {}, 'failed'],
  ['slower than twice, but not by 2 ms', [{ counts: many, rollout: slow(12) }], {}, 'passed'],
  ['too slow for any bucket', [{ counts: many, rollout: slow(20) }], {}, 'failed'],
  [
    'slow as well, but after too few calls to say',
    [{ counts: { same: 20 }, rollout: slow(20) }],
    {},
    'inconclusive',
  ],
];

for (const [sentence, given, analysis, expected] of TABLE) {
  void test(`${sentence}: ${expected}`, () => {
    assert.equal(shown(look(given, analysis)), expected);
  });
}

void test('a replay is done when all that take part are', () => {
  const played = (done: boolean, same: number, denied: number): Given => ({
    rollout: {
      replay: {
        done,
        notReplayable: 0,
        comparison: {
          same,
          newly_denied: denied,
          newly_allowed: 1,
          obligation: 0,
          reason: 0,
          error: 0,
        },
      },
    },
  });
  const half = look([played(true, 5, 0), played(false, 2, 1)], {}, true);
  assert.deepEqual(half.replay, { done: false, decisions: 10, newlyDenied: 1, newlyAllowed: 2 });
  assert.equal(look([played(true, 5, 0), played(true, 2, 1)], {}, true).replay?.done, true);
  assert.equal(shown(half), 'passed', 'a replay needs no calls besides');
  assert.equal(look([], {}, true).replay?.done, false);
});

const QUERIES: readonly [string, Numbers, string][] = [
  ['good numbers', { errorRatio: 0, newlyDenied: 0.001, samples: 5000 }, 'passed'],
  ['a query without a number', { errorRatio: 0, newlyDenied: null, samples: 5000 }, 'no_data'],
  ['zero divided by zero', { errorRatio: Number.NaN, samples: 0 }, 'no_data'],
  ['a wrong query', { newlyDenied: -1 }, 'no_data'],
  ['no query at all', {}, 'no_data'],
  ['too few calls', { errorRatio: 0.5, samples: 10 }, 'inconclusive'],
  ['errors', { errorRatio: 0.5, newlyDenied: null, samples: 5000 }, 'hard'],
  ['denials', { newlyDenied: 0.5 }, 'failed'],
  ['slow', { evalP99Ratio: 2.5, samples: 5000 }, 'failed'],
];

for (const [sentence, numbers, expected] of QUERIES) {
  void test(`Prometheus, ${sentence}: ${expected}`, () => {
    assert.equal(shown(lookFromNumbers(numbers, specOf({}).analysis, null)), expected);
  });
}

void test('Prometheus cannot overrule that a sidecar took itself out, nor hide what is allowed', () => {
  const tripped = look([{ counts: { newly_allowed: 3 }, rollout: { tripped: true } }]);
  const both = lookFromNumbers({ errorRatio: 0 }, specOf({}).analysis, tripped);
  assert.equal(shown(both), 'hard');
  const allowed = look([{ counts: { newly_allowed: 3 } }]);
  assert.equal(lookFromNumbers({ errorRatio: 0 }, specOf({}).analysis, allowed).newlyAllowed, 3);
});

void test('fewer reports never make a look pass that failed or did not conclude for lack of them', () => {
  const counts = fc.record({ same: fc.nat(400), newly_denied: fc.nat(3), error: fc.nat(1) });
  fc.assert(
    fc.property(fc.array(counts, { maxLength: 5 }), (fleet) => {
      const result = shown(look(fleet.map((one) => ({ counts: one }))));
      const samples = fleet.reduce((sum, one) => sum + one.same + one.newly_denied + one.error, 0);
      const errors = fleet.reduce((sum, one) => sum + one.error, 0);
      const denied = fleet.reduce((sum, one) => sum + one.newly_denied, 0);
      if (errors > 0.001 * Math.max(samples, 200)) assert.equal(result, 'hard');
      else if (fleet.length === 0) assert.equal(result, 'no_data');
      else if (denied > 0.005 * Math.max(samples, 200)) assert.equal(result, 'failed');
      else assert.equal(result, samples < 200 ? 'inconclusive' : 'passed');
    }),
    { numRuns: 500 },
  );
});
