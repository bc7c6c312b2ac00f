/** `egret sidecar --check` says everything that would keep a sidecar from starting, and neither starts nor writes. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { receiptsWith } from './bundle-variant.ts';
import { newDirectory, prepared, runEgret, type SidecarSetup } from './sidecar-process.ts';
import { removeAfter } from './stage.ts';

/** What --check prints about a configuration, line by line, without the name of its file. */
async function checked(t: TestContext, setup: SidecarSetup, files: Record<string, string> = {}) {
  const directory = removeAfter(t, newDirectory());
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  const file = prepared(directory, setup);
  const before = listing(directory);
  const { code, stdout, stderr } = await runEgret(['sidecar', '--config', file, '--check']);
  assert.deepEqual(listing(directory), before);
  const lines = (text: string) =>
    text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        assert.ok(line.startsWith(`${file}: `), line);
        return line.slice(file.length + 2).replaceAll(directory, '.');
      });
  return { code, said: lines(stdout), problems: lines(stderr) };
}

const listing = (directory: string) =>
  readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => `${name} ${statSync(join(directory, name)).mtimeMs}`);

test('a sound configuration is ok, and nothing is started or written', async (t) => {
  assert.deepEqual(await checked(t, {}), { code: 0, said: ['ok'], problems: [] });
});

test('a directory that may still be filled is a note and no problem', async (t) => {
  const found = await checked(t, { bundle: null });
  assert.equal(found.code, 0);
  assert.match(found.said[0] ?? '', /^note: bundles\.0\.directory: \S+bundles: .*no bundle/);
  assert.deepEqual(found.said.slice(1), ['ok']);
});

test('every problem is said, each with its place, and the exit code is 2', async (t) => {
  const { privateKey } = generateKeyPairSync('x25519', {
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  const client = { may: 'review' } as const;
  const key = { algorithm: 'ES256' } as const;
  const config = {
    upstream: {
      hosts: { 'tool.example:80': '169.254.169.254:80' },
      rootsFile: './roots.pem',
      caFiles: { 'tool.example:443': './ca.pem', 'other.example:443': './none.pem' },
    },
    decisionApi: {
      clients: [
        { ...client, id: 'short', tokenFile: './short.token' },
        { ...client, id: 'absent', tokenFile: './absent.token' },
        { ...client, id: 'unset', tokenEnv: 'EGRET_TEST_NO_SUCH_TOKEN' },
      ],
    },
    audit: { directory: './audit', keyFile: './audit.pem' },
    bundles: [
      {
        name: 'main',
        directory: './bundles',
        verification: {
          keys: [
            { ...key, id: 'absent', file: './absent.pub' },
            { ...key, id: 'broken', file: './roots.pem' },
            { ...key, id: 'unset', env: 'EGRET_TEST_NO_SUCH_KEY' },
          ],
        },
      },
    ],
  };
  const bundle = receiptsWith('data.json', '{"config": {}, "elsewhere": 1}');
  const files = {
    'short.token': 'short\n',
    'roots.pem': 'no certificate\n',
    'ca.pem': '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
    'audit.pem': privateKey,
  };
  const { code, said, problems } = await checked(t, { config, bundle }, files);
  assert.equal(code, 2);
  assert.deepEqual(said, []);
  const expected = [
    /^upstream\.hosts\.tool\.example:80: found "169\.254\.169\.254:80"/,
    /^decisionApi\.clients: the token of "short" is shorter than 16 bytes$/,
    /^decisionApi\.clients: the token file of "absent" cannot be read: ENOENT.*absent\.token/,
    /^decisionApi\.clients: found no environment variable EGRET_TEST_NO_SUCH_TOKEN for "unset"/,
    /^bundles\.0\.verification\.keys "absent": \.\/absent\.pub: ENOENT/,
    /^bundles\.0\.verification\.keys "broken": \.\/roots\.pem: /,
    /^bundles\.0\.verification\.keys "unset": EGRET_TEST_NO_SUCH_KEY: found no such variable/,
    /^upstream\.rootsFile: \.\/roots\.pem: found 0 certificates/,
    /^upstream\.caFiles\.tool\.example:443: \.\/ca\.pem: certificate 1 cannot be read$/,
    /^upstream\.caFiles\.other\.example:443: \.\/none\.pem: cannot be read \(ENOENT\)$/,
    /^audit\.keyFile: \.\/audit\.pem: found a key of type x25519, expected ed25519$/,
    /^bundles\.0\.directory: \.\/bundles: data\.json.*elsewhere/,
  ];
  assert.equal(problems.length, expected.length, problems.join('\n'));
  for (const [at, pattern] of expected.entries()) assert.match(problems[at] ?? '', pattern);
});

test('two clients with one token, and a bundle whose signature nobody asked for', async (t) => {
  const client = { may: 'review', tokenFile: './one.token' } as const;
  const config = {
    decisionApi: {
      clients: [
        { ...client, id: 'one' },
        { ...client, id: 'two' },
      ],
    },
  };
  const bundle = receiptsWith('.signatures.json', '{"signatures": []}');
  const files = { 'one.token': 'a token that is long enough\n' };
  const { code, problems } = await checked(t, { config, bundle }, files);
  assert.equal(code, 2);
  assert.match(problems[0] ?? '', /two clients have the same token/);
  assert.match(problems[1] ?? '', /^bundles\.0\.directory: \.\/bundles: \.signatures\.json/);
  assert.equal(problems.length, 2);
});

test('the files of another source are looked at, and nobody is asked', async (t) => {
  const server = { url: 'https://policy.example', tokenFile: './none.token', caFile: './none.pem' };
  const bundle = { name: 'main', distributor: server, reports: { ...server, caFile: './ca.pem' } };
  const files = { 'ca.pem': 'no certificate\n', 'none.token': ' \n' };
  const found = await checked(t, { config: { bundles: [bundle] }, bundle: null }, files);
  assert.deepEqual(found.problems, [
    'bundles.0.distributor.caFile: ./none.pem: cannot be read (ENOENT)',
    'bundles.0.distributor.tokenFile: ./none.token: found nothing in it',
    'bundles.0.reports.caFile: ./ca.pem: found 0 certificates, expected PEM with 1 to 4096',
    'bundles.0.reports.tokenFile: ./none.token: found nothing in it',
  ]);
  const cluster = { name: 'main', configMap: { namespace: 'egret', kubeconfig: './none.yaml' } };
  const other = await checked(t, { config: { bundles: [cluster] }, bundle: null });
  assert.match(other.problems.join(), /^bundles\.0\.configMap\.kubeconfig: ENOENT.*none\.yaml/);
  assert.equal(other.code, 2);
});
