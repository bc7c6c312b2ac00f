/**
 * What an API server keeps, as far as ours is asked for it: objects with versions, the events since the last compaction,
 * refusals by the rules of ConfigMaps. Owns everything in memory.
 */
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { KubeObject, ReadObject } from '../../src/kubernetes/object.ts';
import { afterApply, afterUpdate, type Managers } from './fake-ownership.ts';

/** One collection: the path of it, e.g. `/api/v1/namespaces/default/configmaps`. */
export type Collection = string;
export type Matches = (object: ReadObject) => boolean;

export interface FakeEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: ReadObject;
}

/** An answer that is no success. */
export class Refusal extends Error {
  readonly code: number;
  readonly reason: string;

  constructor(code: number, reason: string, message: string) {
    super(message);
    this.code = code;
    this.reason = reason;
  }
}

interface Change {
  readonly version: number;
  readonly collection: Collection;
  readonly before: ReadObject | null;
  readonly after: ReadObject | null;
  /** With the version of the change, also where the object is gone. */
  readonly object: ReadObject;
}

export interface WriteOptions {
  readonly manager: string;
  readonly force?: boolean;
}

const MiB = 1 << 20;

export class FakeStore {
  #version = 1000;
  #compacted = 0;
  #changes: Change[] = [];
  readonly #objects = new Map<string, ReadObject>();
  readonly #managers = new Map<string, Managers>();
  readonly #watchers = new Set<(change: Change) => void>();

  get version(): string {
    return String(this.#version);
  }

  /** Forgets what led here: every older version is too old. */
  compact(): void {
    // Its own key moves the version of the store on, as that of etcd does.
    this.#version += 1;
    this.#compacted = this.#version;
    this.#changes = [];
  }

  isCompacted(version: string): boolean {
    return Number(version) < this.#compacted;
  }

  get(collection: Collection, name: string): ReadObject {
    const found = this.#objects.get(`${collection}/${name}`);
    if (found === undefined) throw new Refusal(404, 'NotFound', `"${name}" not found`);
    return found;
  }

  list(collection: Collection, matches: Matches): ReadObject[] {
    return [...this.#objects]
      .filter(
        ([key, object]) => key.slice(0, key.lastIndexOf('/')) === collection && matches(object),
      )
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, object]) => object);
  }

  create(collection: Collection, given: KubeObject, { manager }: WriteOptions): ReadObject {
    const { generateName } = given.metadata as { generateName?: string };
    const name = given.metadata.name ?? `${generateName}${randomUUID().slice(0, 5)}`;
    const key = `${collection}/${name}`;
    if (this.#objects.has(key)) {
      throw new Refusal(409, 'AlreadyExists', `"${name}" already exists`);
    }
    const metadata = {
      ...given.metadata,
      name,
      namespace: collection.split('/').at(-2) ?? '',
      uid: randomUUID(),
      creationTimestamp: new Date().toISOString().replace(/\.\d+Z/, 'Z'),
    };
    this.#managers.set(key, afterUpdate(new Map(), {}, given, manager));
    return this.#write(collection, null, { ...given, metadata } as ReadObject);
  }

  replace(collection: Collection, name: string, given: KubeObject, how: WriteOptions): ReadObject {
    const before = this.get(collection, name);
    guard(before, given.metadata.resourceVersion);
    const { uid, creationTimestamp, namespace } = before.metadata;
    const metadata = { ...given.metadata, name, namespace, uid, creationTimestamp };
    return this.#update(collection, before, { ...given, metadata } as ReadObject, how);
  }

  mergePatch(collection: Collection, name: string, patch: object, how: WriteOptions): ReadObject {
    const before = this.get(collection, name);
    const { resourceVersion } =
      (patch as { metadata?: { resourceVersion?: string } }).metadata ?? {};
    guard(before, resourceVersion);
    return this.#update(collection, before, merged(before, patch) as ReadObject, how);
  }

  /** @returns whether it was created. */
  apply(collection: Collection, name: string, given: KubeObject, how: WriteOptions) {
    const key = `${collection}/${name}`;
    const before = this.#objects.get(key) ?? null;
    const owned = this.#managers.get(key) ?? new Map();
    const { object, managers, conflicts } = afterApply(owned, before ?? {}, given, how.manager);
    if (conflicts.length > 0 && how.force !== true) {
      const who = conflicts.map(({ manager, path }) => `${manager}: ${path}`).join(', ');
      throw new Refusal(409, 'Conflict', `Apply failed with ${conflicts.length} conflict: ${who}`);
    }
    if (before === null) {
      const created = this.create(collection, given, how);
      this.#managers.set(key, managers);
      return { object: created, created: true };
    }
    this.#managers.set(key, managers);
    return { object: this.#write(collection, before, object as ReadObject), created: false };
  }

  remove(collection: Collection, name: string, resourceVersion: string | undefined): ReadObject {
    const before = this.get(collection, name);
    guard(before, resourceVersion);
    const key = `${collection}/${name}`;
    this.#objects.delete(key);
    this.#managers.delete(key);
    this.#version += 1;
    const metadata = { ...before.metadata, resourceVersion: this.version };
    const object = { ...before, metadata };
    this.#tell({ version: this.#version, collection, before, after: null, object });
    return object;
  }

  /** Writes without telling anybody, as a server whose watches have a defect. */
  writeUnseen(collection: Collection, name: string, patch: object): void {
    const before = this.get(collection, name);
    this.#version += 1;
    const after = merged(before, { ...patch, metadata: { resourceVersion: this.version } });
    this.#objects.set(`${collection}/${name}`, after as ReadObject);
  }

  /** Events after that version, and all that come until the returned function is called. */
  watch(
    collection: Collection,
    since: string,
    matches: Matches,
    onEvent: (event: FakeEvent) => void,
  ): () => void {
    const take = (change: Change) => {
      const event = change.collection === collection ? eventOf(change, matches) : null;
      if (event !== null) onEvent(event);
    };
    for (const change of this.#changes.filter(({ version }) => version > Number(since)))
      take(change);
    this.#watchers.add(take);
    return () => this.#watchers.delete(take);
  }

  #update(collection: Collection, before: ReadObject, next: ReadObject, how: WriteOptions) {
    const key = `${collection}/${before.metadata.name}`;
    const owned = this.#managers.get(key) ?? new Map();
    const written = this.#write(collection, before, next);
    this.#managers.set(key, afterUpdate(owned, before, next, how.manager));
    return written;
  }

  #write(collection: Collection, before: ReadObject | null, next: ReadObject): ReadObject {
    checkConfigMap(before, next);
    const unversioned = (of: ReadObject | null) =>
      of && { ...of, metadata: { ...of.metadata, resourceVersion: '' } };
    if (isDeepStrictEqual(unversioned(before), unversioned(next))) return before as ReadObject;
    this.#version += 1;
    const metadata = { ...next.metadata, resourceVersion: this.version };
    const after = { ...next, metadata };
    this.#objects.set(`${collection}/${metadata.name}`, after);
    this.#tell({ version: this.#version, collection, before, after, object: after });
    return after;
  }

  #tell(change: Change): void {
    this.#changes.push(change);
    for (const watcher of this.#watchers) watcher(change);
  }
}

