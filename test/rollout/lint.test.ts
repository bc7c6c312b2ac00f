// `egret rollout lint`: places are those of the file that was given, and each risk has its code.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { LintUnreadable, lintPolicySets } from '../../src/rollout/lint.ts';
import { WARNING_CODES } from '../../src/rollout/lint-warning.ts';
import { readPolicySet } from '../../src/rollout/policy-set.ts';
import { YAML } from './set-stage.ts';

const lint = (text: string) => lintPolicySets(text, 'f.yaml');
const HEAD = 'apiVersion: egret.dev/v1alpha1\nkind: PolicySet\nmetadata: {name: mail}\n';
const withSpec = (spec: string) => `${HEAD}spec:\n  candidate: {bundle: b}\n${spec}`;
const codes = (spec: string) => lint(withSpec(spec)).warnings.map(({ code }) => code);

/** The text as a literal block of a ConfigMap manifest. */
const manifest = (yaml: string, labels = '{egret.dev/policy-set: mail}') =>
  [
    'apiVersion: v1',
    'kind: ConfigMap',
    `metadata: {name: mail-policy, labels: ${labels}}`,
    'data:',
    '  rollout.yaml: |',
    ...yaml
      .trimEnd()
      .split('\n')
      .map((line) => `    ${line}`),
    '',
  ].join('\n');

test('a good set has neither problems nor warnings, alone and in its ConfigMap', () => {
  const good = { sets: 1, problems: [], warnings: [] };
  assert.deepEqual(lint(YAML), good);
  assert.deepEqual(lint(manifest(YAML)), good);
});

test('the defaults have no warnings', () => {
  assert.deepEqual(codes(''), []);
});

test('problems are the texts that the controller shows, with the same place', () => {
  const wrong = withSpec('  unit: planet\n  mode: guardd\n');
  const reading = readPolicySet(wrong, 'f.yaml');
  assert.ok(!reading.ok);
  assert.deepEqual(lint(wrong).problems, reading.problems);
  assert.equal(reading.problems.length, 2);
});

test('a problem within a ConfigMap has line and column of the manifest', () => {
  const text = manifest(withSpec('  unit: planet\n'));
  const [problem = ''] = lint(text).problems;
  const [line, column] = [text.split('\n').findIndex((one) => one.includes('planet')), 13];
  assert.match(problem, new RegExp(`^f\\.yaml:${line + 1}:${column}: spec\\.unit: found "planet"`));
});

test('a problem in a later document has the line of the whole file', () => {
  const text = `# first\nkind: Service\n---\n${YAML}---\n${withSpec('  unit: planet\n')}`;
  const line = text.split('\n').findIndex((one) => one.includes('planet')) + 1;
  const report = lint(text);
  assert.equal(report.sets, 2);
  assert.match(report.problems.join('\n'), new RegExp(`^f\\.yaml:${line}:9: spec\\.unit`));
});

test('a set in a quoted text or in the JSON of kubectl is named with the line it begins on', () => {
  const data = { 'rollout.yaml': withSpec('  unit: planet\n') };
  const metadata = { name: 'x', labels: { 'egret.dev/policy-set': 'mail' } };
  const items = [{ kind: 'ConfigMap', metadata, data }];
  const { problems } = lint(JSON.stringify({ kind: 'List', items }, null, 2));
  assert.match(problems.join('\n'), /^f\.yaml:13:data\[rollout\.yaml\]:6:9: spec\.unit/);
});

test('each of several mistakes is a problem, and a wrong step is named by what it is', () => {
  const { problems } = lint(
    withSpec('  steps:\n    - {shadow: ten}\n    - {weight: 5, fro: 1m}\n    - {pause: aproval}\n'),
  );
  assert.deepEqual(problems, [
    'f.yaml:7:16: spec.steps.0.shadow: found "ten", expected a duration such as 30s, 10m or 1h30m, at most 90d',
    'f.yaml:8:7: spec.steps.1: found unknown key "fro", expected only documented keys',
    'f.yaml:9:15: spec.steps.2.pause: found "aproval", expected "approval" or a duration such as 30s, 10m or 1h30m, at most 90d',
  ]);
});

test('a label that names another set is a problem, a missing one a warning', () => {
  const other = lint(manifest(YAML, '{egret.dev/policy-set: letters}'));
  assert.match(other.problems.join(), /^f\.yaml:3:\d+: .*found "letters", expected "mail"/);
  const none = lint(manifest(YAML, '{}'));
  assert.deepEqual(none.problems, []);
  assert.deepEqual(
    none.warnings.map(({ code }) => code),
    ['no-label'],
  );
});

test('a ConfigMap with the label and without rollout.yaml is a problem', () => {
  const text = manifest(YAML).replace('rollout.yaml:', 'rollout.yml:');
  assert.match(lint(text).problems.join(), /data\.rollout\.yaml: found nothing, expected the text/);
});

const RISKS: readonly (readonly [string, string, readonly string[]])[] = [
  ['a weight before any shadow', '  steps: [{weight: 50, for: 5m}]\n', ['no-shadow']],
  [
    'a replay is as good as a shadow',
    '  steps: [{replay: {last: 1h}}, {weight: 50, for: 5m}]\n',
    [],
  ],
  ['a weight without time', '  steps: [{shadow: 5m}, {weight: 50}]\n', ['no-minimum-time']],
  ['the last weight of 100 needs none', '  steps: [{shadow: 5m}, {weight: 100}]\n', []],
  [
    'nor does one that a pause holds',
    '  steps: [{shadow: 5m}, {weight: 60}, {pause: approval}]\n',
    [],
  ],
  ['from few to all', '  steps: [{shadow: 5m}, {weight: 5, for: 5m}]\n', ['jump-to-all']],
  ['no samples', '  analysis: {minSamples: 0}\n', ['no-minimum-samples']],
  ['nobody is asked', '  widen: unattended\n', ['unattended-widening']],
  ['the author approves', '  mode: candidate\n', ['own-approval']],
  ['four eyes approve', '  mode: candidate\n  fourEyes: true\n', []],
  ['no time to finish', '  deadline: 10m\n', ['deadline-too-short']],
];
for (const [sentence, spec, expected] of RISKS) {
  test(`risk: ${sentence}`, () => assert.deepEqual(codes(spec), expected));
}

test('every code of a warning is one that a risk above has', () => {
  const seen = new Set(RISKS.flatMap(([, , expected]) => expected).concat('no-label'));
  assert.deepEqual(Object.keys(WARNING_CODES).toSorted(), [...seen].toSorted());
});

test('every code of a warning is explained in docs/rollout-cli.md', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/rollout-cli.md'), 'utf8');
  for (const [code, text] of Object.entries(WARNING_CODES)) {
    assert.ok(page.includes(`| \`${code}\` | ${text} |`), code);
  }
});

test('a warning about what was left out points to what surrounds it', () => {
  const [warning] = lint(withSpec('  mode: candidate\n')).warnings;
  assert.match(warning?.text ?? '', /^f\.yaml:6:9: spec\.mode: /);
  const [missing] = lint(withSpec('  steps: [{shadow: 2d}]\n')).warnings;
  assert.match(missing?.text ?? '', /^f\.yaml:5:3: spec\.deadline: /);
});

test('no YAML, and YAML without a policy set, cannot be read', () => {
  assert.throws(() => lint('a: [\n'), LintUnreadable);
  assert.throws(() => lint('kind: Service\n'), /found neither a PolicySet nor a ConfigMap/);
  assert.throws(() => lint(''), LintUnreadable);
});
