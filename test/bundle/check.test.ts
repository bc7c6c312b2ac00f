/** `egret check` and `egret init` as processes: what init writes is good, and each mistake is found at its line. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';
import { checkSources } from '../../src/bundle/check-sources.ts';
import { readConfigMaps } from '../../src/bundle/configmap.ts';
import { findProgram } from '../../src/bundle/opa-program.ts';
import { needsOpa, opa, ROOT, sourceDirectory } from '../policy/opa.ts';
import { PROGRAM } from '../program.ts';

function egret(args: readonly string[], environment: NodeJS.ProcessEnv = process.env) {
  const options = { encoding: 'utf8', cwd: ROOT, timeout: 60_000, env: environment } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, ...args], options);
  return { status, stdout, stderr, all: `${stdout}${stderr}` };
}

function emptyDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'egret-init-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return join(directory, 'policy');
}

async function findingsIn(
  t: TestContext,
  files: Readonly<Record<string, string>>,
): Promise<readonly string[]> {
  const directory = sourceDirectory(t, { 'policies/good.rego': GOOD, ...files });
  const { findings } = await checkSources(directory);
  return findings.map(({ check, file, line, message }) => {
    assert.ok(file.startsWith(directory), file);
    return `${check} ${file.slice(directory.length + 1)}:${line} ${message}`;
  });
}

const GOOD = 'package policies.good\n\nallow contains "yes" if input.tool.name == "a.b"\n';
/** One rule per line from line 3 on, as opa fmt leaves them. */
const rules = (...conditions: readonly string[]) =>
  `package policies.x\n\n${conditions.map((one, at) => `allow contains "r${at}" if ${one}\n`).join('\n')}`;

test('init writes a repository that passes its checks, its tests and its own verification', (t) => {
  if (!needsOpa(t)) return;
  const directory = emptyDirectory(t);
  const written = egret(['init', directory]);
  assert.equal(written.status, 0, written.all);
  const checked = egret(['check', directory]);
  assert.deepEqual(
    [checked.status, /, 0 findings\n$/.test(checked.stdout)],
    [0, true],
    checked.all,
  );
  const at = (path: string) => join(directory, path);
  const text = (path: string) => readFileSync(at(path), 'utf8');
  const tested = opa('test', join(ROOT, 'rego/egret'), at('policies'));
  assert.equal(tested.status, 0, tested.output);
  const verified = egret(['bundle', 'verify', at('deploy/policy.yaml'), '--inputs', '100']);
  assert.equal(verified.status, 0, verified.all);

  const { resources } = parse(text('deploy/kustomization.yaml')) as { resources: string[] };
  assert.deepEqual(resources, ['policy.yaml', 'rollout.yaml']);
  const linted = egret(['rollout', 'lint', at('deploy/rollout.yaml'), '--strict']);
  assert.equal(linted.status, 0, linted.all);
  const { scenarios } = parse(text('scenarios/mail.yaml')) as {
    scenarios: { review: object; expect: object }[];
  };
  assert.equal(scenarios.length, 2);
  assert.ok(scenarios.every(({ review, expect }) => 'request' in review && 'outcome' in expect));
  const workflow = parse(text('.github/workflows/policy.yaml')) as { jobs: object };
  assert.ok('policy' in workflow.jobs);
  assert.match(text('.gitignore'), /^key\.pem$/m);

  // The revision names the content, so CI can compare what is deployed with what the sources give.
  const built = egret(['bundle', 'build', directory, '-o', at('build/bundle.tar.gz')]);
  assert.equal(built.status, 0, built.all);
  const archive = readConfigMaps(text('deploy/policy.yaml'), 'policy.yaml');
  assert.ok(Buffer.from(archive).equals(readFileSync(at('build/bundle.tar.gz'))));
});

test('the scenarios of a new repository come out as they say', (t) => {
  if (!needsOpa(t)) return;
  const directory = emptyDirectory(t);
  assert.equal(egret(['init', directory]).status, 0);
  const file = readFileSync(join(directory, 'scenarios/mail.yaml'), 'utf8');
  const { scenarios } = parse(file) as {
    scenarios: { name: string; review: { request: object }; expect: object }[];
  };
  const cases = scenarios.map(({ name, review, expect }) => ({
    name,
    input: { arguments_state: 'parsed', attachments: [], ...review.request },
    expect,
  }));
  writeFileSync(join(directory, 'cases.json'), JSON.stringify({ cases }));
  const bundle = join(directory, 'build/bundle.tar.gz');
  assert.equal(egret(['bundle', 'build', directory, '-o', bundle]).status, 0);
  const verified = egret(['bundle', 'verify', bundle, '--inputs', '0']);
  assert.equal(verified.status, 0, verified.all);
});

