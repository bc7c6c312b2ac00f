/** When a sidecar takes itself out of a rollout. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Trip } from '../../src/rollout/trip.ts';

test('three failures within a minute trip, spread over more they do not', () => {
  const quick = new Trip();
  assert.deepEqual(
    [0, 30_000, 59_999].map((at) => quick.count(1, at)),
    [false, false, true],
  );
  const slow = new Trip();
  assert.deepEqual(
    [0, 30_000, 60_000, 90_000].map((at) => slow.count(1, at)),
    [false, false, false, false],
  );
  assert.equal(slow.count(1, 91_000), true);
});

test('a failure that should have decided counts twice', () => {
  const trip = new Trip();
  assert.deepEqual([trip.count(2, 0), trip.count(1, 1)], [false, true]);
});

test('more than one in a hundred trips, after fifty calls', () => {
  const trip = new Trip();
  trip.count(1, 0);
  const said = Array.from({ length: 49 }, (_, i) => trip.count(0, i));
  assert.equal(said.indexOf(true), 48, 'the fiftieth call');
  const late = new Trip();
  for (let call = 0; call < 99; call += 1) assert.equal(late.count(0, 0), false);
  assert.equal(late.count(1, 0), false, 'one in a hundred is not more than that');
  assert.equal(late.count(1, 100_000), true);
});

test('it is said once, and it stays', () => {
  const trip = new Trip();
  for (const at of [0, 1, 2]) trip.count(1, at);
  assert.deepEqual([trip.tripped, trip.count(1, 3), trip.count(0, 1e9)], [true, false, false]);
  assert.equal(trip.tripped, true);
});

test('calls that do not fail never trip', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(1e6), { maxLength: 300 }), (times) => {
      const trip = new Trip();
      for (const at of times) assert.equal(trip.count(0, at), false);
      assert.equal(trip.tripped, false);
    }),
  );
});
