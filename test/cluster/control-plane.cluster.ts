/** What the rest is built on: how a real Kubernetes API server behaves, and that the control plane of the tests is one. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { CoreV1Api, KubeConfig } from '@kubernetes/client-node';
import { Agent, request } from 'undici';
import type { Answer, Caller, KubeObject } from './caller.ts';
import { controlPlaneForTests, startControlPlane } from './control-plane.ts';
import { KUBERNETES_VERSION } from './programs.ts';

const { skip, plane } = controlPlaneForTests();

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';
const LEASES = '/apis/coordination.k8s.io/v1/namespaces/default/leases';
const ROLES = '/apis/rbac.authorization.k8s.io/v1/namespaces/default';
const REVIEWS = '/apis/authentication.k8s.io/v1/tokenreviews';
const APPLY = 'application/apply-patch+yaml';
const MERGE = 'application/merge-patch+json';
const MIB = 1 << 20;

const configMap = (name: string, rest: object = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  ...rest,
});

async function create(by: Caller, path: string, object: object): Promise<KubeObject> {
  return expect(201, await by.request('POST', path, object));
}

function expect(status: number, answer: Answer): KubeObject {
  assert.equal(answer.status, status, answer.text);
  return answer.body;
}

interface WatchEvent {
  readonly type: string;
  readonly object: KubeObject & { readonly code?: number };
}

/** What a watch on the ConfigMap `history` brings from there within a second. */
async function watched(by: Caller, resourceVersion: string): Promise<WatchEvent[]> {
  const selected = 'fieldSelector=metadata.name%3Dhistory';
  const query = `${selected}&watch=1&timeoutSeconds=1&resourceVersion=${resourceVersion}`;
  const { text } = await by.request('GET', `${CONFIG_MAPS}?${query}`);
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as WatchEvent);
}

/** Makes some history. @returns the resourceVersion before it, which a watch can still start from. */
async function olderVersion(by: Caller): Promise<string> {
  const before = expect(200, await by.request('GET', CONFIG_MAPS)).metadata.resourceVersion;
  await create(by, CONFIG_MAPS, configMap('history', { data: { step: '1' } }));
  expect(200, await by.request('PATCH', `${CONFIG_MAPS}/history`, { data: { step: '2' } }, MERGE));
  const types = (await watched(by, before)).map(({ type }) => type);
  assert.deepEqual(types, ['ADDED', 'MODIFIED']);
  return before;
}

async function assertGone(by: Caller, resourceVersion: string): Promise<void> {
  const events = await watched(by, resourceVersion);
  assert.deepEqual(
    events.map(({ type, object }) => [type, object.code, object.reason]),
    [['ERROR', 410, 'Expired']],
  );
}

void test('the server is ready, is of the pinned version, and so is kubectl', {
  skip,
}, async () => {
  const { admin } = plane();
  assert.equal((await admin.request('GET', '/readyz')).text, 'ok');
  const { stdout } = await admin.kubectl(['version', '-o', 'json']);
  const versions = JSON.parse(stdout) as Record<string, { gitVersion: string }>;
  assert.equal(versions['clientVersion']?.gitVersion, `v${KUBERNETES_VERSION}`);
  assert.equal(versions['serverVersion']?.gitVersion, `v${KUBERNETES_VERSION}`);
});

void test('a caller without a certificate or token reads nothing, and etcd does not even talk to it', {
  skip,
}, async () => {
  assert.equal(await statusOf(`${plane().url}${CONFIG_MAPS}`), 403);
  await assert.rejects(statusOf(`${plane().etcd.url}/health`, {}, false));
});

/** What a caller without a certificate of its own is answered. */
async function statusOf(
  url: string,
  headers: Readonly<Record<string, string>> = {},
  rejectUnauthorized = true,
): Promise<number> {
  const ca = readFileSync(plane().caFile, 'utf8');
  const dispatcher = new Agent({ connect: { ca, rejectUnauthorized } });
  try {
    const { statusCode, body } = await request(url, { dispatcher, headers });
    await body.dump();
    return statusCode;
  } finally {
    await dispatcher.destroy();
  }
}