test('init touches nothing that is there, and says so without a compiler', (t) => {
  const directory = emptyDirectory(t);
  const environment = { ...process.env, PATH: dirname(process.execPath) };
  const away = spawnSync(process.execPath, [PROGRAM, 'init', directory, '--json'], {
    encoding: 'utf8',
    cwd: tmpdir(),
    env: environment,
  });
  assert.equal(away.status, 0, away.stderr);
  assert.equal((JSON.parse(away.stdout) as { configmap: boolean }).configmap, false);
  assert.deepEqual(readdirSync(join(directory, 'deploy')).sort(), [
    'kustomization.yaml',
    'rollout.yaml',
  ]);
  const again = egret(['init', directory]);
  assert.equal(again.status, 2);
  assert.match(again.stderr, /egret init: .*found .*README\.md.*, expected an empty directory\n$/);
});

test('a field of the input that does not exist is an error with file and line, in either phase', async (t) => {
  if (!needsOpa(t)) return;
  const found = await findingsIn(t, {
    'policies/x.rego': rules(
      'input.tol.name == "gmail.send"',
      'input.tool.nam == "gmail.send"',
      'input.user.idd == "ada"',
      'input.response.stats == 200',
      'some attachment in input.attachments\n\tattachment.sise > 5',
      'input.agent.id.name == "x"',
    ).replace(/ if (some .*\n.*)\n/, ' if {\n\t$1\n}\n'),
  });
  const places = found.map((one) => one.split(', expected')[0]);
  assert.deepEqual(places.slice(0, 4), [
    'input policies/x.rego:3 found input.tol',
    'input policies/x.rego:5 found input.tool.nam',
    'input policies/x.rego:7 found input.user.idd',
    'input policies/x.rego:9 found input.response.stats',
  ]);
  assert.match(found[1] ?? '', /expected one of definition_hash, known, name, operation/);
  assert.equal(found.length, 6, found.join('\n'));
});

test('fields that exist, null where it may be, and free maps are no findings', async (t) => {
  if (!needsOpa(t)) return;
  const found = await findingsIn(t, {
    'policies/x.rego': rules(
      'input.user == null',
      'input.user.id == "ada"',
      'input.mcp.method == "tools/call"',
      'input.tool.sink == null',
      'input.tool.sink == "mail"',
      'input.arguments.anything.at.all == 5',
      'input.http.headers.accept[0] == "x"',
      'input.destination.query.q == ["x"]',
      'input.workload.labels.team == "x"',
      'input.state.limits.spend.left > 5',
      'input.response.content.rows[0] == 1',
      'input.time_ns > 5',
    ),
  });
  assert.deepEqual(found, []);
});

const MISTAKES: Readonly<Record<string, readonly [Readonly<Record<string, string>>, RegExp]>> = {
  'an unused import (strict)': [
    {
      'policies/x.rego':
        'package policies.x\n\nimport data.config.y\n\nallow contains "a" if input.phase == "x"\n',
    },
    /^opa policies\/x\.rego:3 import data\.config\.y unused$/,
  ],
  'Rego that cannot be parsed': [
    { 'policies/x.rego': 'package policies.x\n\nallow contains if\n' },
    /^opa policies\/x\.rego:[34] unexpected/,
  ],
  'a test that does not compile': [
    { 'policies/x_test.rego': 'package x_test\n\ntest_a if nonsense(1)\n' },
    /^opa policies\/x_test\.rego:3 undefined function nonsense$/,
  ],
  'types that can never be equal': [
    { 'policies/x.rego': rules('input.tool.name == 5') },
    /^opa policies\/x\.rego:3 match error/,
  ],
  'another format': [
    { 'policies/x.rego': 'package policies.x\nallow contains "a" if  input.phase == "x"\n' },
    /^fmt policies\/x\.rego:0 found another format/,
  ],
  'a catalogue with a wrong word': [
    {
      'tools.yaml':
        'apiVersion: egret.dev/v1\nkind: ToolCatalogue\ntools:\n  - {name: a, operation: wrte, risk: low, mcp: {tools: [a]}}\n',
    },
    /^catalogue tools\.yaml:4 tools\.0\.operation: found "wrte", expected/,
  ],
  'a YAML policy with an unknown key': [
    {
      'yaml/data.yaml':
        'policies:\n  - id: a\n    when: {tool: x}\n    allow_if: always\n    tittle: x\n',
    },
    /^yaml yaml\/data\.yaml:5 \/policies\/0\/tittle: found the unknown key tittle, expected/,
  ],
  'a YAML policy with a wrong value, in a file of its own': [
    {
      'yaml/team/data.yaml':
        'policies:\n  - id: a\n    when: {tool: x}\n    allow_if:\n      amount_at_most: much\n',
    },
    /^yaml yaml\/team\/data\.yaml:5 \/policies\/0\/allow_if\/amount_at_most: found/,
  ],
  'broken YAML': [
    { 'config/x/data.yaml': 'a: 1\nb: [\n' },
    /^data config\/x\/data\.yaml:\d found broken YAML/,
  ],
  'a key twice': [
    { 'config/x/data.yaml': 'a: 1\na: 2\n' },
    /^data config\/x\/data\.yaml:2 found broken YAML/,
  ],
};

