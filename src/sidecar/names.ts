/**
 * The name server toward the agent: names of the catalogue in force and of the configuration, nothing else.
 * Shell: owns the name server.
 */
import { parseAuthority } from '../call/authority.ts';
import type { Config } from '../config/schema.ts';
import { patternsOf } from '../dns/names.ts';
import { type DnsServer, listenDns } from '../dns/server.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metric.ts';
import type { PolicyHolder } from './policy.ts';

export interface NameParts {
  readonly config: Config;
  readonly policy: PolicyHolder;
  readonly metrics: Metrics;
  readonly log: Log;
}

/** Opens the name server. Rejects with an error that names the address. */
export async function openNames(
  capture: NonNullable<Config['capture']>,
  { config, policy, metrics, log }: NameParts,
): Promise<DnsServer> {
  const configured = configuredNames(config, capture.dns.names);
  const server = await listenDns({
    ...capture.dns,
    hosts: capture.hosts,
    names: configured,
    counted: (result) => metrics.dnsQuery(result),
    signed: (sign) => metrics.dnsTunnellingSign(sign),
    suspected: (suspicion) => log.event('dns.tunnelling_suspected', { ...suspicion }),
  });
  policy.watch((catalogue) => server.setNames([...configured, ...patternsOf(catalogue)]));
  return server;
}

/** Every name the configuration gives a place to. */
function configuredNames(config: Config, more: readonly string[]): string[] {
  const { hosts, caFiles, webSockets, grpc } = config.upstream;
  const places = [...Object.keys(hosts), ...Object.keys(caFiles), ...webSockets, ...grpc];
  const named = places.map((place) => place.slice(0, place.lastIndexOf(':')));
  return [...more, ...named.filter(isName)];
}

function isName(pattern: string): boolean {
  const host = parseAuthority(pattern.replace(/^\*\./, ''), 1);
  return host.ok && host.kind === 'name';
}
