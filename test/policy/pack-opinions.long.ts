/**
 * The packs as their users run them: every scenario is played by the code of `egret simulate`, mutations included, and
 * what policy saw of each gets one answer from three engines; so do the tests in Rego with all their calls.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { readDocument } from '../../src/author/document.ts';
import { play } from '../../src/author/play.ts';
import { type LoadedPolicy, loadPolicy } from '../../src/author/policy-source.ts';
import { scenarioFile } from '../../src/author/scenario.ts';
import { simulate } from '../../src/author/simulate.ts';
import { runTests } from '../../src/author/test-run.ts';
import { compileTests } from '../../src/author/test-stage.ts';
import { buildBundle } from '../../src/bundle/build.ts';
import {
  type Answer,
  compareOpinions,
  type Opinion,
  type Question,
} from '../../src/bundle/opinion.ts';
import { planOpinion } from '../../src/bundle/plan-opinion.ts';
import { referenceHost } from '../../src/bundle/reference-host.ts';
import type { Evaluation } from '../../src/decision/engine.ts';
import { renderPolicyInput } from '../../src/decision/input.ts';
import { compilePolicy, createEngine } from '../../src/decision/opa-wasm.ts';
import { parseRego } from '../../src/decision/rego-value.ts';
import { evaluatePlan, planData } from '../../src/plan/evaluate.ts';
import { needsOpa, ROOT } from './opa.ts';
import { PACKS, type Pack, packDirectory } from './pack.ts';

const SCENARIOS = 'scenarios.yaml';
const DECISION = 'egret/decision';

test('every file of scenarios below rego/packs is played here', () => {
  const found = readdirSync(join(ROOT, 'rego/packs'), { recursive: true, encoding: 'utf8' });
  assert.deepEqual(
    found.filter((path) => /scenario/.test(path)).sort(),
    PACKS.map(({ name }) => join(name, SCENARIOS)).sort(),
  );
});

test('the packs', { concurrency: 4 }, async (t) => {
  if (!needsOpa(t)) return;
  const played = PACKS.map((pack) =>
    t.test(
      `${pack.name}: its scenarios are as expected, and three engines agree on them`,
      (inner) => scenarios(inner, pack),
    ),
  );
  const tested = PACKS.map((pack) =>
    t.test(`${pack.name}: its tests pass on three engines`, (inner) => rules(inner, pack)),
  );
  await Promise.all([...played, ...tested]);
});

async function scenarios(t: TestContext, pack: Pack): Promise<void> {
  const policy = await built(t, pack);
  const path = join(ROOT, packDirectory(pack), SCENARIOS);
  const { results, mutations } = await simulate({
    policy,
    files: [path],
    only: null,
    mutate: { rounds: 1, seed: 1 },
    onPlayed: () => undefined,
  });
  for (const { name, problems } of results) assert.deepEqual(problems, [], name);
  assert.ok(results.length > 2);
  assert.ok(mutations !== null && mutations.goodCalls > 0);
  assert.deepEqual(
    mutations.survivors.filter(({ expected }) => !expected),
    [],
  );
  const file = readDocument(path, scenarioFile);
  const inputs = ['{}'];
  for (const scenario of file.scenarios) {
    const { input } = await play({ policy, path, file }, scenario);
    if (input !== null) inputs.push(renderPolicyInput(input));
  }
  const data = Buffer.from(policy.files.get('data.json') ?? '').toString();
  const wasm = policy.files.get('policy.wasm') as Uint8Array;
  const plan = await planOpinion.open({ files: policy.files, digest: 'sha256:test' }, data);
  assert.ok(plan !== null);
  const questions = inputs.map((input) => question(DECISION, input));
  await agree(t, { wasm, data, plan }, questions);
}

/** As docs/packs.md says: the pack with its example settings. */
async function built(t: TestContext, pack: Pack): Promise<LoadedPolicy> {
  const sources = ['rego/egret', packDirectory(pack), 'rego/settings'].map((one) =>
    join(ROOT, one),
  );
  const directory = mkdtempSync(join(tmpdir(), 'egret-pack-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'bundle.tar.gz');
  writeFileSync(path, await buildBundle({ sources }));
  const policy = await loadPolicy(path);
  t.after(() => policy.engine.close());
  return policy;
}

async function rules(t: TestContext, pack: Pack): Promise<void> {
  const tests = await compileTests([join(ROOT, packDirectory(pack))], null, true);
  const { wasm, data: text } = tests;
  assert.ok(tests.plan !== null && tests.rules.length > 0);
  const results = runTests(tests, { timeNs: 0n, nowMs: () => 0 });
  for (const { name, status, detail } of results)
    assert.equal(status, 'passed', `${name}: ${detail}`);
  const { plan } = tests.plan;
  const data = planData(parseRego(text, 'json'));
  const ofPlan: Opinion = {
    name: 'plan',
    anyOrder: true,
    answer: (entrypoint, input, timeNs) =>
      answerOf(evaluatePlan(plan, entrypoint, parseRego(input), data, { timeNs })),
  };
  const questions = tests.rules.flatMap(({ entrypoint, casesEntrypoint: cases }) =>
    [entrypoint, ...(cases === null ? [] : [cases])].map((one) => question(one, '{}')),
  );
  await agree(t, { wasm, data: text, plan: ofPlan }, questions);
}

const question = (entrypoint: string, input: string): Question => ({
  name: entrypoint,
  entrypoint,
  input,
  timeNs: 0n,
});

/** A test is all its cases, so its steps are not those of one decision. */
const limits = { fuelBase: 2 ** 31 - 1 };

async function agree(
  t: TestContext,
  { wasm, data, plan }: { wasm: Uint8Array; data: string; plan: Opinion },
  questions: readonly Question[],
): Promise<void> {
  const compiled = compilePolicy(wasm, data, { limits });
  const engine = createEngine(compiled);
  t.after(() => engine.close());
  const ours: Opinion = {
    name: 'egret',
    answer: (entrypoint, input, timeNs) =>
      answerOf(engine.evaluateEntrypoint(entrypoint, input, timeNs)),
  };
  const reference = await referenceHost(wasm, data, compiled.builtins);
  assert.ok(reference !== null);
  const found = await compareOpinions(ours, [reference, plan], questions);
  assert.equal(found.asked, questions.length);
  const { differences, doubtful, unanswered } = found;
  assert.deepEqual(
    { differences, doubtful, unanswered },
    { differences: [], doubtful: [], unanswered: [] },
  );
}

function answerOf(found: Evaluation): Answer {
  if (found.ok) return { kind: 'value', value: found.value };
  if (found.reason === 'policy.undefined') return { kind: 'undefined' };
  return { kind: 'failed', detail: `${found.reason}: ${found.detail}` };
}
