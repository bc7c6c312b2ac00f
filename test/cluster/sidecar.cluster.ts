/**
 * Everything real at once: an API server, a controller with the rights of the chart, a sidecar with the rights of its
 * pod and no others, a tool, and calls of an agent. A merge starts a rollout that watches itself; a bad policy undoes
 * itself; an operator ends one with the command line.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { adminText, sendMail } from '../e2e/agent.ts';
import { decisionsOf, readLeaves } from '../e2e/audit-log.ts';
import { receiptsFor } from '../e2e/bundle-variant.ts';
import type { SidecarProcess } from '../e2e/sidecar-process.ts';
import { auditOf, stageMail } from '../e2e/stage.ts';
import { PROGRAM } from '../program.ts';
import { type ControlPlane, controlPlaneForTests } from './control-plane.ts';
import {
  apply,
  applyChart,
  bundleManifest,
  type ControllerProcess,
  NAMESPACE,
  setManifest,
  startController,
  stateOf,
  until,
  untilState,
} from './controller-stage.ts';

const { skip, plane } = controlPlaneForTests({}, applyChart);

const ACCOUNTANT = 'accountant@example.com';
const BOSS = 'boss@example.com';
const AGENTS = { serviceAccount: 'agents', namespace: 'default' };
const toBoss = { to: [BOSS] };
const run = promisify(execFile);

const specFor = (bundle: string) => ({
  candidate: { bundle },
  steps: [{ shadow: '1s' }, { weight: 50, for: '1s' }, { weight: 100, for: '1s' }],
  analysis: { interval: '1s', minSamples: 5 },
});

const merge = (set: string, version: string, recipients: readonly string[]) =>
  apply(
    plane().admin,
    setManifest(set, specFor(`${set}-${version}`)),
    bundleManifest(set, `${set}-${version}`, receiptsFor(recipients, version)),
  );

async function startDistributing(
  t: TestContext,
  cluster: ControlPlane,
): Promise<ControllerProcess> {
  const { certificatePem, keyPem } = await cluster.serve({
    commonName: 'egret-controller',
    addresses: ['127.0.0.1'],
  });
  const files = {
    certFile: join(cluster.directory, 'd.crt'),
    keyFile: join(cluster.directory, 'd.key'),
  };
  writeFileSync(files.certFile, certificatePem);
  writeFileSync(files.keyFile, keyPem);
  const distributor = { host: '127.0.0.1', port: 0, ...files };
  return startController(t, cluster, { config: { distributor } });
}

/** As a pod: it watches the API with the account of its pod, and reports with a projected token. */
async function startPod(t: TestContext, set: string, controller: ControllerProcess) {
  const account = await plane().callerFor(AGENTS);
  const { token } = await plane().podToken(AGENTS, 'egret');
  const tokenFile = join(plane().directory, `${set}.token`);
  writeFileSync(tokenFile, token);
  const url = `https://127.0.0.1:${controller.port('distributor')}`;
  const bundles = [
    {
      name: set,
      configMap: { namespace: NAMESPACE, kubeconfig: account.kubeconfig },
      lastGoodDirectory: './last-good',
      reports: { url, tokenFile, caFile: plane().caFile, intervalSeconds: 1 },
    },
  ];
  const { sidecar } = await stageMail(t, { bundle: null, config: { bundles } });
  return sidecar;
}

const reasonOf = async ({ ports }: SidecarProcess, mail = {}) =>
  (await sendMail(ports, mail)).reason;

/** Calls until the state is as wanted. @returns what the calls were answered. */
async function callUntil(
  sidecar: SidecarProcess,
  set: string,
  holds: (state: Readonly<Record<string, string>>) => boolean,
  mail = {},
): Promise<Set<string>> {
  const reasons = new Set<string>();
  await until(`the state of ${set} is as expected`, async () => {
    for (let call = 0; call < 5; call++) reasons.add(await reasonOf(sidecar, mail));
    return holds(await stateOf(plane(), set));
  });
  return reasons;
}

