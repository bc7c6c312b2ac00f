// Leader election: at most one leader at any time, a frozen or cut off leader steps down before another may lead, and
// a Lease that was given back is taken at once. Several replicas on one store in memory, with clocks of their own.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Election, type LeaseStore } from '../../src/controller/election.ts';
import { type LeaseSpec, leaseMove, released } from '../../src/controller/lease.ts';

const SECONDS = { durationSeconds: 15, renewDeadlineSeconds: 10, retrySeconds: 2 };
const by = (identity: string, nowMs: number) => ({
  identity,
  durationSeconds: 15,
  nowMs,
  wallMs: 1_700_000_000_000,
});
const held: LeaseSpec = {
  holderIdentity: 'a',
  leaseDurationSeconds: 15,
  acquireTime: '2026-11-28T20:00:00.000000Z',
  renewTime: '2026-11-28T20:00:00.000000Z',
  leaseTransitions: 3,
};

test('A Lease that nobody holds is taken', () => {
  const seen = { resourceVersion: '', atMs: 0 };
  const move = leaseMove(null, seen, by('a', 0));
  assert.equal(move.move === 'write' && move.spec.holderIdentity, 'a');
  assert.equal(move.move === 'write' && move.spec.renewTime, '2023-11-14T22:13:20.000000Z');
});

test('A Lease of another is left alone until it was silent for its whole duration on the own clock', () => {
  const seen = { resourceVersion: '7', atMs: 1000 };
  assert.equal(leaseMove(held, seen, by('b', 15_999)).move, 'wait');
  const move = leaseMove(held, seen, by('b', 16_000));
  assert.equal(move.move === 'write' && move.spec.leaseTransitions, 4);
});

test('The time that another replica wrote does not count, however old it is', () => {
  const old = { ...held, renewTime: '1990-01-01T00:00:00.000000Z' };
  assert.equal(leaseMove(old, { resourceVersion: '7', atMs: 0 }, by('b', 1)).move, 'wait');
});

test('A renewal keeps when the Lease was acquired and how often it changed hands', () => {
  const move = leaseMove(held, { resourceVersion: '7', atMs: 0 }, by('a', 1));
  assert.ok(move.move === 'write');
  assert.equal(move.spec.acquireTime, held.acquireTime);
  assert.equal(move.spec.leaseTransitions, 3);
});

test('A Lease that was given back is taken at once', () => {
  const free = released(held, 0);
  assert.equal(leaseMove(free, { resourceVersion: '8', atMs: 5 }, by('b', 5)).move, 'write');
});

/** A Lease in memory with resourceVersions; `up` false makes it fail. */
class MemoryLease {
  spec: LeaseSpec | null = null;
  version = 0;
  up = new Set<string>();

  storeOf(identity: string): LeaseStore {
    const reach = () => {
      if (!this.up.has(identity)) throw new Error('no route');
    };
    return {
      read: async () => {
        reach();
        return this.spec === null ? null : { spec: this.spec, resourceVersion: `${this.version}` };
      },
      write: async (spec, resourceVersion) => {
        reach();
        const expected = this.spec === null ? null : `${this.version}`;
        if (expected !== resourceVersion) return null;
        this.spec = spec;
        this.version += 1;
        return `${this.version}`;
      },
    };
  }
}

const replica = (
  lease: MemoryLease,
  identity: string,
  clock: () => number,
  onChange: (leads: boolean) => void = () => undefined,
) => {
  lease.up.add(identity);
  return new Election({
    ...SECONDS,
    store: lease.storeOf(identity),
    identity,
    monotonicMs: clock,
    wallMs: () => 0,
    onChange,
    onError: () => undefined,
  });
};

test('One replica leads, gives the Lease back when it closes, and another takes over', async () => {
  const lease = new MemoryLease();
  const told: string[] = [];
  const [a, b] = ['a', 'b'].map((name) =>
    replica(
      lease,
      name,
      () => 0,
      (leads) => told.push(`${name} ${leads}`),
    ),
  ) as [Election, Election];
  await a.round();
  await b.round();
  assert.deepEqual([a.mayWrite(), b.mayWrite(), b.holder()], [true, false, 'a']);
  await a.close();
  await b.round();
  assert.deepEqual([a.mayWrite(), b.mayWrite()], [false, true]);
  assert.deepEqual(told, ['a true', 'a false', 'b true']);
  await b.close();
});

test('The loop goes on after errors and ends when it is closed', async () => {
  const lease = new MemoryLease();
  let errors = 0;
  const election = new Election({
    store: lease.storeOf('a'),
    identity: 'a',
    durationSeconds: 15,
    renewDeadlineSeconds: 10,
    retrySeconds: 0.005,
    monotonicMs: () => performance.now(),
    wallMs: Date.now,
    onChange: () => undefined,
    onError: () => {
      errors += 1;
      if (errors === 3) lease.up.add('a');
    },
  });
  election.start();
  while (!election.mayWrite()) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(errors, 3);
  await election.close();
  assert.equal(lease.spec?.holderIdentity, undefined);
});

test('At no time do two replicas lead, whoever is cut off or frozen for how long', async () => {
  const step = fc.record({
    who: fc.constantFrom('a', 'b', 'c'),
    what: fc.constantFrom('cut', 'mend', 'freeze', 'nothing', 'nothing'),
    seconds: fc.integer({ min: 1, max: 40 }),
  });
  let changes = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const lease = new MemoryLease();
      let now = 0;
      const replicas = ['a', 'b', 'c'].map((name) => ({
        name,
        election: replica(
          lease,
          name,
          () => now,
          () => {
            changes += 1;
          },
        ),
      }));
      for (const { who, what, seconds } of steps) {
        if (what === 'cut') lease.up.delete(who);
        if (what === 'mend') lease.up.add(who);
        for (let at = 0; at < seconds; at += 2) {
          now += 2000;
          for (const { name, election } of replicas) {
            if (!(what === 'freeze' && name === who)) await election.round();
            const leaders = replicas.filter((one) => one.election.mayWrite());
            assert.ok(leaders.length <= 1, leaders.map((one) => one.name).join());
          }
        }
      }
    }),
    { numRuns: 300 },
  );
  assert.ok(changes > 300, 'leaders changed');
});
