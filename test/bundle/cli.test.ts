/** `egret bundle` as a process: from sources to a signed, verified ConfigMap, and what each misuse says. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { readArchive } from '../../src/bundle/archive.ts';
import { readConfigMaps } from '../../src/bundle/configmap.ts';
import { needsOpa, opa, ROOT, sourceDirectory } from '../policy/opa.ts';
import { PROGRAM } from '../program.ts';
import { keyPair } from './signature-keys.ts';

const POLICY = `package policies.mine

allow contains "mail to us" if {
	input.tool.name == "gmail.send"
	input.arguments.to == ["us@example.com"]
}
`;
const CASES = {
  cases: [
    {
      name: 'mail to us',
      input: { tool: { name: 'gmail.send' }, arguments: { to: ['us@example.com'] } },
      expect: { outcome: 'allow', reason: 'policy.allowed' },
    },
  ],
};
const COMMITTED = join(ROOT, 'rego/dist/receipts.tar.gz');

function egret(...args: readonly string[]) {
  const options = { encoding: 'utf8', cwd: ROOT, timeout: 60_000 } as const;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [PROGRAM, 'bundle', ...args],
    options,
  );
  return { status, stdout, stderr, all: `${stdout}${stderr}` };
}

function workplace(t: TestContext) {
  const directory = sourceDirectory(t, {
    'policy/mine.rego': POLICY,
    'policy/cases.json': JSON.stringify(CASES),
  });
  const { signingText, verifyingText } = keyPair('ES256');
  writeFileSync(join(directory, 'key.pem'), signingText);
  writeFileSync(join(directory, 'public.pem'), verifyingText);
  return (name: string) => join(directory, name);
}

test('sources become a signed ConfigMap, verified at each step, and opa agrees', (t) => {
  if (!needsOpa(t)) return;
  const at = workplace(t);
  const [bundle, again] = [at('b.tar.gz'), at('again.tar.gz')];
  for (const output of [bundle, again]) {
    const built = egret('build', at('policy'), '-o', output);
    assert.equal(built.status, 0, built.all);
    assert.match(
      built.stdout,
      /(?:b|again)\.tar\.gz: \d+ bytes, (?:not signed|signed by \S+)\nrevision sha256:[0-9a-f]{64}\ndigest /,
    );
  }
  assert.ok(readFileSync(bundle).equals(readFileSync(again)), 'the same sources, the same bytes');
  const signed = egret('sign', bundle, '--signing-key', at('key.pem'), '--key-id', 'team');
  assert.equal(signed.status, 0, signed.all);
  const verified = egret('verify', bundle, '--key', at('public.pem'), '--inputs', '50');
  assert.equal(verified.status, 0, verified.all);
  assert.match(verified.stdout, /signature: verified with key\n/);
  assert.match(
    verified.stdout,
    /second opinion: egret, @open-policy-agent\/opa-wasm, plan: 53 questions, 0/,
  );
  const theirs = opa(
    ...['build', '-b', bundle, '--verification-key', at('public.pem')],
    ...['--signing-alg', 'ES256', '-o', at('opa.tar.gz')],
  );
  assert.equal(theirs.status, 0, theirs.output);
  const maps = at('maps.yaml');
  const written = egret(
    'configmap',
    bundle,
    '--name',
    'policy',
    '--set',
    'main',
    '--chunk-bytes',
    '50000',
    '-o',
    maps,
  );
  assert.equal(written.status, 0, written.all);
  assert.ok(
    Buffer.from(readConfigMaps(readFileSync(maps, 'utf8'), maps)).equals(readFileSync(bundle)),
  );
  assert.match(readFileSync(maps, 'utf8'), /^ {4}egret\.dev\/bundle: main$/m);
  const fromMaps = egret('verify', maps, '--key', at('public.pem'), '--inputs', '0', '--json');
  assert.equal(fromMaps.status, 0, fromMaps.all);
  assert.equal((JSON.parse(fromMaps.stdout) as { ok: boolean }).ok, true);
});

test('build signs at once, with scope, end and a secret from the environment', (t) => {
  if (!needsOpa(t)) return;
  const at = workplace(t);
  const secret = 'EGRET_TEST_SIGNING_SECRET';
  process.env[secret] = keyPair('HS256').signingText;
  t.after(() => delete process.env[secret]);
  const signing = ['--signing-key-env', secret, '--algorithm', 'HS256', '--scope', 'prod'];
  const build = (expires: string) =>
    egret('build', at('policy'), '-o', at('b.tar.gz'), ...signing, '--expires', expires);
  assert.equal(build('2999-01-01T00:00:00Z').status, 0);
  const verify = (...scope: string[]) =>
    egret(
      ...['verify', at('b.tar.gz'), '--key-env', secret, '--algorithm', 'HS256'],
      ...['--inputs', '0', ...scope],
    );
  assert.equal(verify('--scope', 'prod').status, 0);
  const without = verify();
  assert.deepEqual([without.status, /REFUSED signature_scope/.test(without.stdout)], [1, true]);
  assert.equal(build('2020-01-01T00:00:00Z').status, 0);
  assert.match(verify('--scope', 'prod').stdout, /REFUSED signature_expired/);
});

test('a case that does not come out and a policy the gate refuses are exit code 1', (t) => {
  if (!needsOpa(t)) return;
  const at = workplace(t);
  writeFileSync(at('policy/cases.json'), JSON.stringify(CASES).replace('"allow"', '"deny"'));
  assert.equal(egret('build', at('policy'), '-o', at('b.tar.gz')).status, 0);
  const failed = egret('verify', at('b.tar.gz'), '--inputs', '0');
  assert.equal(failed.status, 1, failed.all);
  assert.match(failed.stdout, /REFUSED case_failed: cases\.json: mail to us: found allow/);
  writeFileSync(at('policy/mine.rego'), 'package policies.mine\n\nallow contains "all"\n');
  assert.equal(egret('build', at('policy'), '-o', at('b.tar.gz')).status, 0);
  const open = egret('verify', at('b.tar.gz'), '--inputs', '0', '--json');
  assert.equal(open.status, 1, open.all);
  const { errors } = JSON.parse(open.stdout) as { errors: { code: string }[] };
  assert.deepEqual(
    errors.map(({ code }) => code),
    ['empty_input_allowed'],
  );
});

test('inspect shows what is in a bundle, for a person and as JSON', () => {
  const text = egret('inspect', COMMITTED);
  assert.equal(text.status, 0, text.all);
  assert.match(text.stdout, /^roots +config, egret, policies$/m);
  assert.match(text.stdout, /^signature +none$/m);
  assert.match(text.stdout, /^data\.policies\.receipts\.allow +receipts\/receipts\.rego:\d+$/m);
  const { revision, files, rules, bytes } = JSON.parse(
    egret('inspect', COMMITTED, '--json').stdout,
  );
  const manifest = readArchive(readFileSync(COMMITTED)).get('.manifest') as Uint8Array;
  assert.equal(revision, JSON.parse(Buffer.from(manifest).toString()).revision);
  assert.equal(bytes, readFileSync(COMMITTED).length);
  assert.ok(files.length >= 4 && rules.length > 20);
});

test('the committed bundles pass verification', () => {
  for (const name of ['receipts', 'receipts-yaml']) {
    const verified = egret('verify', join(ROOT, `rego/dist/${name}.tar.gz`), '--inputs', '200');
    assert.equal(verified.status, 0, verified.all);
  }
});

test('the configuration of a sidecar says which signature a bundle needs', (t) => {
  const at = workplace(t);
  const config = (verification: string) => `apiVersion: egret.dev/v1
kind: SidecarConfig
agent: {id: bot}
bundles: [{name: main, directory: b${verification}}]
audit: {directory: a}
`;
  writeFileSync(
    at('egret.yaml'),
    config(', verification: {keys: [{id: team, algorithm: ES256, file: public.pem}]}'),
  );
  const unsigned = egret('verify', COMMITTED, '--config', at('egret.yaml'), '--inputs', '0');
  assert.deepEqual([unsigned.status, /REFUSED signature_missing/.test(unsigned.stdout)], [1, true]);
  writeFileSync(at('bare.yaml'), config(''));
  const bare = egret('verify', COMMITTED, '--config', at('bare.yaml'));
  assert.equal(bare.status, 2);
  assert.match(bare.stderr, /bundles\.0\.verification: found nothing, expected keys/);
});

test('what cannot be used is one line that names it, and exit code 2', (t) => {
  const at = workplace(t);
  writeFileSync(at('broken.tar.gz'), gunzipSync(readFileSync(COMMITTED)));
  const rows: readonly (readonly [readonly string[], RegExp])[] = [
    [['build', at('none')], /egret bundle build: .*none: cannot be read/],
    [['verify', at('none.tar.gz')], /none\.tar\.gz: found nothing, expected a bundle/],
    [['inspect', at('broken.tar.gz')], /broken\.tar\.gz: found no gzip header/],
    [['sign', COMMITTED], /found no key, expected --signing-key/],
    [
      ['sign', COMMITTED, '--signing-key', at('public.pem')],
      /public\.pem: found a PEM of PUBLIC KEY/,
    ],
    [['verify', COMMITTED, '--key', at('key.pem')], /key\.pem: found a private key/],
    [['verify', COMMITTED, '--key', at('none.pem')], /no such file/],
    [['verify', COMMITTED, '--inputs', 'many'], /--inputs: found many, expected a whole number/],
    [['configmap', COMMITTED, '--name', 'A_B'], /--name: found A_B, expected a DNS subdomain/],
    [
      ['configmap', COMMITTED, '--name', 'a', '--set', 'a.b'],
      /--set: found a\.b, expected a DNS label/,
    ],
    [['configmap', COMMITTED], /required option '--name <name>'/],
  ];
  for (const [args, message] of rows) {
    const { status, stderr } = egret(...args);
    assert.deepEqual([status, message.test(stderr)], [2, true], `${args.join(' ')}: ${stderr}`);
    assert.doesNotMatch(stderr, /\n\s+at /, 'no stack');
  }
});
