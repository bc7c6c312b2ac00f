/**
 * Everything the controller writes to the Kubernetes API: states, immutable copies of bundles, the status on a set,
 * Events. A conflict is an answer and not an error: whoever was overtaken looks again. Shell: sends requests.
 */
import { createHash, randomBytes } from 'node:crypto';
import { bundleObjects, CHUNK_BYTES_MAX, joinObjects, pieceName } from '../bundle/configmap.ts';
import type { Api } from '../kubernetes/api.ts';
import { ApiError } from '../kubernetes/api-error.ts';
import { eventFor } from '../kubernetes/event.ts';
import { CONFIG_MAPS, EVENTS, type KubeObject, type ReadObject } from '../kubernetes/object.ts';
import { ANNOTATIONS, copyName, LABELS, stateName } from '../rollout/objects.ts';
import type { RolloutEvent, RolloutState, StoredRevision } from '../rollout/state.ts';
import { renderState } from '../rollout/state-codec.ts';
import type { ControllerMetrics, WriteObject } from '../telemetry/controller-metric.ts';
import { stateFrom } from './cluster-objects.ts';
import type { StateRead } from './set-worker.ts';

export interface WriteParts {
  readonly api: Api;
  readonly namespace: string;
  readonly identity: string;
  readonly metrics: Pick<ControllerMetrics, 'wrote'>;
  readonly wallMs: () => number;
}

const MANAGED = { 'app.kubernetes.io/managed-by': 'egret' };
/** Of those that no state names. */
const COPIES_KEPT = 10;
const COMPONENT = 'egret-controller';

export class ClusterWrites {
  readonly #parts: WriteParts;

  constructor(parts: WriteParts) {
    this.#parts = parts;
  }

