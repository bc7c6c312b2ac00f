/** The gate: a good bundle becomes a revision, every other one is refused with its code and place. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { activate, filesDigest, type Revision } from '../../src/bundle/activation.ts';
import { readArchive } from '../../src/bundle/archive.ts';
import { compileRego } from '../decision/compiled-policy.ts';
import { BOMB, CONFLICT, ENDLESS } from '../decision/policies.ts';
import { bundleFiles, contentOf, type Files, MANIFEST } from './bundle-files.ts';

const OPTIONS = { set: 'main', nowMs: 1_795_341_600_000 };

function revisionOf(t: TestContext, change: Files = {}): Revision | null {
  const files = bundleFiles(t, change);
  if (files === null) return null;
  const activation = activate(contentOf(files), OPTIONS);
  assert.ok(activation.ok, JSON.stringify(activation));
  t.after(() => activation.revision.engine.close());
  return activation.revision;
}

/** `code file path` of each error. */
function refusalOf(t: TestContext, change: Files, options: object = {}): string | null {
  const files = bundleFiles(t, change);
  if (files === null) return null;
  const activation = activate(contentOf(files), { ...OPTIONS, ...options });
  if (activation.ok) return 'accepted';
  for (const { message, found, expected } of activation.errors) {
    assert.ok(message.length < 1000 && found !== '' && expected !== '', message);
  }
  return activation.errors
    .map(({ code, file, path }) => `${code} ${file} ${path}`.trim())
    .join(', ');
}

test('a good bundle becomes a revision that decides', (t) => {
  const revision = revisionOf(t, { 'tools.yaml': 'tools: []' });
  if (revision === null) return;
  assert.deepEqual([revision.ref.set, revision.ref.revision], ['main', 'r1']);
  assert.match(revision.ref.digest, /^sha256:[0-9a-f]{64}$/);
  assert.equal(revision.catalogueText, 'tools: []');
  assert.equal(revision.activatedAtMs, OPTIONS.nowMs);
  const evaluation = revision.engine.evaluate('{"tool":"gmail.send"}', 0n);
  assert.equal(evaluation.ok && (evaluation.value as { message: string }).message, 'a/a');
});

test('without a revision in the manifest the digest stands in', (t) => {
  const revision = revisionOf(t, { '.manifest': { ...MANIFEST, revision: '' } });
  assert.equal(revision?.ref.revision, revision?.ref.digest);
});

test('data files join at the paths of their directories, with integers kept exactly', (t) => {
  const revision = revisionOf(t, {
    'data.json': '{"config":{"tool":12345678901234567890123}}',
    'config/data.yaml': 'first: from yaml\n',
    'config/second/data.yml': 'nested\n',
  });
  const evaluation = revision?.engine.evaluate('{"tool":12345678901234567890123}', 0n);
  if (evaluation === undefined) return;
  assert.equal(
    evaluation.ok && (evaluation.value as { message: string }).message,
    'from yaml/nested',
  );
  const other = revision?.engine.evaluate('{"tool":12345678901234567890124}', 0n);
  assert.equal(other?.ok && (other.value as { allowed: boolean }).allowed, false);
});

test('the digest of a directory covers every path and byte', () => {
  const digest = (entries: [string, string][]) =>
    filesDigest(new Map(entries.map(([path, text]) => [path, Buffer.from(text)])));
  const all = [
    digest([['a', 'b']]),
    digest([['a', 'c']]),
    digest([['b', 'b']]),
    digest([
      ['a', 'b'],
      ['b', ''],
    ]),
    digest([]),
  ];
  assert.equal(new Set(all).size, all.length);
  assert.equal(
    digest([
      ['a', '1'],
      ['b', '2'],
    ]),
    digest([
      ['b', '2'],
      ['a', '1'],
    ]),
  );
});

const manifest = (change: object): Files => ({ '.manifest': { ...MANIFEST, ...change } });
const entry = (entrypoint: string, module = '/policy.wasm') => ({ entrypoint, module });

