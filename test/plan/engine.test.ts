/** The plan engine on its own: bounds, errors, places, what an observer sees. The language itself is in conformance. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RegoValue } from '../../src/decision/rego-value.ts';
import { parseRego } from '../../src/decision/rego-value.ts';
import { evaluatePlan } from '../../src/plan/evaluate.ts';
import type { PlanObserver } from '../../src/plan/observer.ts';
import { parsePlan } from '../../src/plan/plan.ts';
import { compilePlan } from './compiled-plan.ts';

const input = (text: string): RegoValue => parseRego(text, 'json');
const NO_DATA = input('{}');

const PAIRS = `package t

decision := count([1 | some a in numbers.range(1, input.n); some b in numbers.range(1, input.n); a != b])
`;

test('an endless policy stops at its steps, and always after the same number of them', (t) => {
  const built = compilePlan(t, { 'pairs.rego': PAIRS });
  if (built === null) return;
  const small = evaluatePlan(built.plan, 't/decision', input('{"n":20}'), NO_DATA);
  assert.deepEqual(small.ok && small.value, 380);
  const again = evaluatePlan(built.plan, 't/decision', input('{"n":20}'), NO_DATA);
  assert.equal(again.fuel, small.fuel);
  const options = { stepsMax: 1_000_000 };
  const large = evaluatePlan(built.plan, 't/decision', input('{"n":100000}'), NO_DATA, options);
  assert.deepEqual(large, {
    ok: false,
    reason: 'policy.fuel_exhausted',
    detail: 'more than 1000000 steps',
    fuel: 1_000_000,
  });
  const exact = evaluatePlan(built.plan, 't/decision', input('{"n":20}'), NO_DATA, {
    stepsMax: small.fuel,
  });
  assert.equal(exact.ok, true);
  const short = evaluatePlan(built.plan, 't/decision', input('{"n":20}'), NO_DATA, {
    stepsMax: small.fuel - 1,
  });
  assert.equal(short.ok ? null : short.reason, 'policy.fuel_exhausted');
});

test('a policy that builds without end stops at its cells', (t) => {
  const rego = 'package t\n\ndecision := count([[a, b] | some a in input; some b in input])\n';
  const built = compilePlan(t, { 'build.rego': rego });
  if (built === null) return;
  const list = JSON.stringify(Array.from({ length: 2000 }, (_, i) => i));
  const full = evaluatePlan(built.plan, 't/decision', input(list), NO_DATA, { cellsMax: 100_000 });
  assert.equal(full.ok ? null : full.reason, 'policy.memory_exhausted');
});

test('an observer changes neither the answer nor the steps, and sees file and line', (t) => {
  const built = compilePlan(t, { 'pairs.rego': PAIRS });
  if (built === null) return;
  const seen = new Set<string>();
  let open = 0;
  const observer: PlanObserver = {
    entered: () => void open++,
    left: () => void open--,
    ran: ({ at }) => void seen.add(`${at.file}:${at.row}`),
  };
  const plain = evaluatePlan(built.plan, 't/decision', input('{"n":5}'), NO_DATA);
  const watched = evaluatePlan(built.plan, 't/decision', input('{"n":5}'), NO_DATA, { observer });
  assert.deepEqual(watched, plain);
  assert.deepEqual([...seen].sort(), ['pairs.rego:0', 'pairs.rego:3']);
  assert.equal(open, 0);
});

test('two values for one rule are an error with file, line and column; no value is undefined', (t) => {
  const rego = 'package t\n\ndecision := 1 if input.a\n\ndecision := 2 if input.b\n';
  const built = compilePlan(t, { 'two.rego': rego });
  if (built === null) return;
  const said = (text: string) => {
    const { fuel: _, ...rest } = evaluatePlan(built.plan, 't/decision', input(text), NO_DATA);
    return rest;
  };
  assert.deepEqual(said('{"a":true,"b":true}'), {
    ok: false,
    reason: 'policy.error',
    detail: 'two.rego:5:1: var assignment conflict',
  });
  assert.deepEqual(said('{"a":true}'), { ok: true, value: 1 });
  assert.deepEqual(said('{}'), { ok: false, reason: 'policy.undefined', detail: 'no result' });
  assert.equal(said('{"b":1}').ok, true);
});

test('results are JSON: sets are sorted lists, large integers are rounded as JSON readers do', (t) => {
  const rego = `package t

decision := {"set": {3, "a", null, {1, 2}}, "big": 9007199254740993 + 2, "sum": 0.1 + 0.2}
`;
  const built = compilePlan(t, { 'json.rego': rego });
  if (built === null) return;
  const { ok, ...said } = evaluatePlan(built.plan, 't/decision', undefined, NO_DATA);
  assert.equal(ok, true);
  const value = 'value' in said ? said.value : null;
  assert.deepEqual(value, { set: [null, 3, 'a', [1, 2]], big: 9007199254740996, sum: 0.3 });
});

for (const [what, text, message] of [
  ['no JSON', '{', 'plan: found text that is no JSON, expected a plan of OPA'],
  ['a list', '[]', 'plan: found a list, expected an object'],
  [
    'a statement nobody knows',
    '{"plans":{"plans":[{"name":"p","blocks":[{"stmts":[{"type":"JumpStmt","stmt":{}}]}]}]}}',
    'plans[0].blocks[0].stmts[0]: found statement JumpStmt, expected a known one',
  ],
  [
    'a variable out of range',
    '{"plans":{"plans":[{"name":"p","blocks":[{"stmts":[{"type":"MakeNullStmt","stmt":{"target":4000000}}]}]}]}}',
    'plans[0].blocks[0].stmts[0].target: found 4000000, expected 0 to 1000000',
  ],
  [
    'a constant that is missing',
    '{"plans":{"plans":[{"name":"p","blocks":[{"stmts":[{"type":"MakeNumberRefStmt","stmt":{"index":1,"target":2}}]}]}]}}',
    'plans[0].blocks[0].stmts[0].index: found string 1, expected one of the plan',
  ],
] as const) {
  test(`a broken plan is refused with its place: ${what}`, () => {
    assert.throws(() => parsePlan(text), { name: 'PlanFormatError', message });
  });
}

test('what no compiler writes never throws: every way to end is an evaluation', () => {
  const call = (stmts: string) =>
    evaluatePlan(
      parsePlan(`{"plans":{"plans":[{"name":"p","blocks":[{"stmts":[${stmts}]}]}]}}`),
      'p',
      undefined,
      NO_DATA,
    );
  const reasons = [
    '{"type":"CallStmt","stmt":{"func":"nobody","args":[],"result":2}}',
    '{"type":"ArrayAppendStmt","stmt":{"array":2,"value":{"type":"bool","value":true}}}',
    '{"type":"SetAddStmt","stmt":{"set":0,"value":{"type":"local","value":7}}}',
    '{"type":"BreakStmt","stmt":{"index":9}}',
    '{"type":"ReturnLocalStmt","stmt":{"source":3}}',
    '{"type":"ResultSetAddStmt","stmt":{"value":3}}',
  ].map((stmts) => {
    const said = call(stmts);
    return said.ok ? 'a value' : said.reason;
  });
  assert.deepEqual(reasons, [
    'policy.error',
    'policy.error',
    'policy.error',
    'policy.undefined',
    'policy.undefined',
    'policy.undefined',
  ]);
});