/** What a watch with a selector sees: an object that no longer matches is gone for it. */
function eventOf({ before, after, object }: Change, matches: Matches): FakeEvent | null {
  const was = before !== null && matches(before);
  const is = after !== null && matches(after);
  if (is) return { type: was ? 'MODIFIED' : 'ADDED', object };
  return was ? { type: 'DELETED', object } : null;
}

function guard(before: ReadObject, resourceVersion: string | undefined): void {
  if (resourceVersion === undefined || resourceVersion === before.metadata.resourceVersion) return;
  const words = 'the object has been modified; please apply your changes to the latest version';
  throw new Refusal(409, 'Conflict', words);
}

interface ConfigMapFields {
  readonly kind?: string;
  readonly immutable?: boolean;
  readonly data?: Readonly<Record<string, string>>;
  readonly binaryData?: Readonly<Record<string, string>>;
}

function checkConfigMap(before: ReadObject | null, next: ReadObject): void {
  const { kind, immutable, data = {}, binaryData = {} } = next as ConfigMapFields;
  if (kind !== 'ConfigMap') return;
  const bytes =
    Object.values(data).reduce((sum, text) => sum + Buffer.byteLength(text), 0) +
    Object.values(binaryData).reduce((sum, text) => sum + Buffer.from(text, 'base64').length, 0);
  if (bytes > MiB) {
    throw new Refusal(422, 'Invalid', `[]: Too long: may not be more than ${MiB} bytes`);
  }
  const was = before as ConfigMapFields | null;
  if (was?.immutable !== true) return;
  const same = isDeepStrictEqual([was.data ?? {}, was.binaryData ?? {}], [data, binaryData]);
  if (immutable === true && same) return;
  throw new Refusal(422, 'Invalid', 'data: Forbidden: field is immutable when `immutable` is set');
}

/** RFC 7386. */
function merged(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const base = typeof target === 'object' && target !== null ? { ...target } : {};
  const result = base as Record<string, unknown>;
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merged(result[key], value);
  }
  return result;
}
