/**
 * The controller against a real API server, with the rights of the chart: a merge starts a rollout, a bad bundle never
 * reaches a sidecar, a prune hurts nobody, and whoever leads goes on where another ended.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { receiptsFor, receiptsWith } from '../e2e/bundle-variant.ts';
import { controlPlaneForTests } from './control-plane.ts';
import {
  apply,
  applyChart,
  bundleManifest,
  configMaps,
  eventReasons,
  kubectl,
  NAMESPACE,
  setManifest,
  setManifestOf,
  startController,
  stateOf,
  until,
  untilState,
} from './controller-stage.ts';

const { skip, plane } = controlPlaneForTests({}, applyChart);

const RECIPIENTS = ['accountant@example.com'];
/** No sidecar reports here, so nothing moves on by itself after the first bundle. */
const SHADOW = { steps: [{ shadow: '1h' }, { weight: 100, for: '1h' }] };
const specFor = (bundle: string) => ({ candidate: { bundle }, ...SHADOW });
const policy = (revision: string, recipients: readonly string[] = RECIPIENTS) =>
  receiptsFor(recipients, revision);

void test('The first bundle of a set becomes stable, as an immutable copy that Git cannot prune', {
  skip,
}, async (t) => {
  await startController(t, plane());
  const { admin } = plane();
  await apply(admin, setManifest('first', specFor('first-v1')));
  await apply(admin, bundleManifest('first', 'first-v1', policy('v1')));
  const waits = ['wait', '-n', NAMESPACE, '--for=jsonpath={.data.phase}=Stable', '--timeout=60s'];
  await until(
    'there is a state',
    async () => (await stateOf(plane(), 'first'))['phase'] !== undefined,
  );
  await kubectl(admin, [...waits, 'configmap/first-state']);
  await kubectl(admin, ['delete', 'configmap', 'first-v1', '-n', NAMESPACE]);
  const [copy] = await configMaps(plane(), 'egret.dev/copy=first');
  assert.match(copy?.metadata.name ?? '', /^first-[0-9a-f]{12}$/);
  const changed = await admin.kubectl([
    'annotate',
    'configmap',
    copy?.metadata.name ?? '',
    '-n',
    NAMESPACE,
    'egret.dev/bundle-digest=x',
    '--overwrite',
  ]);
  assert.equal(
    changed.code,
    0,
    'annotations of an immutable ConfigMap may change, its data may not',
  );
  const patch = JSON.stringify({ binaryData: { 'bundle.tar.gz': 'AAAA' } });
  const refused = await admin.kubectl([
    'patch',
    'configmap',
    copy?.metadata.name ?? '',
    '-n',
    NAMESPACE,
    '-p',
    patch,
  ]);
  assert.match(refused.stderr, /immutable/);
});

void test('A second bundle starts a rollout in shadow, is superseded by a third, and can be aborted', {
  skip,
}, async (t) => {
  await startController(t, plane());
  const { admin } = plane();
  await apply(
    admin,
    setManifest('second', specFor('second-v1')),
    bundleManifest('second', 'second-v1', policy('v1')),
  );
  await untilState(plane(), 'second', ({ phase }) => phase === 'Stable');
  await apply(
    admin,
    setManifest('second', specFor('second-v2')),
    bundleManifest('second', 'second-v2', policy('v2')),
  );
  await untilState(plane(), 'second', ({ phase }) => phase === 'Shadow');
  const before = await stateOf(plane(), 'second');
  await apply(
    admin,
    setManifest('second', specFor('second-v3')),
    bundleManifest('second', 'second-v3', policy('v3')),
  );
  await untilState(plane(), 'second', ({ rolloutID }) => rolloutID !== before['rolloutID']);
  const { rolloutID = '' } = await stateOf(plane(), 'second');
  const command = [`egret.dev/command=abort:${rolloutID}`, 'egret.dev/command-by=admin'];
  await kubectl(admin, ['annotate', 'configmap', 'second', '-n', NAMESPACE, ...command]);
  await untilState(plane(), 'second', ({ phase }) => phase === 'Aborted');
  await until('the events are told', async () =>
    (await eventReasons(plane(), 'second')).includes('Aborted'),
  );
  const reasons = await eventReasons(plane(), 'second');
  assert.ok(reasons.includes('RolloutStarted') && reasons.includes('Superseded'), reasons.join());
  assert.match((await stateOf(plane(), 'second'))['stable'] ?? '', /v1/);
});

