/**
 * What our client relies on at an API server, as one suite: it runs against the fake one of fast tests and against the
 * real kube-apiserver, so that the fake cannot drift away from it. Shell: owns what `start` started.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import type { Access } from '../../src/kubernetes/access.ts';
import { type Api, createApi } from '../../src/kubernetes/api.ts';
import { ApiError } from '../../src/kubernetes/api-error.ts';
import { type Connection, connectTo } from '../../src/kubernetes/connection.ts';
import { eventFor } from '../../src/kubernetes/event.ts';
import {
  CONFIG_MAPS,
  EVENTS,
  type KubeObject,
  LEASES,
  pathOf,
  type ReadObject,
  type Selection,
  selectionQuery,
} from '../../src/kubernetes/object.ts';
import { parseStep, type WatchStep } from '../../src/kubernetes/reflection.ts';
import { watchLines } from '../../src/kubernetes/watch-lines.ts';

export interface ContractServer {
  /** May read and write everything in the namespace, which is empty. */
  readonly access: Access;
  readonly namespace: string;
  /** Makes every version up to now too old. */
  compact(): Promise<void>;
  /** Makes a bookmark due where it need not be waited for. */
  bookmark(): void;
  close(): Promise<void>;
}

interface Client {
  readonly api: Api;
  readonly connection: Connection;
  readonly namespace: string;
}

type Sentence = (sentence: string, body: (client: Client) => Promise<void>) => void;

const MiB = 1 << 20;
const WATCH_SECONDS = 2;
/** As the reflector asks; it gives a watch up after 100 seconds without a bookmark. */
const LONG_WATCH_SECONDS = 290;
const BOOKMARK_MS = 90_000;

/** @param skip why it cannot run here; false runs it. */
export function apiServerContract(
  name: string,
  start: () => Promise<ContractServer>,
  skip: string | false = false,
): void {
  let server: ContractServer;
  let client: Client;
  before(async () => {
    if (skip !== false) return;
    server = await start();
    const connection = connectTo(server.access, 'egret-contract');
    client = { api: createApi(connection), connection, namespace: server.namespace };
  });
  after(async () => {
    if (skip !== false) return;
    await client.connection.close();
    await server.close();
  });
  const holds: Sentence = (sentence, body) =>
    void test(`${name}: ${sentence}`, { skip }, () => body(client));
  reading(holds);
  guardedWrites(holds);
  serverSideApply(holds);
  configMapRules(holds);
  watching(holds);
  holds(
    'a watch of nothing brings a bookmark when another object changed meanwhile',
    async (by) => {
      const { resourceVersion } = await create(by, 'marked');
      const coming = watched(by, { name: 'marked' }, resourceVersion, 1, LONG_WATCH_SECONDS);
      // It has begun by then; without a change since its beginning there may be no bookmark.
      await setTimeout(1000);
      const { resourceVersion: later } = await create(by, 'elsewhere');
      server.bookmark();
      const [bookmark] = await coming;
      assert.ok(bookmark?.kind === 'bookmark');
      assert.ok(BigInt(bookmark.resourceVersion) >= BigInt(later));
    },
  );
  holds('a version from before the compaction is too old to watch from', async (by) => {
    const { resourceVersion } = await create(by, 'compacted');
    await patch(by, 'compacted', { data: { a: '2' } });
    await server.compact();
    await refused(410, 'Expired', watched(by, { name: 'compacted' }, resourceVersion));
    const list = await by.api.list(CONFIG_MAPS, by.namespace, { name: 'compacted' });
    assert.deepEqual(list.items[0]?.['data'], { a: '2' });
  });
}

