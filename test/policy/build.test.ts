// Building bundles: what goes in, what comes out, and which sources are refused with which sentence.
import assert from 'node:assert/strict';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { COMMITTED } from '../../rego/build.ts';
import { activate } from '../../src/bundle/activation.ts';
import { readArchive } from '../../src/bundle/archive.ts';
import { buildBundle } from '../../src/bundle/build.ts';
import { parseCatalogue } from '../../src/call/catalogue.ts';
import { needsOpa, opa, ROOT, sourceDirectory } from './opa.ts';

const LIBRARY = join(ROOT, 'rego/egret');
const POLICY = 'package policies.mine\n\nallow contains "yes" if input.tool.name == "a.b"\n';
const text = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('utf8');

test('a bundle holds module, plan, data, catalogue and manifest, in this order', async (t) => {
  if (!needsOpa(t)) return;
  const source = sourceDirectory(t, {
    'mine.rego': POLICY,
    'mine_test.rego': 'package this is no Rego',
    'config/mine/data.yaml': 'limit: 5\n',
    'yaml/data.yaml': 'policies: []\n',
    'tools.yaml': 'apiVersion: egret.dev/v1\nkind: ToolCatalogue\ntools: []\n',
    'notes.yaml': 'not: loaded\n',
  });
  const options = { sources: [LIBRARY, source], metadata: { team: 'finance' } };
  const files = readArchive(await buildBundle(options));
  assert.deepEqual(
    [...files.keys()],
    ['policy.wasm', 'plan.json', 'data.json', 'tools.yaml', '.manifest'],
  );
  assert.deepEqual(JSON.parse(text(files.get('data.json'))), {
    config: { mine: { limit: 5 } },
    yaml: { policies: [] },
  });
  const { revision, ...manifest } = JSON.parse(text(files.get('.manifest'))) as Record<
    string,
    unknown
  >;
  assert.match(String(revision), /^sha256:[0-9a-f]{64}$/);
  assert.deepEqual(manifest, {
    roots: ['config', 'egret', 'policies', 'yaml'],
    wasm: [
      { entrypoint: 'egret/decision', module: 'policy.wasm' },
      { entrypoint: 'egret/yaml/errors', module: 'policy.wasm' },
    ],
    rego_version: 1,
    metadata: { egret: { api_version: 'egret.dev/v1', team: 'finance' } },
  });
});

test('a bundle passes the activation gate and opa can read it', async (t) => {
  if (!needsOpa(t)) return;
  const source = sourceDirectory(t, { 'mine.rego': POLICY });
  const bytes = await buildBundle({ sources: [LIBRARY, source], revision: 'r-7' });
  const activation = activate(
    { files: readArchive(bytes), digest: 'sha256:x' },
    { set: 'main', nowMs: 0 },
  );
  assert.ok(activation.ok, JSON.stringify(activation));
  const { engine } = activation.revision;
  t.after(() => engine.close());
  const evaluation = engine.evaluate('{"tool":{"name":"a.b"}}', 0n);
  assert.ok(evaluation.ok);
  assert.equal((evaluation.value as { outcome: string }).outcome, 'allow');
  const file = join(source, 'bundle.tar.gz');
  writeFileSync(file, bytes);
  const { status, output } = opa('inspect', '--format', 'json', file);
  assert.equal(status, 0, output);
  const manifest = (JSON.parse(output) as { manifest: Record<string, unknown> }).manifest;
  assert.equal(manifest['revision'], 'r-7');
});

test('the same sources give the same bytes, and another policy another revision', async (t) => {
  if (!needsOpa(t)) return;
  const build = (policy: string) =>
    buildBundle({
      sources: [LIBRARY, join(sourceDirectory(t, { 'policy/mine.rego': policy }), 'policy')],
    });
  const revisionOf = (bundle: Uint8Array) =>
    (JSON.parse(text(readArchive(bundle).get('.manifest'))) as { revision: string }).revision;
  const [one, again, other] = await Promise.all([
    build(POLICY),
    build(POLICY),
    build(POLICY.replace('a.b', 'a.c')),
  ]);
  assert.deepEqual(one, again);
  assert.notEqual(revisionOf(one), revisionOf(other));
});

