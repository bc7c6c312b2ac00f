/** Second opinions: engines that agree pass, one difference refuses, and what a difference proves nothing about does not. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { readArchive } from '../../src/bundle/archive.ts';
import { type Answer, compareOpinions, type Opinion } from '../../src/bundle/opinion.ts';
import { planOpinion } from '../../src/bundle/plan-opinion.ts';
import { type VerifyOptions, verifyBundle } from '../../src/bundle/verify-bundle.ts';
import { compileRego } from '../decision/compiled-policy.ts';
import { bundleFiles, contentOf, type Files, MANIFEST } from './bundle-files.ts';
import { signed, verificationWith } from './signature-keys.ts';

const OPTIONS: VerifyOptions = {
  verification: null,
  ignoreSignature: false,
  nowMs: 1_795_341_600_000,
  generated: 100,
  validateCatalogue: () => null,
};

const saying = (name: string, answer: Answer): Opinion => ({ name, answer: () => answer });
const question = { name: 'q', entrypoint: 'egret/decision', input: '{}', timeNs: 0n };

test('a difference counts unless whoever differs doubts it', async () => {
  const yes = saying('first', { kind: 'value', value: { a: [1] } });
  const rows: readonly (readonly [Answer, readonly [number, number]])[] = [
    [{ kind: 'value', value: { a: [1] } }, [0, 0]],
    [{ kind: 'value', value: { a: [2] } }, [1, 0]],
    [{ kind: 'value', value: { a: [2] }, doubt: 'a set' }, [0, 1]],
    [{ kind: 'undefined' }, [1, 0]],
    [{ kind: 'failed', detail: 'x' }, [1, 0]],
  ];
  for (const [answer, expected] of rows) {
    const result = await compareOpinions(yes, [saying('second', answer)], [question]);
    assert.deepEqual([result.differences.length, result.doubtful.length], expected);
    assert.equal(result.asked, 1);
  }
});

test('what the first engine cannot answer is asked nobody else', async () => {
  const failing = saying('first', { kind: 'failed', detail: 'policy.fuel_exhausted' });
  const never: Opinion = { name: 'second', answer: () => assert.fail('it was asked') };
  const result = await compareOpinions(failing, [never], [question]);
  assert.deepEqual([result.unanswered.length, result.differences.length], [1, 0]);
});

async function verdictOf(t: TestContext, change: Files, options: Partial<VerifyOptions> = {}) {
  const files = bundleFiles(t, change);
  if (files === null) return null;
  return verifyBundle(contentOf(files), { ...OPTIONS, ...options });
}

test('a good bundle passes both hosts, made-up inputs included', async (t) => {
  const report = await verdictOf(t, {});
  if (report === null) return;
  assert.ok(report.ok, JSON.stringify(report.errors));
  assert.deepEqual(report.opinions, ['egret', '@open-policy-agent/opa-wasm']);
  assert.deepEqual([report.comparison?.asked, report.missing], [101, []]);
});

const PRINTING = `package egret

answer(message) := {"allowed": false, "outcome": "deny", "code": "policy.denied", "message": message, "reasons": [], "obligations": [], "warnings": []}

decision := answer(sprintf("%d %v %5.2f %s", ["text", object.get(input, "arguments", {}), 1, time.now_ns()]))
`;
const SETS = PRINTING.replace(
  'sprintf("%d %v %5.2f %s", ["text", object.get(input, "arguments", {}), 1, time.now_ns()])',
  'sprintf("%v", [{tool | some tool in object.get(input, "tools", ["a", "b"])}])',
);

test('builtins of ours answer in the reference host, where its own are not those of Go', async (t) => {
  const wasm = compileRego(t, [PRINTING]);
  if (wasm === null) return;
  const report = await verdictOf(t, { 'policy.wasm': wasm });
  assert.ok(report?.ok, JSON.stringify(report?.comparison?.differences));
});

test('a set that reaches the other host as a list is a doubt, not a difference', async (t) => {
  const wasm = compileRego(t, [SETS]);
  if (wasm === null) return;
  const report = await verdictOf(t, { 'policy.wasm': wasm });
  assert.ok(report?.ok, JSON.stringify(report?.errors));
  assert.ok((report.comparison?.doubtful.length ?? 0) > 0);
  const [, theirs] = report.comparison?.doubtful[0]?.answers ?? [];
  assert.match(theirs?.answer.doubt ?? '', /may have been a set/);
});

test('an engine that disagrees refuses the bundle, with the input', async (t) => {
  const contrary = {
    name: 'contrary',
    open: async () => saying('contrary', { kind: 'undefined' }),
  };
  const absent = { name: 'absent', open: async () => null };
  const report = await verdictOf(t, {}, { secondOpinions: [contrary, absent], generated: 1 });
  if (report === null) return;
  assert.equal(report.ok, false);
  assert.deepEqual(report.missing, ['absent']);
  assert.deepEqual([...new Set(report.errors.map(({ code }) => code))], ['opinions_differ']);
  assert.equal(report.errors[0]?.found, '{}');
});

const cases = (expect: object) => ({
  'cases.json': { cases: [{ name: 'mail', input: { tool: 'gmail.send' }, expect }] },
});

test('cases that ship in a bundle must come out as they say', async (t) => {
  const rows: readonly (readonly [Files, string])[] = [
    [cases({ outcome: 'allow', reason: 'policy.allowed' }), ''],
    [cases({ outcome: 'deny' }), 'case_failed cases.json mail'],
    [cases({ outcome: 'allow', reason: 'policy.denied' }), 'case_failed cases.json mail'],
    [{ 'cases.json': { cases: [{ nam: 'x' }] } }, 'case_invalid cases.json cases.0.name'],
    [{ 'cases.json': '[' }, 'case_invalid cases.json'],
  ];
  for (const [change, expected] of rows) {
    const report = await verdictOf(t, change);
    if (report === null) return;
    const [first] = report.errors;
    const said = first === undefined ? '' : `${first.code} ${first.file} ${first.path}`.trim();
    assert.equal(said, expected);
  }
});

test('what the gate refuses is refused with the code of the gate, and signatures count', async (t) => {
  const refused = await verdictOf(t, { '.manifest': { ...MANIFEST, roots: [''] } });
  if (refused === null) return;
  assert.deepEqual(
    refused.errors.map(({ code }) => code),
    ['roots_too_wide'],
  );
  const plain = bundleFiles(t);
  if (plain === null) return;
  const content = contentOf(await signed(plain, 'ES256'));
  const verdict = async (options: Partial<VerifyOptions>) => {
    const { ok, signature, errors } = await verifyBundle(content, { ...OPTIONS, ...options });
    return [ok, signature, errors[0]?.code];
  };
  assert.deepEqual(await verdict({}), [false, 'none', 'signature_unverifiable']);
  assert.deepEqual(await verdict({ ignoreSignature: true }), [true, 'ignored', undefined]);
  const verification = verificationWith('ES256');
  assert.deepEqual(await verdict({ verification }), [true, 'verified with main', undefined]);
  const other = verificationWith('ES384');
  assert.deepEqual(await verdict({ verification: other }), [false, null, 'signature_algorithm']);
});

test('lists in another order count for an engine with one order, and not for one that has its own', async () => {
  const first = saying('first', { kind: 'value', value: { a: ['x', { b: [1, 2] }] } });
  const answer: Answer = { kind: 'value', value: { a: [{ b: [2, 1] }, 'x'] } };
  const strict = await compareOpinions(first, [saying('strict', answer)], [question]);
  assert.equal(strict.differences.length, 1);
  const own = await compareOpinions(
    first,
    [{ ...saying('own', answer), anyOrder: true }],
    [question],
  );
  assert.equal(own.differences.length, 0);
  const other: Answer = { kind: 'value', value: { a: ['x', { b: [1, 3] }] } };
  const wrong = await compareOpinions(
    first,
    [{ ...saying('own', other), anyOrder: true }],
    [question],
  );
  assert.equal(wrong.differences.length, 1);
});

test('a plan that says something else than the module refuses the bundle', async () => {
  const archive = readFileSync(new URL('../../rego/dist/receipts.tar.gz', import.meta.url));
  const files = readArchive(archive);
  const verify = (plan: string) =>
    verifyBundle(contentOf(new Map([...files, ['plan.json', Buffer.from(plan)]])), {
      ...OPTIONS,
      secondOpinions: [planOpinion],
    });
  const plan = Buffer.from(files.get('plan.json') as Uint8Array).toString();
  const agreed = await verify(plan);
  assert.deepEqual([agreed.ok, agreed.missing], [true, []]);
  assert.ok(agreed.opinions.includes('plan'));
  const changed = await verify(plan.replace('"policy.no_match"', '"policy.denied"'));
  assert.equal(changed.ok, false);
  assert.ok((changed.comparison?.differences.length ?? 0) > 0);
});
