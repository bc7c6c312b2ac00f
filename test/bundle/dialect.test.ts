/** Which dialect a bundle speaks, who says so, and that the gate holds in each of them. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type ActivationOptions, activate } from '../../src/bundle/activation.ts';
import { verifyBundle } from '../../src/bundle/verify-bundle.ts';
import { compileRego } from '../decision/compiled-policy.ts';
import { DESK, SHOP } from '../decision/envoy-policies.ts';
import { contentOf, type Files, filesOf } from './bundle-files.ts';

const ENVOY = 'envoy/authz/allow';
const MINE = 'team/rules/may';

/** By one boolean over our own input. */
const BOOL = `package team.rules

may if input.tool.name == "http.get"
`;

interface Bundle {
  readonly rego: string;
  readonly entrypoint: string;
  readonly egret?: object;
  readonly more?: Files;
}

function bundle(t: TestContext, { rego, entrypoint, egret, more }: Bundle) {
  const wasm = compileRego(t, [rego], [entrypoint]);
  if (wasm === null) return null;
  const manifest = {
    revision: 'r1',
    roots: ['envoy', 'team'],
    wasm: [{ entrypoint, module: '/policy.wasm' }],
    ...(egret === undefined ? {} : { metadata: { egret } }),
  };
  return contentOf(filesOf({ '.manifest': manifest, 'policy.wasm': wasm, ...more }));
}

/** `dialect entrypoint` of the revision, or code and path of the refusal. */
function activated(
  t: TestContext,
  given: Bundle,
  options: Pick<ActivationOptions<unknown>, 'dialect' | 'entrypoint'> = {},
): string | null {
  const content = bundle(t, given);
  if (content === null) return null;
  const activation = activate(content, { set: 'main', nowMs: 1_795_341_600_000, ...options });
  if (!activation.ok) {
    return activation.errors.map(({ code, path }) => `${code} ${path}`.trim()).join(', ');
  }
  const { dialect, engine } = activation.revision;
  t.after(() => engine.close());
  return `${dialect.name} ${dialect.entrypoint}`;
}

const says = (t: TestContext, found: string | null, expected: string) => {
  if (found === null) return;
  assert.equal(found, expected);
  t.diagnostic(found);
};

for (const [name, rego] of [
  ['yes or no', SHOP],
  ['objects', DESK],
] as const) {
  test(`the operator says that a bundle without a word about it is for Envoy: ${name}`, (t) => {
    says(t, activated(t, { rego, entrypoint: ENVOY }, { dialect: 'envoy' }), `envoy ${ENVOY}`);
  });
  test(`the manifest says so: ${name}`, (t) => {
    const egret = { dialect: 'envoy' };
    says(t, activated(t, { rego, entrypoint: ENVOY, egret }), `envoy ${ENVOY}`);
  });
}

test('nobody says so: then the policy lacks our entrypoint', (t) => {
  says(t, activated(t, { rego: SHOP, entrypoint: ENVOY }), 'entrypoint_missing');
});

test("the operator's word counts more than the manifest's", (t) => {
  const egret = { dialect: 'envoy', entrypoint: 'team/rules/other' };
  const options = { dialect: 'bool', entrypoint: MINE } as const;
  says(t, activated(t, { rego: BOOL, entrypoint: MINE, egret }, options), `bool ${MINE}`);
});

test('one boolean: somebody must say which', (t) => {
  const path = 'metadata.egret.entrypoint';
  const egret = { dialect: 'bool' };
  says(t, activated(t, { rego: BOOL, entrypoint: MINE, egret }), `entrypoint_missing ${path}`);
  const named = { ...egret, entrypoint: MINE };
  says(t, activated(t, { rego: BOOL, entrypoint: MINE, egret: named }), `bool ${MINE}`);
});

test('a dialect that nobody knows, and a rule that is not there, are refused', (t) => {
  const unknown = { dialect: 'cedar' };
  const path = 'metadata.egret.dialect';
  says(
    t,
    activated(t, { rego: SHOP, entrypoint: ENVOY, egret: unknown }),
    `manifest_invalid ${path}`,
  );
  const other = { dialect: 'envoy', entrypoint: 'envoy/authz/deny' };
  says(t, activated(t, { rego: SHOP, entrypoint: ENVOY, egret: other }), 'entrypoint_missing');
});

for (const [sentence, rego, code] of [
  ['true', 'package envoy.authz\n\nallow := true\n', 'empty_input_allowed'],
  [
    'true unless something speaks against it',
    'package envoy.authz\n\ndefault allow := true\n\nallow := false if input.parsed_path == ["admin"]\n',
    'empty_input_allowed',
  ],
  ['an object', 'package envoy.authz\n\nallow := {"allowed": true}\n', 'empty_input_allowed'],
  ['another shape', 'package envoy.authz\n\nallow := {"allowed": "no"}\n', 'empty_input_failed'],
  [
    'an allow with a demand that cannot be met',
    'package envoy.authz\n\nallow := {"allowed": true, "response_headers_to_add": {"a": "b"}}\n',
    'empty_input_failed',
  ],
] as const) {
  test(`a policy that answers an empty input with ${sentence} is refused: ${code}`, (t) => {
    const found = activated(t, { rego, entrypoint: ENVOY }, { dialect: 'envoy' });
    says(t, found, `${code} ${ENVOY}`);
    const bool = activated(t, { rego, entrypoint: ENVOY }, { dialect: 'bool', entrypoint: ENVOY });
    if (!sentence.startsWith('true')) return;
    says(t, bool, `${code} ${ENVOY}`);
  });
}

test('bundle verify asks the rule of the dialect, and reads cases in its shapes', async (t) => {
  const get = { attributes: { request: { http: { method: 'GET' } } }, parsed_path: ['items', '1'] };
  const cases = [
    { name: 'one item', input: get, expect: { outcome: 'allow', reason: 'policy.allowed' } },
    { name: 'all', input: { ...get, parsed_path: ['items'] }, expect: { outcome: 'deny' } },
  ];
  const verified = async (list: readonly object[]) => {
    const content = bundle(t, {
      rego: SHOP,
      entrypoint: ENVOY,
      egret: { dialect: 'envoy' },
      more: { 'cases.json': { cases: list } },
    });
    if (content === null) return null;
    const report = await verifyBundle(content, {
      verification: null,
      ignoreSignature: false,
      nowMs: 1_795_341_600_000,
      generated: 20,
      validateCatalogue: () => null,
    });
    return report.errors.map(({ code, path }) => `${code} ${path}`);
  };
  assert.deepEqual((await verified(cases)) ?? [], []);
  const wrong = [{ ...cases[0], expect: { outcome: 'deny', reason: 'policy.no_match' } }];
  const found = await verified(wrong);
  if (found !== null) assert.deepEqual(found, ['case_failed one item']);
});
