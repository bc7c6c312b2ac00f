/**
 * Three engines on the committed bundles: our WASM host, @open-policy-agent/opa-wasm and the plan engine, which shares
 * no code with OPA. They must agree on random inputs, and on random YAML policies.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadPolicy } from '@open-policy-agent/opa-wasm';
import fc from 'fast-check';
import { readArchive } from '../../src/bundle/archive.ts';
import type { Evaluation } from '../../src/decision/engine.ts';
import { compilePolicy, createEngine, type PolicyEngine } from '../../src/decision/opa-wasm.ts';
import { parseRego } from '../../src/decision/rego-value.ts';
import { evaluatePlan, planData } from '../../src/plan/evaluate.ts';
import { parsePlan } from '../../src/plan/plan.ts';
import { inputs, yamlPolicies } from './calls.ts';

const RUNS = Number(process.env['EGRET_TEST_ROUNDS'] ?? 2000);
const DISTRIBUTION = join(import.meta.dirname, '../../rego/dist');
const ENTRYPOINTS = ['egret/decision', 'egret/yaml/errors'];

function bundle(name: string) {
  const files = readArchive(readFileSync(join(DISTRIBUTION, name)));
  const text = (file: string) => Buffer.from(files.get(file) ?? '').toString();
  return {
    wasm: new Uint8Array(files.get('policy.wasm') ?? []),
    plan: parsePlan(text('plan.json')),
    data: text('data.json'),
  };
}

const said = (evaluation: Evaluation) => (evaluation.ok ? evaluation.value : evaluation.reason);

/** Prints the seed first: fast-check prints it too, but only when it fails. */
function parameters(name: string, numRuns: number): fc.Parameters<unknown> {
  const seed = Number(process.env['EGRET_TEST_SEED'] ?? Date.now() % 2 ** 31);
  console.log(`${name}: seed ${seed}, ${numRuns} rounds`);
  return { seed, numRuns };
}

for (const name of ['receipts.tar.gz', 'receipts-yaml.tar.gz']) {
  test(`three engines give one answer on any input: ${name}`, async (t) => {
    const { wasm, plan, data } = bundle(name);
    const host = createEngine(compilePolicy(wasm, data));
    t.after(() => host.close());
    const second = await loadPolicy(wasm.buffer);
    second.setData(JSON.parse(data) as object);
    const held = planData(parseRego(data, 'json'));
    fc.assert(
      fc.property(inputs, (input) => {
        const text = JSON.stringify(input);
        const ours = host.evaluateEntrypoint('egret/decision', text, 0n);
        const planned = evaluatePlan(plan, 'egret/decision', parseRego(text, 'json'), held);
        assert.deepEqual(said(planned), said(ours));
        // The other host takes a false input for none.
        if (!input) return;
        const [theirs] = second.evaluate(JSON.parse(text)) as { result: unknown }[];
        assert.deepEqual(theirs === undefined ? 'policy.undefined' : theirs.result, said(ours));
      }),
      parameters(name, RUNS) as fc.Parameters<[unknown]>,
    );
  });
}

test('both engines give one answer on any YAML policies, malformed ones too', () => {
  const { wasm, plan } = bundle('receipts-yaml.tar.gz');
  fc.assert(
    fc.property(
      yamlPolicies,
      fc.array(inputs, { minLength: 4, maxLength: 4 }),
      (policies, some) => {
        const data = JSON.stringify({ yaml: { policies } });
        const host = createEngine(compilePolicy(wasm, data));
        try {
          for (const input of some) sameAnswers(host, plan, data, input);
        } finally {
          host.close();
        }
      },
    ),
    parameters('YAML policies', Math.ceil(RUNS / 20)) as fc.Parameters<[unknown, unknown[]]>,
  );
});

function sameAnswers(
  host: PolicyEngine,
  plan: ReturnType<typeof parsePlan>,
  data: string,
  input: unknown,
): void {
  const text = JSON.stringify(input);
  for (const entrypoint of ENTRYPOINTS) {
    const planned = evaluatePlan(
      plan,
      entrypoint,
      parseRego(text, 'json'),
      parseRego(data, 'json'),
    );
    assert.deepEqual(said(planned), said(host.evaluateEntrypoint(entrypoint, text, 0n)));
  }
}
