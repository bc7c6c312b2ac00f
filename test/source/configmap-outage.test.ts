/**
 * A sidecar that watches the API server through its troubles: what is in force stays, the end of the trouble is
 * noticed without help, and nothing older comes back. Sockets are real, the clock is not.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { bundleObjects } from '../../src/bundle/configmap.ts';
import { createApi } from '../../src/kubernetes/api.ts';
import { connectTo } from '../../src/kubernetes/connection.ts';
import type { KubeObject } from '../../src/kubernetes/object.ts';
import { openAccess } from '../../src/kubernetes/open-access.ts';
import { DIRECTIVE_KEY, type Directive } from '../../src/rollout/directive.ts';
import { copyName, stateName } from '../../src/rollout/objects.ts';
import { openConfigMapSource } from '../../src/source/configmap-source.ts';
import { FakeApiServer } from '../kubernetes/fake-api-server.ts';
import { always, HALF_OPEN, times } from '../kubernetes/fake-fault.ts';
import { MAPS } from '../kubernetes/reflected.ts';
import { SimulatedTiming, until } from '../kubernetes/simulated-timing.ts';
import { archiveOf, directive, Listener, named } from './followed-stage.ts';

const MINUTE = 60_000;
const REAL_MS_MAX = 20_000;
const BY = { manager: 'controller' };

async function watching(t: TestContext) {
  const fake = await FakeApiServer.start();
  const timing = new SimulatedTiming();
  const listener = new Listener();
  const connection = connectTo(await openAccess(fake.podAccess), 'egret-test');
  const nothing = () => undefined;
  const counters = { relisted: nothing, gone: nothing, reconnected: nothing };
  const source = openConfigMapSource({
    set: 'shop',
    namespace: 'default',
    api: createApi(connection),
    connection,
    listener,
    lastGood: null,
    selected: () => true,
    watch: () => ({ ...counters, applyError: nothing, drift: nothing }),
    failed: nothing,
    timing,
  });
  for (const revision of ['stable', 'candidate']) storeCopy(fake, revision);
  t.after(async () => {
    await source.close();
    await connection.close();
    await fake.close();
  });
  const tell = (told: Directive) => {
    const data = { [DIRECTIVE_KEY]: JSON.stringify(told) };
    const name = stateName('shop');
    const exists = fake.store.list(MAPS, ({ metadata }) => metadata.name === name).length > 0;
    if (exists) return fake.store.mergePatch(MAPS, name, { data }, BY);
    return fake.store.create(MAPS, map({ metadata: { name }, data }), BY);
  };
  /** Time goes on, from timer to timer, with a moment for the sockets after each. */
  const pass = async (ms: number) => {
    const endMs = timing.nowMs() + ms;
    while (timing.nowMs() < endMs) {
      await new Promise((resolve) => setTimeout(resolve, 3));
      timing.advance(Math.min(Math.max(timing.nextInMs, 1), endMs - timing.nowMs()));
    }
  };
  /** As much time as it takes. */
  const passUntil = async (last: string) => {
    const deadline = performance.now() + REAL_MS_MAX;
    while (listener.summary().at(-1) !== last) {
      assert.ok(performance.now() < deadline, `${listener.summary().join()}, never ${last}`);
      await pass(1000);
    }
  };
  tell(directive(1, null));
  await source.start();
  await until(() => fake.watches.size === 1, 'the watch is open');
  return { fake, listener, tell, pass, passUntil };
}

const map = (fields: object): KubeObject =>
  ({ apiVersion: 'v1', kind: 'ConfigMap', ...fields }) as KubeObject;

function storeCopy(fake: FakeApiServer, revision: string): void {
  const name = named(revision);
  const pieces = bundleObjects(archiveOf(name), {
    name: copyName('shop', name.digest),
    namespace: 'default',
    revision,
    chunkBytes: 1_000_000,
    immutable: true,
  });
  for (const piece of pieces) fake.store.create(MAPS, map(piece), BY);
}

void test('An API server that is away for 30 minutes leaves everything in force, unconfirmed, and is heard again', async (t) => {
  const { fake, listener, tell, pass, passUntil } = await watching(t);
  tell(directive(2, 'candidate'));
  await passUntil('2 candidate');
  await fake.off();
  await pass(3 * MINUTE);
  const { unchanged } = listener;
  await pass(27 * MINUTE);
  assert.equal(listener.unchanged, unchanged, 'what nobody says is not confirmed');
  assert.deepEqual(listener.summary(), ['1 none', '2 none', '2 candidate']);
  tell(directive(3, 'candidate'));
  tell(directive(4, null));
  fake.store.compact();
  await fake.on();
  await passUntil('4 none');
  assert.deepEqual(listener.summary(), ['1 none', '2 none', '2 candidate', '4 none']);
});

void test('A storm of 429 that also hits the copies ends with everything in force', async (t) => {
  const { fake, listener, tell, passUntil } = await watching(t);
  fake.fails(times(2, { status: 429, reason: 'TooManyRequests', retryAfterSeconds: 1 }));
  tell(directive(2, 'candidate'));
  await passUntil('2 candidate');
  assert.deepEqual(listener.summary().slice(0, 2), ['1 none', '2 none']);
});

void test('A connection that is half open is left after 100 seconds, and what was missed is heard then', async (t) => {
  const { fake, listener, tell, pass, passUntil } = await watching(t);
  fake.watches.silent = true;
  fake.fails(always(HALF_OPEN));
  tell(directive(2, 'candidate'));
  tell(directive(3, null));
  await pass(10 * MINUTE);
  assert.deepEqual(listener.summary(), ['1 none']);
  fake.watches.silent = false;
  fake.fails(() => null);
  await passUntil('3 none');
  assert.ok(!listener.summary().includes('2 refused'));
});

void test('A state that goes back in time is not followed', async (t) => {
  const { fake, listener, tell, passUntil } = await watching(t);
  tell(directive(7, null));
  await passUntil('7 none');
  tell(directive(6, 'candidate'));
  tell(directive(8, null));
  await passUntil('8 none');
  assert.deepEqual(listener.summary(), ['1 none', '7 none', '8 none']);
  assert.equal(fake.refusedTokens, 0);
});
