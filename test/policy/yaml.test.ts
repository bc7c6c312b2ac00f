// YAML policies in the compiled module: whatever is broken in them, they never allow more than they did.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadPolicy } from '@open-policy-agent/opa-wasm';
import fc from 'fast-check';
import { parse } from 'yaml';
import { readArchive } from '../../src/bundle/archive.ts';
import { ROOT } from './opa.ts';

const files = readArchive(readFileSync(join(ROOT, 'rego/dist/receipts-yaml.tar.gz')));
const host = await loadPolicy(new Uint8Array(files.get('policy.wasm') as Uint8Array).buffer);
const { policies } = parse(
  readFileSync(join(ROOT, 'rego/packs/receipts-yaml/yaml/data.yaml'), 'utf8'),
) as { policies: [Record<string, unknown>] };

const CALL = {
  tool: { name: 'gmail.send', known: true, operation: 'write' },
  arguments_state: 'parsed',
  arguments: { to: ['accountant@example.com'], subject: 'Receipts', text: 'Attached.', amount: 10 },
  attachments: [
    {
      name: 'a.pdf',
      media_type: 'application/pdf',
      bytes: 9,
      source: 'explicit_user_upload',
      age_minutes: 1,
    },
  ],
};

/** Everything the vocabulary has, in one policy that allows CALL. */
const RICH = {
  id: 'rich',
  title: 'Rich',
  when: { tool: ['gmail.*'], known: true },
  allow_if: {
    to_in_allowlist: ['accountant@example.com'],
    to_domain_in: ['example.com'],
    attachments: {
      source: 'explicit_user_upload',
      max_age_minutes: 30,
      max_total_mb: 20,
      max_count: 2,
      media_types: ['application/*'],
    },
    body: { must_not_contain: ['secret'], must_contain: ['attached'] },
    subject_contains: ['receipts'],
    amount_at_most: 10,
    argument: {
      amount: { at_most: 10, at_least: 1, in: [10] },
      subject: { matches: 'Rec*', equals: 'Receipts' },
    },
  },
  deny_if: {
    to_includes: ['eve@example.net'],
    to_domain_includes: ['example.net'],
    to_not_in_allowlist: ['accountant@example.com'],
    to_domain_not_in: ['example.com'],
    body_contains: ['secret'],
    amount_over: 10,
    argument: {
      amount: { over: 10, under: 1, in: [11] },
      subject: { equals: 'x', matches: ['y*'] },
    },
  },
  require_approval_if: { subject_contains: ['salary'] },
  log: { level: 'full', include_attachment_hashes: true, fields: ['/arguments/to'] },
};

interface Decision {
  readonly outcome: string;
  readonly reasons: readonly { readonly code: string }[];
}

function ask(entrypoint: string, data: unknown, call: unknown = CALL): unknown {
  host.setData({ yaml: { policies: data } });
  const [answer] = host.evaluate(call, entrypoint) as { result: unknown }[];
  assert.ok(answer, 'the policy gave no answer');
  return answer.result;
}

const decide = (data: unknown, call?: unknown) => ask('egret/decision', data, call) as Decision;
const errorsOf = (data: unknown) => ask('egret/yaml/errors', data) as { path: string }[];

test('the policy of the demonstration and the one with every line are well-formed and allow', () => {
  for (const sound of [policies[0], RICH]) {
    assert.deepEqual(errorsOf([sound]), []);
    assert.equal(decide([sound]).outcome, 'allow', JSON.stringify(decide([sound])));
  }
});

/** Paths of every value below `node`, the containers themselves included. */
function pathsOf(node: unknown, path: readonly string[] = []): string[][] {
  if (node === null || typeof node !== 'object') return [[...path]];
  const below = Object.entries(node).flatMap(([key, value]) => pathsOf(value, [...path, key]));
  return path.length === 0 ? below : [[...path], ...below];
}

/** A copy in which `change` was made to the container and key at the path. */
function changed(
  original: unknown,
  path: readonly string[],
  change: (parent: Record<string, unknown>, key: string) => void,
): unknown {
  const copy = structuredClone(original) as Record<string, unknown>;
  let parent = copy;
  for (const key of path.slice(0, -1)) parent = parent[key] as Record<string, unknown>;
  change(parent, path.at(-1) as string);
  return copy;
}

const WRONG = [
  null,
  true,
  false,
  5,
  -1,
  '',
  'x',
  '*',
  [],
  [5],
  [null],
  {},
  { x: 1 },
  [[]],
  'always',
  'never',
];

test('no value of a wrong type anywhere widens: errors are reported and the call is denied', () => {
  const tested = fc.record({
    path: fc.constantFrom(...pathsOf(RICH)),
    wrong: fc.constantFrom<unknown>(...WRONG),
  });
  fc.assert(
    fc.property(tested, ({ path, wrong }) => {
      const broken = changed(RICH, path, (parent, key) => {
        parent[key] = wrong;
      });
      const errors = errorsOf([broken]);
      const { outcome, reasons } = decide([broken]);
      if (errors.length === 0) return;
      assert.equal(outcome, 'deny', JSON.stringify({ path, wrong, errors }));
      // Only `when` may take the call out of the policy's hands; then no policy allows it.
      const reported = reasons.some(({ code }) => code === 'policy.bad_yaml');
      assert.ok(reported || path[0] === 'when', JSON.stringify({ path, wrong, reasons }));
    }),
    { numRuns: 3000 },
  );
});

test('no unknown key anywhere widens: it is reported and the call is denied', () => {
  const maps = pathsOf(RICH).filter((path) => {
    const value = path.reduce<unknown>((node, key) => (node as Record<string, unknown>)[key], RICH);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  });
  for (const path of [[], ...maps]) {
    if (path.at(-1) === 'argument') continue;
    const broken = changed(RICH, [...path, 'no_such_key'], (parent, key) => {
      parent[key] = ['x'];
    });
    const expected = `yaml/data.yaml#/policies/0/${[...path, 'no_such_key'].join('/')}`;
    assert.deepEqual(
      errorsOf([broken]).map((error) => error.path),
      [expected],
    );
    const { outcome, reasons } = decide([broken]);
    assert.equal(outcome, 'deny');
    assert.ok(
      reasons.some(({ code }) => code === 'policy.bad_yaml'),
      expected,
    );
  }
});

test('any input at all, and any data at all, leads to a decision that does not allow by accident', () => {
  const anything = fc.jsonValue({ maxDepth: 4 });
  fc.assert(
    fc.property(anything, anything, (data, call) => {
      assert.equal(decide(policies, call).outcome, 'deny');
      assert.equal(decide(data).outcome, 'deny');
    }),
    { numRuns: 1000 },
  );
});
