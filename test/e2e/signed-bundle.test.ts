/**
 * A sidecar that requires signatures: what opa built and signed decides, what nobody signed or somebody else did leaves
 * the last good policy in force, and log, status and metrics say why.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { readArchive } from '../../src/bundle/archive.ts';
import { archiveOf, keyPair, signed } from '../bundle/signature-keys.ts';
import { needsOpa } from '../policy/opa.ts';
import { eventually, statusOf } from './agent.ts';
import { receiptsFor } from './bundle-variant.ts';
import {
  newDirectory,
  prepared,
  ROOT,
  runEgret,
  type SidecarProcess,
  startSidecarProcess,
} from './sidecar-process.ts';

const VERIFICATION = {
  keys: [{ id: 'team', algorithm: 'ES256', file: 'team.pub' }],
  scope: 'prod',
};
const CONFIG = {
  bundles: [{ name: 'main', directory: './bundles', pollMs: 20, verification: VERIFICATION }],
};

async function stage(t: TestContext, bundle: Uint8Array | null): Promise<SidecarProcess> {
  const directory = newDirectory();
  writeFileSync(join(directory, 'team.pub'), keyPair('ES256').verifyingText);
  mkdirSync(join(directory, 'bundles'));
  if (bundle !== null) writeFileSync(join(directory, 'bundles/b.tar.gz'), bundle);
  const sidecar = await startSidecarProcess({ directory, config: CONFIG });
  t.after(async () => {
    await sidecar.stop();
    sidecar.remove();
  });
  return sidecar;
}

function offer(sidecar: SidecarProcess, bundle: Uint8Array): void {
  const next = join(sidecar.directory, 'next');
  writeFileSync(next, bundle);
  renameSync(next, join(sidecar.directory, 'bundles/b.tar.gz'));
}

const codes = (status: object | undefined) =>
  ((status ?? {}) as { errors?: { code: string }[] }).errors?.map(({ code }) => code) ?? [];

const receipts = (revision: string) => readArchive(receiptsFor(['a@example.com'], revision));
const SIGNING = { keyId: 'team', scope: 'prod' };

test('only signed bundles decide, and the reason of a refusal is everywhere', async (t) => {
  const good = archiveOf(await signed(receipts('one'), 'ES256', SIGNING));
  const sidecar = await stage(t, good);
  const main = async () => (await statusOf(sidecar)).bundles[0];
  assert.equal((await main())?.active_revision, 'one');
  const stranger = { ...SIGNING, pair: keyPair('ES256', 'stranger') };
  const offers: readonly (readonly [string, Uint8Array])[] = [
    ['signature_missing', archiveOf(receipts('two'))],
    ['signature_invalid', archiveOf(await signed(receipts('two'), 'ES256', stranger))],
    ['signature_scope', archiveOf(await signed(receipts('two'), 'ES256', { keyId: 'team' }))],
  ];
  for (const [code, bundle] of offers) {
    offer(sidecar, bundle);
    await eventually(async () => codes(await main()).includes(code));
    assert.equal((await main())?.active_revision, 'one', 'the last good one stays in force');
    const logged = sidecar.lines.some(
      (line) => line.includes('bundle.rejected') && line.includes(code),
    );
    assert.ok(logged, code);
    const metrics = await (await fetch(`http://127.0.0.1:${sidecar.ports.admin}/metrics`)).text();
    assert.match(metrics, new RegExp(`rejections_total\\{[^}]*code="${code}"[^}]*\\} 1`));
  }
  offer(sidecar, archiveOf(await signed(receipts('three'), 'ES256', SIGNING)));
  await eventually(async () => (await main())?.active_revision === 'three');
  assert.equal((await main())?.code, null);
});

test('what plain opa build and opa sign make is activated, unpacked in the directory', async (t) => {
  if (!needsOpa(t)) return;
  const sidecar = await stage(t, null);
  const work = join(sidecar.directory, 'work');
  const sources = join(work, 'src');
  for (const [path, text] of [
    [
      'policies/mine.rego',
      'package policies.mine\n\nallow contains "yes" if input.tool.name == "a.b"\n',
    ],
    ['.manifest', '{"roots": ["egret", "policies"], "revision": "by opa"}'],
  ] as const) {
    mkdirSync(dirname(join(sources, path)), { recursive: true });
    writeFileSync(join(sources, path), text);
  }
  for (const name of ['decision', 'mail', 'words', 'yaml', 'yaml_conditions', 'yaml_shape']) {
    writeFileSync(
      join(sources, `${name}.rego`),
      readFileSync(join(ROOT, `rego/egret/${name}.rego`)),
    );
  }
  const run = (cwd: string, ...args: readonly string[]) => execFileSync('opa', args, { cwd });
  run(work, 'build', '-t', 'wasm', '-e', 'egret/decision', '-b', 'src', '-o', 'built.tar.gz');
  const built = join(work, 'built');
  for (const [path, bytes] of readArchive(readFileSync(join(work, 'built.tar.gz')))) {
    mkdirSync(dirname(join(built, path)), { recursive: true });
    writeFileSync(join(built, path), bytes);
  }
  writeFileSync(join(work, 'key.pem'), keyPair('ES256').signingText);
  writeFileSync(join(work, 'claims.json'), '{"scope": "prod"}');
  const options = ['--signing-alg', 'ES256', '--claims-file', '../claims.json', '-o', '.'];
  run(built, 'sign', '--signing-key', '../key.pem', ...options, '-b', '.');
  rmSync(join(sidecar.directory, 'bundles'), { recursive: true });
  renameSync(built, join(sidecar.directory, 'bundles'));
  const first = async () => (await statusOf(sidecar)).bundles[0];
  await eventually(async () => (await first())?.activations === 1);
  assert.deepEqual([(await first())?.active_revision, (await first())?.message], ['by opa', null]);
});

test('a key that cannot be used stops the start with exit code 2 and one line', async (t) => {
  const directory = newDirectory();
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const start = async () => {
    const file = prepared(directory, { config: CONFIG });
    const { code, stderr } = await runEgret(['sidecar', '--config', file]);
    return `${code} ${stderr}`;
  };
  assert.match(await start(), /^2 .*verification\.keys "team": \S+team\.pub: .*ENOENT/);
  writeFileSync(join(directory, 'team.pub'), keyPair('ES256').signingText);
  assert.match(await start(), /^2 .*team\.pub: found a private key, expected a public key/);
  writeFileSync(join(directory, 'team.pub'), keyPair('ES384').verifyingText);
  assert.match(await start(), /^2 .*found secp384r1, expected prime256v1 for ES256/);
});