for (const [name, sources] of Object.entries(COMMITTED)) {
  test(`the committed ${name} rebuilds to the same bytes`, async (t) => {
    if (!needsOpa(t)) return;
    const committed = readFileSync(join(ROOT, 'rego/dist', name));
    const rebuilt = await buildBundle({ sources });
    // The archive inside: how gzip packs it is up to the zlib of the runtime.
    const same = gunzipSync(committed).equals(gunzipSync(rebuilt));
    assert.ok(same, `rego/dist/${name} is out of date: run node rego/build.ts`);
  });

  test(`the committed ${name} passes the activation gate with its catalogue`, (t) => {
    const files = readArchive(readFileSync(join(ROOT, 'rego/dist', name)));
    const gate = { set: 'main', nowMs: 0, validateCatalogue: parseCatalogue };
    const activation = activate({ files, digest: 'sha256:x' }, gate);
    assert.ok(activation.ok, JSON.stringify(activation));
    t.after(() => activation.revision.engine.close());
  });
}

const REFUSED: Readonly<Record<string, readonly [Readonly<Record<string, string>>, RegExp]>> = {
  'no module at all': [{ 'data.json': '{}' }, /found no Rego module, expected at least one/],
  'a package below a policy': [
    { 'a.rego': POLICY.replace('mine', 'team.mine') },
    /a\.rego: found package policies\.team\.mine, expected policies\.<name>/,
  ],
  'rules in the package of all policies': [
    { 'a.rego': POLICY.replace('.mine', '') },
    /a\.rego: found package policies, expected policies\.<name>/,
  ],
  'a package of no known root': [
    { 'a.rego': POLICY.replace('policies', 'rules') },
    /a\.rego: found data\.rules\.mine, expected it below config, egret, policies, yaml/,
  ],
  'data of no known root': [
    { 'a.rego': POLICY, 'data.json': '{"limits":{}}' },
    /data files: found data\.limits, expected it below config, egret, policies, yaml/,
  ],
  'a module that does not compile': [
    { 'a.rego': 'package policies.mine\n\nallow contains "yes" if nonsense(1)\n' },
    /opa build -t (wasm|plan): .*a\.rego:3: rego_type_error: undefined function nonsense/s,
  ],
  'a policy that reaches out': [
    { 'a.rego': 'package policies.mine\n\nallow contains r if r := http.send(input.tool)\n' },
    /a\.rego:3: found http\.send, expected none of the refused builtins: a decision must not reach/,
  ],
  'a policy that signs': [
    { 'a.rego': 'package policies.mine\n\n\nallow contains io.jwt.encode_sign({}, {}, {})\n' },
    /a\.rego:4: found io\.jwt\.encode_sign, expected none of the refused builtins: a policy must/,
  ],
  'data that clashes': [
    { 'a.rego': POLICY, 'config/data.json': '{"a":1}', 'config/a/data.json': '{"b":1}' },
    /opa build -t (wasm|plan): /,
  ],
};

for (const [name, [files, message]] of Object.entries(REFUSED)) {
  test(`${name} is refused`, async (t) => {
    if (!needsOpa(t)) return;
    const source = sourceDirectory(t, files);
    const sources = 'a.rego' in files ? [LIBRARY, source] : [source];
    await assert.rejects(buildBundle({ sources }), (error: Error) => {
      assert.equal(error.name, 'BundleBuildError');
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /egret-build-/);
      return true;
    });
  });
}

test('a link among the sources is refused', async (t) => {
  const source = sourceDirectory(t, { 'a.txt': POLICY });
  symlinkSync(join(source, 'a.txt'), join(source, 'b.rego'));
  await assert.rejects(buildBundle({ sources: [source] }), /b\.rego: found a link or a device/);
});

test('two catalogues are refused', async (t) => {
  const source = () => sourceDirectory(t, { 'a.rego': POLICY, 'tools.yaml': '' });
  await assert.rejects(buildBundle({ sources: [source(), source()] }), /found a second catalogue/);
});

test('a directory that is not there and a compiler that is not there are named', async (t) => {
  await assert.rejects(
    buildBundle({ sources: ['no/such/place'] }),
    /^BundleBuildError: no\/such\/place: cannot be read/,
  );
  const source = sourceDirectory(t, { 'a.rego': POLICY });
  const built = buildBundle({ sources: [source], opa: join(source, 'no-opa') });
  await assert.rejects(built, /^BundleBuildError: opa capabilities: .*ENOENT/);
});
