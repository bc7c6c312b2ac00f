/**
 * Changes of a good call on the wire: another host, another path, another MCP server. What comes of them is recognised
 * anew, as it would be in the sidecar. Pure.
 */
import type { Mutation } from './mutation.ts';
import type { Random } from './random.ts';
import type { Scenario } from './scenario.ts';

export interface WireMutation extends Mutation {
  readonly scenario: Scenario;
}

const URL_PARTS = /^(https?:\/\/)([^/?#]*)([^?#]*)(.*)$/i;
const STRANGER = 'attacker.example';

/** What this scenario has to change on the wire; nothing for a review. */
export function wireMutations(scenario: Scenario, random: Random): readonly WireMutation[] {
  const { http, mcp } = scenario;
  if (mcp !== undefined) {
    const changed = { ...scenario, mcp: { ...mcp, server: `other-${mcp.server}`.slice(0, 63) } };
    return [
      { kind: 'server', pointer: '/tool/server', change: changed.mcp.server, scenario: changed },
    ];
  }
  if (http === undefined) return [];
  const change = (kind: 'host' | 'path', url: string): WireMutation => ({
    kind,
    pointer: `/destination/${kind}`,
    change: url,
    scenario: { ...scenario, http: { ...http, url, headers: withoutHost(http.headers) } },
  });
  const parts = URL_PARTS.exec(http.url);
  if (parts === null) {
    return /^[^/]+:[0-9]+$/.test(http.url)
      ? [change('host', http.url.replace(/^.*:/, `${STRANGER}:`))]
      : [];
  }
  const [, scheme = '', host = '', path = '', rest = ''] = parts;
  const stranger = random.pick([STRANGER, `${host.replace(/:.*$/, '')}.${STRANGER}`]) as string;
  const elsewhere = random.pick([
    `${path.replace(/\/$/, '')}/extra`,
    path.replace(/[^/]*$/, 'other'),
  ]) as string;
  const paths = [change('path', `${scheme}${host}${elsewhere}${rest}`)];
  const hosts = [change('host', `${scheme}${stranger}${path}${rest}`)];
  return http.listener === 'gateway' ? paths : [...hosts, ...paths];
}

/** The new URL names the host. */
const withoutHost = (headers: NonNullable<Scenario['http']>['headers']) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'host'));
