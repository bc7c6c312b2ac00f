/**
 * Opens the listeners and connects them to the pipeline: forward proxy, tool gateway, decision API, admin. Either all
 * are open or none. Shell: owns the listening sockets.
 */
import type { Socket } from 'node:net';
import type { Journal } from '../audit/journal.ts';
import type { Config, ListenerName } from '../config/schema.ts';
import { adminApp, type ControlServer, serveControl } from '../control/admin.ts';
import type { Client } from '../control/credential.ts';
import { decisionApi } from '../control/decision-api.ts';
import type { UploadRegistry } from '../decision/uploads.ts';
import type { AdmissionControl } from '../proxy/admission.ts';
import type { Capture } from '../proxy/capture.ts';
import { type ConnectParts, handleConnect } from '../proxy/connect.ts';
import type { Descriptors } from '../proxy/descriptors.ts';
import { forwardRoute } from '../proxy/forward-route.ts';
import { gatewayRoutes, gatewayTarget } from '../proxy/gateway-route.ts';
import { type ListeningServer, listenHttp, type ServerHandlers } from '../proxy/node-server.ts';
import { handleCall } from '../proxy/pipeline.ts';
import type { Parts } from '../proxy/ports.ts';
import type { Resolver } from '../proxy/resolver.ts';
import { createStallWatch } from '../proxy/write-stall.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metric.ts';
import type { Tracing } from '../telemetry/trace.ts';
import type { Interception } from '../tls/interception.ts';
import type { UpstreamTrust } from '../tls/upstream-trust.ts';
import { adviser, turnAway, uploader } from './advice.ts';
import { recordBroken } from './broken.ts';
import { openCapture, presentHosts } from './capture.ts';
import { createFence } from './fence.ts';
import { type Inside, insideOf, type Serve } from './inside.ts';
import { openNames } from './names.ts';
import type { PolicyHolder } from './policy.ts';
import { StartError } from './start-error.ts';
import { adminView } from './status.ts';

export interface ListenerParts {
  readonly config: Config;
  readonly parts: Parts;
  readonly admission: AdmissionControl;
  readonly descriptors: Descriptors;
  readonly resolve: Resolver;
  readonly clients: readonly Client[];
  readonly uploads: UploadRegistry;
  readonly journal: Journal;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  readonly policy: PolicyHolder;
  readonly interception: Interception | null;
  readonly upstreamTrust: UpstreamTrust;
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
  const fence = createFence(shared.config.capture, shared.log, shared.metrics);
  const open = async <T extends { close(): Promise<void> }>(
    name: ListenerName | 'capture' | 'dns',
    listening: Promise<T>,
    addressesOf: (server: T) => readonly Address[],
  ): Promise<T> => {
    const server = await listening.catch((error: Error) => {
      throw new StartError(`${PLACES[name]}: ${error.message}`, { cause: error });
    });
    opened.push(server);
    for (const { host, port, dialled } of addressesOf(server)) {
      const listener = dialled === undefined ? name : `${name}:${dialled}`;
      shared.log.event('sidecar.listening', { listener, address: host, port });
      ports.push(port);
    }
    return server;
  };
  const ports: number[] = [];
  try {
    const { listen, capture } = shared.config;
    const view = adminView(shared, () => started, fence);
    const stalls = createStallWatch(shared.config.limits.writeStallMs);
    const { add: connected } = stalls;
    const admin = adminApp(view, listen.admin.host);
    await open('admin', serveControl(admin, listen.admin, { connected }), only);
    await open('decision', serveDecisions(shared, connected), only);
    const inside = insideOf(shared, stalls);
    opened.push(inside.upgrades, stalls);
    const calls: { drain(): void }[] = [
      await open('gateway', listenGateway(shared, inside), only),
      await open('proxy', listenProxy(shared, inside), only),
      inside.upgrades,
    ];
    if (capture !== undefined) {
      const hosts = presentHosts(capture.hosts);
      const here = { ...capture, hosts };
      const captured = await open('capture', captureOf(shared, here, inside), everyOne);
      const names = await open('dns', openNames(here, shared), (server) => server.addresses);
      calls.push(captured);
      fence.watch(captured.listeners, names.addresses);
    }
    return {
      ports,
      started: () => {
        started = true;
      },
      drain: () => {
        for (const server of calls) server.drain();
      },
      close: async () => {
        const [admin, ...others] = opened;
        await fence.close();
        await Promise.all(others.map((server) => server.close()));
        await admin?.close();
      },
    };
  } catch (error) {
    await Promise.all(opened.map((server) => server.close()));
    throw error;
  }
}