const REFUSED: readonly (readonly [string, string, Files])[] = [
  ['no manifest', 'manifest_missing .manifest', { '.manifest': '' }],
  ['a manifest that is no JSON', 'manifest_invalid .manifest', { '.manifest': '{' }],
  ['a manifest that is no object', 'manifest_invalid .manifest', { '.manifest': '[]' }],
  ['a revision that is no text', 'manifest_invalid .manifest revision', manifest({ revision: 5 })],
  ['an unknown field', 'manifest_invalid .manifest', manifest({ revison: 'x' })],
  ['no roots', 'roots_too_wide .manifest roots', manifest({ roots: undefined })],
  [
    'the root of everything, as -O builds it',
    'roots_too_wide .manifest roots',
    manifest({ roots: [''] }),
  ],
  ['the root /', 'roots_too_wide .manifest roots', manifest({ roots: ['egret', '/'] })],
  ['an empty list of roots', 'roots_too_wide .manifest roots', manifest({ roots: [] })],
  [
    'roots that overlap',
    'manifest_invalid .manifest roots',
    manifest({ roots: ['egret', 'egret/x', 'config'] }),
  ],
  [
    'another API version',
    'api_version_unsupported .manifest metadata.egret.api_version',
    manifest({ metadata: { egret: { api_version: 'egret.dev/v9' } } }),
  ],
  ['no WebAssembly', 'entrypoint_missing .manifest wasm', manifest({ wasm: [] })],
  [
    'two modules',
    'entrypoint_missing .manifest wasm',
    manifest({ wasm: [entry('egret/decision'), entry('egret/x', 'other.wasm')] }),
  ],
  [
    'an entrypoint twice',
    'manifest_invalid .manifest wasm',
    manifest({ wasm: [entry('egret/decision'), entry('egret/decision')] }),
  ],
  [
    'an entrypoint outside of the roots',
    'outside_roots .manifest wasm',
    manifest({ wasm: [entry('egret/decision'), entry('other/x')] }),
  ],
  [
    'an entrypoint that the policy lacks',
    'entrypoint_missing policy.wasm',
    manifest({ wasm: [entry('egret/decision'), entry('egret/more')] }),
  ],
  [
    'no decision entrypoint',
    'entrypoint_missing policy.wasm',
    manifest({ wasm: [entry('egret/other')] }),
  ],
  ['no policy', 'policy_missing policy.wasm', { 'policy.wasm': '' }],
  ['a policy that is text', 'wasm_unsupported policy.wasm', { 'policy.wasm': 'text' }],
  [
    'a policy of another kind',
    'abi_unsupported policy.wasm',
    { 'policy.wasm': Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0) },
  ],
  [
    'a signature',
    'signature_unverifiable .signatures.json',
    { '.signatures.json': { signatures: ['x'] } },
  ],
  ['a delta', 'delta_unsupported patch.json', { 'patch.json': { data: [] } }],
  ['data that is no JSON', 'data_invalid data.json', { 'data.json': '{"config":{},}' }],
  ['data with a key twice', 'data_invalid data.json', { 'data.json': '{"config":{},"config":{}}' }],
  ['data that is a list', 'data_invalid data.json', { 'data.json': '[]' }],
  [
    'data that is no UTF-8',
    'data_invalid data.json',
    { 'data.json': Uint8Array.of(0x22, 0xff, 0x22) },
  ],
  ['broken YAML', 'data_invalid config/data.yaml', { 'config/data.yaml': 'a: [' }],
  [
    'YAML with a key twice',
    'data_invalid config/data.yaml',
    { 'config/data.yaml': 'a: 1\na: 2\n' },
  ],
  [
    'YAML with a key that is no text',
    'data_invalid config/data.yaml',
    { 'config/data.yaml': '1: a\n' },
  ],
  ['YAML that is infinite', 'data_invalid config/data.yaml x', { 'config/data.yaml': 'x: .inf\n' }],
  ['a YAML bomb', 'data_invalid config/data.yaml', { 'config/data.yaml': bomb() }],
  [
    'two values for one path',
    'data_conflict data.json config/first',
    { 'config/data.yaml': 'first: b\n' },
  ],
  [
    'data outside of the roots',
    'outside_roots data.json other',
    { 'data.json': { config: {}, other: 1 } },
  ],
  [
    'data around a root that is no object',
    'outside_roots data.json egret',
    { ...manifest({ roots: ['egret/x', 'egret/decision', 'config'] }), 'data.json': { egret: 5 } },
  ],
  [
    'an unlisted self-test',
    'entrypoint_missing .manifest metadata.egret.self_tests',
    manifest({ metadata: { egret: { self_tests: ['egret/test_x'] } } }),
  ],
];

function bomb(): string {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
  for (let i = 1; i < 9; i++)
    lines.push(
      `a${i}: &a${i} [${Array(10)
        .fill(`*a${i - 1}`)
        .join(', ')}]`,
    );
  return `${lines.join('\n')}\n`;
}

for (const [name, expected, change] of REFUSED) {
  test(`refused: ${name}`, (t) => {
    const refusal = refusalOf(t, change);
    if (refusal !== null) assert.equal(refusal, expected);
  });
}

test('a digest other than the expected one is refused before anything is read', (t) => {
  const refusal = refusalOf(t, { '.manifest': '{' }, { expectedDigest: 'sha256:00' });
  if (refusal !== null) assert.equal(refusal, 'digest_mismatch bundle');
});

test('a catalogue that its reader refuses is refused with every problem', (t) => {
  const validateCatalogue = () => {
    throw new Error('tools.yaml:1:1: first\ntools.yaml:2:1: second');
  };
  const refusal = refusalOf(t, { 'tools.yaml': 'x' }, { validateCatalogue });
  if (refusal !== null)
    assert.equal(refusal, 'catalogue_invalid tools.yaml, catalogue_invalid tools.yaml');
});

