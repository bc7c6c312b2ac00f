// What the controller makes of the ConfigMaps of its namespace, some of which nobody meant for it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Objects, seenOf, setNames, stateOf } from '../../src/controller/cluster-objects.ts';
import { initialState } from '../../src/rollout/machine.ts';
import { renderState } from '../../src/rollout/state-codec.ts';

const NOW = Date.parse('2026-11-28T12:00:00Z');

const objects = (...given: readonly (readonly [string, object, object?])[]): Objects =>
  new Map(
    given.map(([name, labels, data = {}]) => [
      name,
      { metadata: { name, resourceVersion: '7', labels }, data } as never,
    ]),
  );
const nothing = { sets: objects(), bundles: objects(), states: objects() };
const stateData = (set: string, generation = 5) =>
  renderState({ ...initialState(set, NOW), generation });
const rolloutOf = (name: string) =>
  `apiVersion: egret.dev/v1alpha1\nkind: PolicySet\nmetadata: {name: ${name}}\nspec: {candidate: {bundle: b}}\n`;
const set = (name: string, label: string, rollout = rolloutOf(label)) =>
  [name, { 'egret.dev/policy-set': label }, { 'rollout.yaml': rollout }] as const;

test('The state of a set is the object of that name, whatever else has its label', () => {
  const label = { 'egret.dev/state': 'shop' };
  const forged = ['a-forged-one', label, stateData('shop', 999)] as const;
  const real = ['shop-state', label, stateData('shop')] as const;
  assert.equal(stateOf({ ...nothing, states: objects(forged) }, 'shop'), null);
  assert.equal(stateOf({ ...nothing, states: objects(forged, real) }, 'shop')?.state.generation, 5);
  assert.deepEqual([...setNames({ ...nothing, states: objects(forged) })], []);
  assert.deepEqual([...setNames({ ...nothing, states: objects(forged, real) })], ['shop']);
});

test('A state that says it is of another set is none', () => {
  const states = objects(['shop-state', { 'egret.dev/state': 'shop' }, stateData('bank')]);
  assert.equal(stateOf({ ...nothing, states }, 'shop'), null);
});

test('A label that is no name of a set is no set', () => {
  const sets = objects(set('x', 'Not_A_Name', 'x'), set('y', 'fine'));
  assert.deepEqual([...setNames({ ...nothing, sets })], ['fine']);
});

test('A set that is declared twice has no specification, and says which two', () => {
  const sets = objects(set('one', 'shop'), set('two', 'shop'));
  const { spec, problems } = seenOf({ ...nothing, sets }, 'shop');
  assert.equal(spec, null);
  assert.deepEqual(problems, [
    'egret.dev/policy-set=shop: found one and two, expected one ConfigMap',
  ]);
});

test('A set under the label of another is told so, and an alias bomb is a problem and no hang', () => {
  const other = seenOf({ ...nothing, sets: objects(set('x', 'shop', rolloutOf('bank'))) }, 'shop');
  assert.equal(other.spec, null);
  assert.match(other.problems[0] ?? '', /metadata\.name: found "bank", expected "shop"/);
  const bomb = `a: &a [x]\nb: &b [${'*a,'.repeat(50)}]\nc: [${'*b,'.repeat(50)}]\n`;
  const { spec, problems } = seenOf({ ...nothing, sets: objects(set('x', 'shop', bomb)) }, 'shop');
  assert.equal(spec, null);
  assert.match(problems[0] ?? '', /alias/);
});