function reading(holds: Sentence): void {
  holds('what was created is read back with its version, alone and in a list', async (by) => {
    const { resourceVersion } = await create(by, 'read', { data: { a: '1' } });
    const got = await by.api.get(CONFIG_MAPS, at(by, 'read'));
    assert.equal(got?.metadata.resourceVersion, resourceVersion);
    assert.deepEqual(got['data'], { a: '1' });
    const { items } = await by.api.list(CONFIG_MAPS, by.namespace, { name: 'read' });
    assert.deepEqual(
      items.map(({ metadata }) => metadata.resourceVersion),
      [resourceVersion],
    );
  });
  holds('what is not there is null, and its deletion is no error', async (by) => {
    assert.equal(await by.api.get(CONFIG_MAPS, at(by, 'nothing')), null);
    assert.equal(await by.api.remove(CONFIG_MAPS, at(by, 'nothing')), false);
  });
  holds('a list of several pages has every object once', async (by) => {
    const names = Array.from({ length: 45 }, (_, n) => `page-${String(n).padStart(2, '0')}`);
    for (const name of names) await create(by, name, {}, { paged: 'yes' });
    for (const version of [undefined, '0']) {
      const { items } = await by.api.list(CONFIG_MAPS, by.namespace, {
        labelSelector: 'paged=yes',
        ...(version === undefined ? {} : { resourceVersion: version }),
      });
      assert.deepEqual(items.map(({ metadata }) => metadata.name).toSorted(), names);
    }
  });
  holds('an Event about an object can be written and found', async (by) => {
    await create(by, 'told');
    const about = await by.api.get(CONFIG_MAPS, at(by, 'told'));
    assert.ok(about);
    const event = eventFor({
      about: { apiVersion: 'v1', kind: 'ConfigMap', ...about },
      type: 'Warning',
      reason: 'Aborted',
      message: 'the candidate denied too much',
      component: 'egret-controller',
      instance: 'controller-0',
      atMs: Date.now(),
      suffix: '0123456789abcdef',
    });
    await by.api.create(EVENTS, by.namespace, event);
    const found = await by.api.get(EVENTS, at(by, 'told.0123456789abcdef'));
    assert.equal(found?.['reason'], 'Aborted');
  });
}

function guardedWrites(holds: Sentence): void {
  holds('what exists is not created again', async (by) => {
    await create(by, 'twice');
    await refused(409, 'AlreadyExists', create(by, 'twice'));
  });
  holds('of two who read the same version only one writes', async (by) => {
    await create(by, 'raced', { data: { a: '1' } });
    const read = (await by.api.get(CONFIG_MAPS, at(by, 'raced'))) as ReadObject;
    const write = (a: string) =>
      by.api.replace(CONFIG_MAPS, at(by, 'raced'), { ...read, data: { a } });
    const first = await write('first');
    assert.notEqual(first.metadata.resourceVersion, read.metadata.resourceVersion);
    await refused(409, 'Conflict', write('second'));
    assert.deepEqual((await by.api.get(CONFIG_MAPS, at(by, 'raced')))?.['data'], { a: 'first' });
  });
  holds('a write that changes nothing leaves the version', async (by) => {
    await create(by, 'same', { data: { a: '1' } });
    const read = (await by.api.get(CONFIG_MAPS, at(by, 'same'))) as ReadObject;
    const written = await by.api.replace(CONFIG_MAPS, at(by, 'same'), read);
    assert.equal(written.metadata.resourceVersion, read.metadata.resourceVersion);
  });
  holds('a merge patch sets, removes with null, and can be guarded', async (by) => {
    const { resourceVersion } = await create(by, 'patched', { data: { a: '1', b: '1' } });
    const patched = await patch(by, 'patched', { data: { a: null, c: '3' } });
    assert.deepEqual(patched['data'], { b: '1', c: '3' });
    const late = patch(by, 'patched', { metadata: { resourceVersion }, data: { d: '4' } });
    await refused(409, 'Conflict', late);
  });
  holds('a deletion can be guarded by the version', async (by) => {
    const { resourceVersion } = await create(by, 'deleted');
    await patch(by, 'deleted', { data: { a: '2' } });
    const place = at(by, 'deleted');
    await refused(409, 'Conflict', by.api.remove(CONFIG_MAPS, place, resourceVersion));
    assert.equal(await by.api.remove(CONFIG_MAPS, place), true);
    assert.equal(await by.api.get(CONFIG_MAPS, place), null);
  });
  holds('a Lease goes to whoever read it last', async (by) => {
    const spec = (holderIdentity: string) => ({
      holderIdentity,
      renewTime: '2026-01-01T00:00:00.000000Z',
    });
    const metadata = { name: 'leader' };
    const lease = await by.api.create(LEASES, by.namespace, { metadata, spec: spec('a') });
    const claim = (holder: string) =>
      by.api.replace(LEASES, at(by, 'leader'), { ...lease, spec: spec(holder) });
    await claim('b');
    await refused(409, 'Conflict', claim('c'));
  });
}

function serverSideApply(holds: Sentence): void {
  const apply = (by: Client, name: string, fieldManager: string, data: object, force = false) =>
    by.api.apply(CONFIG_MAPS, at(by, name), { data }, { fieldManager, force });
  holds('apply creates, changes its own fields and drops those it no longer has', async (by) => {
    await apply(by, 'applied', 'one', { a: '1', b: '1' });
    const changed = await apply(by, 'applied', 'one', { a: '2' });
    assert.deepEqual(changed['data'], { a: '2' });
  });
  holds('the fields of another manager stay, and are taken only by force', async (by) => {
    await apply(by, 'shared', 'one', { a: '1' });
    const joined = await apply(by, 'shared', 'two', { b: '2' });
    assert.deepEqual(joined['data'], { a: '1', b: '2' });
    await refused(409, 'Conflict', apply(by, 'shared', 'two', { a: '2', b: '2' }));
    const taken = await apply(by, 'shared', 'two', { a: '2', b: '2' }, true);
    assert.deepEqual(taken['data'], { a: '2', b: '2' });
    await refused(409, 'Conflict', apply(by, 'shared', 'one', { a: '3' }));
  });
}

