// The Rego sources keep the house rules: formatted, strict, and their own tests pass with every rule reached. The packs
// are tested one by one in packs.test.ts: a bundle has those that it is built from, and each denies without settings.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needsOpa, opa } from './opa.ts';

/** The library is tested with the pack whose YAML form it must agree with. */
const MODULES = ['rego/egret', 'rego/packs/receipts'];
/** Scenarios and schemas are no data. */
const NO_DATA = ['--ignore', '*.yaml', '--ignore', '*.json'];
/** Percent of the expressions of a file that the tests must reach. */
const COVERAGE_MIN = 99;
/** For one rule: a table of many cases on a busy machine. */
const TIMEOUT = '120s';

test('Rego is formatted', (t) => {
  if (!needsOpa(t)) return;
  const { status, output } = opa('fmt', '--fail', '--list', 'rego');
  assert.equal(status, 0, output);
});

test('Rego compiles in strict mode', (t) => {
  if (!needsOpa(t)) return;
  const { status, output } = opa('check', '--strict', 'rego/egret', 'rego/packs');
  assert.equal(status, 0, output);
});

test('the tests in Rego pass and reach what they are about', (t) => {
  if (!needsOpa(t)) return;
  const { status, output } = opa(
    'test',
    '--timeout',
    TIMEOUT,
    '--coverage',
    '--format',
    'json',
    ...NO_DATA,
    ...MODULES,
  );
  assert.equal(status, 0, output.slice(0, 4000));
  const { files } = JSON.parse(output) as { files: Record<string, { coverage?: number }> };
  const modules = Object.entries(files).filter(([file]) => !file.endsWith('_test.rego'));
  assert.ok(modules.length >= 7);
  for (const [file, { coverage = 0 }] of modules) {
    assert.ok(coverage >= COVERAGE_MIN, `${file}: ${coverage} % reached`);
  }
});
