/** A reflector on a fake API server, with everything that it says kept. Shell: owns both until the test ends. */
import type { TestContext } from 'node:test';
import { type Api, createApi } from '../../src/kubernetes/api.ts';
import type { ApiError } from '../../src/kubernetes/api-error.ts';
import { connectTo } from '../../src/kubernetes/connection.ts';
import { CONFIG_MAPS, type Selection } from '../../src/kubernetes/object.ts';
import { openAccess } from '../../src/kubernetes/open-access.ts';
import type { View } from '../../src/kubernetes/reflection.ts';
import { Reflector, type ReflectorOptions } from '../../src/kubernetes/reflector.ts';
import { FakeApiServer } from './fake-api-server.ts';
import { SimulatedTiming, until } from './simulated-timing.ts';

export const MAPS = '/api/v1/namespaces/default/configmaps';

export interface Said {
  connected: boolean;
  /** Lists under way. */
  listing: number;
  readonly relists: string[];
  readonly failures: { readonly error: ApiError; readonly waitMs: number }[];
  readonly applyErrors: unknown[];
  gone: number;
  reconnects: number;
  drift: number;
}

export interface Reflected {
  readonly fake: FakeApiServer;
  readonly timing: SimulatedTiming;
  readonly reflector: Reflector;
  readonly said: Said;
  /** Every set that was delivered, as names and values of `data.v`. */
  readonly delivered: Record<string, string>[];
  /** Everything; also at the end of the test. */
  stop(): Promise<void>;
  /** What the server holds, as text to compare with `last`. */
  server(): string;
  /** What the last set says; null before the first. */
  last(): Record<string, string> | null;
  put(name: string, v: string, labels?: Record<string, string>): void;
  /** Until the last delivered set is what the server holds. */
  caughtUp(): Promise<void>;
  connected(): Promise<void>;
  /** Requests of the reflector so far. */
  lists(): number;
  watchRequests(): number;
}

export interface ReflectedOptions {
  readonly selection?: Selection;
  readonly seed?: number;
  /** Before it starts. */
  readonly prepare?: (fake: FakeApiServer) => void;
  readonly also?: Partial<ReflectorOptions>;
}

export async function reflected(
  t: TestContext,
  options: ReflectedOptions = {},
): Promise<Reflected> {
  const fake = await FakeApiServer.start();
  options.prepare?.(fake);
  const timing = new SimulatedTiming(options.seed ?? 1);
  const delivered: Record<string, string>[] = [];
  const said: Said = {
    connected: false,
    listing: 0,
    relists: [],
    failures: [],
    applyErrors: [],
    gone: 0,
    reconnects: 0,
    drift: 0,
  };
  const connection = connectTo(await openAccess(fake.podAccess), 'egret-test');
  const api = createApi(connection);
  const reflector = new Reflector({
    api: countingLists(api, said),
    connection,
    resource: CONFIG_MAPS,
    namespace: 'default',
    selection: options.selection ?? {},
    onObjects: (objects) => void delivered.push(valuesOf(objects)),
    observer: observing(said),
    timing,
    ...options.also,
  });
  let stopped: Promise<void> | null = null;
  const stop = () => {
    stopped ??= reflector
      .close()
      .then(() => connection.close())
      .then(() => fake.close());
    return stopped;
  };
  t.after(stop);
  reflector.start();
  const server = () =>
    JSON.stringify(valuesOf(new Map(held(fake).map((o) => [o.metadata.name, o]))));
  const here: Reflected = {
    fake,
    timing,
    reflector,
    said,
    delivered,
    stop,
    server,
    last: () => delivered.at(-1) ?? null,
    put: (name, v, labels = {}) => put(fake, name, v, labels),
    caughtUp: () => until(() => JSON.stringify(here.last()) === server(), 'the view is the server'),
    connected: () => until(() => said.connected && fake.watches.size > 0, 'a watch is open'),
    lists: () => fake.seen.filter(({ watch }) => !watch).length,
    watchRequests: () => fake.seen.filter(({ watch }) => watch).length,
  };
  return here;
}

function countingLists(api: Api, said: Said): Api {
  return {
    ...api,
    async list(...given) {
      said.listing += 1;
      try {
        return await api.list(...given);
      } finally {
        said.listing -= 1;
      }
    },
  };
}

const held = (fake: FakeApiServer) => fake.store.list(MAPS, () => true);

function put(fake: FakeApiServer, name: string, v: string, labels: Record<string, string>): void {
  const how = { manager: 'test' };
  const exists = held(fake).some(({ metadata }) => metadata.name === name);
  const fields = { metadata: { name, labels }, data: { v } };
  if (exists) fake.store.mergePatch(MAPS, name, fields, how);
  else fake.store.create(MAPS, { apiVersion: 'v1', kind: 'ConfigMap', ...fields }, how);
}

function valuesOf(objects: View): Record<string, string> {
  const names = [...objects.keys()].toSorted();
  return Object.fromEntries(
    names.map((name) => [
      name,
      (objects.get(name)?.['data'] as { v: string } | undefined)?.v ?? '',
    ]),
  );
}

function observing(said: Said): ReflectorOptions['observer'] {
  return {
    connected: (is) => {
      said.connected = is;
    },
    relisted: (reason) => void said.relists.push(reason),
    gone: () => {
      said.gone += 1;
    },
    reconnected: () => {
      said.reconnects += 1;
    },
    applyError: (error) => void said.applyErrors.push(error),
    drift: (names) => {
      said.drift += names;
    },
    failed: (error, waitMs) => void said.failures.push({ error, waitMs }),
  };
}
