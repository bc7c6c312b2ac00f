// Counting what sidecars report: what is lost, repeated, late, restarted or impossible changes nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Aggregate, SIDECARS_MAX } from '../../src/rollout/aggregate.ts';
import { EXAMPLES_MAX } from '../../src/rollout/report.ts';
import { CANDIDATE, type Given, reportOf } from './reports.ts';

const START = { id: 'r1', startedAtMs: 0, step: -1, stepStartedAtMs: 0 };
const STEP = { id: 'r1', startedAtMs: 0, step: 0, stepStartedAtMs: 10 };

function aggregateAt(rollout: typeof START, ...given: readonly Given[]): Aggregate {
  const aggregate = new Aggregate();
  aggregate.open(rollout);
  for (const one of given) aggregate.take(reportOf(one), 0);
  return aggregate;
}

const samesOf = (aggregate: Aggregate) => aggregate.sums(CANDIDATE, 0).window.comparison.same;

void test('cumulative counters of one process are not added up', () => {
  const aggregate = aggregateAt(
    START,
    { sequence: 1, counts: { same: 10 } },
    { sequence: 2, counts: { same: 25 } },
  );
  assert.equal(samesOf(aggregate), 25);
});

void test('each step begins to count anew', () => {
  const aggregate = aggregateAt(START, { sequence: 1, counts: { same: 10 } });
  aggregate.open(STEP);
  assert.equal(samesOf(aggregate), 0);
  aggregate.take(reportOf({ sequence: 2, counts: { same: 17 } }), 0);
  aggregate.open(STEP);
  assert.equal(samesOf(aggregate), 7);
});

void test('a sidecar that restarts keeps what it counted before in this step', () => {
  const aggregate = aggregateAt(
    START,
    { counts: { same: 10 } },
    { epoch: 'e2', counts: { same: 3 } },
  );
  assert.equal(samesOf(aggregate), 13);
});

void test('a late report of the process before changes nothing', () => {
  const aggregate = aggregateAt(
    START,
    { sequence: 4, counts: { same: 10 } },
    { epoch: 'e2', counts: { same: 3 } },
    { sequence: 5, counts: { same: 12 } },
  );
  assert.equal(samesOf(aggregate), 13);
});

void test('counters that fall in one process are not believed', () => {
  const aggregate = aggregateAt(
    START,
    { sequence: 1, counts: { same: 10, error: 3 } },
    { sequence: 2, counts: { same: 50, error: 0 } },
  );
  assert.equal(aggregate.sums(CANDIDATE, 0).window.comparison.error, 3);
  assert.equal(samesOf(aggregate), 10);
});

void test('a new controller counts from what it hears first, not from the beginning', () => {
  const aggregate = aggregateAt(
    STEP,
    { sequence: 9, counts: { same: 1000, newly_allowed: 2 } },
    { sequence: 10, counts: { same: 1004, newly_allowed: 2 } },
  );
  assert.equal(samesOf(aggregate), 4);
  assert.equal(aggregate.sums(CANDIDATE, 0).newlyAllowed, 2, 'of the whole rollout all the same');
});

void test('a rollout whose first step began with it counts from its beginning, however late it is opened', () => {
  const aggregate = new Aggregate();
  aggregate.take(reportOf({ sequence: 9, counts: { same: 40 } }), 0);
  aggregate.open({ id: 'r1', startedAtMs: 5, step: 0, stepStartedAtMs: 5 });
  assert.equal(samesOf(aggregate), 40);
});

void test('a sidecar that is silent for too long is gone, and what it counted is not', () => {
  const aggregate = aggregateAt(START, { counts: { same: 10, error: 1 } });
  aggregate.forget(45_000, 45_000);
  assert.equal(aggregate.sums(CANDIDATE, 0).sidecars, 1);
  aggregate.forget(45_000, 45_001);
  assert.equal(aggregate.sums(CANDIDATE, 0).sidecars, 0);
  assert.equal(aggregate.sums(CANDIDATE, 0).window.comparison.error, 1);
  aggregate.take(reportOf({ sequence: 7, counts: { same: 12, error: 1 } }), 50_000);
  assert.equal(aggregate.sums(CANDIDATE, 0).window.comparison.error, 1, 'and not counted twice');
});

void test('another rollout begins with nothing', () => {
  const aggregate = aggregateAt(START, { counts: { same: 10, newly_allowed: 1 } });
  aggregate.open({ id: 'r2', startedAtMs: 99, step: -1, stepStartedAtMs: 99 });
  assert.deepEqual(
    [samesOf(aggregate), aggregate.sums(CANDIDATE, 0).newlyAllowed, aggregate.heard(0).length],
    [0, 0, 1],
  );
  aggregate.take(reportOf({ sequence: 2, rollout: { id: 'r2' }, counts: {} }), 0);
  assert.equal(aggregate.sums(CANDIDATE, 0).sidecars, 1);
});

