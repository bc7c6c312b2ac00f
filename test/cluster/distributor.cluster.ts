/**
 * The distributor of a real controller with tokens that a real API server issued: who gets in, that sidecars hear of an
 * abort at once, and that what pods report moves a rollout through its steps to the end, or stops it.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Agent, request } from 'undici';
import type { Directive } from '../../src/rollout/directive.ts';
import { COMPARED, EVAL_BOUNDS_US, type Report } from '../../src/rollout/report.ts';
import { receiptsFor } from '../e2e/bundle-variant.ts';
import { type ControlPlane, controlPlaneForTests } from './control-plane.ts';
import {
  apply,
  applyChart,
  bundleManifest,
  kubectl,
  NAMESPACE,
  setManifest,
  startController,
  stateOf,
  until,
  untilState,
} from './controller-stage.ts';

const { skip, plane } = controlPlaneForTests({}, applyChart);
const AGENTS = { serviceAccount: 'agents', namespace: 'default' };
const policy = (revision: string) => receiptsFor(['accountant@example.com'], revision);

async function stage(t: TestContext, cluster: ControlPlane) {
  const { certificatePem, keyPem } = await cluster.serve({
    commonName: 'egret-controller',
    addresses: ['127.0.0.1'],
  });
  const [certFile, keyFile] = ['tls.crt', 'tls.key'].map((name) => join(cluster.directory, name));
  writeFileSync(certFile as string, certificatePem);
  writeFileSync(keyFile as string, keyPem);
  const distributor = { host: '127.0.0.1', port: 0, certFile, keyFile };
  const controller = await startController(t, cluster, { config: { distributor } });
  const agent = new Agent({ connect: { ca: cluster.authorityPem } });
  t.after(() => agent.destroy());
  const ask = async (token: string | null, path: string, init: object = {}) => {
    const headers = token === null ? {} : { authorization: `Bearer ${token}` };
    const answer = await request(`https://127.0.0.1:${controller.port('distributor')}${path}`, {
      dispatcher: agent,
      ...init,
      headers: { ...headers, ...(init as { headers?: object }).headers },
    });
    const body = Buffer.from(await answer.body.arrayBuffer());
    return { status: answer.statusCode, headers: answer.headers, body };
  };
  const directive = async (token: string, set: string) => {
    const { status, body } = await ask(token, `/v1/sets/${set}/directive`);
    assert.equal(status, 200, body.toString());
    return JSON.parse(body.toString()) as Directive;
  };
  return { controller, ask, directive };
}

type Stage = Awaited<ReturnType<typeof stage>>;
type Counts = Partial<Record<(typeof COMPARED)[number], number>>;

/** A sidecar as far as the controller can tell: it reports what the directive wants it to hold. */
function sidecarOf({ ask, directive }: Stage, token: string, set: string) {
  let sequence = 0;
  return async (counts: Counts, more: Partial<Report['rollout']> = {}) => {
    const told = await directive(token, set);
    sequence += 1;
    const times = EVAL_BOUNDS_US.map(() => 0).concat(0);
    const report: Report = {
      apiVersion: 'egret.dev/v1alpha1',
      kind: 'PolicyReport',
      set,
      sidecar: 'whatever',
      epoch: 'epoch-1',
      sequence,
      generation: told.generation,
      stable: told.stable?.digest ?? null,
      rollout:
        told.rolloutId === null
          ? null
          : {
              id: told.rolloutId,
              candidate: told.candidate?.digest ?? null,
              loadErrors: [],
              tripped: false,
              comparison: Object.fromEntries(
                COMPARED.map((name) => [name, counts[name] ?? 0]),
              ) as never,
              enforced: 0,
              evalStable: times,
              evalCandidate: times,
              replay: null,
              examples: [],
              ...more,
            },
    };
    const answer = await ask(token, '/v1/reports', {
      method: 'POST',
      body: JSON.stringify(report),
    });
    assert.equal(answer.status, 204, answer.body.toString());
  };
}

const quick = (bundle: string) => ({
  candidate: { bundle },
  steps: [{ shadow: '1s' }, { weight: 10, for: '1s' }, { weight: 100, for: '1s' }],
  analysis: { interval: '1s', minSamples: 10 },
});

async function rollOut(set: string) {
  const { admin } = plane();
  await apply(
    admin,
    setManifest(set, quick(`${set}-v1`)),
    bundleManifest(set, `${set}-v1`, policy('v1')),
  );
  await untilState(plane(), set, ({ phase }) => phase === 'Stable');
  await apply(
    admin,
    setManifest(set, quick(`${set}-v2`)),
    bundleManifest(set, `${set}-v2`, policy('v2')),
  );
  await untilState(plane(), set, ({ phase }) => phase === 'Shadow');
}