for (const [name, [files, expected]] of Object.entries(MISTAKES)) {
  test(`found with its place: ${name}`, async (t) => {
    if (!needsOpa(t)) return;
    const found = await findingsIn(t, files);
    assert.ok(
      found.length > 0 && found.every((one) => expected.test(one)),
      found.join('\n') || 'nothing',
    );
  });
}

test('a policy for a person is one line per finding and a line about what was skipped', (t) => {
  if (!needsOpa(t)) return;
  const directory = sourceDirectory(t, { 'policies/x.rego': rules('input.tol == 1') });
  const { status, stdout, stderr } = egret(['check', directory]);
  assert.equal(status, 1);
  const json = egret(['check', directory, '--json']);
  const { ok, findings } = JSON.parse(json.stdout) as { ok: boolean; findings: object[] };
  assert.deepEqual([json.status, ok, findings.length], [1, false, 1]);
  assert.match(
    stdout,
    /^\S+policies\/x\.rego:3:\d+: found input\.tol, expected one of .* \[input\]$/m,
  );
  assert.match(stdout, /: 1 files, 1 findings\n$/);
  assert.equal(/SKIPPED LOUDLY: Regal/.test(stderr), findProgram('regal') === null);
});

test('what Regal says joins the findings where it is installed', (t) => {
  if (!needsOpa(t)) return;
  const directory = sourceDirectory(t, { 'policies/good.rego': GOOD, 'bin/regal': '' });
  const location = { file: join(directory, 'policies/good.rego'), row: 3, col: 1 };
  const violation = { title: 'some-rule', description: 'Do not.', location };
  const violations = [
    { ...violation, level: 'error' },
    { ...violation, level: 'warning' },
  ];
  // A stand-in with Regal's report: whether the real one is installed must not matter here.
  writeFileSync(
    join(directory, 'bin/regal'),
    `#!/bin/sh\ncat <<'END'\n${JSON.stringify({ violations })}\nEND\nexit 3\n`,
  );
  chmodSync(join(directory, 'bin/regal'), 0o755);
  const environment = { ...process.env, PATH: `${join(directory, 'bin')}:${process.env['PATH']}` };
  const { status, stdout, stderr } = egret(['check', directory], environment);
  assert.equal(status, 1, stderr);
  assert.match(stdout, /policies\/good\.rego:3:1: Do not\. \(some-rule\) \[regal\]\n.*1 findings/);
});

test('what cannot be checked is exit code 2 and one line', (t) => {
  const none = join(emptyDirectory(t), 'none');
  const missing = egret(['check', none]);
  assert.deepEqual([missing.status, missing.stdout], [2, '']);
  assert.match(missing.stderr, /egret check: .*none: cannot be read/);
  mkdirSync(none, { recursive: true });
  const empty = egret(['check', none]);
  assert.equal(empty.status, 2);
  assert.match(empty.stderr, /found no Rego module, expected at least one/);
});

test('the template is part of this repository and YAML that opens everywhere', () => {
  for (const file of ['deploy/kustomization.yaml', '.github/workflows/policy.yaml']) {
    const text = readFileSync(join(ROOT, 'rego/template', file), 'utf8');
    assert.deepEqual(
      parseAllDocuments(text).flatMap(({ errors }) => errors),
      [],
    );
  }
});
