/** Bounds on calls, bytes and tunnels under way. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createAdmission } from '../../src/proxy/admission.ts';

const bounds = { callsMax: 2, bufferedBytesMax: 100, tunnelsMax: 1 };

test('calls beyond the bound are turned away until one ends', () => {
  const admission = createAdmission(bounds);
  const first = admission.enter();
  admission.enter();
  assert.deepEqual(admission.enter(), { refused: 'call.overloaded' });
  if ('release' in first) first.release();
  assert.ok('release' in admission.enter());
});

test('bytes of all bodies together are bounded, and given back when a call ends', () => {
  const admission = createAdmission(bounds);
  const [first, second] = [admission.enter(), admission.enter()];
  assert.ok('reserve' in first && 'reserve' in second);
  assert.equal(first.reserve(60), true);
  assert.equal(second.reserve(60), false);
  first.release();
  assert.equal(second.reserve(60), true);
});

test('tunnels have a bound of their own', () => {
  const admission = createAdmission(bounds);
  const leave = admission.enterTunnel();
  assert.equal(admission.enterTunnel(), null);
  leave?.();
  assert.notEqual(admission.enterTunnel(), null);
});

test('while draining nothing new is taken', () => {
  const admission = createAdmission(bounds);
  admission.drain();
  assert.deepEqual(admission.enter(), { refused: 'proxy.draining' });
  assert.equal(admission.enterTunnel(), null);
});
