/**
 * Opens the listeners and connects them to the pipeline: forward proxy, tool gateway, decision API, admin. Either all
 * are open or none. Shell: owns the listening sockets.
 */
import type { Journal } from '../audit/journal.ts';
import type { Config, ListenerName } from '../config/schema.ts';
import { adminApp, type ControlServer, serveControl } from '../control/admin.ts';
import type { Client } from '../control/credential.ts';
import { decisionApi } from '../control/decision-api.ts';
import type { UploadRegistry } from '../decision/uploads.ts';
import type { AdmissionControl } from '../proxy/admission.ts';
import { handleConnect } from '../proxy/connect.ts';
import { forwardRoute } from '../proxy/forward-route.ts';
import { gatewayRoutes, gatewayTarget } from '../proxy/gateway-route.ts';
import { type ListeningServer, listenHttp, type ServerHandlers } from '../proxy/node-server.ts';
import { handleCall } from '../proxy/pipeline.ts';
import type { Parts } from '../proxy/ports.ts';
import type { Resolver } from '../proxy/resolver.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metric.ts';
import type { Tracing } from '../telemetry/trace.ts';
import { adviser, uploader } from './advice.ts';
import { recordBroken } from './broken.ts';
import type { PolicyHolder } from './policy.ts';
import { StartError } from './start-error.ts';
import { adminView } from './status.ts';

export interface ListenerParts {
  readonly config: Config;
  readonly parts: Parts;
  readonly admission: AdmissionControl;
  readonly resolve: Resolver;
  readonly clients: readonly Client[];
  readonly uploads: UploadRegistry;
  readonly journal: Journal;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  readonly policy: PolicyHolder;
  readonly log: Log;
}

export interface Listeners {
  readonly ports: readonly number[];
  /** From now on `/startupz` says yes. */
  started(): void;
  /** Stops accepting calls; the admin listener stays open to the end. */
  drain(): void;
  close(): Promise<void>;
}

export async function openListeners(shared: ListenerParts): Promise<Listeners> {
  const opened: { close(): Promise<void> }[] = [];
  let started = false;
  const open = async <T extends ListeningServer | ControlServer>(
    name: ListenerName,
    listening: Promise<T>,
  ): Promise<T> => {
    const server = await listening.catch((error: Error) => {
      throw new StartError(`listen.${name}: ${error.message}`, { cause: error });
    });
    opened.push(server);
    shared.log.event('sidecar.listening', {
      listener: name,
      address: server.address.host,
      port: server.address.port,
    });
    return server;
  };
  try {
    const { listen } = shared.config;
    const view = adminView(shared, () => started);
    const admin = await open('admin', serveControl(adminApp(view), listen.admin));
    const decision = await open('decision', serveControl(decisionApp(shared), listen.decision));
    const gateway = await open('gateway', listenGateway(shared));
    const proxy = await open('proxy', listenProxy(shared));
    return {
      ports: [admin, decision, gateway, proxy].map((server) => server.address.port),
      started: () => {
        started = true;
      },
      drain: () => {
        gateway.drain();
        proxy.drain();
      },
      close: async () => {
        await Promise.all([gateway.close(), proxy.close(), decision.close()]);
        await admin.close();
      },
    };
  } catch (error) {
    await Promise.all(opened.map((server) => server.close()));
    throw error;
  }
}

function decisionApp(shared: ListenerParts) {
  const { clients, metrics, config, log } = shared;
  return decisionApi({
    clients,
    review: adviser(shared),
    upload: uploader(shared),
    counted: (endpoint, result) => {
      if (endpoint === 'upload') metrics.upload(result === 'registered' ? 'registered' : 'refused');
    },
    unauthorized: (reason) => log.event('identity.refused', { listener: 'decision', reason }),
    bodyBytesMax: config.limits.bodyBytesMax,
  });
}

function listenGateway(shared: ListenerParts): Promise<ListeningServer> {
  const { config, parts } = shared;
  const targets = (configured: Config['tools']) =>
    new Map(Object.entries(configured).map(([name, { url }]) => [name, gatewayTarget(url)]));
  const routeFor = gatewayRoutes({
    mcpServers: targets(config.mcpServers),
    tools: targets(config.tools),
    hosts: new Set([config.listen.gateway.host]),
  });
  return listenHttp(config.listen.gateway, config.limits, {
    call: (incoming, reply) => handleCall(parts, routeFor(incoming), incoming, reply),
    ...rejections(shared, 'gateway'),
  });
}

async function listenProxy(shared: ListenerParts): Promise<ListeningServer> {
  const { config, parts, admission, resolve } = shared;
  const server: ListeningServer = await listenHttp(config.listen.proxy, config.limits, {
    call: (incoming, reply) => handleCall(parts, forwardRoute, incoming, reply),
    connect: (incoming, socket, head) => {
      const connect = {
        parts,
        admission,
        resolve,
        bounds: {
          connectTimeoutMs: config.upstream.connectTimeoutMs,
          idleMs: config.limits.tunnelIdleMs,
        },
        plaintextPorts: new Set(config.upstream.plaintextPorts),
        adopt: server.adopt,
      };
      void handleConnect(connect, incoming, socket, head);
    },
    ...rejections(shared, 'proxy'),
  });
  return server;
}

/** What never became a call still leaves a trace. */
function rejections(
  shared: ListenerParts,
  listener: 'gateway' | 'proxy',
): Pick<ServerHandlers, 'broken' | 'dropped'> {
  return {
    broken: (cause, remoteAddress) => recordBroken(shared, { listener, cause, remoteAddress }),
    dropped: () => shared.metrics.shed('connections'),
  };
}
