/**
 * Requests that name their own place: absolute-form requests to the explicit forward proxy, and requests on a connection
 * that already leads somewhere (inside a CONNECT tunnel, inside TLS that ended here, or captured by the redirect).
 * Target, Host header and connection must name the same place, port included. Pure.
 */
import { type Authority, parseAuthority, sameAuthority } from '../call/authority.ts';
import type { Catalogue } from '../call/catalogue.ts';
import { recognizeHttp } from '../call/recognize.ts';
import type { Refused } from '../call/refused.ts';
import { refuse } from '../call/refused.ts';
import type { Incoming } from './exchange.ts';
import { outgoingHttp } from './http-request.ts';
import { checkMessage, headerOf } from './message-rules.ts';
import { type Recognition, type Route, unrecognized } from './route.ts';

const HTTP_PORT = 80;
const HTTPS_PORT = 443;
const ABSOLUTE = /^http:\/\/([^/?#]*)(.*)$/i;

/** Explicit proxy and the inside of its tunnels. */
export const forwardRoute: Route = routeFor('proxy');
/** Connections the redirect captured. */
export const captureRoute: Route = routeFor('capture');

function routeFor(listener: 'proxy' | 'capture'): Route {
  return {
    listener,
    shape: { kind: 'http' },
    precheck(incoming) {
      const broken = checkMessage(incoming);
      if (broken !== null) return refused(broken);
      const place = destinationOf(incoming);
      return place.ok ? null : refused(place);
    },
    recognize(incoming, body, catalogue) {
      const place = destinationOf(incoming);
      return place.ok ? recognizeAt(place, { incoming, body, catalogue }) : refused(place);
    },
  };
}

interface Place {
  readonly ok: true;
  readonly scheme: 'http' | 'https';
  readonly authority: Authority;
  /** Path and query as received. */
  readonly target: string;
}

function destinationOf(incoming: Incoming): Place | Refused {
  const { bound } = incoming;
  const scheme = bound?.scheme ?? 'http';
  const defaultPort = scheme === 'http' ? HTTP_PORT : HTTPS_PORT;
  const host = parseAuthority(headerOf(incoming, 'host') ?? '', defaultPort);
  if (bound === null) {
    const found = absoluteForm(incoming.target);
    return found.ok ? agreed(found, host) : found;
  }
  if (!host.ok) return host;
  if (!incoming.target.startsWith('/')) {
    return refuse(
      'call.bad_path',
      'a target on a connection that leads to one place must be a path',
    );
  }
  if (bound.port !== host.port || (bound.host !== null && bound.host !== host.host)) {
    return refuse('call.bad_authority', 'the Host header and the connection name different places');
  }
  return { ok: true, scheme, authority: host, target: incoming.target };
}

function agreed(found: Place, host: Authority | Refused): Place | Refused {
  if (!host.ok) return host;
  return sameAuthority(host, found.authority)
    ? found
    : refuse('call.bad_authority', 'the Host header and the target name different places');
}

function absoluteForm(target: string): Place | Refused {
  const parts = ABSOLUTE.exec(target);
  if (parts === null) {
    return refuse('call.unknown_route', 'not an absolute http:// target, as a proxy needs it');
  }
  const authority = parseAuthority(parts[1] ?? '', HTTP_PORT);
  if (!authority.ok) return authority;
  const rest = parts[2] ?? '';
  return {
    ok: true,
    scheme: 'http',
    authority,
    target: rest.startsWith('/') ? rest : `/${rest}`,
  };
}

interface Arrival {
  readonly incoming: Incoming;
  readonly body: Uint8Array | null;
  readonly catalogue: Catalogue;
}

async function recognizeAt(place: Place, arrival: Arrival): Promise<Recognition> {
  const { scheme, authority } = place;
  const { host, port } = authority;
  const recognized = await recognizeHttp(
    {
      method: arrival.incoming.method,
      scheme,
      host,
      port,
      target: place.target,
      headers: arrival.incoming.headers,
      body: arrival.body,
      server: null,
    },
    arrival.catalogue,
  );
  if (!recognized.ok) return refused(recognized);
  const origin = { scheme, host, port, trusted: false } as const;
  return outgoingHttp(arrival.incoming, recognized, origin);
}

const refused = (problem: Refused): Recognition =>
  unrecognized(problem.reason, problem.detail, { kind: 'http' });
