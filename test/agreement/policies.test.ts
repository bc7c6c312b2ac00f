/**
 * Three engines on every policy there is: our WASM host, @open-policy-agent/opa-wasm and the plan engine, which shares
 * no code with OPA. They must give one answer to random inputs, and our host must give one to all of them.
 * EGRET_FUZZ_POLICIES says how many inputs there are over all policies, EGRET_FUZZ_SEED repeats a run.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { compareOpinions, type Opinion, type Question } from '../../src/bundle/opinion.ts';
import { planOpinion } from '../../src/bundle/plan-opinion.ts';
import { referenceHost } from '../../src/bundle/reference-host.ts';
import { compilePolicy, createEngine } from '../../src/decision/opa-wasm.ts';
import { needsOpa } from '../policy/opa.ts';
import { nearbyCalls } from './nearby-calls.ts';
import { builtPack, bundleNames, committedBundle, type Policy, packNames } from './policies.ts';

const ENTRYPOINT = 'egret/decision';
const INPUTS = Number(process.env['EGRET_FUZZ_POLICIES'] ?? 1300);
const SEED = Number(process.env['EGRET_FUZZ_SEED'] ?? Date.now() % 2 ** 31);
const BUNDLES = bundleNames();
const PACKS = packNames();
/** Of each policy. */
const RUNS = Math.ceil(INPUTS / (BUNDLES.length + PACKS.length));
/** Inputs made at a time: a million of them would not fit. */
const BATCH = 500;

for (const name of BUNDLES) {
  test(`three engines give one answer on any input: ${name}`, async (t) => {
    await agree(t, committedBundle(name));
  });
}

for (const name of PACKS) {
  test(`three engines give one answer on any input: pack ${name}`, async (t) => {
    if (needsOpa(t)) await agree(t, await builtPack(name));
  });
}

async function agree(t: TestContext, policy: Policy): Promise<void> {
  t.diagnostic(`seed ${SEED}, ${RUNS} inputs`);
  const { files } = policy;
  const data = textOf(policy, 'data.json');
  const wasm = files.get('policy.wasm') as Uint8Array;
  const compiled = compilePolicy(wasm, data);
  const engine = createEngine(compiled);
  t.after(() => engine.close());
  const outcomes = new Set<string>();
  const ours: Opinion = {
    name: 'egret',
    answer(entrypoint, input, timeNs) {
      const found = engine.evaluateEntrypoint(entrypoint, input, timeNs);
      if (found.ok) {
        outcomes.add((found.value as { readonly outcome: string }).outcome);
        return { kind: 'value', value: found.value };
      }
      if (found.reason === 'policy.undefined') return { kind: 'undefined' };
      return { kind: 'failed', detail: `${found.reason}: ${found.detail}` };
    },
  };
  const bundle = { files, digest: 'sha256:test' };
  const others = [
    await referenceHost(wasm, data, compiled.builtins),
    await planOpinion.open(bundle, data),
  ];
  assert.ok(others.every((other) => other !== null));
  const { strings } = (JSON.parse(textOf(policy, 'plan.json')) as PlanText).static;
  const words = strings.map(({ value }) => value);
  const questions = questionsOf(nearbyCalls(policy.calls, words));
  const { asked, differences, doubtful, unanswered } = await compareOpinions(
    ours,
    others as Opinion[],
    questions,
  );
  assert.equal(asked, RUNS);
  // A few inputs may all be denied by chance; many must show both answers, or they say little.
  const varied = outcomes.has('allow') && outcomes.has('deny');
  assert.ok(varied || RUNS < 1000, `only ${[...outcomes].join()}`);
  assert.equal(differences.length, 0, show(differences));
  assert.equal(doubtful.length, 0, show(doubtful));
  assert.equal(unanswered.length, 0, show(unanswered));
}

interface PlanText {
  readonly static: { readonly strings: readonly { readonly value: string }[] };
}

const textOf = ({ files }: Policy, name: string) => Buffer.from(files.get(name) ?? '').toString();

function* questionsOf(arbitrary: fc.Arbitrary<unknown>): Iterable<Question> {
  for (let made = 0; made < RUNS; made += BATCH) {
    const numRuns = Math.min(BATCH, RUNS - made);
    for (const input of fc.sample(arbitrary, { numRuns, seed: (SEED + made) | 0 })) {
      yield { name: '', entrypoint: ENTRYPOINT, input: JSON.stringify(input), timeNs: 0n };
    }
  }
}

const show = (found: readonly unknown[]) =>
  `seed ${SEED}: ${JSON.stringify(found.slice(0, 3), (_, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  )}`;