void test('A bundle that is no archive is rejected with an Event and never becomes a copy', {
  skip,
}, async (t) => {
  await startController(t, plane());
  const { admin } = plane();
  await apply(
    admin,
    setManifest('bad', specFor('bad-v1')),
    bundleManifest('bad', 'bad-v1', policy('v1')),
  );
  await untilState(plane(), 'bad', ({ phase }) => phase === 'Stable');
  await apply(
    admin,
    setManifest('bad', specFor('bad-v2')),
    bundleManifest('bad', 'bad-v2', Buffer.from('not a bundle')),
  );
  await until('it is rejected', async () =>
    (await eventReasons(plane(), 'bad')).includes('BundleRejected'),
  );
  const state = await stateOf(plane(), 'bad');
  assert.match(state['message'] ?? '', /archive/);
  assert.match(state['stable'] ?? '', /v1/);
  assert.equal((await configMaps(plane(), 'egret.dev/copy=bad')).length, 1);
});

void test('A policy set that cannot be read says where on the set itself and in an Event, and changes nothing', {
  skip,
}, async (t) => {
  await startController(t, plane());
  const { admin } = plane();
  await apply(
    admin,
    setManifest('broken', specFor('broken-v1')),
    bundleManifest('broken', 'broken-v1', policy('v1')),
  );
  await untilState(plane(), 'broken', ({ phase }) => phase === 'Stable');
  const text =
    'apiVersion: egret.dev/v1alpha1\nkind: PolicySet\nmetadata: {name: broken}\nspec: {candidate: {bundle: x}, wieght: 3}\n';
  await apply(admin, setManifestOf('broken', text));
  const status = async () => {
    const path = `/api/v1/namespaces/${NAMESPACE}/configmaps/broken`;
    return (await admin.request('GET', path)).body.metadata.annotations?.['egret.dev/status'] ?? '';
  };
  await until('the status is shown', async () => (await status()) !== '');
  assert.equal(
    await status(),
    'rollout.yaml:4:7: spec: found unknown key "wieght", expected only documented keys',
  );
  assert.ok((await eventReasons(plane(), 'broken')).includes('InvalidPolicySet'));
  assert.equal((await stateOf(plane(), 'broken'))['phase'], 'Stable');
  await apply(admin, setManifest('broken', specFor('broken-v1')));
  await until('the status is taken away', async () => (await status()) === '');
});

void test('A bundle in several pieces is put together whatever the order in which they arrive', {
  skip,
}, async (t) => {
  await startController(t, plane());
  const pieces = bundleManifest('pieces', 'pieces-v1', policy('v1'), 30_000)
    .split(/^---\n/m)
    .filter((one) => one !== '');
  assert.ok(pieces.length > 2);
  await apply(plane().admin, setManifest('pieces', specFor('pieces-v1')));
  for (const piece of pieces.toReversed()) await apply(plane().admin, piece);
  await untilState(plane(), 'pieces', ({ phase }) => phase === 'Stable');
});

