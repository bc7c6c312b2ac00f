/** `egret simulate`: scenario files through the code that decides in the sidecar, and mutations of the good calls. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { inputMutations } from '../../src/author/mutation.ts';
import { seeded } from '../../src/author/random.ts';
import { mailInput } from '../audit/records.ts';
import { needsOpa } from '../policy/opa.ts';
import { directory, egret, RECEIPTS, ROOT } from './egret.ts';

const SCENARIOS = join(ROOT, 'test/author/scenarios');

test('every way to write a call down is played as the sidecar would, mutations included', (t) => {
  const junit = join(directory(t), 'junit.xml');
  const ran = egret(['simulate', RECEIPTS, SCENARIOS, '--mutate', '--json', '--junit', junit]);
  assert.equal(ran.status, 0, ran.stdout);
  const { results, mutations } = JSON.parse(ran.stdout);
  assert.equal(results.length, 12);
  assert.equal(mutations.goodCalls, 3);
  assert.ok(mutations.tried > 20);
  const kinds = mutations.survivors.map(({ kind }: { kind: string }) => kind);
  assert.deepEqual([...new Set(kinds)], ['time']);
  assert.match(readFileSync(junit, 'utf8'), /tests="12" failures="0"/);
});

test('a failed scenario is exit code 1 and says what was found', (t) => {
  const scenario = {
    name: 'too hopeful',
    http: { url: 'http://elsewhere.example/' },
    expect: { outcome: 'allow', reason: 'policy.allowed', obligations: [{ kind: 'log' }] },
  };
  const file = join(directory(t, { 's.yaml': stringify({ scenarios: [scenario] }) }), 's.yaml');
  const { status, stdout } = egret(['simulate', RECEIPTS, file]);
  assert.equal(status, 1);
  assert.match(stdout, /^FAIL {2}too hopeful {2}deny {2}policy\.no_match$/m);
  assert.match(stdout, /outcome: found deny \(policy\.no_match\), expected allow/);
  assert.match(stdout, /reason: found policy\.no_match, expected policy\.allowed/);
  assert.match(stdout, /obligations: found \[\], expected one with \{"kind":"log"\}/);
});

test('a policy that looks at one recipient only is found out by a mutation, the same with the same seed', (t) => {
  if (!needsOpa(t)) return;
  const careless = `package policies.careless

allow contains "the first recipient is the accountant" if {
	input.tool.name == "gmail.send"
	input.arguments.to[0] == "accountant@example.com"
	time.clock(input.time_ns)[0] < 23
}
`;
  const review = {
    tool: { name: 'gmail.send', operation: 'write', known: true },
    arguments: { to: ['accountant@example.com'], cc: [], bcc: [], amount: 5 },
  };
  const expect = { outcome: 'allow' };
  const listed = ['time', 'bcc /arguments/bcc'];
  const scenarios = [{ name: 'good', review, expect, still_allowed: listed }];
  const repository = directory(t, {
    'policies/careless.rego': careless,
    'scenarios/good.yaml': stringify({ scenarios }),
  });
  const once = egret(['simulate', repository, '--mutate', '--seed', '7']);
  assert.equal(once.status, 1, once.stderr);
  assert.match(once.stdout, /^ALLOWED {2}good: bcc \/arguments\/cc: with /m);
  assert.match(once.stdout, /^ALLOWED {2}good: amount \/arguments\/amount: \d+$/m);
  assert.doesNotMatch(once.stdout, /ALLOWED {2}good: (recipient|time|bcc \/arguments\/bcc)/);
  assert.equal(egret(['simulate', repository, '--mutate', '--seed', '7']).stdout, once.stdout);
});

test('a mistake in a scenario file is exit code 2 with file, line and path', (t) => {
  const good = { name: 'a', http: { url: 'http://a.example/' }, expect: { outcome: 'deny' } };
  const files: Readonly<Record<string, object>> = {
    'key.yaml': { scenarios: [{ ...good, expct: 1 }] },
    'two.yaml': { scenarios: [{ ...good, review: {} }] },
    'outcome.yaml': { scenarios: [{ ...good, expect: { outcome: 'yes' } }] },
    'names.yaml': { scenarios: [good, good] },
    'mutation.yaml': { scenarios: [{ ...good, still_allowed: ['everything'] }] },
    'body.yaml': { scenarios: [{ ...good, http: { url: 'http://a.example', bodyFile: 'no' } }] },
    'state.yaml': { scenarios: [{ ...good, facts: { state: {} } }] },
    'review.yaml': { scenarios: [{ name: 'a', review: { tool: 1 }, expect: good.expect }] },
  };
  const texts = Object.entries(files).map(([name, value]) => [
    name,
    stringify(value, { aliasDuplicateObjects: false }),
  ]);
  const place = directory(t, Object.fromEntries(texts));
  const messages: Readonly<Record<string, RegExp>> = {
    'key.yaml': /key\.yaml:2:\d+: scenarios\.0: found unknown key "expct"/,
    'two.yaml': /two\.yaml:2:\d+: scenarios\.0: .*expected exactly one of review, http and mcp/,
    'outcome.yaml': /outcome\.yaml:6:\d+: scenarios\.0\.expect\.outcome: found "yes"/,
    'names.yaml': /scenarios: .*expected a name of its own for each scenario/,
    'mutation.yaml': /still_allowed\.0: found "everything", expected one of recipient/,
    'body.yaml': /body\.yaml: no: found no readable file/,
    'state.yaml': /scenarios\.0\.facts: .*can be stated with a review only/,
    'review.yaml': /review\.yaml: a: review: request\.tool: /,
  };
  for (const [name, message] of Object.entries(messages)) {
    const { status, stderr } = egret(['simulate', RECEIPTS, join(place, name)]);
    assert.equal(status, 2, name);
    assert.match(stderr, message);
  }
});

test('a mutation always changes the input, and changes nothing of the original', () => {
  const argument = fc.oneof(
    fc.emailAddress(),
    fc.integer(),
    fc.array(fc.oneof(fc.emailAddress(), fc.string()), { maxLength: 4 }),
    fc.dictionary(fc.string(), fc.oneof(fc.nat(), fc.string()), { maxKeys: 3 }),
  );
  fc.assert(
    fc.property(fc.dictionary(fc.string(), argument), fc.nat(), (args, seed) => {
      const input = mailInput('id', args as never);
      const before = shown(input);
      for (const mutation of inputMutations(input, seeded(seed))) {
        assert.notEqual(shown(mutation.input), before, `${mutation.kind} ${mutation.pointer}`);
      }
      assert.equal(shown(input), before);
    }),
  );
});

const shown = (value: unknown) =>
  JSON.stringify(value, (_, one) => (typeof one === 'bigint' ? `${one}n` : one));
