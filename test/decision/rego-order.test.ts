/** The order of Rego values is OPA's: what sorted lists, sets, minima and comparisons depend on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { canonicalRego, parseRego, sortedRego } from '../../src/decision/rego-value.ts';
import { needsOpa, opa } from '../policy/opa.ts';

const valuesOf = (list: string) => {
  const value = parseRego(list);
  assert.ok(Array.isArray(value));
  return value;
};
const sorted = (list: string) => sortedRego(valuesOf(list)).map(canonicalRego).join(' ');

test('objects are compared key by key, each with its value, before the next key', () => {
  assert.equal(
    sorted('[{"kind":"redact","path":"b"},{"kind":"redact","path":"a","then":1}]'),
    '{"kind":"redact","path":"a","then":1} {"kind":"redact","path":"b"}',
  );
  assert.equal(sorted('[{"a":2},{"a":1,"b":0},{"a":1}]'), '{"a":1} {"a":1,"b":0} {"a":2}');
  assert.equal(sorted('[{"b":0},{"a":9,"c":1},{}]'), '{} {"a":9,"c":1} {"b":0}');
  assert.equal(
    sorted('[{},[],"",0,false,null,[0],"a",true,-1]'),
    'null false true -1 0 "" "a" [] [0] {}',
  );
});

test('made-up values are in the order that opa sorts them to', (t) => {
  if (!needsOpa(t)) return;
  const small = fc.oneof(
    fc.constantFrom('a', 'b', 'ä', '😀', ''),
    fc.integer({ min: -2, max: 2 }),
    fc.constantFrom(null, true, false),
  );
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      small,
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('value'), {
        maxKeys: 3,
        noNullPrototype: true,
      }),
    ),
  }));
  const list = JSON.stringify(fc.sample(value, { numRuns: 500, seed: 7 }));
  const { status, output } = opa('eval', '--format', 'raw', `sort(${list})`);
  assert.equal(status, 0, output);
  const expected = valuesOf(output).map(canonicalRego);
  for (const [at, one] of sortedRego(valuesOf(list)).entries()) {
    assert.equal(canonicalRego(one), expected[at], `item ${at}`);
  }
});