test('what the reader of the catalogue makes of it is in the revision', (t) => {
  const files = bundleFiles(t, { 'tools.yaml': 'abc' });
  if (files === null) return;
  const validateCatalogue = (text: string, file: string) => `${file}: ${text.length}`;
  const activation = activate(contentOf(files), { ...OPTIONS, validateCatalogue });
  assert.equal(activation.ok && activation.revision.catalogue, 'tools.yaml: 3');
});

const ALLOWS_ALL = `package egret

decision := {"allowed": true, "outcome": "allow", "code": "policy.allowed", "message": "", "reasons": [], "obligations": [], "warnings": []}
`;
const DENY_LIST = `package egret

import data.config

bad if input.tool == "shell"
decision := {"allowed": true, "outcome": "allow", "code": "policy.allowed", "message": "", "reasons": [], "obligations": [], "warnings": []} if not bad
decision := {"allowed": false, "outcome": "deny", "code": "policy.denied", "message": "", "reasons": [], "obligations": [], "warnings": []} if bad
`;

test('a policy is probed with an empty input, which it must deny without failing', (t) => {
  const probes: readonly (readonly [string, string, string])[] = [
    ['allows everything', ALLOWS_ALL, 'empty_input_allowed'],
    ['allows what it does not name', DENY_LIST, 'empty_input_allowed'],
    ['answers with a boolean', 'package egret\n\ndecision := true\n', 'empty_input_failed'],
    ['has no answer', 'package egret\n\ndecision := 1 if input.x\n', 'empty_input_failed'],
    ['never ends', ENDLESS.replace('input.never', '-1'), 'empty_input_failed'],
    ['eats memory', BOMB, 'empty_input_failed'],
    [
      'contradicts itself',
      CONFLICT.replace('input.a', '1').replace('input.b', 'numbers.range(1, 2)'),
      'empty_input_failed',
    ],
    [
      'reaches out',
      'package egret\n\ndecision := http.send({"method": "get", "url": "http://x"})\n',
      'builtin_unknown',
    ],
  ];
  for (const [name, rego, code] of probes) {
    const wasm = compileRego(t, [rego]);
    if (wasm === null) return;
    const refusal = refusalOf(t, { 'policy.wasm': wasm });
    assert.match(String(refusal), new RegExp(`^${code} policy`), name);
  }
});

const WITH_TESTS = `package egret

decision := {"allowed": false, "outcome": "deny", "code": "policy.no_match", "message": "", "reasons": [], "obligations": [], "warnings": []}
test_good if decision.code == "policy.no_match" with input as {"a": 1}
test_bad if decision.allowed
`;

test('embedded self-tests must all be true', (t) => {
  const names = ['egret/decision', 'egret/test_good', 'egret/test_bad'];
  const wasm = compileRego(t, [WITH_TESTS], names);
  if (wasm === null) return;
  const change = (...self_tests: string[]): Files => ({
    'policy.wasm': wasm,
    '.manifest': {
      ...MANIFEST,
      wasm: names.map((name) => entry(name)),
      metadata: { egret: { self_tests } },
    },
  });
  assert.equal(refusalOf(t, change('egret/test_good')), 'accepted');
  assert.equal(
    refusalOf(t, change('egret/test_good', 'egret/test_bad')),
    'self_test_failed policy egret/test_bad',
  );
});

const YAML_ERRORS = `package egret

decision := {"allowed": false, "outcome": "deny", "code": "policy.no_match", "message": "", "reasons": [], "obligations": [], "warnings": []}
yaml.errors := object.get(data.config, "errors", [])
`;

test('malformed YAML policies are refused with each path', (t) => {
  const names = ['egret/decision', 'egret/yaml/errors'];
  const wasm = compileRego(t, [YAML_ERRORS], names);
  if (wasm === null) return;
  const change = (errors: unknown): Files => ({
    'policy.wasm': wasm,
    'data.json': { config: { errors } },
    '.manifest': { ...MANIFEST, wasm: names.map((name) => entry(name)) },
  });
  assert.equal(refusalOf(t, change([])), 'accepted');
  const problem = { path: 'yaml.policies[0].when', found: 'number', expected: 'object' };
  assert.equal(
    refusalOf(t, change([problem, { ...problem, path: 'x' }])),
    'yaml_policy_invalid data yaml.policies[0].when, yaml_policy_invalid data x',
  );
  assert.equal(refusalOf(t, change('none')), 'yaml_policy_invalid data');
  assert.equal(refusalOf(t, change([5])), 'yaml_policy_invalid data ?');
});

test('the bundles that ship pass the gate', () => {
  for (const name of ['receipts', 'receipts-yaml']) {
    const bytes = readFileSync(new URL(`../../rego/dist/${name}.tar.gz`, import.meta.url));
    const activation = activate({ files: readArchive(bytes), digest: 'sha256:x' }, OPTIONS);
    assert.ok(activation.ok, JSON.stringify(activation));
    activation.revision.engine.close();
  }
});