/** Where the configuration says them. */
const PLACES = {
  admin: 'listen.admin',
  decision: 'listen.decision',
  gateway: 'listen.gateway',
  proxy: 'listen.proxy',
  capture: 'capture.ports',
  dns: 'capture.dns.port',
} as const;

interface Address {
  readonly host: string;
  readonly port: number;
  /** Of a captured port: the one the agent dialled. */
  readonly dialled?: number;
}

const only = (server: { readonly address: Address }) => [server.address];
const everyOne = (capture: Capture) =>
  capture.listeners.map(({ address, dialled }) => ({ ...address, dialled }));

function captureOf(
  shared: ListenerParts,
  capture: NonNullable<Config['capture']>,
  inside: Inside,
): Promise<Capture> {
  const { parts } = shared;
  const { limits } = shared.config;
  return openCapture({ capture, limits, parts, inside, rejections: rejections(shared, 'capture') });
}

function serveDecisions(
  shared: ListenerParts,
  connected: (socket: Socket) => void,
): Promise<ControlServer> {
  const { clients, metrics, config, log } = shared;
  const turnedAway = turnAway(shared, log);
  const app = decisionApi({
    clients,
    review: adviser(shared),
    upload: uploader(shared),
    turnedAway,
    uploaded: (registered) => metrics.upload(registered ? 'registered' : 'refused'),
    failed: (error) =>
      log.event('call.internal_error', { listener: 'decision', error: String(error) }),
    bodyBytesMax: config.limits.bodyBytesMax,
  });
  return serveControl(app, config.listen.decision, {
    connected,
    broken: (reason, remoteAddress) => {
      const nothing = { client: null, method: '', target: '', traceparent: null };
      void turnedAway({ reason, body: null }, { ...nothing, remoteAddress });
    },
  });
}

function listenGateway(shared: ListenerParts, inside: Inside): Promise<ListeningServer> {
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
    ...inside.upgrades.on(routeFor),
    ...rejections(shared, 'gateway'),
    connected: inside.tunnels.bounds.connected,
  });
}

async function listenProxy(shared: ListenerParts, inside: Inside): Promise<ListeningServer> {
  const { config, parts } = shared;
  const serve: Serve = (socket, bound) => server.adopt(socket, bound);
  const connect: ConnectParts = {
    tunnels: inside.tunnels,
    plaintextPorts: new Set(config.upstream.plaintextPorts),
    adopt: serve,
    tls: inside.intercepts ? inside.tlsEntry(serve) : null,
  };
  const server: ListeningServer = await listenHttp(config.listen.proxy, config.limits, {
    call: (incoming, reply) => handleCall(parts, forwardRoute, incoming, reply),
    connect: (incoming, socket, head) => void handleConnect(connect, incoming, socket, head),
    ...inside.upgrades.on(() => forwardRoute),
    ...rejections(shared, 'proxy'),
    connected: inside.tunnels.bounds.connected,
  });
  return server;
}

/** What never became a call still leaves a trace. */
function rejections(
  shared: ListenerParts,
  listener: 'gateway' | 'proxy' | 'capture',
): Pick<ServerHandlers, 'broken' | 'dropped' | 'mayServe'> {
  return {
    broken: (cause, remoteAddress) => recordBroken(shared, { listener, cause, remoteAddress }),
    dropped: () => shared.metrics.shed('connections'),
    mayServe: shared.descriptors.mayServe,
  };
}
