/**
 * What both ways in share, the CONNECT tunnel and the captured connection: TLS that ends here or passes, and the bounds
 * of tunnels. Shell: owns nothing, connects parts.
 */
import type { Duplex } from 'node:stream';
import { hostMatcher } from '../call/host-pattern.ts';
import type { Config } from '../config/schema.ts';
import type { AdmissionControl } from '../proxy/admission.ts';
import type { Descriptors } from '../proxy/descriptors.ts';
import type { BoundPlace } from '../proxy/exchange.ts';
import { captureRoute, forwardRoute } from '../proxy/forward-route.ts';
import type { Parts } from '../proxy/ports.ts';
import type { Resolver } from '../proxy/resolver.ts';
import { createTlsEntry, type TlsEntry } from '../proxy/tls-entry.ts';
import type { TunnelParts } from '../proxy/tunnel-call.ts';
import type { StallWatch } from '../proxy/write-stall.ts';
import type { Interception } from '../tls/interception.ts';
import type { UpstreamTrust } from '../tls/upstream-trust.ts';
import { type Upgrades, upgradesOf } from './upgrades.ts';

export interface Inside {
  readonly tunnels: TunnelParts;
  readonly upgrades: Upgrades;
  /** False: of TLS only the name is read. */
  readonly intercepts: boolean;
  /** @param serve takes the requests inside TLS that ended here. */
  tlsEntry(serve: Serve): TlsEntry;
}

export type Serve = (socket: Duplex, bound: BoundPlace) => void;

export interface InsideParts {
  readonly config: Config;
  readonly parts: Parts;
  readonly admission: AdmissionControl;
  readonly descriptors: Descriptors;
  readonly resolve: Resolver;
  readonly interception: Interception | null;
  readonly upstreamTrust: UpstreamTrust;
}

export function insideOf(shared: InsideParts, stalls: StallWatch): Inside {
  const { config, parts, admission, resolve, interception } = shared;
  const { tunnelIdleMs: idleMs, headersTimeoutMs: handshakeMs } = config.limits;
  const { connectTimeoutMs } = config.upstream;
  const { mayDial } = shared.descriptors;
  const watched = { connected: stalls.add, stalled: stalls.cut };
  const bounds = { connectTimeoutMs, mayDial, idleMs, ...watched };
  const tunnels: TunnelParts = { parts, admission, resolve, bounds };
  const upgrades = upgradesOf(shared);
  return {
    tunnels,
    upgrades,
    intercepts: interception !== null,
    tlsEntry: (serve) =>
      createTlsEntry({
        tunnels,
        passes: interception === null ? () => true : hostMatcher(config.tls?.passthrough ?? []),
        contextFor: interception?.contextFor ?? everyNamePasses,
        protocolsFor: upgrades.protocolsFor,
        serve(socket, bound, { listener, connection }, protocol) {
          const route = listener === 'capture' ? captureRoute : forwardRoute;
          if (protocol === 'h2') upgrades.grpc.serve(route, socket, bound, connection);
          else serve(socket, bound);
        },
        handshakeMs,
      }),
  };
}

const everyNamePasses = () => Promise.reject(new Error('every name passes'));
