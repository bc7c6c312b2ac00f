// The distributor over a real socket: only projected tokens of pods get in, a report counts for the pod of its token,
// directives can be waited for, and bundles are immutable.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createDistributor, type DistributorParts } from '../../src/controller/distributor.ts';
import { createTokens } from '../../src/controller/tokens.ts';
import type { Directive } from '../../src/rollout/directive.ts';
import type { Report } from '../../src/rollout/report.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;
const directive = (generation: number): Directive => ({
  set: 'main',
  generation,
  phase: 'Stable',
  rolloutId: null,
  stable: { digest: DIGEST, revision: 'r1', pieces: 1 },
  candidate: null,
  mode: 'guarded',
  unit: 'agent',
  weight: 0,
  salt: '0'.repeat(32),
  selector: {},
  replayLastMs: null,
  maxStaleness: null,
});
const report: Report = {
  apiVersion: 'egret.dev/v1alpha1',
  kind: 'PolicyReport',
  set: 'main',
  sidecar: 'somebody-else',
  epoch: 'e1',
  sequence: 1,
  generation: 1,
  stable: DIGEST,
  rollout: null,
};
const POD_TOKEN = 'pod-token-0123456789';
const PEER_TOKEN = 'peer-token-0123456789';

async function stage(t: TestContext, given: Partial<DistributorParts> = {}) {
  const state = { directive: directive(1) as Directive | null, reports: [] as Report[] };
  const errors: unknown[] = [];
  const answered: string[] = [];
  const distributor = createDistributor({
    authenticate: async (token) => {
      if (token === POD_TOKEN) return { kind: 'sidecar', podUid: 'pod-1', namespace: 'agents' };
      return token === PEER_TOKEN ? { kind: 'peer' } : null;
    },
    directive: (set) => (set === 'main' ? state.directive : null),
    bundle: async (_set, digest) => (digest === DIGEST ? Buffer.from('archive') : null),
    report: (one) => {
      state.reports.push(one);
      return true;
    },
    heard: () => state.reports.map((one) => ({ report: one, ageMs: 0 })),
    failed: (error) => errors.push(error),
    answered: (route, status) => answered.push(`${route} ${status}`),
    ...given,
  });
  const server = createServer(distributor.app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    distributor.close();
    server.closeAllConnections();
    server.close();
  });
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const ask = (path: string, init: RequestInit & { token?: string | null } = {}) => {
    const { token = POD_TOKEN, headers, ...rest } = init;
    const authorization = token === null ? {} : { authorization: `Bearer ${token}` };
    return fetch(base + path, { ...rest, headers: { ...authorization, ...headers } });
  };
  return { state, distributor, ask, errors, answered };
}

const send = (value: unknown): RequestInit => ({ method: 'POST', body: JSON.stringify(value) });

test('Without a token, or with one that is none, nothing is answered', async (t) => {
  const { ask } = await stage(t);
  for (const path of ['/v1/sets/main/directive', `/v1/sets/main/bundles/${DIGEST}`]) {
    assert.equal((await ask(path, { token: null })).status, 401);
    assert.equal((await ask(path, { token: 'made-up-token-000000' })).status, 401);
  }
  assert.equal((await ask('/v1/reports', { ...send(report), token: null })).status, 401);
});

test('When no token can be checked, the answer is 503 and not 401', async (t) => {
  const { ask, errors } = await stage(t, { authenticate: () => Promise.reject(new Error('down')) });
  assert.equal((await ask('/v1/sets/main/directive')).status, 503);
  assert.equal(errors.length, 1);
});

test('A directive comes with an ETag, and 304 without waiting when nothing changed', async (t) => {
  const { ask, answered } = await stage(t);
  const first = await ask('/v1/sets/main/directive');
  assert.equal(first.status, 200);
  assert.equal(((await first.json()) as Directive).generation, 1);
  const etag = first.headers.get('etag') ?? '';
  const again = await ask('/v1/sets/main/directive', { headers: { 'if-none-match': etag } });
  assert.equal(again.status, 304);
  assert.deepEqual(answered, ['directive 200', 'directive 304']);
});

test('Who waits for a directive is answered as soon as it changes', async (t) => {
  const { ask, state, distributor } = await stage(t);
  const waits = ask('/v1/sets/main/directive?wait=60', { headers: { 'if-none-match': '"1"' } });
  await new Promise((resolve) => setTimeout(resolve, 50));
  state.directive = directive(2);
  distributor.changed('main');
  assert.equal(((await (await waits).json()) as Directive).generation, 2);
});

test('Who waits in vain gets 304 when the time is over', async (t) => {
  const { ask } = await stage(t);
  const headers = { 'if-none-match': '"1"' };
  assert.equal((await ask('/v1/sets/main/directive?wait=1', { headers })).status, 304);
});

