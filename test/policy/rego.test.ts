// The Rego sources keep the house rules: formatted, strict, and their own tests pass with every rule reached.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needsOpa, opa } from './opa.ts';

const MODULES = ['rego/egret', 'rego/packs/receipts', 'rego/packs/mcp-session'];
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
  const { status, output } = opa('check', '--strict', ...MODULES);
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
