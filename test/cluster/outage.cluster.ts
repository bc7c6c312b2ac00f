/**
 * What happens when the API server or a leader is frozen or gone in the middle of a rollout, with real processes:
 * sidecars keep what they have and hear what comes after, the controller goes on, and only who leads writes.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type FleetSidecar, startFleetSidecar, type Transport } from '../../bench/fleet-sidecar.ts';
import { receiptsFor } from '../e2e/bundle-variant.ts';
import { controlPlaneForTests } from './control-plane.ts';
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
const AGENTS = { serviceAccount: 'agents', namespace: 'default' };
/** Nothing moves on by itself. */
const STEPS = [{ shadow: '1h' }, { weight: 100, for: '1h' }];
/** Longer than the lease of controller-stage.ts. */
const LONGER_THAN_LEASE_MS = 9000;

async function merge(set: string, revision: string): Promise<void> {
  const archive = receiptsFor(['accountant@example.com'], revision);
  const spec = { candidate: { bundle: `${set}-${revision}` }, steps: STEPS };
  const bundle = bundleManifest(set, `${set}-${revision}`, archive);
  await apply(plane().admin, setManifest(set, spec), bundle);
}

async function rollOut(set: string): Promise<string> {
  await merge(set, 'v1');
  await untilState(plane(), set, ({ phase }) => phase === 'Stable');
  await merge(set, 'v2');
  await untilState(plane(), set, ({ phase }) => phase === 'Shadow');
  return (await stateOf(plane(), set))['rolloutID'] ?? '';
}

async function command(set: string, text: string): Promise<void> {
  const path = `/api/v1/namespaces/${NAMESPACE}/configmaps/${set}`;
  const annotations = { 'egret.dev/command': text, 'egret.dev/command-by': 'admin' };
  const patch = { metadata: { annotations } };
  const type = 'application/merge-patch+json';
  const answer = await plane().admin.request('PATCH', path, patch, type);
  assert.equal(answer.status, 200, answer.text);
}

/** A controller whose distributor listens, too. */
async function controllerOf(t: TestContext, awaits: 'leading' | 'listening') {
  const { certificatePem, keyPem } = await plane().serve({
    commonName: 'egret-controller',
    addresses: ['127.0.0.1'],
  });
  const [certFile, keyFile] = ['tls.crt', 'tls.key'].map((name) => join(plane().directory, name));
  writeFileSync(certFile as string, certificatePem);
  writeFileSync(keyFile as string, keyPem);
  const distributor = { host: '127.0.0.1', port: 0, certFile, keyFile };
  return startController(t, plane(), { awaits, config: { distributor } });
}

/** One sidecar for each transport and turn. */
async function sidecarsOf(
  t: TestContext,
  set: string,
  controller: ControllerProcess,
): Promise<readonly FleetSidecar[]> {
  const { kubeconfig } = await plane().callerFor(AGENTS);
  const transports: Transport[] = ['configMap', 'configMap', 'distributor', 'distributor'];
  return Promise.all(
    transports.map(async (transport, at) => {
      const { token } = await plane().podToken(AGENTS, 'egret');
      const tokenFile = join(plane().directory, `${set}-${at}.token`);
      writeFileSync(tokenFile, token);
      const sidecar = await startFleetSidecar({
        set,
        name: `${set}-${at}`,
        transport,
        url: `https://127.0.0.1:${controller.port('distributor')}`,
        caFile: plane().caFile,
        tokenFile,
        kubeconfig,
        namespace: NAMESPACE,
        reportMs: 2000,
        candidateSpreadMs: 100,
      });
      t.after(() => sidecar.close());
      return sidecar;
    }),
  );
}

function assertOnlyForward(sidecars: readonly FleetSidecar[]): void {
  for (const { transport, generations } of sidecars) {
    // One more time for the same word is a candidate that was had later.
    const sorted = generations.toSorted((a, b) => a - b);
    assert.deepEqual(generations, sorted, `${transport}: ${generations.join()}`);
  }
}

const leadings = ({ events }: ControllerProcess) =>
  events.filter(({ event }) => event === 'controller.leading').map(({ leads }) => leads);
const moves = ({ events }: ControllerProcess) =>
  events.filter(({ event }) => event === 'rollout.moved').length;