function configMapRules(holds: Sentence): void {
  holds('an immutable ConfigMap keeps its data, takes labels and can be deleted', async (by) => {
    await create(by, 'frozen', { data: { a: '1' }, immutable: true });
    for (const change of [{ data: { a: '2' } }, { immutable: false }]) {
      await refused(422, 'Invalid', patch(by, 'frozen', change));
    }
    const labelled = await patch(by, 'frozen', { metadata: { labels: { seen: 'yes' } } });
    assert.equal(labelled.metadata.labels?.['seen'], 'yes');
    assert.equal(await by.api.remove(CONFIG_MAPS, at(by, 'frozen')), true);
  });
  holds('a ConfigMap holds 1 MiB and not a byte more', async (by) => {
    const sized = (bytes: number) => create(by, 'big', { data: { a: 'x'.repeat(bytes) } });
    await refused(422, 'Invalid', sized(MiB + 1));
    await sized(MiB);
    const read = await by.api.get(CONFIG_MAPS, at(by, 'big'));
    assert.equal((read?.['data'] as { a: string } | undefined)?.a.length, MiB);
  });
}

function watching(holds: Sentence): void {
  holds('a watch says what happened since a version, in order', async (by) => {
    const { resourceVersion } = await create(by, 'followed', { data: { a: '1' } });
    const second = await patch(by, 'followed', { data: { a: '2' } });
    await by.api.remove(CONFIG_MAPS, at(by, 'followed'));
    await create(by, 'followed', { data: { a: '3' } });
    const steps = await watched(by, { name: 'followed' }, resourceVersion, 3);
    assert.deepEqual(
      steps.map(({ kind }) => kind),
      ['set', 'removed', 'set'],
    );
    const [first] = steps;
    assert.ok(first?.kind === 'set');
    assert.equal(first.object.metadata.resourceVersion, second.metadata.resourceVersion);
  });
  holds('for a watch with a selector an object that no longer matches is gone', async (by) => {
    const { resourceVersion } = await create(by, 'leaving', {}, { in: 'yes' });
    await patch(by, 'leaving', { metadata: { labels: { in: 'no' } } });
    await patch(by, 'leaving', { metadata: { labels: { in: 'yes' } } });
    const steps = await watched(by, { labelSelector: 'in=yes' }, resourceVersion, 2);
    assert.deepEqual(
      steps.map(({ kind }) => kind),
      ['removed', 'set'],
    );
  });
  holds('a watch of nothing says nothing and ends in order', async (by) => {
    const { resourceVersion } = await create(by, 'quiet');
    assert.deepEqual(await watched(by, { name: 'quiet' }, resourceVersion), []);
  });
}

const at = ({ namespace }: Client, name: string) => ({ namespace, name });

async function create(by: Client, name: string, fields: object = {}, labels = {}) {
  const object: KubeObject = { metadata: { name, labels }, ...fields };
  const { metadata } = await by.api.create(CONFIG_MAPS, by.namespace, object);
  return metadata;
}

const patch = (by: Client, name: string, body: object) =>
  by.api.mergePatch(CONFIG_MAPS, at(by, name), body);

async function refused(status: number, reason: string, write: Promise<unknown>): Promise<void> {
  await assert.rejects(write, (error) => {
    assert.ok(error instanceof ApiError, String(error));
    assert.deepEqual([error.status, error.reason], [status, reason], error.message);
    return true;
  });
}

/** Until so many events came, or to its end. */
async function watched(
  by: Client,
  selection: Selection,
  resourceVersion: string,
  count = 99,
  seconds = WATCH_SECONDS,
) {
  const body = await by.connection.send({
    method: 'GET',
    path: pathOf(CONFIG_MAPS, by.namespace),
    query: {
      ...selectionQuery(selection),
      watch: '1',
      allowWatchBookmarks: 'true',
      timeoutSeconds: String(seconds),
      resourceVersion,
    },
    signal: AbortSignal.timeout(BOOKMARK_MS),
  });
  const steps: WatchStep[] = [];
  for await (const line of watchLines(body, MiB)) {
    steps.push(parseStep(line));
    if (steps.length === count) break;
  }
  return steps;
}
