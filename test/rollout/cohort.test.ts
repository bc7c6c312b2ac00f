/** Who takes part at which weight. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { createCohort, EVERYONE, placeOf } from '../../src/rollout/cohort.ts';

const SALT = '5a'.repeat(16);
const units = (count: number) => Array.from({ length: count }, (_, i) => `agent ${i}`);

test('a place is the first six bytes of a keyed hash of set and unit', () => {
  const bytes = createHmac('sha256', Buffer.from(SALT, 'hex')).update('main\0agent a').digest();
  const number = BigInt(`0x${bytes.subarray(0, 6).toString('hex')}`);
  assert.equal(placeOf(SALT, 'main', 'agent a'), Number(number % 10_000n));
});

test('a higher weight only adds units', () => {
  const weight = fc.integer({ min: 0, max: EVERYONE });
  fc.assert(
    fc.property(fc.string(), weight, weight, (unit, one, other) => {
      const place = placeOf(SALT, 'main', unit);
      const [low, high] = [Math.min(one, other), Math.max(one, other)];
      assert.ok(!(place < low) || place < high);
      assert.ok(place >= 0 && place < EVERYONE, 'nobody at 0, everybody at 10000');
    }),
  );
});

test('the part that takes part is about the weight', () => {
  const places = units(20_000).map((unit) => placeOf(SALT, 'main', unit));
  for (const weight of [100, 500, 1000, 2500, 5000, 9000]) {
    const part = places.filter((place) => place < weight).length / places.length;
    const expected = weight / EVERYONE;
    const spread = Math.sqrt((expected * (1 - expected)) / places.length);
    // Fixed units under a fixed key: five deviations are never met by chance.
    assert.ok(Math.abs(part - expected) < 5 * spread, `${part} at ${expected}`);
  }
});

test('another rollout or another set takes in others', () => {
  const taken = (salt: string, set: string) =>
    units(2000).filter((unit) => placeOf(salt, set, unit) < 1000);
  const first = new Set(taken(SALT, 'main'));
  for (const [salt, set] of [
    ['5b'.repeat(16), 'main'],
    [SALT, 'other'],
  ] as const) {
    const again = taken(salt, set).filter((unit) => first.has(unit)).length;
    assert.ok(again < first.size / 2, `${again} of ${first.size}`);
  }
});

test('what is remembered is what would be computed, also after more units than are kept', () => {
  const cohort = createCohort(SALT, 'main');
  for (const unit of [...units(6000), ...units(100)]) {
    assert.equal(cohort(unit), placeOf(SALT, 'main', unit));
  }
});
