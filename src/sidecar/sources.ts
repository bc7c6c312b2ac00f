/**
 * Opens the source that the configuration names, for the policy that follows it. Shell: opens connections.
 */

import { readArchive } from '../bundle/archive.ts';
import { DirectorySource } from '../bundle/directory-source.ts';
import type { BundleConfig, ServerConfig } from '../config/bundle.ts';
import type { Workload } from '../decision/input.ts';
import { createApi } from '../kubernetes/api.ts';
import { connectTo } from '../kubernetes/connection.ts';
import { openAccess } from '../kubernetes/open-access.ts';
import type { Directive } from '../rollout/directive.ts';
import { openConfigMapSource } from '../source/configmap-source.ts';
import type { FollowerOptions } from '../source/directive-follower.ts';
import { openDistributorSource } from '../source/distributor-source.ts';
import { openHttpSource } from '../source/http-source.ts';
import { type HttpsClient, openHttpsClient } from '../source/https-client.ts';
import { LastGood } from '../source/last-good.ts';
import type { PolicySource, SourceListener } from '../source/policy-source.ts';
import type { WatchMetrics } from '../telemetry/watch-metric.ts';
import { VERSION } from '../version.ts';
import { StartError } from './start-error.ts';

export interface SourceParts {
  readonly bundle: BundleConfig;
  readonly listener: SourceListener;
  readonly workload: Workload;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly metrics: WatchMetrics;
  /** Something that is tried again and has no other place to be told. */
  readonly failed: (error: unknown) => void;
}

/** So long a fleet spreads the fetching of a new candidate at the API server, which serves each sidecar itself. */
const CANDIDATE_SPREAD_MS = 10_000;

/** @throws StartError when a file that it needs is not there. */
export async function openSource(parts: SourceParts): Promise<PolicySource> {
  const { bundle, listener } = parts;
  const { directory, distributor, http } = bundle;
  if (directory !== undefined) return directorySource(parts, directory);
  if (http !== undefined) {
    const client = await clientFor(http, 'http');
    return openHttpSource({ client, listener, pollMs: bundle.pollMs });
  }
  const lastGood =
    bundle.lastGoodDirectory === undefined
      ? null
      : new LastGood(bundle.lastGoodDirectory, parts.failed);
  const { workload } = parts;
  const follows = { listener, lastGood, selected: (d: Directive) => isSelected(d, workload) };
  const source =
    distributor === undefined
      ? await configMapSource(parts, follows)
      : openDistributorSource({
          ...follows,
          set: bundle.name,
          client: await clientFor(distributor, 'distributor'),
        });
  return lastGood === null ? source : remembering(source, lastGood, listener);
}

/** @throws StartError */
export async function clientFor(
  { url, tokenFile, caFile }: ServerConfig,
  place: string,
): Promise<HttpsClient> {
  const files = { tokenFile: tokenFile ?? null, caFile: caFile ?? null };
  return openHttpsClient({ url, ...files }).catch((error: Error) => {
    throw new StartError(`bundles.0.${place}.caFile: ${error.message}`, { cause: error });
  });
}

function directorySource({ bundle, listener }: SourceParts, directory: string): PolicySource {
  return new DirectorySource({
    directory,
    pollMs: bundle.pollMs,
    onContent: async (content) => {
      const stable = { digest: content.digest, content };
      await listener.onWanted({ stable, candidate: null, directive: null });
    },
    onUnchanged: () => listener.onUnchanged(),
    onError: (errors) => listener.onError(errors),
  });
}

async function configMapSource(
  { bundle, environment, metrics, failed }: SourceParts,
  follows: Omit<FollowerOptions, 'fetch'>,
): Promise<PolicySource> {
  const { namespace, kubeconfig } = bundle.configMap ?? { namespace: '' };
  const access = await openAccess({ kubeconfig, environment }).catch((error: Error) => {
    throw new StartError(`bundles.0.configMap: ${error.message}`, { cause: error });
  });
  const connection = connectTo(access, `egret-sidecar/${VERSION}`);
  const api = createApi(connection);
  const source = openConfigMapSource({
    ...follows,
    set: bundle.name,
    namespace,
    api,
    connection,
    watch: (status) => metrics.kubeWatch('state', status),
    failed,
    candidateDelayMs: () => Math.random() * CANDIDATE_SPREAD_MS,
  });
  return {
    start: () => source.start(),
    close: async () => {
      await source.close();
      await connection.close();
    },
  };
}

/** Begins with what was in force last, so that a start waits for nobody. */
function remembering(
  source: PolicySource,
  lastGood: LastGood,
  listener: SourceListener,
): PolicySource {
  return {
    async start() {
      const remembered = await lastGood.recall();
      if (remembered === null) return source.start();
      const { directive, archive } = remembered;
      const { digest } = directive.stable ?? { digest: '' };
      const content = { files: readArchive(archive, 'bundle.tar.gz'), digest };
      const stable = { digest, content };
      // Nobody confirmed it: its age counts from when it was kept.
      const wanted = { stable, candidate: null, directive };
      // A gate that is newer than what was kept may refuse it: then there is nothing to begin with.
      if (!(await listener.onWanted(wanted, remembered.atMs))) return source.start();
      void source.start();
    },
    close: () => source.close(),
  };
}

/** Whether the selector of a set takes this pod in. Pure. */
export function isSelected({ selector }: Directive, { namespace, labels }: Workload): boolean {
  const { namespaces, podLabels = {} } = selector;
  if (namespaces !== undefined && !namespaces.includes(namespace ?? '')) return false;
  return Object.entries(podLabels).every(([name, value]) => labels[name] === value);
}
