/**
 * The two listeners of a controller: the distributor for sidecars (HTTPS, with a token) and the admin surface (plain,
 * read-only). The leader also asks the other replicas for the reports they hold. Shell: owns listeners and one timer.
 */
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { ControllerConfig } from '../config/controller.ts';
import { adminApp, type ControlServer, serveControl } from '../control/admin.ts';
import type { Api } from '../kubernetes/api.ts';
import { TOKEN_REVIEWS } from '../kubernetes/object.ts';
import { StartError } from '../sidecar/start-error.ts';
import type { ControllerMetrics } from '../telemetry/controller-metric.ts';
import type { Log } from '../telemetry/log.ts';
import type { ClusterWatch } from './cluster-watch.ts';
import type { Failed } from './controller.ts';
import { createDistributor, type Distributor } from './distributor.ts';
import type { Election } from './election.ts';
import { openPeers, type Peers } from './peers.ts';
import type { SetKeeper } from './set-keeper.ts';
import { followTls, readTls } from './tls-files.ts';
import { createTokens } from './tokens.ts';

export interface ServerParts {
  readonly config: ControllerConfig;
  readonly namespace: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly api: Api;
  readonly watch: ClusterWatch;
  readonly keeper: SetKeeper;
  readonly leads: Election;
  readonly metrics: ControllerMetrics;
  readonly log: Log;
  readonly failed: Failed;
}

export interface Servers {
  close(): Promise<void>;
}

type DistributorConfig = NonNullable<ControllerConfig['distributor']>;

const PEERS_MS = 5000;
const CLOSE_GRACE_MS = 2000;

/** @throws StartError */
export async function openServers(parts: ServerParts): Promise<Servers> {
  const opened: { close(): Promise<void> }[] = [];
  try {
    opened.push(await openAdmin(parts));
    const { distributor } = parts.config;
    if (distributor !== undefined) opened.push(await openDistributor(parts, distributor));
  } catch (error) {
    await Promise.all(opened.map((server) => server.close()));
    throw error;
  }
  return {
    close: async () => {
      await Promise.all(opened.map((server) => server.close()));
    },
  };
}

async function openAdmin({ config, watch, keeper, leads, metrics, log }: ServerParts) {
  const { admin } = config;
  const view = {
    started: watch.synced.bind(watch),
    notReady: () => (watch.synced() ? [] : ['the cluster was not read yet']),
    unhealthy: () => [],
    metrics: async () => ({ contentType: metrics.contentType, text: await metrics.render() }),
    status: () => ({
      leads: leads.mayWrite(),
      leader: leads.holder(),
      sidecars: keeper.reports.count(),
      sets: keeper.gauges(),
    }),
  };
  const server: ControlServer = await serveControl(adminApp(view, admin.host), admin, {
    connected: () => undefined,
  }).catch((error: Error) => {
    throw new StartError(`admin: ${error.message}`, { cause: error });
  });
  const { host: address, port } = server.address;
  log.event('controller.listening', { listener: 'admin', address, port });
  return server;
}

async function openDistributor(parts: ServerParts, config: DistributorConfig) {
  const { keeper, metrics, log, failed } = parts;
  const tls = tlsOf(config);
  const distributor = createDistributor({
    authenticate: tokensOf(parts, config),
    directive: (set) => keeper.directive(set),
    bundle: (set, digest) => keeper.bundle(set, digest),
    report: (report) => keeper.reports.take(report, keeper.knows(report.set)),
    heard: () => keeper.reports.heard(),
    failed: (error) => failed('distributor', error),
    answered: metrics.request,
  });
  keeper.onState((set) => distributor.changed(set));
  metrics.watchWaiting(() => distributor.waiting());
  const server = createServer({ ...tls, requestTimeout: 120_000 }, distributor.app);
  // A report every 15 seconds should not cost a handshake each.
  server.keepAliveTimeout = 60_000;
  await listen(server, config);
  const { address, port } = server.address() as AddressInfo;
  log.event('controller.listening', { listener: 'distributor', address, port });
  const stopFollowing = followTls(server, config, tls, (error) => failed('certificate', error));
  const peers = await followPeers(parts, config, port).catch(async (error: Error) => {
    stopFollowing();
    await closeServer(server, distributor);
    throw new StartError(`distributor.peers: ${error.message}`, { cause: error });
  });
  return {
    close: async () => {
      stopFollowing();
      await peers?.close();
      await closeServer(server, distributor);
    },
  };
}

function tlsOf(config: DistributorConfig) {
  try {
    return readTls(config);
  } catch (error) {
    throw new StartError(`distributor: ${(error as Error).message}`, { cause: error });
  }
}

function tokensOf({ api, namespace, environment }: ServerParts, { audience }: DistributorConfig) {
  const account = environment['EGRET_POD_SERVICE_ACCOUNT'];
  const peerUser = account === undefined ? null : `system:serviceaccount:${namespace}:${account}`;
  return createTokens({
    audience,
    peerUser,
    monotonicMs: () => performance.now(),
    review: async (token) => {
      const spec = { token, audiences: [audience] };
      const review = await api.ask(TOKEN_REVIEWS, { spec });
      return (review as { status?: unknown }).status;
    },
  });
}

function listen(server: Server, { host, port }: DistributorConfig): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) =>
      reject(new StartError(`distributor: ${error.message}`, { cause: error })),
    );
    server.listen({ host, port }, resolve);
  });
}

async function closeServer(server: Server, distributor: Distributor): Promise<void> {
  distributor.close();
  await new Promise<void>((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
    server.close(() => {
      clearTimeout(cut);
      resolve();
    });
    server.closeIdleConnections();
  });
}

/** Only the leader asks, and only while it leads. */
async function followPeers(
  { keeper, leads, failed }: ServerParts,
  { peers: config }: DistributorConfig,
  port: number,
): Promise<Peers | null> {
  if (config === undefined) return null;
  const peers = await openPeers(config, port, (error) => failed('peers', error));
  const timer = setInterval(() => {
    if (!leads.mayWrite()) return;
    void peers.heard().then((heard) => keeper.reports.merge(heard, (set) => keeper.knows(set)));
  }, PEERS_MS);
  timer.unref();
  return {
    heard: peers.heard,
    close: async () => {
      clearInterval(timer);
      await peers.close();
    },
  };
}
