// Whoever asks the API server does so with the newest credential, over TLS that is verified, or is told what is wrong.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Access } from '../../src/kubernetes/access.ts';
import { createApi } from '../../src/kubernetes/api.ts';
import { connectTo } from '../../src/kubernetes/connection.ts';
import { CONFIG_MAPS } from '../../src/kubernetes/object.ts';
import { openAccess } from '../../src/kubernetes/open-access.ts';
import { FakeApiServer } from './fake-api-server.ts';
import { always, HALF_OPEN, times } from './fake-fault.ts';
import { MAPS } from './reflected.ts';

async function started(t: TestContext): Promise<FakeApiServer> {
  const fake = await FakeApiServer.start();
  t.after(() => fake.close());
  return fake;
}

function clientFor(t: TestContext, access: Access, options = {}) {
  const connection = connectTo(access, 'egret-test');
  t.after(() => connection.close());
  return createApi(connection, options);
}

function fileWith(t: TestContext, text: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'egret-access-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, 'kubeconfig');
  writeFileSync(file, text);
  return file;
}

interface Parts {
  readonly cluster?: object;
  readonly user?: object;
  readonly context?: object;
}

/** JSON, which is YAML. */
function kubeconfig(fake: FakeApiServer, { cluster, user, context }: Parts = {}): string {
  const ca = Buffer.from(fake.authorityPem).toString('base64');
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'c',
        cluster: { server: fake.url, 'certificate-authority-data': ca, ...cluster },
      },
    ],
    users: [{ name: 'u', user: user ?? { token: [...fake.tokens][0] } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', namespace: 'team', ...context } }],
    'current-context': 'x',
  });
}

const anything = { namespace: 'default', name: 'nothing' };

void test('in a pod the newest token of the file is sent, and the namespace is the pod’s', async (t) => {
  const fake = await started(t);
  const access = await openAccess(fake.podAccess);
  assert.equal(access.namespace, 'default');
  const api = clientFor(t, access);
  assert.equal(await api.get(CONFIG_MAPS, anything), null);
  fake.tokens.clear();
  fake.tokens.add('the-next-token');
  fake.writeServiceAccount('the-next-token');
  assert.equal(await api.get(CONFIG_MAPS, anything), null);
  assert.equal(fake.refusedTokens, 0);
});

void test('outside of a pod it says what is missing', async (t) => {
  await assert.rejects(openAccess({ environment: {} }), /KUBERNETES_SERVICE_HOST.*kubeconfig/);
  const fake = await started(t);
  const { environment } = fake.podAccess;
  const serviceAccountDirectory = fileWith(t, '');
  await assert.rejects(
    openAccess({ environment, serviceAccountDirectory }),
    /kubeconfig\/token: cannot be read \(ENOTDIR\)/,
  );
});

void test('a kubeconfig with a token is used, and its namespace known', async (t) => {
  const fake = await started(t);
  const access = await openAccess({ kubeconfig: fileWith(t, kubeconfig(fake)) });
  assert.equal(access.namespace, 'team');
  assert.equal(await clientFor(t, access).get(CONFIG_MAPS, anything), null);
});

void test('an exec plugin is asked for a token, and again when the token is refused', async (t) => {
  const fake = await started(t);
  const tokenFile = fileWith(t, 'first-token');
  fake.tokens.add('first-token');
  const script = `printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s"}}' "$(cat ${tokenFile})"`;
  const exec = {
    apiVersion: 'client.authentication.k8s.io/v1',
    command: 'sh',
    args: ['-c', script],
    interactiveMode: 'Never',
  };
  const access = await openAccess({
    kubeconfig: fileWith(t, kubeconfig(fake, { user: { exec } })),
  });
  const api = clientFor(t, access);
  assert.equal(await api.get(CONFIG_MAPS, anything), null);
  fake.tokens.clear();
  fake.tokens.add('second-token');
  writeFileSync(tokenFile, 'second-token');
  assert.equal(await api.get(CONFIG_MAPS, anything), null);
  assert.equal(fake.refusedTokens, 1);
});

void test('a kubeconfig that would weaken TLS or that misses something is refused by file and place', async (t) => {
  const fake = await started(t);
  const cases: readonly (readonly [Parts, RegExp])[] = [
    [
      { cluster: { 'insecure-skip-tls-verify': true } },
      /kubeconfig: clusters\[c\]\.cluster\.insecure-skip-tls-verify: expected false/,
    ],
    [
      { cluster: { server: 'http://127.0.0.1:8080' } },
      /kubeconfig: clusters\[c\]\.cluster\.server: expected an https URL/,
    ],
    [
      { cluster: { 'proxy-url': 'http://p:1' } },
      /clusters\[c\]\.cluster\.proxy-url: expected none/,
    ],
    [{ context: { cluster: 'other' } }, /contexts\[x\]\.context\.cluster: expected a cluster/],
    [{ context: { user: 'other' } }, /contexts\[x\]\.context\.user: expected a user/],
  ];
  for (const [parts, expected] of cases) {
    const file = fileWith(t, kubeconfig(fake, parts));
    await assert.rejects(openAccess({ kubeconfig: file }), expected);
  }
  await assert.rejects(openAccess({ kubeconfig: fileWith(t, '{') }), /kubeconfig: cannot be used/);
  const absent = join(tmpdir(), 'no-such-directory', 'kubeconfig');
  await assert.rejects(openAccess({ kubeconfig: absent }), /kubeconfig: cannot be used: ENOENT/);
});

void test('a server with a certificate of another authority is not told the token', async (t) => {
  const [fake, other] = [await started(t), await started(t)];
  const file = fileWith(t, kubeconfig(fake, { cluster: { server: other.url } }));
  const api = clientFor(t, await openAccess({ kubeconfig: file }));
  await assert.rejects(api.get(CONFIG_MAPS, anything), /does not answer: /);
  assert.equal(other.seen.length, 0);
});

void test('an answer has a deadline and a bound, and a refusal says when to come back', async (t) => {
  const fake = await started(t);
  const access = await openAccess(fake.podAccess);
  const api = clientFor(t, access, { timeoutMs: 150, answerBytesMax: 2000 });
  const object = { metadata: { name: 'big' }, data: { v: 'x'.repeat(3000) } };
  fake.store.create(MAPS, object, { manager: 'test' });
  const at = { namespace: 'default', name: 'big' };
  await assert.rejects(api.get(CONFIG_MAPS, at), { reason: 'TooLarge', status: 0 });
  fake.fails(always(HALF_OPEN));
  await assert.rejects(api.get(CONFIG_MAPS, anything), { reason: 'Unreachable', status: 0 });
  fake.fails(times(1, { status: 429, reason: 'TooManyRequests', retryAfterSeconds: 7 }));
  await assert.rejects(api.get(CONFIG_MAPS, anything), { status: 429, retryAfterMs: 7000 });
  assert.equal(await api.get(CONFIG_MAPS, anything), null);
});

void test('nothing is written without the version that was read', async (t) => {
  const fake = await started(t);
  const api = clientFor(t, await openAccess(fake.podAccess));
  const blind = { metadata: { name: 'a', resourceVersion: '' } };
  await assert.rejects(
    async () => api.replace(CONFIG_MAPS, anything, blind),
    /without the version/,
  );
  assert.equal(fake.seen.length, 0);
});
