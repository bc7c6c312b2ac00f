/** Whose signature a bundle must have: paths, defaults, and each mistake as one line. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ALGORITHMS } from '../../src/config/bundle.ts';
import { ConfigError, loadConfig } from '../../src/config/load.ts';
import { StartError } from '../../src/sidecar/start-error.ts';
import { verificationOf } from '../../src/sidecar/verification.ts';

function loaded(t: TestContext, verification: string) {
  const directory = mkdtempSync(join(tmpdir(), 'egret-config-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, 'egret.yaml');
  const bundle = `{name: main, directory: b, verification: ${verification}}`;
  const rest = 'agent: {id: a}\naudit: {directory: x}\n';
  writeFileSync(
    file,
    `apiVersion: egret.dev/v1\nkind: SidecarConfig\nbundles: [${bundle}]\n${rest}`,
  );
  return { directory, config: loadConfig(file).bundles[0]?.verification };
}

test('a key file is relative to the configuration, a signature required and its scope empty', (t) => {
  const { directory, config } = loaded(t, '{keys: [{id: a, algorithm: ES256, file: keys/a.pub}]}');
  assert.deepEqual(config, {
    keys: [{ id: 'a', algorithm: 'ES256', file: join(directory, 'keys/a.pub') }],
    scope: '',
    required: true,
  });
});

test('a secret comes from the environment, and the time a key ends from the configuration', (t) => {
  const { config } = loaded(
    t,
    '{keys: [{id: a, algorithm: HS512, env: SECRET, expires: "2027-01-01T00:00:00+01:00"}], keyId: a, required: false}',
  );
  const secret = 's'.repeat(40);
  const verification = verificationOf(config, { SECRET: secret });
  const [key] = verification?.keys ?? [];
  assert.deepEqual([verification?.keyId, verification?.required], ['a', false]);
  assert.equal(key?.key.export().toString(), secret);
  assert.equal(key.expiresMs, Date.parse('2026-12-31T23:00:00Z'));
  assert.throws(
    () => verificationOf(config, {}),
    (error: Error) =>
      error instanceof StartError && /"a": SECRET: found no such variable/.test(error.message),
  );
  assert.throws(
    () => verificationOf(config, { SECRET: 'short' }),
    (error: Error) =>
      /found a secret of 5 bytes/.test(error.message) && !error.message.includes('short'),
  );
  assert.equal(verificationOf(undefined, {}), undefined);
});

test('the configuration knows the algorithms that signatures have', (t) => {
  for (const algorithm of ALGORITHMS) {
    const { config } = loaded(t, `{keys: [{id: a, algorithm: ${algorithm}, file: a}]}`);
    assert.equal(config?.keys[0]?.algorithm, algorithm);
  }
});

const KEY = 'id: a, algorithm: ES256';
const MISTAKES: readonly (readonly [string, RegExp])[] = [
  ['{keys: []}', /bundles\.0\.verification\.keys: found \[\], expected at least one key/],
  ['{}', /verification\.keys: found nothing/],
  [`{keys: [{${KEY}}]}`, /keys\.0: .*expected exactly one of file and env/],
  [`{keys: [{${KEY}, file: a, env: B}]}`, /keys\.0: .*expected exactly one of file and env/],
  [`{keys: [{${KEY}, file: a}, {${KEY}, file: b}]}`, /keys: .*expected keys with different ids/],
  [`{keys: [{${KEY}, file: a}], keyId: b}`, /keyId: found "b", expected the id of one of the keys/],
  ['{keys: [{id: a, algorithm: none, file: a}]}', /algorithm: found "none"/],
  ['{keys: [{id: a, algorithm: EdDSA, file: a}]}', /algorithm: found "EdDSA"/],
  [`{keys: [{${KEY}, file: a, expires: tomorrow}]}`, /expires: found "tomorrow"/],
  [`{keys: [{${KEY}, file: a}], scop: x}`, /found unknown key "scop"/],
];

test('each mistake is one line with its place', (t) => {
  for (const [verification, message] of MISTAKES) {
    assert.throws(
      () => loaded(t, verification),
      (error: Error) => error instanceof ConfigError && message.test(error.message),
      verification,
    );
  }
});
