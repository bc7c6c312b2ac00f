/**
 * The explicit forward proxy: absolute-form requests for `http://`, and requests in the clear inside a CONNECT tunnel.
 * The authority in the target (or of the tunnel) and the Host header must name the same place, port included. Pure.
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
const ABSOLUTE = /^http:\/\/([^/?#]*)(.*)$/i;

export const forwardRoute: Route = {
  listener: 'proxy',
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

interface Place {
  readonly ok: true;
  readonly authority: Authority;
  /** Path and query as received. */
  readonly target: string;
}

function destinationOf(incoming: Incoming): Place | Refused {
  const found = incoming.tunnel === null ? absoluteForm(incoming.target) : tunnelled(incoming);
  if (!found.ok) return found;
  const host = parseAuthority(headerOf(incoming, 'host') ?? '', HTTP_PORT);
  if (!host.ok) return host;
  if (!sameAuthority(host, found.authority)) {
    return refuse('call.bad_authority', 'the Host header and the target name different places');
  }
  return found;
}

function absoluteForm(target: string): Place | Refused {
  const parts = ABSOLUTE.exec(target);
  if (parts === null) {
    return refuse('call.unknown_route', 'not an absolute http:// target, as a proxy needs it');
  }
  const authority = parseAuthority(parts[1] ?? '', HTTP_PORT);
  if (!authority.ok) return authority;
  const rest = parts[2] ?? '';
  return { ok: true, authority, target: rest.startsWith('/') ? rest : `/${rest}` };
}

function tunnelled(incoming: Incoming): Place | Refused {
  const { host, port } = incoming.tunnel as { host: string; port: number };
  const authority = parseAuthority(
    host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
    null,
  );
  if (!authority.ok) return authority;
  if (!incoming.target.startsWith('/')) {
    return refuse('call.bad_path', 'a target inside a tunnel must be a path');
  }
  return { ok: true, authority, target: incoming.target };
}

interface Arrival {
  readonly incoming: Incoming;
  readonly body: Uint8Array | null;
  readonly catalogue: Catalogue;
}

async function recognizeAt(place: Place, arrival: Arrival): Promise<Recognition> {
  const { host, port } = place.authority;
  const recognized = await recognizeHttp(
    {
      method: arrival.incoming.method,
      scheme: 'http',
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
  const origin = { scheme: 'http', host, port, trusted: false } as const;
  return outgoingHttp(arrival.incoming, recognized, origin);
}

const refused = (problem: Refused): Recognition =>
  unrecognized(problem.reason, problem.detail, { kind: 'http' });