void test('sidecars that have not heard of the rollout are behind; those left out are not', () => {
  const aggregate = aggregateAt(
    START,
    { sidecar: 'old', generation: 4, rollout: null },
    { sidecar: 'left-out', generation: 5, rollout: null },
    { sidecar: 'in', generation: 5 },
  );
  const { sidecars, behind, holding } = aggregate.sums(CANDIDATE, 5);
  assert.deepEqual([sidecars, behind, holding], [1, 1, 1]);
});

void test('replicas tell each other what they heard; the newest report of a sidecar counts', () => {
  const first = aggregateAt(START, { sequence: 3, counts: { same: 30 } });
  const second = aggregateAt(
    START,
    { sequence: 2, counts: { same: 20 } },
    { sidecar: 's2', counts: { same: 5 } },
  );
  const wire = JSON.parse(JSON.stringify(second.heard(1000))) as ReturnType<Aggregate['heard']>;
  first.merge(wire, 1000);
  first.merge(wire, 2000);
  assert.equal(samesOf(first), 35);
  first.forget(500, 1000);
  assert.equal(first.heard(1000).length, 0, 'the age of a report travels with it');
});

void test('sidecars and examples are bounded', () => {
  const aggregate = aggregateAt(START);
  const example = (id: number, kind: 'newly_allowed' | 'newly_denied') => ({
    class: kind,
    at: `2026-03-02T00:00:${String(id).padStart(2, '0')}Z`,
    decisionId: String(id),
    tool: 'refund',
    stable: { outcome: 'deny', reason: 'policy.denied', rule: null },
    candidate: { outcome: 'allow', reason: 'policy.allowed', rule: null },
  });
  for (let at = 0; at < 20; at += 1) {
    const examples = [example(at, at === 0 ? 'newly_allowed' : 'newly_denied')];
    aggregate.take(reportOf({ sidecar: `s${at}`, rollout: { examples } }), 0);
  }
  const { examples } = aggregate.sums(CANDIDATE, 0);
  assert.equal(examples.length, EXAMPLES_MAX);
  assert.equal(examples[0]?.decisionId, '0', 'what became allowed is not pushed out');
  const report = reportOf({ rollout: null });
  for (let at = 0; at < SIDECARS_MAX; at += 1) aggregate.take({ ...report, sidecar: `n${at}` }, 0);
  assert.equal(aggregate.take({ ...report, sidecar: 'one more' }, 0), false);
  assert.equal(aggregate.take({ ...report, sidecar: 'n5', sequence: 2 }, 0), true);
});

const processes = fc.array(
  fc.array(fc.record({ same: fc.nat(9), error: fc.nat(2) }), { minLength: 1, maxLength: 5 }),
  { minLength: 1, maxLength: 3 },
);

void test('in every order, lost and repeated, the sums are those of the last report of each process', () => {
  fc.assert(
    fc.property(fc.array(processes, { maxLength: 4 }), fc.func(fc.nat(3)), (fleet, chance) => {
      const aggregate = new Aggregate();
      aggregate.open(START);
      let expected = 0;
      for (const [at, epochs] of fleet.entries()) {
        for (const [epoch, growth] of epochs.entries()) {
          const reports = cumulative(`s${at}`, `e${epoch}`, growth);
          const last = reports.at(-1);
          // The last one arrives; of the others some are lost, some come twice or after it.
          const others = reports.slice(0, -1).flatMap((one, n) => {
            return Array.from({ length: chance(at, epoch, n) }, () => one);
          });
          const late = others.filter((_, n) => n % 2 === 1);
          const early = others.filter((_, n) => n % 2 === 0);
          for (const one of [...early, last, ...late, last]) {
            if (one !== undefined) aggregate.take(one, 0);
          }
          expected += last?.rollout?.comparison.same ?? 0;
        }
      }
      assert.equal(samesOf(aggregate), expected);
    }),
    { numRuns: 500 },
  );
});

function cumulative(
  sidecar: string,
  epoch: string,
  growth: readonly { readonly same: number; readonly error: number }[],
) {
  let same = 0;
  let error = 0;
  return growth.map((grown, at) => {
    same += grown.same;
    error += grown.error;
    return reportOf({ sidecar, epoch, sequence: at + 1, counts: { same, error } });
  });
}
