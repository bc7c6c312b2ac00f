// `kubectl egret rollout` with the real kubectl and a real API server: what roles allow, who gave a command, plain errors.
import assert from 'node:assert/strict';
import { accessSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RolloutState } from '../../src/rollout/state.ts';
import { readState, renderState } from '../../src/rollout/state-codec.ts';
import { receiptsFor } from '../e2e/bundle-variant.ts';
import { ROOT } from '../e2e/sidecar-process.ts';
import { carriedOut } from '../rollout/rollout-stage.ts';
import { GUARDED, setObject, stateObject, WIDENING } from '../rollout/set-stage.ts';
import type { Caller } from './caller.ts';
import { controlPlaneForTests } from './control-plane.ts';
import {
  apply,
  applyChart,
  bundleManifest,
  NAMESPACE,
  setManifest,
  startController,
  untilState,
} from './controller-stage.ts';

const MAPS = '/api/v1/namespaces/agents/configmaps';
const ROLES = '/apis/rbac.authorization.k8s.io/v1/namespaces/agents';
const MERGE = 'application/merge-patch+json';
const PLUGIN = join(ROOT, 'dist/kubectl-egret');

const { skip: noPlane, plane } = controlPlaneForTests({}, applyChart);
const skip = noPlane === false ? pluginMissing() : noPlane;

function pluginMissing(): string | false {
  try {
    accessSync(PLUGIN);
    // kubectl finds its plugins there.
    process.env['PATH'] = `${dirname(PLUGIN)}:${process.env['PATH']}`;
    return false;
  } catch {
    const reason =
      'SKIPPED: no dist/kubectl-egret, so the plugin of kubectl is not tested; make build';
    process.stderr.write(`${reason}\n`);
    return reason;
  }
}

const rollout = (caller: Caller, ...args: readonly string[]) =>
  caller.kubectl(['egret', 'rollout', ...args, '-n', 'agents']);

async function created(path: string, body: object): Promise<void> {
  const { status, text } = await plane().admin.request('POST', path, body);
  assert.equal(status, 201, text);
}

async function setState(state: RolloutState): Promise<void> {
  const body = { data: renderState(state), metadata: { annotations: null } };
  const { status, text } = await plane().admin.request('PATCH', `${MAPS}/mail-state`, body, MERGE);
  assert.equal(status, 200, text);
}

/** A controller that carries out the next command, and nothing else. */
async function obeyOnce(state: RolloutState, earlier: string | undefined): Promise<void> {
  for (;;) {
    const { annotations = {} } = await metadataOfSet();
    if (annotations['egret.dev/command'] !== earlier) {
      return setState(carriedOut(state, annotations).state);
    }
    await sleep(50);
  }
}

async function metadataOfSet() {
  const { body } = await plane().admin.request('GET', `${MAPS}/mail-policy`);
  return body.metadata as typeof body.metadata & {
    readonly managedFields?: readonly { readonly manager: string }[];
  };
}

/** A user who may read what `egret rollout` reads, and perhaps patch. */
async function userWith(user: string, verbs: readonly string[]): Promise<Caller> {
  const rules = [{ apiGroups: [''], resources: ['configmaps', 'events'], verbs }];
  await created(`${ROLES}/roles`, { metadata: { name: user }, rules });
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: user };
  const subjects = [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: user }];
  await created(`${ROLES}/rolebindings`, { metadata: { name: user }, roleRef, subjects });
  return plane().callerFor({ user });
}

/** What all tests begin with; made by the first of them. */
let arranged: Promise<void> | null = null;
function arrange(): Promise<void> {
  arranged ??= createObjects();
  return arranged;
}

async function createObjects(): Promise<void> {
  await created('/api/v1/namespaces', { metadata: { name: 'agents' } });
  const { resourceVersion: _, ...metadata } = setObject().metadata;
  await created(MAPS, { ...setObject(), metadata });
  const { resourceVersion: __, ...place } = stateObject(GUARDED).metadata;
  await created(MAPS, { metadata: place, data: renderState(GUARDED) });
}

void test('status is a table of the namespace, and with -A of all of them', { skip }, async () => {
  await arrange();
  const one = await rollout(plane().admin, 'status');
  assert.equal(one.code, 0, one.stderr);
  assert.match(one.stdout, /^NAME .*\nmail +Guarded +3\/6 +5% /);
  const all = await plane().admin.kubectl(['egret', 'rollout', 'status', '-A']);
  assert.match(all.stdout, /^NAMESPACE .*\nagents +mail +Guarded/);
  const detail = await rollout(plane().admin, 'status', 'mail');
  assert.match(detail.stdout, /^ {2}kubectl egret rollout abort mail -n agents/m);
});

