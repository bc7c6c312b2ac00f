// The reports a controller holds: only the newest of each sidecar, whichever way and in which order they arrive.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ReportStore } from '../../src/controller/report-store.ts';
import type { Report } from '../../src/rollout/report.ts';

const report = (given: Partial<Report>): Report => ({
  apiVersion: 'egret.dev/v1alpha1',
  kind: 'PolicyReport',
  set: 'main',
  sidecar: 's1',
  epoch: 'e1',
  sequence: 1,
  generation: 1,
  stable: null,
  rollout: null,
  ...given,
});

test('Whatever the order and however often, the newest report of an epoch stays', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1 }), (sequences) => {
      const store = new ReportStore(1000);
      for (const sequence of sequences) store.take(report({ sequence }), 0, true);
      assert.deepEqual(
        store.of('main', 0).map(({ sequence }) => sequence),
        [Math.max(...sequences)],
      );
    }),
  );
});

test('A sidecar that started anew counts from then on', () => {
  const store = new ReportStore(1000);
  store.take(report({ sequence: 90 }), 0, true);
  store.take(report({ epoch: 'e2', sequence: 1 }), 1, true);
  assert.equal(store.of('main', 1)[0]?.epoch, 'e2');
});

test('What another replica still holds of an earlier process does not come back', () => {
  const store = new ReportStore(1000);
  store.take(report({ epoch: 'e2', sequence: 1 }), 0, true);
  store.take(report({ epoch: 'e1', sequence: 90 }), 1, false);
  assert.equal(store.of('main', 1)[0]?.epoch, 'e2');
});

test('Only own reports are passed on, so that two replicas never echo each other', () => {
  const store = new ReportStore(1000);
  store.take(report({ sidecar: 'a' }), 0, true);
  store.take(report({ sidecar: 'b' }), 0, false);
  assert.deepEqual(
    store.own(0).map(({ sidecar }) => sidecar),
    ['a'],
  );
});

test('Silent sidecars are forgotten, and sets are kept apart', () => {
  const store = new ReportStore(1000);
  store.take(report({}), 0, true);
  store.take(report({ set: 'other' }), 500, true);
  assert.equal(store.of('main', 1000).length, 1);
  assert.equal(store.of('main', 1001).length, 0);
  assert.equal(store.of('other', 1001).length, 1);
  assert.equal(store.size, 1);
});

test('More sidecars than can be held are refused, and those that are known still report', () => {
  const store = new ReportStore(1000);
  for (let at = 0; at < 20_000; at++) assert.ok(store.take(report({ sidecar: `s${at}` }), 0, true));
  assert.equal(store.take(report({ sidecar: 'one-more' }), 0, true), false);
  assert.equal(store.take(report({ sidecar: 's7', sequence: 2 }), 0, true), true);
  assert.equal(store.take(report({ sidecar: 'one-more' }), 1001, true), true);
});
