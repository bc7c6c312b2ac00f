/**
 * The listeners of a controller: the distributor for sidecars (HTTPS, with a token), the admin surface (plain,
 * read-only) and the webhook that injects sidecars (HTTPS). The leader also asks the other replicas for the reports they
 * hold. Shell: owns listeners and one timer.
 */
import type { ControllerConfig } from '../config/controller.ts';
import { adminApp, type ControlServer, serveControl } from '../control/admin.ts';
import type { Api } from '../kubernetes/api.ts';
import { TOKEN_REVIEWS } from '../kubernetes/object.ts';
import { StartError } from '../sidecar/start-error.ts';
import type { ControllerMetrics } from '../telemetry/controller-metric.ts';
import type { Log } from '../telemetry/log.ts';
import type { ClusterWatch } from './cluster-watch.ts';
import type { Failed } from './controller.ts';
import { createDistributor } from './distributor.ts';
import type { Election } from './election.ts';
import { openHttps } from './https-listener.ts';
import { openInjector } from './injector.ts';
import { openPeers, type Peers } from './peers.ts';
import type { SetKeeper } from './set-keeper.ts';
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

/** @throws StartError */
export async function openServers(parts: ServerParts): Promise<Servers> {
  const opened: { close(): Promise<void> }[] = [];
  try {
    opened.push(await openAdmin(parts));
    const { distributor, admission } = parts.config;
    if (distributor !== undefined) opened.push(await openDistributor(parts, distributor));
    if (distributor !== undefined && admission !== undefined) {
      opened.push(await openAdmission(parts, admission, distributor));
    }
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
  const server = await openHttps(distributor.app, {
    name: 'distributor',
    at: config,
    tls: config,
    // A report every 15 seconds should not cost a handshake each.
    options: { requestTimeout: 120_000, keepAliveTimeout: 60_000 },
    failed: (error) => failed('certificate', error),
  });
  const { address, port } = server;
  log.event('controller.listening', { listener: 'distributor', address, port });
  const close = async () => {
    distributor.close();
    await server.close();
  };
  const peers = await followPeers(parts, config, port).catch(async (error: Error) => {
    await close();
    throw new StartError(`distributor.peers: ${error.message}`, { cause: error });
  });
  return {
    close: async () => {
      await peers?.close();
      await close();
    },
  };
}

async function openAdmission(
  { metrics, log, failed }: ServerParts,
  config: NonNullable<ControllerConfig['admission']>,
  tls: DistributorConfig,
) {
  const server = await openInjector(config, tls, {
    answered: metrics.admission,
    failed: (error) => failed('admission', error),
    certificate: (error) => failed('certificate', error),
  });
  const { address, port } = server;
  log.event('controller.listening', { listener: 'admission', address, port });
  return server;
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
