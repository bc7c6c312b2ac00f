/** The author's commands with a policy written for OPA-Envoy: they read its dialect in the manifest. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { readArchive } from '../../src/bundle/archive.ts';
import { buildBundle } from '../../src/bundle/build.ts';
import { generatedQuestions } from '../../src/bundle/question.ts';
import { dialectOf } from '../../src/decision/dialect.ts';
import { compilePolicy, createEngine } from '../../src/decision/opa-wasm.ts';
import { SHOP } from '../decision/envoy-policies.ts';
import { needsOpa } from '../policy/opa.ts';
import { directory, egret } from './egret.ts';

const ENTRYPOINT = 'envoy/authz/allow';

/** Path of a bundle with a plan; null after the test was skipped. */
async function shop(t: TestContext): Promise<string | null> {
  if (!needsOpa(t)) return null;
  const work = directory(t, { 'source/shop.rego': SHOP });
  const bundle = await buildBundle({
    sources: [join(work, 'source')],
    entrypoints: [ENTRYPOINT],
    roots: ['envoy'],
    metadata: { dialect: 'envoy' },
  });
  const path = join(work, 'bundle.tar.gz');
  writeFileSync(path, bundle);
  return path;
}

const review = (method: string, path: string, args: object = {}) =>
  JSON.stringify({
    apiVersion: 'egret.dev/v1',
    kind: 'ToolCallReview',
    request: {
      tool: { name: 'shop.order', operation: 'write', known: false },
      arguments: args,
      destination: { scheme: 'https', host: 'shop.example.com', port: 443, path },
      http: { method, headers: { 'content-type': ['application/json'] } },
    },
  });

test('decide and explain ask an Envoy policy in its own words', async (t) => {
  const bundle = await shop(t);
  if (bundle === null) return;
  const order = (amount: number) => review('POST', '/orders/7', { amount, items: ['tea'] });
  for (const command of ['decide', 'explain']) {
    const allowed = egret([command, bundle, '-'], order(7));
    assert.equal(allowed.status, 0, allowed.stdout + allowed.stderr);
    const denied = egret([command, bundle, '-'], order(700));
    assert.equal(denied.status, 1, denied.stdout + denied.stderr);
    assert.match(denied.stdout, /policy\.no_match/);
  }
});

test('simulate plays whole messages', async (t) => {
  const bundle = await shop(t);
  if (bundle === null) return;
  const url = 'https://shop.example.com/notes/1?page=2';
  const put = (name: string, body: string, expect: object) => ({
    name,
    http: {
      method: 'PUT',
      url,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body,
    },
    expect,
  });
  const scenarios = [
    put('one title', 'title=list', { outcome: 'allow', reason: 'policy.allowed' }),
    put('two titles', 'title=list&title=b', { outcome: 'deny', reason: 'policy.no_match' }),
  ];
  const file = join(directory(t), 'shop.json');
  const document = { apiVersion: 'egret.dev/v1', kind: 'Scenarios', scenarios };
  writeFileSync(file, JSON.stringify(document));
  const { status, stdout, stderr } = egret(['simulate', bundle, file]);
  assert.equal(status, 0, stdout + stderr);
});

test('bundle verify makes up inputs that such a policy can allow', async (t) => {
  const bundle = await shop(t);
  if (bundle === null) return;
  const { status, stdout, stderr } = egret(['bundle', 'verify', bundle]);
  assert.equal(status, 0, stdout + stderr);
  const wasm = readArchive(readFileSync(bundle)).get('policy.wasm');
  const engine = createEngine(compilePolicy(wasm as Uint8Array, '{}'), ENTRYPOINT);
  t.after(() => engine.close());
  const dialect = dialectOf('envoy', ENTRYPOINT);
  const answers = [...generatedQuestions(500, ['items'], { dialect, timeNs: 0n })].map(
    ({ input, timeNs }) => {
      const evaluation = engine.evaluate(input, timeNs);
      return evaluation.ok && evaluation.value;
    },
  );
  assert.deepEqual([...new Set(answers)].sort(), [false, true]);
});
