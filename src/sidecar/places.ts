/**
 * The places a configuration names for the way out: fixed destinations, tools, blocks of addresses. What could never be
 * reached is an error at start and not a riddle at the first call. Pure.
 */
import { parseAuthority } from '../call/authority.ts';
import { ConfigError } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { block, classify, classifyAddress, parseAddress } from '../proxy/address.ts';
import { NEVER_OPENED } from '../proxy/address-table.ts';
import { classifyName } from '../proxy/host-name.ts';
import type { ResolverOptions } from '../proxy/resolver.ts';

/** What the resolver needs of a configuration. */
export function placesOf(config: Config): Omit<ResolverOptions, 'ownPorts'> {
  const { upstream, capture } = config;
  const dialled = Object.keys(capture?.ports ?? {}).map(Number);
  const { ipv4, ipv6 } = capture?.dns ?? {};
  return {
    hosts: upstream.hosts,
    privateAddresses: upstream.privateAddresses,
    clusterNetworks: upstream.clusterNetworks,
    // What the sidecar's own DNS hands out leads back into the capture, whoever gives it as an answer.
    neverAddresses: [ipv4, ipv6].filter((address) => address !== undefined),
    ports: [...upstream.ports, ...dialled],
    dnsServers: upstream.dnsServers,
  };
}

/** @throws ConfigError with a line for each place that is none or may never be reached. */
export function checkPlaces(config: Config, file: string): void {
  const { upstream } = config;
  const problems = [
    ...Object.entries(upstream.hosts).flatMap(([from, to]) =>
      at(`upstream.hosts.${from}`, keyProblem(from) ?? targetProblem(to)),
    ),
    ...blockProblems('upstream.privateAddresses', upstream.privateAddresses, true),
    ...blockProblems('upstream.clusterNetworks', upstream.clusterNetworks, false),
    ...upstream.dnsServers.flatMap((to, index) =>
      at(`upstream.dnsServers[${index}]`, serverProblem(to)),
    ),
    ...Object.entries(config.mcpServers).flatMap(([name, { url }]) =>
      at(`mcpServers.${name}.url`, urlProblem(url)),
    ),
    ...Object.entries(config.tools).flatMap(([name, { url }]) =>
      at(`tools.${name}.url`, urlProblem(url)),
    ),
  ];
  if (problems.length === 0) return;
  throw new ConfigError(problems.map((problem) => `${file}: ${problem}`).join('\n'));
}

const at = (path: string, problem: string | null): string[] =>
  problem === null ? [] : [`${path}: ${problem}`];

function keyProblem(from: string): string | null {
  const key = parseAuthority(from, null);
  if (!key.ok) return `found "${from}", expected HOST:PORT of a call`;
  const host = key.kind === 'ipv6' ? `[${key.host}]` : key.host;
  const normal = `${host}:${key.port}`;
  return from === normal ? null : `found "${from}", expected its normal form "${normal}"`;
}

function targetProblem(to: string): string | null {
  const target = parseAuthority(to, null);
  if (!target.ok || target.kind === 'name') {
    return `found "${to}", expected ADDRESS:PORT, an IPv6 address in brackets`;
  }
  return neverProblem(to, target.host);
}

function neverProblem(found: string, address: string): string | null {
  const ipClass = classifyAddress(address);
  return NEVER_OPENED.has(ipClass)
    ? `found "${found}", a ${ipClass} address, expected one that may be reached: no setting opens these`
    : null;
}

function serverProblem(to: string): string | null {
  const target = parseAuthority(to, null);
  return target.ok && target.kind !== 'name' ? null : `found "${to}", expected ADDRESS:PORT`;
}

function urlProblem(url: string): string | null {
  const host = new URL(url).hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '');
  if (parseAddress(host) !== null) return neverProblem(url, host);
  return classifyName(host) === 'metadata'
    ? `found "${url}", a name of cloud metadata, expected a tool: no setting opens these`
    : null;
}

/** @param opens false for blocks that are refused and not opened. */
function blockProblems(path: string, blocks: readonly string[], opens: boolean): string[] {
  return blocks.flatMap((cidr, index) => at(`${path}[${index}]`, blockProblem(cidr, opens)));
}

function blockProblem(cidr: string, opens: boolean): string | null {
  try {
    const ipClass = classify(block(cidr).bytes);
    return opens && ['metadata', 'link_local', 'multicast', 'broadcast'].includes(ipClass)
      ? `found "${cidr}", ${ipClass} addresses, expected ones that may be reached: no setting opens these`
      : null;
  } catch (error) {
    return (error as Error).message;
  }
}
