/** What makes a conformance case pass, by OPA's own rules of comparing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRego, type RegoValue } from '../../src/decision/rego-value.ts';
import { type ConformanceCase, judge, kindOf } from './case.ts';

const one = (fields: Partial<ConformanceCase>): ConformanceCase => ({
  note: 'x',
  family: 'x',
  builtins: [],
  ...fields,
});
const results = (text: string) => ({ results: [...(parseRego(text) as Iterable<RegoValue>)] });

test('a set is the sorted array of its items, and a key that is no text is its JSON', () => {
  const want = one({ want_result: '[{"x": [1, 2, {"[1]": 3}]}]' });
  assert.equal(judge(want, results('{{"x": {2, {[1]: 3}, 1}}}')), null);
  assert.notEqual(judge(want, results('{{"x": [2, 1, {[1]: 3}]}}')), null);
});

test('bindings that are wanted sorted are sorted, and results come in any order', () => {
  const want = one({ want_result: '[{"x": [1, 2]}, {"x": []}]', sort_bindings: true });
  assert.equal(judge(want, results('[{"x": []}, {"x": [2, 1]}]')), null);
});

test('integers of any size are compared exactly', () => {
  const want = one({ want_result: '[{"x": 18446744073709551617}]' });
  assert.equal(judge(want, results('[{"x": 18446744073709551617}]')), null);
  assert.notEqual(judge(want, results('[{"x": 18446744073709551616}]')), null);
});

test('no result is no result, an error is only right where one is wanted', () => {
  assert.equal(judge(one({ want_defined: false }), results('set()')), null);
  assert.notEqual(judge(one({ want_defined: false }), { error: 'trap' }), null);
  assert.notEqual(judge(one({ want_result: '[]' }), { error: 'trap' }), null);
  const conflict = one({ want_error: 'conflict', want_error_code: 'eval_conflict_error' });
  assert.equal(judge(conflict, { error: 'a.rego:1:1: var assignment conflict' }), null);
  assert.notEqual(judge(conflict, { error: 'trap' }), null);
  assert.notEqual(judge(conflict, results('[]')), null);
});

test('an error of the strict mode is undefined, and such a case is counted apart', () => {
  const strict = one({ want_error: 'bad', want_error_code: 'x', strict_error: true });
  assert.equal(judge(strict, results('[]')), null);
  assert.notEqual(judge(strict, results('[{"x": 1}]')), null);
  assert.equal(kindOf(strict), 'strict');
  assert.equal(kindOf(one({ builtins: ['http.send'] })), 'network');
  assert.equal(kindOf(one({ builtins: ['io.jwt.encode_sign'] })), 'signing');
});