void test('a service account without rights is refused by name', { skip }, async () => {
  const stranger = await plane().callerFor({ serviceAccount: 'stranger', namespace: 'default' });
  const refused = expect(403, await stranger.request('GET', CONFIG_MAPS));
  assert.match(refused.message ?? '', /"system:serviceaccount:default:stranger" cannot list/);
  const { code, stderr } = await stranger.kubectl(['get', 'configmaps']);
  assert.equal(code, 1);
  assert.match(stderr, /Forbidden/);
});

void test('client-node reads with the kubeconfig of a user whose group may', { skip }, async () => {
  const reader = await plane().callerFor({ user: 'ann', groups: ['system:masters'] });
  const config = new KubeConfig();
  config.loadFromFile(reader.kubeconfig);
  const { items } = await config.makeApiClient(CoreV1Api).listNamespace();
  assert.ok(items.some(({ metadata }) => metadata?.name === 'kube-system'));
});

void test('a role on one ConfigMap by name lets read, list and watch that one, and no other', {
  skip,
}, async () => {
  const { admin } = plane();
  for (const name of ['mine', 'other']) await create(admin, CONFIG_MAPS, configMap(name));
  const rule = { apiGroups: [''], resources: ['configmaps'], verbs: ['get', 'list', 'watch'] };
  const rules = [{ ...rule, resourceNames: ['mine'] }];
  await create(admin, `${ROLES}/roles`, { metadata: { name: 'reader' }, rules });
  await create(admin, `${ROLES}/rolebindings`, {
    metadata: { name: 'reader' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' },
    subjects: [{ kind: 'ServiceAccount', name: 'reader', namespace: 'default' }],
  });
  const reader = await plane().callerFor({ serviceAccount: 'reader', namespace: 'default' });
  expect(200, await reader.request('GET', `${CONFIG_MAPS}/mine`));
  expect(403, await reader.request('GET', `${CONFIG_MAPS}/other`));
  expect(403, await reader.request('GET', CONFIG_MAPS));
  const selected = `${CONFIG_MAPS}?fieldSelector=metadata.name%3Dmine`;
  const list = expect(200, await reader.request('GET', selected));
  assert.deepEqual(
    list.items?.map(({ metadata }) => metadata.name),
    ['mine'],
  );
  expect(200, await reader.request('GET', `${selected}&watch=1&timeoutSeconds=1`));
  expect(403, await reader.request('PATCH', `${CONFIG_MAPS}/mine`, { data: {} }, MERGE));
});

void test('two managers that apply the same field are in conflict until one insists', {
  skip,
}, async () => {
  const { admin } = plane();
  const path = `${CONFIG_MAPS}/applied`;
  const applied = (weight: string, query: string) =>
    admin.request('PATCH', `${path}?${query}`, configMap('applied', { data: { weight } }), APPLY);
  expect(201, await applied('5', 'fieldManager=git'));
  expect(200, await applied('5', 'fieldManager=controller'));
  const refused = expect(409, await applied('25', 'fieldManager=controller'));
  assert.match(refused.message ?? '', /conflict with "git".*\.data\.weight/s);
  const manifest = JSON.stringify(configMap('applied', { data: { weight: '50' } }));
  const kubectl = await admin.kubectl(['apply', '--server-side', '-f', '-'], manifest);
  assert.equal(kubectl.code, 1);
  assert.match(kubectl.stderr, /Apply failed with 2 conflicts/);
  expect(200, await applied('25', 'fieldManager=controller&force=true'));
  assert.equal(expect(200, await admin.request('GET', path)).data?.['weight'], '25');
});

void test('an immutable ConfigMap cannot be changed or made mutable, only deleted', {
  skip,
}, async () => {
  const { admin } = plane();
  const path = `${CONFIG_MAPS}/frozen`;
  await create(admin, CONFIG_MAPS, configMap('frozen', { data: { a: '1' }, immutable: true }));
  for (const change of [{ data: { a: '2' } }, { immutable: false }]) {
    const refused = expect(422, await admin.request('PATCH', path, change, MERGE));
    assert.match(refused.message ?? '', /field is immutable when `immutable` is set/);
  }
  // Labels and annotations stay open.
  const annotated = { metadata: { annotations: { seen: 'yes' } } };
  expect(200, await admin.request('PATCH', path, annotated, MERGE));
  expect(200, await admin.request('DELETE', path));
});

void test('a ConfigMap holds 1 MiB and not a byte more', { skip }, async () => {
  const { admin } = plane();
  const sized = (bytes: number) => configMap('big', { data: { a: 'x'.repeat(bytes) } });
  const refused = expect(422, await admin.request('POST', CONFIG_MAPS, sized(MIB + 1)));
  assert.match(refused.message ?? '', /may not be more than 1048576 bytes/);
  await create(admin, CONFIG_MAPS, sized(MIB));
});

void test('a Lease is written by whoever read it last, and nobody else', { skip }, async () => {
  const { admin } = plane();
  const lease = await create(admin, LEASES, {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: 'leader' },
    spec: { holderIdentity: 'a', renewTime: '2026-01-01T00:00:00.000000Z' },
  });
  const claim = (holderIdentity: string) =>
    admin.request('PUT', `${LEASES}/leader`, { ...lease, spec: { holderIdentity } });
  expect(200, await claim('b'));
  assert.equal(expect(409, await claim('c')).reason, 'Conflict');
  const held = expect(200, await admin.request('GET', `${LEASES}/leader`));
  assert.equal(held.spec?.['holderIdentity'], 'b');
});