void test('Only a token for the audience that is bound to a pod gets in', { skip }, async (t) => {
  const { ask } = await stage(t, plane());
  await apply(
    plane().admin,
    setManifest('door', quick('door-v1')),
    bundleManifest('door', 'door-v1', policy('v1')),
  );
  await untilState(plane(), 'door', ({ phase }) => phase === 'Stable');
  const path = '/v1/sets/door/directive';
  const { token } = await plane().podToken(AGENTS, 'egret');
  assert.equal((await ask(token, path)).status, 200);
  assert.equal((await ask(null, path)).status, 401);
  assert.equal((await ask(await plane().tokenFor(AGENTS), path)).status, 401);
  assert.equal((await ask(await plane().tokenFor(AGENTS, 'vault'), path)).status, 401);
  assert.equal((await ask(await plane().tokenFor(AGENTS, 'egret'), path)).status, 401);
  assert.equal((await ask(`${token.slice(0, -4)}AAAA`, path)).status, 401);
});

void test('A sidecar gets the bundle that the directive names, byte for byte', {
  skip,
}, async (t) => {
  const { ask, directive } = await stage(t, plane());
  await apply(
    plane().admin,
    setManifest('bytes', quick('bytes-v1')),
    bundleManifest('bytes', 'bytes-v1', policy('v1')),
  );
  await untilState(plane(), 'bytes', ({ phase }) => phase === 'Stable');
  const { token } = await plane().podToken(AGENTS, 'egret');
  const { stable } = await directive(token, 'bytes');
  const { status, body } = await ask(token, `/v1/sets/bytes/bundles/${stable?.digest}`);
  assert.equal(status, 200);
  assert.ok(body.equals(policy('v1')));
});

void test('Good reports of pods move a rollout through all of its steps to stable', {
  skip,
}, async (t) => {
  const staged = await stage(t, plane());
  await rollOut('good');
  const { token } = await plane().podToken(AGENTS, 'egret');
  const report = sidecarOf(staged, token, 'good');
  let same = 0;
  const seen = new Set<string>();
  await until('the rollout is done', async () => {
    same += 50;
    await report({ same });
    const { phase = '', stable = '' } = await stateOf(plane(), 'good');
    seen.add(phase);
    return phase === 'Stable' && stable.includes('v2');
  });
  assert.ok(seen.has('Shadow') && seen.has('Guarded'), [...seen].join());
});

void test('Without reports nothing moves, and a widening waits for a human whose name is kept', {
  skip,
}, async (t) => {
  const staged = await stage(t, plane());
  await rollOut('wider');
  await new Promise((resolve) => setTimeout(resolve, 3000));
  assert.equal((await stateOf(plane(), 'wider'))['phase'], 'Shadow');
  const { token } = await plane().podToken(AGENTS, 'egret');
  const report = sidecarOf(staged, token, 'wider');
  let same = 0;
  const tell = async () => {
    same += 50;
    await report({ same, newly_allowed: 3 });
  };
  await until('it waits', async () => {
    await tell();
    return (await stateOf(plane(), 'wider'))['pauseReason'] === 'Widening';
  });
  const { rolloutID = '' } = await stateOf(plane(), 'wider');
  const notes = [
    `egret.dev/command=promote:${rolloutID}`,
    'egret.dev/command-by=admin',
    'egret.dev/command-reason=reviewed in ticket 7',
  ];
  await kubectl(plane().admin, ['annotate', 'configmap', 'wider', '-n', NAMESPACE, ...notes]);
  await until('it is promoted', async () => {
    await tell();
    const { phase, stable = '' } = await stateOf(plane(), 'wider');
    return phase === 'Stable' && stable.includes('v2');
  });
  const { history } = JSON.parse((await stateOf(plane(), 'wider'))['state.json'] ?? '{}') as {
    history: { result: string; approval: { by: string; why: string } | null }[];
  };
  const promoted = history.find(({ approval }) => approval !== null);
  assert.equal(promoted?.approval?.by, 'admin');
  assert.equal(promoted?.approval?.why, 'reviewed in ticket 7');
});

void test('A candidate that sidecars cannot load is rolled back at once', { skip }, async (t) => {
  const staged = await stage(t, plane());
  await rollOut('unloadable');
  const { token } = await plane().podToken(AGENTS, 'egret');
  const report = sidecarOf(staged, token, 'unloadable');
  await until('it is aborted', async () => {
    await report({}, { candidate: null, loadErrors: ['policy_abi'] });
    return (await stateOf(plane(), 'unloadable'))['phase'] === 'Aborted';
  });
  assert.equal((await staged.directive(token, 'unloadable')).candidate, null);
});

void test('Who waits for news hears of an abort within a second', { skip }, async (t) => {
  const { ask, directive } = await stage(t, plane());
  await rollOut('abort');
  const { token } = await plane().podToken(AGENTS, 'egret');
  const { rolloutId } = await directive(token, 'abort');
  const { headers } = await ask(token, '/v1/sets/abort/directive');
  const waits = ask(token, '/v1/sets/abort/directive?wait=60', {
    headers: { 'if-none-match': headers['etag'] },
    headersTimeout: 70_000,
  });
  const notes = [`egret.dev/command=abort:${rolloutId}`, 'egret.dev/command-by=admin'];
  await kubectl(plane().admin, ['annotate', 'configmap', 'abort', '-n', NAMESPACE, ...notes]);
  const told = JSON.parse((await waits).body.toString()) as Directive;
  assert.equal(told.phase, 'Aborted');
  assert.equal(told.candidate, null);
});