void test('An API server that freezes, dies and forgets its history in a rollout costs nobody anything', {
  skip,
}, async (t) => {
  const controller = await controllerOf(t, 'leading');
  const rolloutId = await rollOut('away');
  const sidecars = await sidecarsOf(t, 'away', controller);
  await until('all hold the candidate', () => sidecars.every((one) => one.holdsCandidate()));
  const told = sidecars.map((one) => one.directive());

  process.kill(plane().apiserver.pid(), 'SIGSTOP');
  await until('nobody leads', () => leadings(controller).at(-1) === false);
  assert.deepEqual(
    sidecars.map((one) => one.directive()),
    told,
  );
  process.kill(plane().apiserver.pid(), 'SIGCONT');
  await until('it leads again', () => leadings(controller).at(-1) === true);
  await command('away', `pause:${rolloutId}`);
  await until('all hear of the pause', () =>
    sidecars.every((one) => one.directive()?.phase === 'Paused'),
  );

  await plane().apiserver.stop('SIGKILL');
  await until('nobody leads', () => leadings(controller).at(-1) === false);
  await plane().etcd.compactAll();
  assert.ok(sidecars.every((one) => one.holdsCandidate()));
  await plane().apiserver.start();
  await command('away', `abort:${rolloutId}`);
  await until('all hear of the abort', () =>
    sidecars.every((one) => one.directive()?.phase === 'Aborted'),
  );
  assert.equal(controller.process.exitCode, null);
  assert.deepEqual(leadings(controller), [true, false, true, false, true]);
  assertOnlyForward(sidecars);
  await merge('away', 'v3');
  await until('the next rollout is there', () =>
    sidecars.every((one) => one.directive()?.candidate?.revision === 'v3' && one.holdsCandidate()),
  );
  assertOnlyForward(sidecars);
});

void test('A leader that was frozen for longer than its lease writes nothing when it goes on', {
  skip,
}, async (t) => {
  const one = await controllerOf(t, 'leading');
  const rolloutId = await rollOut('frozen');
  const two = await controllerOf(t, 'listening');
  const sidecars = await sidecarsOf(t, 'frozen', two);
  await until('all hold the candidate', () => sidecars.every((each) => each.holdsCandidate()));
  const written = moves(one);
  one.process.kill('SIGSTOP');
  t.after(() => one.process.kill('SIGCONT'));
  // It waits in the sockets of the frozen one, for the moment at which it goes on.
  await command('frozen', `pause:${rolloutId}`);
  await untilState(plane(), 'frozen', ({ phase }) => phase === 'Paused');
  assert.deepEqual(leadings(two), [true]);
  await command('frozen', `resume:${rolloutId}`);
  await untilState(plane(), 'frozen', ({ phase }) => phase === 'Shadow');
  await sleep(LONGER_THAN_LEASE_MS);
  const before = await objectOf('frozen');
  one.process.kill('SIGCONT');
  await until('it knows that it leads no more', () => leadings(one).at(-1) === false);
  // As long as it takes to read everything anew and to act on it, if it did.
  await sleep(3000);
  assert.equal(moves(one), written);
  assert.deepEqual(leadings(two), [true]);
  assert.equal(await objectOf('frozen'), before);
  await command('frozen', `abort:${rolloutId}`);
  await until('all hear of the abort', () =>
    sidecars.every((each) => each.directive()?.phase === 'Aborted'),
  );
  assert.equal(moves(one), written);
  assertOnlyForward(sidecars);
});

/** The version of the state: it changes with every write, whoever writes. */
async function objectOf(set: string): Promise<string> {
  const path = `/api/v1/namespaces/${NAMESPACE}/configmaps/${set}-state`;
  const { body } = await plane().admin.request('GET', path);
  return body.metadata.resourceVersion;
}

void test('A state that somebody deletes is written again, and sidecars follow it', {
  skip,
}, async (t) => {
  const controller = await controllerOf(t, 'leading');
  const rolloutId = await rollOut('deleted');
  const sidecars = await sidecarsOf(t, 'deleted', controller);
  await until('all hold the candidate', () => sidecars.every((one) => one.holdsCandidate()));
  const path = `/api/v1/namespaces/${NAMESPACE}/configmaps/deleted-state`;
  await plane().admin.request('DELETE', path);
  await command('deleted', `abort:${rolloutId}`);
  await until('all hear of the abort', () =>
    sidecars.every((one) => one.directive()?.phase === 'Aborted'),
  );
  assert.match((await stateOf(plane(), 'deleted'))['stable'] ?? '', /v1/);
  assertOnlyForward(sidecars);
});
