/** `egret test`: test rules on the compiled policy, with the same answers as `opa test`. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { needsOpa, opa } from '../policy/opa.ts';
import { directory, egret, MAIN, ROOT } from './egret.ts';

const POLICY = `package policies.small

allow contains "small amounts" if {
	is_number(input.arguments.amount)
	input.arguments.amount < limit
}

default limit := 10

limit := 100 if input.agent.id == "trusted"
`;

const TESTS = `package small_test

import data.policies.small

allowed(amount) if small.allow["small amounts"] with input as {"arguments": {"amount": amount}}

test_small if allowed(5)

test_large if allowed(50)

test_cases[tc.note] if {
	some tc in [{"note": "one", "amount": 1}, {"note": "eleven", "amount": 11}]
	note := tc.note
	note != ""
	allowed(tc.amount)
}

# Two rules of one name are two tests: the one that holds must not hide the other.
test_twice if allowed(1)

test_twice if allowed(1000)

test_text := "yes"

test_some contains 1 if allowed(1)

todo_test_later if false
`;

interface Result {
  readonly name: string;
  readonly line: number;
  readonly status: string;
  readonly cases: Readonly<Record<string, boolean>>;
  readonly detail: string | null;
}

test('failures name file and line, cases that do not hold are named, and one name hides no other', (t) => {
  if (!needsOpa(t)) return;
  const place = directory(t, { 'policies/small.rego': POLICY, 'policies/small_test.rego': TESTS });
  const junit = join(place, 'junit.xml');
  const ran = egret(['test', place, '--json', '--junit', junit]);
  assert.equal(ran.status, 1, ran.stderr);
  const results: readonly Result[] = JSON.parse(ran.stdout).tests;
  assert.deepEqual(
    results.map(({ name, line, status }) => `${name}:${line} ${status}`),
    [
      'test_small:7 passed',
      'test_large:9 failed',
      'test_cases:11 failed',
      'test_twice:19 passed',
      'test_twice#01:21 failed',
      'test_text:23 failed',
      'test_some:25 failed',
      'todo_test_later:27 skipped',
    ],
  );
  assert.deepEqual(results[2]?.cases, { one: true, eleven: false });
  assert.equal(results[2]?.detail, 'does not hold: eleven');
  const text = egret(['test', place]).stdout;
  assert.match(text, /^FAIL {2}\S+small_test\.rego:9 {2}data\.small_test\.test_large$/m);
  assert.match(text, /^2 passed, 5 failed, 1 skipped$/m);
  const xml = readFileSync(junit, 'utf8');
  assert.match(xml, /tests="8" failures="5" errors="0" skipped="1"/);
  assert.match(xml, /name="test_large" file="[^"]+" line="9"/);
});

test('the tests of the library and the packs have the same results as with opa test', (t) => {
  if (!needsOpa(t)) return;
  const said = opa('test', '--format', 'json', 'rego/egret', 'rego/packs/receipts').output;
  const expected = (JSON.parse(said) as { name: string; fail?: boolean; sub_results?: object }[])
    .map(({ name, fail, sub_results }) => [
      name,
      fail === true ? 'failed' : 'passed',
      Object.keys(sub_results ?? {}).length,
    ])
    .sort();
  const ran = egret([
    'test',
    join(ROOT, 'rego/egret'),
    join(ROOT, 'rego/packs/receipts'),
    '--json',
  ]);
  assert.equal(ran.status, 0, ran.stdout + ran.stderr);
  const results: readonly Result[] = JSON.parse(ran.stdout).tests;
  const found = results.map(({ name, status, cases }) => [name, status, Object.keys(cases).length]);
  assert.deepEqual(found.sort(), expected);
  assert.ok(found.length > 40);
});

test('--run selects, --coverage names the lines that no test reaches, --threshold is exit code 1', (t) => {
  if (!needsOpa(t)) return;
  const place = directory(t, {
    'policies/small.rego': POLICY,
    'policies/small_test.rego': TESTS.replace(/allowed\(50\)[\s\S]*/, 'allowed(6)\n'),
  });
  const selected = egret(['test', place, '--run', 'test_small$', '--verbose']);
  assert.match(selected.stdout, /^ok {4}data\.small_test\.test_small\n1 passed/);
  const { coverage } = JSON.parse(egret(['test', place, '--coverage', '--json']).stdout);
  assert.deepEqual(coverage, {
    percent: 80,
    files: [
      {
        file: join(place, 'policies/small.rego'),
        percent: 80,
        covered: [
          [3, 5],
          [8, 8],
        ],
        // The body was reached and did not hold: the rule never gave its value.
        notCovered: [[10, 10]],
      },
    ],
  });
  const covered = egret(['test', place, '--threshold', '100']);
  assert.equal(covered.status, 1);
  assert.match(covered.stdout, /80\.0 % {2}\S+small\.rego {2}not reached: 10/);
  assert.equal(egret(['test', place, '--threshold', '80']).status, 0);
});

