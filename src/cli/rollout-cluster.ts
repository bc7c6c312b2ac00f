/**
 * The cluster as `egret rollout` sees it: policy sets with their states, one guarded write, and who is asking. Finds the
 * API server as kubectl does: `--kubeconfig`, `KUBECONFIG`, `~/.kube/config`, the pod. Shell: owns the connection.
 */
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { createApi } from '../kubernetes/api.ts';
import { ApiError } from '../kubernetes/api-error.ts';
import { type Connection, connectTo, readText } from '../kubernetes/connection.ts';
import { CONFIG_MAPS, type ReadObject } from '../kubernetes/object.ts';
import { openAccess } from '../kubernetes/open-access.ts';
import type { SetEvent } from '../rollout/event-text.ts';
import { LABELS, stateName } from '../rollout/objects.ts';
import { type SetObject, type SetView, viewOf, viewsOf } from '../rollout/set-view.ts';
import { VERSION } from '../version.ts';
import { KitError } from './kit-verb.ts';
import { eventsAbout } from './rollout-events.ts';

export interface ClusterOptions {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly namespace?: string;
}

export const withClusterOptions = (command: Command): Command =>
  command
    .addOption(new Option('--kubeconfig <file>', 'default KUBECONFIG, ~/.kube/config or the pod'))
    .addOption(new Option('--context <name>', 'context of the kubeconfig; default the current one'))
    .addOption(new Option('-n, --namespace <name>', 'default that of the context or of the pod'));

export interface Cluster {
  readonly namespace: string;
  /** Every set of the namespace, or of all namespaces. */
  views(all: boolean): Promise<readonly SetView[]>;
  /** @throws KitError when there is neither a set nor a state of it. */
  view(set: string): Promise<SetView>;
  /** Of the set and its state, the oldest first; none when they cannot be read. */
  events(view: SetView): Promise<readonly SetEvent[]>;
  /** Only when the set is still what `view` saw. @returns false when it is not. */
  annotate(view: SetView, annotations: Readonly<Record<string, string | null>>): Promise<boolean>;
  /** As the API server knows the caller; null when it does not say. */
  whoIsAsking(): Promise<string | null>;
}

const NAME_CHARS_MAX = 253;
const REVIEW = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
const REVIEW_MS = 5000;
const REVIEW_BYTES_MAX = 64 * 1024;

/** The connection ends with the work. @throws AccessError, ApiError, KitError */
export async function withCluster<T>(
  options: ClusterOptions,
  work: (cluster: Cluster) => Promise<T>,
): Promise<T> {
  const access = await openAccess(accessOptions(options));
  const namespace = options.namespace ?? access.namespace ?? 'default';
  // The first part of the name is what managedFields remember of a write.
  const connection = connectTo(access, `egret-rollout/${VERSION}`);
  try {
    return await work(clusterAt(connection, namespace));
  } finally {
    await connection.close();
  }
}

function accessOptions({ kubeconfig, context }: ClusterOptions) {
  const fromHome = join(homedir(), '.kube', 'config');
  const named = kubeconfig ?? (process.env['KUBECONFIG'] || undefined);
  const file = named ?? (existsSync(fromHome) ? fromHome : undefined);
  if (file === undefined && context !== undefined) {
    throw new KitError('--context: there is no kubeconfig file that could have it');
  }
  return { kubeconfig: file, context };
}

function clusterAt(connection: Connection, namespace: string): Cluster {
  const api = createApi(connection);
  const listed = async (where: string | null, labelSelector: string) =>
    (await api.list(CONFIG_MAPS, where, { labelSelector })).items.map(setObject);
  const views = async (where: string | null) =>
    viewsOf(await listed(where, LABELS.set), await listed(where, LABELS.state));
  return {
    namespace,
    views: (all) => views(all ? null : namespace),
    async view(set) {
      if (!/^[a-z0-9.-]+$/.test(set) || set.length > NAME_CHARS_MAX) {
        throw new KitError(`found ${JSON.stringify(set)}, expected the name of a policy set`);
      }
      const sets = await listed(namespace, `${LABELS.set}=${set}`);
      const state = await api.get(CONFIG_MAPS, { namespace, name: stateName(set) });
      if (sets.length > 0 || state !== null) {
        return viewOf(namespace, set, sets, state === null ? [] : [setObject(state)]);
      }
      const names = (await views(namespace)).map((view) => view.set).join(', ');
      const there = names === '' ? 'there is none' : `there are: ${names}`;
      throw new KitError(`no policy set ${set} in namespace ${namespace}; ${there}`);
    },
    events({ set, object }) {
      const names = [stateName(set), ...(object === null ? [] : [object.name])];
      return eventsAbout(connection, namespace, names);
    },
    async annotate({ object }, annotations) {
      if (object === null) return false;
      const { name, resourceVersion } = object;
      const patch = { metadata: { resourceVersion, annotations } };
      try {
        await api.mergePatch(CONFIG_MAPS, { namespace, name }, patch);
        return true;
      } catch (error) {
        if (error instanceof ApiError && error.status === 409) return false;
        throw error;
      }
    },
    whoIsAsking: () => whoIsAsking(connection),
  };
}

/** Only what is a text where a text belongs. */
function setObject(object: ReadObject): SetObject {
  const { name, namespace = '', resourceVersion, labels, annotations } = object.metadata;
  const data = (object['data'] ?? {}) as Readonly<Record<string, string>>;
  return { metadata: { name, namespace, resourceVersion, labels, annotations }, data };
}

async function whoIsAsking(connection: Connection): Promise<string | null> {
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' };
  const signal = AbortSignal.timeout(REVIEW_MS);
  try {
    const answer = await connection.send({ method: 'POST', path: REVIEW, body, signal });
    const review = JSON.parse(await readText(answer, REVIEW_BYTES_MAX)) as {
      status?: { userInfo?: { username?: unknown } };
    };
    const username = review.status?.userInfo?.username;
    return typeof username === 'string' && username !== '' ? username : null;
  } catch {
    // Before Kubernetes 1.28 nobody says it; then it is left to admission.
    return null;
  }
}