void test('a token passes review for its own audience only, and is no way into the API server', {
  skip,
}, async () => {
  const { admin, tokenFor } = plane();
  const account = { serviceAccount: 'sidecar', namespace: 'default' };
  const review = async (token: string) => {
    const spec = { token, audiences: ['egret'] };
    const { status } = await create(admin, REVIEWS, { spec });
    return status as { authenticated?: boolean; audiences?: string[]; user?: { username: string } };
  };
  const ours = await tokenFor(account, 'egret');
  const accepted = await review(ours);
  assert.equal(accepted.authenticated, true);
  assert.deepEqual(accepted.audiences, ['egret']);
  assert.equal(accepted.user?.username, 'system:serviceaccount:default:sidecar');
  for (const token of [await tokenFor(account, 'elsewhere'), await tokenFor(account)]) {
    assert.notEqual((await review(token)).authenticated, true);
  }
  const [head = '', body = ''] = ours.split('.');
  assert.notEqual((await review(`${head}.${body}.AAAA`)).authenticated, true);
  assert.equal(await statusOf(`${plane().url}/api`, { authorization: `Bearer ${ours}` }), 401);
});

void test('what was written outlives the API server, and its restart makes old versions too old', {
  skip,
}, async () => {
  const { admin, apiserver, etcd } = plane();
  const before = await olderVersion(admin);
  const first = apiserver.pid();
  await apiserver.stop();
  await assert.rejects(admin.request('GET', '/readyz'));
  await etcd.compactAll();
  await apiserver.start();
  assert.notEqual(apiserver.pid(), first);
  assert.equal(
    expect(200, await admin.request('GET', `${CONFIG_MAPS}/history`)).data?.['step'],
    '2',
  );
  await assertGone(admin, before);
});

void test('compaction makes old versions too old for a server without memory, and stop leaves nothing', {
  skip,
}, async (t) => {
  const other = await startControlPlane({ watchCache: false, controllerManager: true });
  t.after(() => other.stop());
  const { admin, apiserver, directory, etcd } = other;
  const before = await olderVersion(admin);
  await etcd.compactAll();
  await assertGone(admin, before);
  const now = expect(200, await admin.request('GET', CONFIG_MAPS)).metadata.resourceVersion;
  assert.deepEqual(await watched(admin, now), []);
  // Only the controllers finish this.
  for (const verb of ['create', 'delete']) {
    const { code, stderr } = await admin.kubectl([verb, 'namespace', 'short-lived']);
    assert.equal(code, 0, stderr);
  }
  expect(404, await admin.request('GET', '/api/v1/namespaces/short-lived'));
  const pid = apiserver.pid();
  await other.stop();
  assert.throws(() => process.kill(pid, 0), /ESRCH/);
  assert.equal(existsSync(directory), false);
});
