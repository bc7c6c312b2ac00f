/** The engine on compiled policies: answers, failures, budgets, clock, and that a failure leaves no trace. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Evaluation } from '../../src/decision/engine.ts';
import {
  type CompileOptions,
  compilePolicy,
  createEngine,
  type PolicyEngine,
  PolicyLoadError,
} from '../../src/decision/opa-wasm.ts';
import { compileRego } from './compiled-policy.ts';
import * as policies from './policies.ts';

const NOW = 1_795_341_600_123_456_789n;

function engineOf(
  t: TestContext,
  rego: string,
  data = '{}',
  options: CompileOptions = {},
): PolicyEngine | null {
  const wasm = compileRego(t, [rego]);
  if (wasm === null) return null;
  const engine = createEngine(compilePolicy(wasm, data, options));
  t.after(() => engine.close());
  return engine;
}

const mailCall = (change: object = {}) =>
  JSON.stringify({
    tool: { name: 'gmail.send' },
    environment: 'prod',
    arguments: { to: ['Accountant@example.com'], subject: 'Receipts', text: 'See attachment.' },
    attachments: [{ bytes: 100, age_minutes: 3, source: 'explicit_user_upload' }],
    ...change,
  });

test('a policy answers from input and data', (t) => {
  const engine = engineOf(t, policies.MAIL, policies.MAIL_DATA);
  if (engine === null) return;
  const code = (input: string) => {
    const evaluation = engine.evaluate(input, NOW);
    return evaluation.ok ? (evaluation.value as { code: string }).code : evaluation.reason;
  };
  assert.equal(code(mailCall()), 'policy.allowed');
  assert.equal(code(mailCall({ environment: 'moon' })), 'policy.denied');
  assert.equal(code(mailCall({ tool: { name: 'gmail.read' } })), 'policy.no_match');
  const salary = { to: ['backup@example.com'], subject: 'Salary', text: '' };
  assert.equal(code(mailCall({ arguments: salary })), 'approval.required');
  assert.equal(code('{}'), 'policy.no_match');
});

test('text of every script and size arrives unchanged', (t) => {
  const engine = engineOf(t, policies.ECHO);
  if (engine === null) return;
  for (const text of [
    '',
    'é',
    '漢字',
    '😀',
    '\u0000',
    '\u2028',
    'x'.repeat(200_000),
    '😀'.repeat(30_000),
  ]) {
    const evaluation = engine.evaluate(JSON.stringify({ text }), NOW);
    assert.deepEqual(evaluation.ok && evaluation.value, { text });
  }
});

test('an undefined decision is policy.undefined', (t) => {
  const engine = engineOf(t, policies.UNDEFINED);
  const evaluation = engine?.evaluate('{}', NOW);
  assert.equal(evaluation?.ok === false && evaluation.reason, engine && 'policy.undefined');
});

test('an endless policy is stopped by its step budget, after the same step each time', async (t) => {
  const engine = engineOf(t, policies.ENDLESS, '{}', { limits: { fuelBase: 20_000_000 } });
  if (engine === null) return;
  const first = engine.evaluate('{"never":-1}', NOW);
  await turn();
  const second = engine.evaluate('{"never":-1}', NOW);
  assert.equal(first.ok === false && first.reason, 'policy.fuel_exhausted');
  assert.deepEqual(first, second);
  assert.ok(first.fuel >= 20_000_000);
});

test('a policy that eats memory is stopped by the memory maximum', (t) => {
  const limits = { memoryBytesMax: 8 * 1024 * 1024, fuelBase: 2_000_000_000 };
  const engine = engineOf(t, policies.BOMB, '{}', { limits });
  if (engine === null) return;
  const evaluation = engine.evaluate('{}', NOW);
  assert.equal(evaluation.ok === false && evaluation.reason, 'policy.memory_exhausted');
});

test('a conflict is policy.error and names the rule, not the input', (t) => {
  const engine = engineOf(t, policies.CONFLICT);
  if (engine === null) return;
  const evaluation = engine.evaluate('{"a":"s3cret-1","b":"s3cret-2"}', NOW);
  assert.ok(!evaluation.ok);
  assert.equal(evaluation.reason, 'policy.error');
  assert.match(evaluation.detail, /conflict/);
  assert.doesNotMatch(evaluation.detail, /s3cret/);
});

test('text that is no JSON is an error, never an undefined input', (t) => {
  const engine = engineOf(t, policies.ECHO);
  if (engine === null) return;
  for (const input of ['', '{', '{"a":1,}', '\ufeff{}', '{"a":"\t"}', '{"a":"\\ud800"}']) {
    const evaluation = engine.evaluate(input, NOW);
    assert.equal(
      evaluation.ok === false && evaluation.reason,
      'policy.error',
      JSON.stringify(input),
    );
  }
});

test('after each failure the next evaluation is as good as the first', (t) => {
  const engine = engineOf(t, policies.CONFLICT);
  if (engine === null) return;
  const good = engine.evaluate('{"a":1}', NOW);
  for (let i = 0; i < 200; i++) {
    assert.equal(engine.evaluate(i % 2 === 0 ? '{"a":1,"b":2}' : '{', NOW).ok, false);
    assert.deepEqual(engine.evaluate('{"a":1}', NOW), good);
  }
});

test('an engine that was closed still evaluates', (t) => {
  const engine = engineOf(t, policies.ECHO);
  engine?.close();
  assert.equal(engine?.evaluate('{}', NOW).ok, engine === null ? undefined : true);
});

test('the clock is the given time to the nanosecond, at every look', (t: TestContext) => {
  const engine = engineOf(t, policies.CLOCK);
  const evaluation = engine?.evaluate(`{"time_ns":${NOW}}`, NOW);
  if (evaluation === undefined) return;
  assert.ok(evaluation.ok);
  const { now, again, same } = evaluation.value as Record<string, unknown>;
  assert.equal(now, again);
  assert.equal(now, Number(NOW));
  assert.equal(same, true);
});

test('equal inputs cost equal fuel when the policy has no patterns', (t) => {
  const engine = engineOf(t, policies.MAIL, policies.MAIL_DATA);
  if (engine === null) return;
  const inputs = [mailCall(), '{}', mailCall({ attachments: [] })];
  const fuel = (): number[] => inputs.map((input) => engine.evaluate(input, NOW).fuel);
  const first = fuel();
  engine.evaluate('{', NOW); // a fresh instance must count alike
  for (let round = 0; round < 20; round++) {
    assert.deepEqual(fuel(), first);
  }
});

test('patterns stay compiled between evaluations, and memory stays bounded', (t) => {
  const engine = engineOf(t, policies.PATTERNS);
  if (engine === null) return;
  const input = (i: number): string =>
    JSON.stringify({
      tool: { name: 'mail.send' },
      destination: { host: 'a.example.com' },
      arguments: { text: `${'words '.repeat(200)} ${i % 3 === 0 ? 'password: x' : ''}` },
    });
  engine.evaluate(input(1), NOW);
  const warm = engine.evaluate(input(1), NOW).fuel;
  for (let i = 0; i < 2000; i++) {
    const evaluation: Evaluation = engine.evaluate(input(i), NOW);
    assert.equal(evaluation.ok && evaluation.value, i % 3 === 0 ? 'no' : 'yes');
  }
  assert.ok(warm * 2 < createFreshFuel(t, input(1)), 'a first use compiles the patterns');
});

function createFreshFuel(t: TestContext, input: string): number {
  return engineOf(t, policies.PATTERNS)?.evaluate(input, NOW).fuel ?? Infinity;
}

test('any entrypoint can be evaluated by name', (t) => {
  const source = 'package egret\n\ndecision := 1\n\nother := {"n": data.n}\n';
  const wasm = compileRego(t, [source], ['egret/decision', 'egret/other']);
  if (wasm === null) return;
  const engine = createEngine(compilePolicy(wasm, '{"n":7}'));
  t.after(() => engine.close());
  assert.deepEqual([...engine.entrypoints.keys()].sort(), ['egret/decision', 'egret/other']);
  const other = engine.evaluateEntrypoint('egret/other', '{}', NOW);
  assert.deepEqual(other.ok && other.value, { n: 7 });
  const none = engine.evaluateEntrypoint('egret/nothing', '{}', NOW);
  assert.equal(none.ok === false && none.reason, 'policy.undefined');
});

test('a policy that cannot be loaded says why', (t) => {
  const wasm = compileRego(t, [policies.ECHO]);
  const outside =
    'package egret\n\ndecision := http.send({"method": "get", "url": input.url}).status_code\n';
  const reaching = compileRego(t, [outside]);
  if (wasm === null || reaching === null) return;
  const refusal = (bytes: Uint8Array, data: string, options: CompileOptions = {}) => {
    try {
      createEngine(compilePolicy(bytes, data, options));
      return null;
    } catch (error) {
      return error instanceof PolicyLoadError ? `${error.code}: ${error.found}` : error;
    }
  };
  assert.equal(refusal(reaching, '{}'), 'builtin_unknown: http.send');
  assert.equal(refusal(wasm, '[]'), 'data_invalid: data that is no JSON object');
  assert.match(String(refusal(wasm, '{"a":1,}')), /^data_invalid/);
  assert.match(String(refusal(wasm, '{"a":"\\ud800"}')), /^data_invalid: .*cannot read/);
  assert.match(String(refusal(wasm.subarray(0, 5000), '{}')), /^wasm_unsupported/);
  assert.match(String(refusal(new Uint8Array(8), '{}')), /^wasm_unsupported: no WebAssembly/);
  const empty = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  assert.match(String(refusal(empty, '{}')), /^abi_unsupported/);
  const small = { limits: { memoryBytesMax: 65_536 } };
  assert.equal(refusal(wasm, '{}', small), 'memory_too_large: 131072 bytes');
  const large = JSON.stringify({ a: Array.from({ length: 200_000 }, (_, i) => i) });
  const some = { limits: { memoryBytesMax: 2 * 1024 * 1024 } };
  assert.match(String(refusal(wasm, large, some)), /^memory_too_large: data that does not fit/);
});
