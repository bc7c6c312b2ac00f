/**
 * The tool gateway: `/mcp/<server>` and `/tools/<name>/…`. The operator configured both, so the place a call goes to is
 * never the agent's to choose; only what it asks for is. Pure.
 */
import { type Authority, parseAuthority } from '../call/authority.ts';
import { recognizeHttp } from '../call/recognize.ts';
import type { Refused } from '../call/refused.ts';
import { refuse } from '../call/refused.ts';
import type { Incoming } from './exchange.ts';
import { outgoingHttp } from './http-request.ts';
import { mcpRoute } from './mcp-route.ts';
import { checkMessage, headerOf } from './message-rules.ts';
import { type Route, unrecognized } from './route.ts';
import type { Origin } from './upstream.ts';

/** A configured destination. */
export interface GatewayTarget {
  readonly origin: Origin;
  /** Path of the configured URL, without a trailing slash. */
  readonly path: string;
}

export interface GatewayTargets {
  readonly mcpServers: ReadonlyMap<string, GatewayTarget>;
  readonly tools: ReadonlyMap<string, GatewayTarget>;
  /** Host names under which the gateway may be addressed, besides loopback. */
  readonly hosts: ReadonlySet<string>;
}

/** @throws Error when the URL is not http or https; the configuration schema has seen to that. */
export function gatewayTarget(url: string): GatewayTarget {
  const { protocol, hostname, port, pathname } = new URL(url);
  const scheme = protocol === 'https:' ? 'https' : 'http';
  const defaultPort = scheme === 'https' ? 443 : 80;
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  return {
    origin: { scheme, host, port: port === '' ? defaultPort : Number(port), trusted: true },
    path: pathname.replace(/\/$/, ''),
  };
}

/** Builds the routes once; the result finds the one for a request. */
export function gatewayRoutes(targets: GatewayTargets): (incoming: Incoming) => Route {
  const check = (incoming: Incoming) =>
    checkMessage(incoming) ??
    checkHost(incoming, targets.hosts) ??
    checkOrigin(incoming, targets.hosts);
  const mcp = new Map(
    [...targets.mcpServers].map(([name, target]) => [name, mcpRoute(name, target, check)]),
  );
  const tools = new Map(
    [...targets.tools].map(([name, target]) => [name, toolRoute(name, target, check)]),
  );
  return (incoming) => {
    const [empty, kind, name = ''] = incoming.target.split('?', 1)[0]?.split('/', 3) ?? [];
    if (empty !== '') return unknownRoute;
    const found = kind === 'mcp' ? mcp.get(name) : kind === 'tools' ? tools.get(name) : undefined;
    return found ?? unknownRoute;
  };
}

/**
 * The Host a client addresses must be this gateway: a web page in a browser beside the agent could otherwise reach it
 * under a name of its own (DNS rebinding), and the tool behind can no longer check, because it gets its own Host.
 */
function checkHost(incoming: Incoming, hosts: ReadonlySet<string>): Refused | null {
  const host = parseAuthority(headerOf(incoming, 'host') ?? '', 80);
  if (!host.ok) return host;
  if (isHere(host, hosts)) return null;
  return refuse('call.bad_authority', 'the Host header does not name this gateway');
}

/**
 * A web page of another site in a browser beside the agent may send requests here under the right Host; the browser
 * then says whose page it is. The MCP specification wants such requests answered with 403.
 */
function checkOrigin(incoming: Incoming, hosts: ReadonlySet<string>): Refused | null {
  const origin = headerOf(incoming, 'origin');
  if (origin === null) return null;
  const authority = /^https?:\/\/([^/?#]+)$/i.exec(origin)?.[1] ?? '';
  const page = parseAuthority(authority, origin.startsWith('https') ? 443 : 80);
  if (page.ok && isHere(page, hosts)) return null;
  return refuse('call.bad_origin', 'a web page of another origin');
}

/** Loopback by its address, not by how a name begins: `127.attacker.example` is a name. */
const isHere = ({ kind, host }: Authority, hosts: ReadonlySet<string>): boolean =>
  host === 'localhost' ||
  host === '::1' ||
  (kind === 'ipv4' && host.startsWith('127.')) ||
  hosts.has(host);

const unknownRoute: Route = {
  listener: 'gateway',
  shape: { kind: 'http' },
  precheck: (incoming) => {
    const broken = checkMessage(incoming) ?? refuse('call.unknown_route', 'no such route');
    return unrecognized(broken.reason, broken.detail, { kind: 'http' });
  },
  recognize: () => unrecognized('call.unknown_route', 'no such route', { kind: 'http' }),
};

function toolRoute(
  name: string,
  target: GatewayTarget,
  check: (incoming: Incoming) => Refused | null,
): Route {
  const shape = { kind: 'http' } as const;
  const prefix = `/tools/${name}`;
  return {
    listener: 'gateway',
    shape,
    precheck(incoming) {
      const broken = check(incoming);
      return broken === null ? null : unrecognized(broken.reason, broken.detail, shape);
    },
    async recognize(incoming, body, catalogue) {
      const { method, headers } = incoming;
      const { scheme, host, port } = target.origin;
      const rest = incoming.target.slice(prefix.length);
      const path = `${target.path}${rest.startsWith('/') ? rest : `/${rest}`}`;
      const request = { method, scheme, host, port, target: path, headers, body, server: name };
      const recognized = await recognizeHttp(request, catalogue);
      if (!recognized.ok) return unrecognized(recognized.reason, recognized.detail, shape);
      return outgoingHttp(incoming, recognized, target.origin);
    },
  };
}