test('lines that no test asks for count: whole rules, functions that nothing calls, and with no test at all', (t) => {
  if (!needsOpa(t)) return;
  const place = directory(t, {
    'policies/used.rego': `package policies.used\n\nallow contains "a" if input.a\n`,
    'policies/odd.rego': `package policies.odd

deny contains "x" if {
	input.x
	twice(input.n) > 2
}

twice(n) := 2 * n

parts["of-a"].name(a, b) := [a, b]

late(x) := 1 if {
	x == 1
} else := 2
`,
    'policies/used_test.rego':
      'package used_test\n\ntest_a if data.policies.used.allow.a with input as {"a": true}\n',
  });
  const coverage = () => JSON.parse(egret(['test', place, '--coverage', '--json']).stdout).coverage;
  assert.deepEqual(
    coverage().files.map(({ notCovered }: { notCovered: unknown }) => notCovered),
    [
      [
        [3, 5],
        [8, 8],
        [10, 10],
        [12, 14],
      ],
      [],
    ],
  );
  writeFileSync(
    join(place, 'policies/used_test.rego'),
    'package used_test\n\ntodo_test_a if data.policies.used.allow.a\n',
  );
  assert.equal(coverage().percent, 0);
  assert.equal(egret(['test', place, '--threshold', '1']).status, 1);
});

test('with coverage the plan engine runs every test, too, and a difference is a failure that shows both', (t) => {
  if (!needsOpa(t)) return;
  // OPA's module takes for JSON what OPA and the plan engine do not.
  const place = directory(t, {
    'policies/lax.rego': 'package policies.lax\n\nallow contains "json" if json.is_valid("0x1")\n',
    'policies/lax_test.rego': `package lax_test

test_lax if data.policies.lax.allow["json"]

test_cases[name] if {
	some name in ["0x1"]
	json.is_valid(name)
}

test_sound if not data.policies.lax.deny
`,
  });
  assert.equal(egret(['test', place]).status, 0);
  const ran = egret(['test', place, '--coverage', '--json']);
  assert.equal(ran.status, 1, ran.stderr);
  const results: readonly Result[] = JSON.parse(ran.stdout).tests;
  assert.deepEqual(
    results.map(({ detail }) => detail),
    [
      'the engines differ: WebAssembly: passed {}; plan: found undefined, expected true',
      'the engines differ: WebAssembly: passed {"0x1":true}; plan: does not hold: 0x1',
      null,
    ],
  );
});

test('what cannot be compiled, and nothing to test, is exit code 2 with the file of the author', (t) => {
  if (!needsOpa(t)) return;
  const broken = directory(t, {
    'a.rego': 'package policies.a\n\nallow contains x if true\n',
    'a_test.rego': 'package a_test\n\ntest_a if data.policies.a.allow\n',
  });
  const ran = egret(['test', broken]);
  assert.equal(ran.status, 2);
  assert.ok(ran.stderr.includes(`${join(broken, 'a.rego')}:3`), ran.stderr);
  const untested = directory(t, { 'a.rego': 'package policies.a\n\nallow contains "x" if true\n' });
  assert.match(egret(['test', untested]).stderr, /found no test, expected rules named test_/);
  assert.equal(egret(['test', join(untested, 'none')]).status, 2);
});

test('--watch runs again when a file has changed, and ends with the signal', async (t) => {
  if (!needsOpa(t)) return;
  const file = 'policies/small_test.rego';
  const place = directory(t, { 'policies/small.rego': POLICY, [file]: TESTS });
  const child = spawn(process.execPath, [MAIN, 'test', place, '--watch'], { stdio: 'pipe' });
  t.after(() => child.kill('SIGKILL'));
  let printed = '';
  child.stdout.setEncoding('utf8');
  child.stderr.setEncoding('utf8');
  const shows = async (wanted: string) => {
    while (!printed.includes(wanted)) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text: string) => {
      printed += text;
    });
  }
  await shows('watching');
  assert.match(printed, /^2 passed, 5 failed, 1 skipped$/m);
  writeFileSync(join(place, file), TESTS.replace('allowed(50)', 'allowed(6)'));
  await shows('3 passed, 4 failed, 1 skipped');
  child.kill('SIGTERM');
  const [code] = await once(child, 'exit');
  assert.equal(code, 1);
});