  /** @returns the new resourceVersion; null when the state is no longer what was read. */
  async state(state: RolloutState, resourceVersion: string | null): Promise<string | null> {
    const { api, namespace } = this.#parts;
    const name = stateName(state.set);
    const object: KubeObject = {
      metadata: { name, namespace, labels: { ...MANAGED, [LABELS.state]: state.set } },
      data: renderState(state),
    };
    return this.#counted('state', async () => {
      if (resourceVersion === null) {
        return (await api.create(CONFIG_MAPS, namespace, object)).metadata.resourceVersion;
      }
      const metadata = { ...object.metadata, resourceVersion };
      const at = { namespace, name };
      const written = await api
        .replace(CONFIG_MAPS, at, { ...object, metadata } as ReadObject)
        .catch((error: unknown) => {
          if (!(error instanceof ApiError) || error.status !== 404) throw error;
          // Somebody deleted it. Sidecars would not follow one that begins anew with a lower generation.
          return api.create(CONFIG_MAPS, namespace, object);
        });
      return written.metadata.resourceVersion;
    });
  }

  /** The state as the API server has it now. */
  async readState(set: string): Promise<StateRead | null> {
    const { api, namespace } = this.#parts;
    const object = await api.get(CONFIG_MAPS, { namespace, name: stateName(set) });
    return object === null ? null : stateFrom(object, set);
  }

  /** Keeps a copy that nobody can change. Storing what is stored already is nothing. */
  async copy(set: string, archive: Uint8Array, revision: string): Promise<StoredRevision> {
    const { api, namespace } = this.#parts;
    const digest = `sha256:${createHash('sha256').update(archive).digest('hex')}`;
    const pieces = bundleObjects(archive, {
      name: copyName(set, digest),
      namespace,
      revision,
      chunkBytes: CHUNK_BYTES_MAX,
      immutable: true,
    });
    for (const piece of pieces) {
      const labels = { ...MANAGED, [LABELS.copy]: set };
      const { metadata } = piece;
      const object = { ...piece, metadata: { ...metadata, labels } } as unknown as KubeObject;
      await this.#counted('copy', () => api.create(CONFIG_MAPS, namespace, object));
    }
    // Something else may stand under these names; it is read back, as the sidecars will.
    const stored = await this.readCopy(set, { digest, revision, pieces: pieces.length });
    if (stored !== null) return { digest, revision, pieces: pieces.length };
    throw new Error(
      `${copyName(set, digest)}: found another content, expected a copy of ${digest}`,
    );
  }

  /** @returns null when it is not there, or is not what it should be. */
  async readCopy(set: string, { digest, pieces }: StoredRevision): Promise<Uint8Array | null> {
    const { api, namespace } = this.#parts;
    const name = copyName(set, digest);
    const names = Array.from({ length: pieces }, (_, index) => pieceName(name, index, pieces));
    const objects: ReadObject[] = [];
    for (const piece of names) {
      const object = await api.get(CONFIG_MAPS, { namespace, name: piece });
      if (object === null) return null;
      objects.push(object);
    }
    try {
      const archive = joinObjects(
        objects.map((object) => ({ ...object, kind: 'ConfigMap' })),
        name,
      );
      const found = `sha256:${createHash('sha256').update(archive).digest('hex')}`;
      return found === digest ? archive : null;
    } catch {
      return null;
    }
  }

  /** Deletes copies that no state names, but for the newest. */
  async sweep(set: string, named: ReadonlySet<string>): Promise<void> {
    const { api, namespace } = this.#parts;
    const labelSelector = `${LABELS.copy}=${set}`;
    const { items } = await api.list(CONFIG_MAPS, namespace, { labelSelector });
    const groups = Map.groupBy(items, digestOf);
    const idle = [...groups]
      .filter(([digest]) => !named.has(digest))
      .sort(([, a], [, b]) => createdAt(b).localeCompare(createdAt(a)));
    for (const [, pieces] of idle.slice(COPIES_KEPT)) {
      for (const { metadata } of pieces) {
        await this.#counted('copy', () =>
          api.remove(CONFIG_MAPS, { namespace, name: metadata.name }, metadata.resourceVersion),
        );
      }
    }
  }

  /** Shows what is wrong with a set on the set itself; an empty text takes it away. */
  async status(object: ReadObject, status: string): Promise<void> {
    const { api, namespace } = this.#parts;
    const before = object.metadata.annotations?.[ANNOTATIONS.status] ?? '';
    if (before === status) return;
    const annotations = { [ANNOTATIONS.status]: status === '' ? null : status };
    await this.#counted('status', () =>
      api.mergePatch(
        CONFIG_MAPS,
        { namespace, name: object.metadata.name },
        { metadata: { annotations } },
      ),
    );
  }

  async event(
    about: ReadObject,
    { type, reason, message }: RolloutEvent | SetEvent,
  ): Promise<void> {
    const { api, namespace, identity, wallMs } = this.#parts;
    const event = eventFor({
      about: { apiVersion: 'v1', kind: 'ConfigMap', ...about },
      type,
      reason,
      message,
      component: COMPONENT,
      instance: identity,
      atMs: wallMs(),
      suffix: randomBytes(8).toString('hex'),
    });
    await this.#counted('event', () => api.create(EVENTS, namespace, event));
  }

  /** Null for a conflict. */
  async #counted<T>(object: WriteObject, write: () => Promise<T>): Promise<T | null> {
    const { metrics } = this.#parts;
    try {
      const done = await write();
      metrics.wrote(object, 'done');
      return done;
    } catch (error) {
      const conflict = error instanceof ApiError && error.status === 409;
      metrics.wrote(object, conflict ? 'conflict' : 'failed');
      if (conflict) return null;
      throw error;
    }
  }
}

/** What is told about a set besides its rollout. */
export interface SetEvent {
  readonly type: 'Warning';
  readonly reason: 'InvalidPolicySet';
  readonly message: string;
}

const digestOf = ({ metadata }: ReadObject) =>
  metadata.annotations?.['egret.dev/bundle-digest'] ?? '';
const createdAt = (pieces: readonly ReadObject[]) =>
  String(pieces[0]?.metadata['creationTimestamp'] ?? '');
