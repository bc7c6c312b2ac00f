/**
 * A scenario on the wire: the request that would come in on a listener, and the route that the sidecar would take for
 * it. Nothing is repaired on the way, so that malformed calls can be written down, too. What Node's HTTP parser does
 * before that is not played. Pure.
 */
import type { HeaderList } from '../call/headers.ts';
import type { BoundPlace, Incoming } from '../proxy/exchange.ts';
import { captureRoute, forwardRoute } from '../proxy/forward-route.ts';
import { type GatewayTargets, gatewayRoutes, gatewayTarget } from '../proxy/gateway-route.ts';
import type { Route } from '../proxy/route.ts';
import type { Scenario, ScenarioFile } from './scenario.ts';

export interface WireCall {
  readonly route: Route;
  readonly incoming: Incoming;
}

export type HttpScenario = NonNullable<Scenario['http']>;
export type McpScenario = NonNullable<Scenario['mcp']>;

const URL_PARTS = /^(https?):\/\/([^/?#]*)(.*)$/i;
const LEGACY_VERSION = '2025-11-25';

/** @param body bytes of `bodyFile`, when there is one. */
export function httpCall(
  http: HttpScenario,
  file: ScenarioFile,
  run: { readonly id: string; readonly step: number },
  body: Uint8Array | null,
): WireCall {
  const bytes = body ?? bytesOf(http.body);
  const json = typeof http.body === 'object';
  const place = placeOf(http);
  const headers = headerList(http.headers, [
    ['host', place.host],
    ...(json ? [['content-type', 'application/json'] as const] : []),
    ...(bytes === null ? [] : [['content-length', String(bytes.length)] as const]),
  ]);
  const { target, bound } = place;
  const incoming = { ...arrival(run, bytes), method: http.method, target, headers, bound };
  return { route: routeOf(http, file, incoming), incoming };
}

export function mcpCall(
  mcp: McpScenario,
  file: ScenarioFile,
  run: { readonly id: string; readonly step: number },
): WireCall {
  const bytes = bytesOf(mcp.message) ?? new Uint8Array();
  const headers = headerList(mcp.headers, [
    ['host', 'localhost'],
    ['content-type', 'application/json'],
    ['accept', 'application/json, text/event-stream'],
    ['content-length', String(bytes.length)],
    ['mcp-protocol-version', LEGACY_VERSION],
  ]);
  const target = `/mcp/${mcp.server}`;
  const incoming = { ...arrival(run, bytes), method: 'POST', target, headers, bound: null };
  const listed = Object.hasOwn(file.mcpServers, mcp.server);
  const usual = { [mcp.server]: { url: `http://${mcp.server}.example/mcp` } };
  const mcpServers = listed ? file.mcpServers : { ...file.mcpServers, ...usual };
  return { route: gatewayRoutes(targetsOf({ ...file, mcpServers }))(incoming), incoming };
}

function routeOf(http: HttpScenario, file: ScenarioFile, incoming: Incoming): Route {
  if (http.listener === 'capture') return captureRoute;
  return http.listener === 'proxy' ? forwardRoute : gatewayRoutes(targetsOf(file))(incoming);
}

const targetsOf = ({ mcpServers, tools }: ScenarioFile): GatewayTargets => ({
  mcpServers: targetMap(mcpServers),
  tools: targetMap(tools),
  hosts: new Set(),
});

const targetMap = (targets: ScenarioFile['tools']) =>
  new Map(Object.entries(targets).map(([name, { url }]) => [name, gatewayTarget(url)]));

interface Place {
  readonly target: string;
  readonly host: string;
  readonly bound: BoundPlace | null;
}

/** An http URL reaches the proxy in absolute form; an https URL stands on a connection whose TLS ended here. */
function placeOf({ url, listener, method }: HttpScenario): Place {
  const [, scheme = '', authority = '', rest = ''] = URL_PARTS.exec(url) ?? [];
  if (scheme === '')
    return { target: url, host: method === 'CONNECT' ? url : 'localhost', bound: null };
  const path = rest.startsWith('/') ? rest : `/${rest}`;
  const secure = scheme.toLowerCase() === 'https';
  if (listener === 'gateway') return { target: path, host: 'localhost', bound: null };
  if (listener === 'proxy' && !secure) return { target: url, host: authority, bound: null };
  const [, host = authority, port] = /^(.*?)(?::([0-9]+))?$/.exec(authority) ?? [];
  const usual = secure ? 443 : 80;
  const bound: BoundPlace = {
    scheme: secure ? 'https' : 'http',
    host: secure ? host.replace(/^\[(.*)\]$/, '$1').toLowerCase() : null,
    port: port === undefined ? usual : Number(port),
  };
  return { target: path, host: authority, bound };
}

/** Headers as written; those that every client sends are added unless they are written. */
function headerList(given: HttpScenario['headers'], usual: HeaderList): HeaderList {
  const written = Object.entries(given).flatMap(([name, values]) =>
    (typeof values === 'string' ? [values] : values).map((value) => [name, value] as const),
  );
  const names = new Set(Object.keys(given).map((name) => name.toLowerCase()));
  return [...usual.filter(([name]) => !names.has(name)), ...written];
}

function bytesOf(body: HttpScenario['body']): Uint8Array | null {
  if (body === undefined) return null;
  return new TextEncoder().encode(typeof body === 'string' ? body : JSON.stringify(body));
}

function arrival(run: { readonly id: string; readonly step: number }, bytes: Uint8Array | null) {
  return {
    httpVersion: '1.1',
    connection: { id: run.id, remoteAddress: '127.0.0.1', calls: run.step },
    readBody: (bytesMax: number) =>
      Promise.resolve(
        bytes !== null && bytes.length > bytesMax
          ? ({ ok: false, reason: 'call.too_large' } as const)
          : ({ ok: true, bytes } as const),
      ),
  };
}
