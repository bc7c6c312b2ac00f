/**
 * What leaves plain HTTP/1.1 where the configuration names the place: WebSockets, and gRPC over HTTP/2.
 * Shell: owns the WebSockets and HTTP/2 sessions that are open.
 */
import type { Config } from '../config/schema.ts';
import type { AdmissionControl } from '../proxy/admission.ts';
import type { Descriptors } from '../proxy/descriptors.ts';
import type { Incoming } from '../proxy/exchange.ts';
import { createGrpc, type Grpc } from '../proxy/grpc-call.ts';
import type { ServerHandlers } from '../proxy/node-server.ts';
import { placeMatcher } from '../proxy/place-matcher.ts';
import type { Parts } from '../proxy/ports.ts';
import type { Resolver } from '../proxy/resolver.ts';
import type { Route } from '../proxy/route.ts';
import { createWebSockets } from '../proxy/websocket-call.ts';
import type { UpstreamTrust } from '../tls/upstream-trust.ts';

export interface UpgradeParts {
  readonly config: Config;
  readonly parts: Parts;
  readonly admission: AdmissionControl;
  readonly descriptors: Descriptors;
  readonly resolve: Resolver;
  readonly upstreamTrust: UpstreamTrust;
}

export interface Upgrades {
  /** For a listener: serves WebSockets on its routes; nothing where no place may have one. */
  on(routeFor: (incoming: Incoming) => Route): Pick<ServerHandlers, 'upgrade'>;
  /** Protocols offered inside TLS that ends here, best first. */
  protocolsFor(host: string, port: number): readonly string[];
  /** Serves gRPC on a connection that agreed on `h2`. */
  readonly grpc: Grpc;
  /** Tells everyone that the sidecar is going away. */
  drain(): void;
  close(): Promise<void>;
}

export function upgradesOf(shared: UpgradeParts): Upgrades {
  const { config, parts, admission, resolve, upstreamTrust } = shared;
  const { limits, upstream } = config;
  const { mayDial } = shared.descriptors;
  const idleMs = limits.tunnelIdleMs;
  const webSockets = createWebSockets({
    parts,
    admission,
    allows: placeMatcher(upstream.webSockets),
    upstream: { ...upstream, resolve, tlsFor: upstreamTrust.tlsFor, mayDial },
    bounds: {
      messageBytesMax: limits.webSocketMessageBytesMax,
      framesPerSecond: limits.webSocketFramesPerSecond,
      idleMs,
      writeStallMs: limits.writeStallMs,
    },
  });
  const speaksGrpc = placeMatcher(upstream.grpc);
  const grpc = createGrpc({
    parts,
    upstream: {
      ...upstream,
      resolve,
      tlsFor: upstreamTrust.tlsFor,
      mayDial,
      bounds: { bodyBytesMax: limits.bodyBytesMax, idleMs },
    },
    bounds: { headerBytesMax: limits.headerBytesMax, idleMs },
  });
  return {
    grpc,
    protocolsFor: (host, port) => (speaksGrpc(host, port) ? ['h2', 'http/1.1'] : ['http/1.1']),
    on(routeFor) {
      if (upstream.webSockets.length === 0) return {};
      return {
        upgrade: (incoming, socket, head) =>
          void webSockets.handle(routeFor(incoming), incoming, socket, head),
      };
    },
    drain() {
      webSockets.drain();
      grpc.drain();
    },
    close() {
      webSockets.close();
      grpc.close();
      return Promise.resolve();
    },
  };
}
