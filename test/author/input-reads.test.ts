/** What a policy can read of its input, told from its plan: never less than it does read. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { vocabularyOf } from '../../src/author/constants.ts';
import { generated } from '../../src/author/generate.ts';
import { inputReads, partsOf, READS_ALL } from '../../src/author/input-reads.ts';
import { loadPolicy } from '../../src/author/policy-source.ts';
import { seeded } from '../../src/author/random.ts';
import { decided } from '../../src/author/replay.ts';
import { readArchive } from '../../src/bundle/archive.ts';
import { needsOpa, opa } from '../policy/opa.ts';
import { directory, RECEIPTS, ROOT } from './egret.ts';

/** [body of a rule, may it read the headers] */
const BODIES: Readonly<Record<string, readonly [string, boolean]>> = {
  nothing: ['1 == 1', false],
  'another part': ['input.tool.name == "x"', false],
  'a part beside it': ['input.http.method == "GET"', false],
  'another part by object.get': ['object.get(input, ["tool", "name"], "") == "x"', false],
  'an argument of this name': ['input.arguments.headers == 1', false],
  'the headers': ['input.http.headers.accept', true],
  'a header by name': ['input["http"]["headers"]["accept"][0] == "x"', true],
  'the headers by object.get': ['object.get(input, ["http", "headers", "accept"], 0) == 1', true],
  'the request by object.get': ['object.get(input, "http", {}).headers.a', true],
  'a computed key': ['some k in ["headers"]; input.http[k].a', true],
  'a key put together': ['input.http[concat("", ["head", "ers"])].a', true],
  'object.get with a computed way': [
    'some k in ["headers"]; object.get(input, ["http", k], 0) != 0',
    true,
  ],
  'all of the request': ['some _, v in input.http; v.a', true],
  'all of the input': ['some v in input; v.headers', true],
  'a walk': ['walk(input, [["http", "headers", "a"], _])', true],
  'a count': ['count(input.http) > 1', true],
  'text of the input': ['contains(json.marshal(input), "x")', true],
  'a comparison': ['input.http == {"method": "GET", "headers": {}}', true],
  'a copy': ['copy := input.http; copy.headers.a', true],
  'a helper with the request': ['helper(input.http)', true],
  'a helper with the input': ['helper(input)', true],
  'a rule that is the request': ['request.headers.a', true],
  'a list that holds it': ['[input.http][0].headers.a', true],
  'an object that holds it': ['{"a": input.http}.a.headers.a', true],
  'a set of it': ['some one in {input.http}; one.headers.a', true],
  'a comprehension': ['[h | some h in input.http.headers] != []', true],
  'another input with it': ['inner with input as {"http": input.http}', true],
  'an every': ['every _, h in input.http { h }', true],
  'a negation': ['not input.http.headers.a', true],
};

const HELPERS = `
helper(x) if x.headers.a

request := input.http

inner if input.http.headers.a
`;

test('each way to get at the headers is seen, and reading other parts is no such way', (t) => {
  if (!needsOpa(t)) return;
  for (const [name, [body, expected]] of Object.entries(BODIES)) {
    const place = directory(t, { 'p.rego': `package p\n\nr if {\n\t${body}\n}\n${HELPERS}` });
    const bundle = join(place, 'b.tar.gz');
    const built = opa(
      'build',
      '-t',
      'plan',
      '--prune-unused',
      '-e',
      'p/r',
      '-o',
      bundle,
      join(place, 'p.rego'),
    );
    assert.equal(built.status, 0, `${name}: ${built.output}`);
    const reads = inputReads(readArchive(readFileSync(bundle)).get('plan.json'));
    assert.equal(reads.mayRead(['http', 'headers']), expected, name);
  }
});

test('without a plan, or with one that is none, a policy reads everything', () => {
  assert.equal(inputReads(undefined), READS_ALL);
  const strange =
    '{"plans": {"plans": [{"blocks": [{"stmts": [{"type": "NewStmt", "stmt": {}}]}]}]}}';
  for (const text of ['', 'null', '{"plans": 5}', '{"funcs": {"funcs": [{}]}}', strange]) {
    assert.equal(inputReads(Buffer.from(text)), READS_ALL, text);
  }
});

test('parts of the input that the packs cannot read change no decision', async () => {
  for (const path of [RECEIPTS, join(ROOT, 'rego/dist/receipts-yaml.tar.gz')]) {
    const policy = await loadPolicy(path);
    const reads = inputReads(policy.files.get('plan.json'));
    const words = vocabularyOf(policy, policy);
    assert.deepEqual(
      [reads.mayRead(['http', 'headers']), reads.mayRead(['arguments', 'to'])],
      [false, true],
    );
    fc.assert(
      fc.property(fc.nat(), fc.dictionary(fc.string(), fc.array(fc.string())), (seed, headers) => {
        const input = generated({ words, random: seeded(seed) });
        const { destination: usual } = input;
        const destination = {
          ...usual,
          path: `/${seed}`,
          segments: [String(seed)],
          query: headers,
        };
        const changed = { ...input, http: { ...input.http, headers }, destination };
        assert.equal(reads.mayRead(['destination', 'path']), false);
        assert.deepEqual(decided(policy, changed), decided(policy, input));
      }),
      { numRuns: 200 },
    );
    policy.engine.close();
  }
});

test('a pointer of the log stands for the parts that may be left out there', () => {
  assert.deepEqual(partsOf('/input/http/headers'), [['http', 'headers']]);
  assert.deepEqual(partsOf('/input/arguments/a~1b'), [['arguments', 'a/b']]);
  assert.deepEqual(partsOf('/input/arguments'), [['arguments']]);
  assert.deepEqual(partsOf('/input/attachments/0/sha256'), [['attachments']]);
  assert.deepEqual(partsOf('/input'), [[]]);
});
