/**
 * The composition root of the controller: configuration in, one replica out. Watches the ConfigMaps of one namespace,
 * takes part in the election, brings each policy set forward while it leads, and serves sidecars whether it leads or
 * not. Shell: owns everything it starts.
 */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { ControllerConfig } from '../config/controller.ts';
import { type Api, createApi } from '../kubernetes/api.ts';
import { type Connection, connectTo } from '../kubernetes/connection.ts';
import { LEASES, type ReadObject } from '../kubernetes/object.ts';
import { openAccess } from '../kubernetes/open-access.ts';
import { StartError } from '../sidecar/start-error.ts';
import { verificationOf } from '../sidecar/verification.ts';
import {
  type ControllerMetrics,
  type ControllerOperation,
  createControllerMetrics,
} from '../telemetry/controller-metric.ts';
import { createLog, type Log } from '../telemetry/log.ts';
import { VERSION } from '../version.ts';
import { ClusterWatch } from './cluster-watch.ts';
import { ClusterWrites } from './cluster-writes.ts';
import { Election, type LeaseStore } from './election.ts';
import type { LeaseSpec } from './lease.ts';
import { openServers, type Servers } from './servers.ts';
import { SetKeeper } from './set-keeper.ts';

export interface ControllerContext {
  readonly configFile: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export interface Controller {
  /** Gives the lease back and resolves when nothing is left running. */
  stop(signal: string): Promise<void>;
}

/** @throws StartError, ConfigError; then nothing is left running. */
export async function startController(
  config: ControllerConfig,
  { configFile, environment }: ControllerContext,
): Promise<Controller> {
  const verification = verificationOf(config.bundles.verification, environment);
  const access = await openAccess({ kubeconfig: config.kubeconfig, environment }).catch(
    (error: Error) => {
      throw new StartError(error.message, { cause: error });
    },
  );
  const namespace = config.namespace ?? environment['EGRET_POD_NAMESPACE'] ?? access.namespace;
  if (namespace === null) {
    throw new StartError('namespace: found none, expected it here or in EGRET_POD_NAMESPACE');
  }
  const identity = identityOf(environment);
  const metrics = createControllerMetrics();
  const log = createLog({ level: config.logLevel });
  log.event('controller.starting', { version: VERSION, config: configFile, namespace, identity });
  const failed = failures(metrics, log);
  const connection = connectTo(access, `egret-controller/${VERSION}`);
  const api = createApi(connection);
  const writes = new ClusterWrites({ api, namespace, identity, metrics, wallMs: Date.now });
  const watch = new ClusterWatch({ api, connection, namespace, metrics, failed });
  // One request that hangs must not cost the lease: there is time for a second one.
  const leaseApi = createApi(connection, { timeoutMs: config.lease.renewDeadlineSeconds * 500 });
  const forElection = { config, api: leaseApi, namespace, identity, metrics, log, failed };
  const election = createElection(forElection);
  const keeper = new SetKeeper({
    config,
    verification,
    watch,
    writes,
    metrics,
    log,
    failed,
    mayWrite: () => election.election.mayWrite(),
  });
  election.changed(() => keeper.kickAll());
  const shared = { config, api, writes, watch, keeper, metrics, log, failed, environment };
  const running = { connection, election: election.election, watch, keeper, log };
  let servers: Servers;
  try {
    servers = await openServers({ ...shared, namespace, leads: election.election });
  } catch (error) {
    await close(running, null);
    throw error;
  }
  watch.start();
  election.election.start();
  return {
    stop: async (signal) => {
      log.event('controller.stopped', { signal });
      await close(running, servers);
    },
  };
}

interface Running {
  readonly connection: Connection;
  readonly election: Election;
  readonly watch: ClusterWatch;
  readonly keeper: SetKeeper;
  readonly log: Log;
}

/** The lease last of what writes: another replica leads as soon as it is given back. */
async function close(running: Running, servers: Servers | null): Promise<void> {
  await servers?.close();
  await running.keeper.close();
  await running.election.close();
  await running.watch.close();
  await running.connection.close();
  await running.log.close();
}

/** A new process is a new replica, even under the same name. */
const identityOf = (environment: ControllerContext['environment']) =>
  `${environment['EGRET_POD_NAME'] ?? hostname()}_${randomBytes(4).toString('hex')}`;

export type Failed = (operation: ControllerOperation, error: unknown, set?: string) => void;

const failures =
  (metrics: ControllerMetrics, log: Log): Failed =>
  (operation, error, set) => {
    metrics.failed(operation);
    const text = error instanceof Error ? error.message : String(error);
    log.event('controller.failed', { operation, set: set ?? null, error: text });
  };

interface ElectionParts {
  readonly config: ControllerConfig;
  readonly api: Api;
  readonly namespace: string;
  readonly identity: string;
  readonly metrics: ControllerMetrics;
  readonly log: Log;
  readonly failed: Failed;
}

function createElection(parts: ElectionParts) {
  const { config, identity, metrics, log, failed } = parts;
  let listener: () => void = () => undefined;
  const election = new Election({
    ...config.lease,
    store: leaseStore(parts),
    identity,
    monotonicMs: () => performance.now(),
    wallMs: Date.now,
    onChange: (leads) => {
      metrics.leads(leads);
      log.event('controller.leading', { identity, leads });
      listener();
    },
    onError: (error) => failed('election', error),
  });
  return {
    election,
    changed: (given: () => void) => {
      listener = given;
    },
  };
}

function leaseStore({ api, config, namespace, metrics }: ElectionParts): LeaseStore {
  const at = { namespace, name: config.lease.name };
  return {
    async read() {
      const lease = await api.get(LEASES, at);
      if (lease === null) return null;
      const spec = (lease['spec'] ?? {}) as LeaseSpec;
      return { spec, resourceVersion: lease.metadata.resourceVersion };
    },
    async write(spec, resourceVersion) {
      try {
        const metadata = { name: at.name, namespace };
        const written =
          resourceVersion === null
            ? await api.create(LEASES, namespace, { metadata, spec })
            : await api.replace(LEASES, at, {
                metadata: { ...metadata, resourceVersion },
                spec,
              } as ReadObject);
        metrics.wrote('lease', 'done');
        return written.metadata.resourceVersion;
      } catch (error) {
        const conflict = (error as { status?: number }).status === 409;
        metrics.wrote('lease', conflict ? 'conflict' : 'failed');
        if (conflict) return null;
        throw error;
      }
    },
  };
}