test('A set without a state is 404', async (t) => {
  const { ask } = await stage(t);
  assert.equal((await ask('/v1/sets/other/directive')).status, 404);
});

test('A bundle is named by its digest, immutable, and nothing else is served', async (t) => {
  const { ask } = await stage(t);
  const found = await ask(`/v1/sets/main/bundles/${DIGEST}`);
  assert.equal(await found.text(), 'archive');
  assert.match(found.headers.get('cache-control') ?? '', /immutable/);
  const again = { headers: { 'if-none-match': `"${DIGEST}"` } };
  assert.equal((await ask(`/v1/sets/main/bundles/${DIGEST}`, again)).status, 304);
  assert.equal((await ask(`/v1/sets/main/bundles/sha256:${'b'.repeat(64)}`)).status, 404);
  assert.equal((await ask('/v1/sets/main/bundles/..%2f..%2fsecrets')).status, 400);
});

test('A report counts for the pod of its token, whatever it says', async (t) => {
  const { ask, state } = await stage(t);
  assert.equal((await ask('/v1/reports', send(report))).status, 204);
  assert.equal(state.reports[0]?.sidecar, 'pod-1');
});

test('A report that is none is refused with the place', async (t) => {
  const { ask, state } = await stage(t);
  const bad = await ask('/v1/reports', send({ ...report, sequence: -1 }));
  assert.equal(bad.status, 400);
  assert.match(((await bad.json()) as { error: string }).error, /^sequence: /);
  assert.equal((await ask('/v1/reports', send('x'.repeat(70_000)))).status, 413);
  assert.equal((await ask('/v1/reports', { method: 'POST', body: '{' })).status, 400);
  assert.equal(state.reports.length, 0);
});

test('Only another replica may read what all sidecars reported', async (t) => {
  const { ask } = await stage(t);
  await ask('/v1/reports', send(report));
  assert.equal((await ask('/v1/peers/reports')).status, 403);
  const peers = await ask('/v1/peers/reports', { token: PEER_TOKEN });
  assert.equal(((await peers.json()) as unknown[]).length, 1);
  assert.equal((await ask('/v1/reports', { ...send(report), token: PEER_TOKEN })).status, 403);
});

test('Other methods and paths are refused', async (t) => {
  const { ask } = await stage(t);
  assert.equal((await ask('/v1/sets/main/directive', { method: 'DELETE' })).status, 405);
  assert.equal((await ask('/v1/reports')).status, 405);
  assert.equal((await ask('/v1/else')).status, 404);
});

const reviewed = (given: object) => ({
  authenticated: true,
  audiences: ['egret'],
  user: {
    username: 'system:serviceaccount:agents:default',
    extra: { 'authentication.kubernetes.io/pod-uid': ['pod-1'] },
  },
  ...given,
});
const tokens = (status: () => Promise<unknown>, monotonicMs = () => 0) =>
  createTokens({
    audience: 'egret',
    peerUser: 'system:serviceaccount:egret:egret-controller',
    review: status,
    monotonicMs,
  });

test('A token is a sidecar only with our audience, a service account and a pod', async () => {
  const found = await tokens(async () => reviewed({}))('t');
  assert.deepEqual(found, { kind: 'sidecar', podUid: 'pod-1', namespace: 'agents' });
  for (const status of [
    { authenticated: false },
    reviewed({ audiences: ['https://kubernetes.default.svc'] }),
    reviewed({ audiences: [] }),
    reviewed({ user: { username: 'system:serviceaccount:agents:default', extra: {} } }),
    reviewed({ user: { username: 'alice' } }),
    null,
  ]) {
    assert.equal(await tokens(async () => status)('t'), null);
  }
});

test('A token of the own service account is another replica', async () => {
  const user = { username: 'system:serviceaccount:egret:egret-controller' };
  assert.deepEqual(await tokens(async () => reviewed({ user }))('t'), { kind: 'peer' });
});

test('An answer is kept for a minute, a refusal for five seconds, a failure not at all', async () => {
  let asked = 0;
  let now = 0;
  let answer: () => Promise<unknown> = async () => reviewed({});
  const who = tokens(
    () => {
      asked += 1;
      return answer();
    },
    () => now,
  );
  await who('good');
  await who('good');
  assert.equal(asked, 1);
  now = 60_001;
  await who('good');
  assert.equal(asked, 2);
  answer = async () => ({ authenticated: false });
  await who('bad');
  now += 4999;
  await who('bad');
  assert.equal(asked, 3);
  now += 2;
  await who('bad');
  assert.equal(asked, 4);
  answer = () => Promise.reject(new Error('down'));
  await assert.rejects(who('else'));
  await assert.rejects(who('else'));
  assert.equal(asked, 6);
});
