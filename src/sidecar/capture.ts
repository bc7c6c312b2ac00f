/**
 * What the redirect leads to: listeners for the captured ports and the requests inside them.
 * Shell: owns the capture listeners and the connections on them.
 */
import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Config } from '../config/schema.ts';
import { type Capture, listenCapture } from '../proxy/capture.ts';
import { captureRoute } from '../proxy/forward-route.ts';
import { adoptHttp, type ServerHandlers } from '../proxy/node-server.ts';
import { handleCall } from '../proxy/pipeline.ts';
import type { Parts } from '../proxy/ports.ts';
import type { Inside } from './inside.ts';

export interface CaptureSetup {
  readonly capture: NonNullable<Config['capture']>;
  readonly limits: Config['limits'];
  readonly parts: Parts;
  readonly inside: Inside;
  readonly rejections: Pick<ServerHandlers, 'broken' | 'dropped' | 'mayServe'>;
}

/** Without IPv6 in the kernel there is nothing to capture of it, and no loopback address to listen on. */
export function presentHosts<Host extends string>(hosts: readonly Host[]): Host[] {
  const addresses = Object.values(networkInterfaces()).flatMap((found) => found ?? []);
  const hasIpv6 = addresses.some(({ family }) => family === 'IPv6');
  return hosts.filter((host) => hasIpv6 || !isIPv6(host));
}

/** Opens all capture listeners or none. */
export async function openCapture(setup: CaptureSetup): Promise<Capture> {
  const { capture, limits, parts, inside, rejections } = setup;
  const { connected } = inside.tunnels.bounds;
  const http = adoptHttp(limits, {
    call: (incoming, reply) => handleCall(parts, captureRoute, incoming, reply),
    ...inside.upgrades.on(() => captureRoute),
    ...rejections,
    connected,
  });
  const listening = await listenCapture({
    hosts: capture.hosts,
    ports: Object.entries(capture.ports).map(([dialled, listen]) => ({
      dialled: Number(dialled),
      listen,
    })),
    connectionsMax: limits.connectionsMax,
    firstByteMs: limits.headersTimeoutMs,
    adopt: http.adopt,
    tls: inside.tlsEntry(http.adopt),
    connected,
    dropped: rejections.dropped,
    mayServe: rejections.mayServe,
    broken: (remoteAddress) => rejections.broken('timeout', remoteAddress),
  });
  return {
    listeners: listening.listeners,
    drain() {
      listening.drain();
      http.drain();
    },
    close: async () => {
      await Promise.all([listening.close(), http.close()]);
    },
  };
}