void test('who may only read sees everything and is refused in the words of the API server', {
  skip,
}, async () => {
  await arrange();
  const eve = await userWith('eve', ['get', 'list']);
  const seen = await rollout(eve, 'status', 'mail');
  assert.equal(seen.code, 0, seen.stderr);
  for (const args of [
    ['abort', 'mail'],
    ['promote', 'mail', '--reason', 'because'],
  ]) {
    const { code, stderr } = await rollout(eve, ...args);
    assert.equal(code, 2);
    assert.match(stderr, /configmaps "mail-policy" is forbidden: User "eve" cannot patch/);
  }
  assert.equal((await metadataOfSet()).annotations?.['egret.dev/command'], undefined);
});

void test('a widening is promoted by a user with a reason, and the API server says who it was', {
  skip,
}, async () => {
  await arrange();
  await setState(WIDENING);
  const carol = await userWith('carol', ['get', 'list', 'patch']);
  const without = await rollout(carol, 'promote', 'mail');
  assert.equal(without.code, 1, without.stderr);
  const [said] = await Promise.all([
    rollout(carol, 'promote', 'mail', '--reason', 'new accountant', '--wait', '30s'),
    obeyOnce(WIDENING, undefined),
  ]);
  assert.equal(said.code, 0, said.stderr);
  assert.match(said.stdout, /approved by carol: new accountant/);
  const { annotations, managedFields } = await metadataOfSet();
  assert.equal(annotations?.['egret.dev/command-by'], 'carol');
  assert.ok(managedFields?.some(({ manager }) => manager === 'egret-rollout'));
});

void test('abort stops the rollout that is under way', { skip }, async () => {
  await arrange();
  await setState(GUARDED);
  const { annotations } = await metadataOfSet();
  const [said] = await Promise.all([
    rollout(plane().admin, 'abort', 'mail', '--wait', '30s'),
    obeyOnce(GUARDED, annotations?.['egret.dev/command']),
  ]);
  assert.equal(said.code, 0, said.stderr);
  assert.match(said.stdout, /^Aborted: rollout r-7f3c ended/m);
  const { body } = await plane().admin.request('GET', `${MAPS}/mail-state`);
  assert.equal(readState(body.data)?.phase, 'Aborted');
  const watched = await rollout(plane().admin, 'watch', 'mail');
  assert.equal(watched.code, 1, watched.stderr);
});

void test('kubectl wait and kubectl get read the state that the commands speak of', {
  skip,
}, async () => {
  const { code, stderr } = await plane().admin.kubectl([
    'wait',
    'configmap/mail-state',
    '-n',
    'agents',
    '--for=jsonpath={.data.phase}=Aborted',
    '--timeout=10s',
  ]);
  assert.equal(code, 0, stderr);
});

void test('with the real controller: abort, what no longer makes sense, retry, and the history of it', {
  skip,
}, async (t) => {
  await startController(t, plane());
  const { admin } = plane();
  const egret = (...args: readonly string[]) =>
    admin.kubectl(['egret', 'rollout', ...args, '-n', NAMESPACE]);
  for (const revision of ['v1', 'v2']) {
    const spec = { candidate: { bundle: `story-${revision}` }, steps: [{ shadow: '1h' }] };
    const archive = receiptsFor(['accountant@example.com'], revision);
    await apply(
      admin,
      setManifest('story', spec),
      bundleManifest('story', `story-${revision}`, archive),
    );
    const awaited = revision === 'v1' ? 'Stable' : 'Shadow';
    await untilState(plane(), 'story', ({ phase }) => phase === awaited);
  }
  const aborted = await egret('abort', 'story', '--reason', 'not today', '--wait', '30s');
  assert.equal(aborted.code, 0, aborted.stderr);
  assert.match(aborted.stdout, /^Aborted: .*by admin: not today/m);
  const senseless = await egret('pause', 'story');
  assert.equal(senseless.code, 1);
  assert.match(senseless.stderr, /nothing is being rolled out: the phase is Aborted/);
  const again = await egret('retry', 'story', '--wait', '30s');
  assert.equal(again.code, 0, again.stderr);
  assert.match(again.stdout, /rollout \S+: .* beside /);
  const { stdout: status } = await egret('status', 'story');
  assert.match(status, /^lately \(UTC\)\n(.*\n)*.* RolloutStarted /m);
  const { stdout: history } = await egret('history', 'story');
  assert.match(history, /Aborted .* admin +not today/);
  assert.match(history, /Promoted .*the first policy of this set/);
});