async function begun(t: TestContext, set: string) {
  const controller = await startDistributing(t, plane());
  await merge(set, 'v1', [ACCOUNTANT]);
  await untilState(plane(), set, ({ phase }) => phase === 'Stable');
  const sidecar = await startPod(t, set, controller);
  assert.equal(await reasonOf(sidecar), '');
  return { controller, sidecar };
}

void test('A merge rolls out by itself, on real calls, through every step to stable', {
  skip,
}, async (t) => {
  const { sidecar } = await begun(t, 'shop');
  // The same answers under another name: nothing becomes allowed or denied.
  await merge('shop', 'v2', [ACCOUNTANT, ACCOUNTANT]);
  const reasons = await callUntil(
    sidecar,
    'shop',
    ({ phase, stable = '' }) => phase === 'Stable' && stable.includes('v2'),
  );
  assert.deepEqual([...reasons], ['']);
  await until('the sidecar follows', async () =>
    (await adminText(sidecar.ports, '/status')).includes('"active_revision":"v2"'),
  );
  const arms = new Set(
    decisionsOf(readLeaves(auditOf(sidecar))).map(
      ({ egret }) => (egret as { rollout?: { arm: string } }).rollout?.arm ?? 'none',
    ),
  );
  assert.ok(arms.has('shadow') && arms.has('guarded') && arms.has('none'), [...arms].join());
});

void test('A policy that denies what was allowed undoes itself, and no call was refused for it in shadow', {
  skip,
}, async (t) => {
  const { sidecar } = await begun(t, 'strict');
  await merge('strict', 'v2', ['nobody@example.com']);
  const reasons = await callUntil(sidecar, 'strict', ({ phase }) => phase === 'Aborted');
  assert.deepEqual([...reasons], ['']);
  assert.match((await stateOf(plane(), 'strict'))['stable'] ?? '', /v1/);
});

void test('A policy that allows more waits for a human, and goes on with a reason on the command line', {
  skip,
}, async (t) => {
  const { sidecar } = await begun(t, 'wider');
  await merge('wider', 'v2', [ACCOUNTANT, BOSS]);
  const waited = await callUntil(
    sidecar,
    'wider',
    ({ pauseReason }) => pauseReason === 'Widening',
    toBoss,
  );
  assert.deepEqual([...waited], ['policy.denied']);
  const egret = (...args: string[]) =>
    run(process.execPath, [PROGRAM, 'rollout', ...args, '-n', NAMESPACE], {
      env: { PATH: process.env['PATH'], KUBECONFIG: plane().admin.kubeconfig, NO_COLOR: '1' },
    });
  assert.match((await egret('status', 'wider')).stdout, /gmail\.send/);
  await egret('promote', 'wider', '--reason', 'the boss wants receipts');
  await callUntil(
    sidecar,
    'wider',
    ({ phase, stable = '' }) => phase === 'Stable' && stable.includes('v2'),
    toBoss,
  );
  await until('the sidecar follows', async () => (await reasonOf(sidecar, toBoss)) === '');
  assert.match((await egret('history', 'wider')).stdout, /the boss wants receipts/);
});

void test('A sidecar outlives the API server and the controller, and starts again without them', {
  skip,
}, async (t) => {
  const { controller, sidecar } = await begun(t, 'alone');
  await controller.stop();
  await plane().apiserver.stop();
  t.after(() => plane().apiserver.start());
  assert.equal(await reasonOf(sidecar), '');
  const { directory } = sidecar;
  await sidecar.stop();
  const again = await stageMail(t, { directory, config: alone(plane(), directory) });
  assert.equal(await reasonOf(again.sidecar), '');
  assert.equal(await reasonOf(again.sidecar, toBoss), 'policy.denied');
});

const alone = (cluster: ControlPlane, directory: string) => ({
  bundles: [
    {
      name: 'alone',
      configMap: { namespace: NAMESPACE, kubeconfig: cluster.admin.kubeconfig },
      lastGoodDirectory: join(directory, 'last-good'),
    },
  ],
});