void test('Deleting the set moves nothing, and the set that comes back does not begin anew', {
  skip,
}, async (t) => {
  await startController(t, plane());
  const { admin } = plane();
  await apply(
    admin,
    setManifest('gone', specFor('gone-v1')),
    bundleManifest('gone', 'gone-v1', policy('v1')),
  );
  await untilState(plane(), 'gone', ({ phase }) => phase === 'Stable');
  await kubectl(admin, ['delete', 'configmap', 'gone', '-n', NAMESPACE]);
  await apply(
    admin,
    setManifest('gone', specFor('gone-v2')),
    bundleManifest('gone', 'gone-v2', policy('v2')),
  );
  await untilState(plane(), 'gone', ({ phase }) => phase === 'Shadow');
  assert.match((await stateOf(plane(), 'gone'))['stable'] ?? '', /v1/);
});

void test('A leader that is killed is replaced, and the rollout goes on where it was', {
  skip,
}, async (t) => {
  const { admin } = plane();
  const one = await startController(t, plane());
  const two = await startController(t, plane(), { awaits: 'listening' });
  await apply(
    admin,
    setManifest('failover', specFor('failover-v1')),
    bundleManifest('failover', 'failover-v1', policy('v1')),
  );
  await untilState(plane(), 'failover', ({ phase }) => phase === 'Stable');
  await apply(
    admin,
    setManifest('failover', specFor('failover-v2')),
    bundleManifest('failover', 'failover-v2', policy('v2')),
  );
  await untilState(plane(), 'failover', ({ phase }) => phase === 'Shadow');
  const { rolloutID = '' } = await stateOf(plane(), 'failover');
  await one.stop('SIGKILL');
  const annotations = [`egret.dev/command=pause:${rolloutID}`, 'egret.dev/command-by=admin'];
  await kubectl(admin, ['annotate', 'configmap', 'failover', '-n', NAMESPACE, ...annotations]);
  await untilState(plane(), 'failover', ({ phase }) => phase === 'Paused');
  assert.equal((await stateOf(plane(), 'failover'))['rolloutID'], rolloutID);
  assert.ok(two.events.some((event) => event['event'] === 'controller.leading'));
  assert.equal(await two.stop(), 0);
});

void test('The name of who gives a command is checked, and the controller writes nothing but its own', {
  skip,
}, async () => {
  const { admin } = plane();
  await apply(admin, setManifest('rights', specFor('rights-v1')));
  const editor = await plane().callerFor({ user: 'eve', groups: ['system:masters'] });
  const claim = [
    'annotate',
    'configmap',
    'rights',
    '-n',
    NAMESPACE,
    'egret.dev/command=abort:x',
    'egret.dev/command-by=alice',
  ];
  const refused = await editor.kubectl(claim);
  assert.match(refused.stderr, /found 'alice', expected 'eve'/);
  const controller = await plane().callerFor({
    serviceAccount: 'egret-controller',
    namespace: NAMESPACE,
  });
  for (const args of [
    ['create', 'configmap', 'mine', '-n', NAMESPACE],
    ['patch', 'configmap', 'rights', '-n', NAMESPACE, '-p', '{"data":{"rollout.yaml":"x"}}'],
    ['delete', 'configmap', 'rights', '-n', NAMESPACE],
    ['label', 'configmap', 'rights', '-n', NAMESPACE, 'egret.dev/state=rights'],
    ['get', 'secrets', '-n', NAMESPACE],
    ['get', 'configmaps', '-n', 'kube-system'],
  ]) {
    const { code, stderr } = await controller.kubectl(args);
    assert.notEqual(code, 0, args.join(' '));
    assert.match(stderr, /forbidden|writes only/i, args.join(' '));
  }
});

void test('A bundle whose data are wrong is rejected by the same gate that sidecars use', {
  skip,
}, async (t) => {
  await startController(t, plane());
  await apply(
    plane().admin,
    setManifest('data', specFor('data-v1')),
    bundleManifest('data', 'data-v1', receiptsWith('tools.yaml', 'x: [')),
  );
  await until('it is rejected', async () =>
    (await eventReasons(plane(), 'data')).includes('BundleRejected'),
  );
  assert.match((await stateOf(plane(), 'data'))['message'] ?? '', /tools\.yaml/);
});
