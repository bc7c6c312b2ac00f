/**
 * Connections for calls that do not go through the pool: to an address that was resolved and checked and to no other,
 * with TLS verified for the host that policy decided on. Shell: owns a socket until it is connected.
 */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ReasonCode } from '../decision/reason.ts';
import { isCertificateError, type UpstreamTls } from '../tls/upstream-trust.ts';
import { sameAddress } from './address.ts';
import type { Resolver } from './resolver.ts';
import type { Origin } from './upstream.ts';

export interface DialOptions {
  readonly resolve: Resolver;
  readonly tlsFor: (host: string, port: number) => UpstreamTls;
  /** Milliseconds to connect, the TLS handshake included. */
  readonly connectTimeoutMs: number;
  /** False of a connection that must be given up, because it takes one of the last descriptors. */
  readonly mayDial: (socket: Socket) => boolean;
}

export type Dialled =
  /** `peer`: address and port. */
  | { readonly ok: true; readonly socket: Socket; readonly peer: string }
  | { readonly ok: false; readonly reason: ReasonCode };

/** One address of a name, checked. */
export interface PinnedPlace {
  readonly address: string;
  readonly port: number;
}

/** @param alpn the one protocol the tool must agree to over TLS. */
export function dialPinned(
  origin: Origin,
  alpn: 'http/1.1' | 'h2',
  options: DialOptions,
): Promise<Dialled> {
  return dialResolved(origin, options, (place) => dialAddress(place, origin, alpn, options));
}

/** A bare connection, e.g. for a tunnel whose bytes nobody reads. */
export function dialTcp(
  origin: Omit<Origin, 'scheme'>,
  options: Omit<DialOptions, 'tlsFor'>,
): Promise<Dialled> {
  return dialResolved(origin, options, (place) =>
    connected(connectTcp(tcpTo(place)), { place, event: 'connect', ...options }),
  );
}

/** Tries one address after the other, as long as nothing was connected to. */
async function dialResolved(
  { host, port, trusted }: Omit<Origin, 'scheme'>,
  { resolve }: Pick<DialOptions, 'resolve'>,
  dial: (place: PinnedPlace) => Promise<Dialled>,
): Promise<Dialled> {
  const found = await resolve(host, port, trusted ? 'operator' : 'agent');
  if (!found.ok) return found;
  let last: Dialled = { ok: false, reason: 'upstream.connect_failed' };
  for (const address of found.addresses) {
    last = await dial({ address, port: found.port });
    if (last.ok || last.reason !== 'upstream.connect_failed') return last;
  }
  return last;
}

/** Connects to one address that was checked for this origin. */
export async function dialAddress(
  place: PinnedPlace,
  { scheme, host, port }: Origin,
  alpn: 'http/1.1' | 'h2',
  dialling: Omit<DialOptions, 'resolve'>,
): Promise<Dialled> {
  if (scheme === 'http') {
    return connected(connectTcp(tcpTo(place)), { place, event: 'connect', ...dialling });
  }
  const options = { ...tcpTo(place), ALPNProtocols: [alpn], ...dialling.tlsFor(host, port) };
  const socket = connectTls(options);
  const dialled = await connected(socket, { place, event: 'secureConnect', ...dialling });
  if (!dialled.ok || alpn !== 'h2' || socket.alpnProtocol === 'h2') return dialled;
  socket.destroy();
  return { ok: false, reason: 'upstream.bad_response' };
}

/** As it stands in the record: `192.0.2.1:443`, `[2001:db8::1]:443`. */
export const placeText = ({ address, port }: PinnedPlace): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;

const tcpTo = ({ address, port }: PinnedPlace) => ({ host: address, port, noDelay: true });

interface Connecting extends Pick<DialOptions, 'connectTimeoutMs' | 'mayDial'> {
  readonly place: PinnedPlace;
  readonly event: 'connect' | 'secureConnect';
}

function connected(
  socket: Socket,
  { place, event, connectTimeoutMs, mayDial }: Connecting,
): Promise<Dialled> {
  return new Promise((resolve) => {
    const fail = (reason: ReasonCode) => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ ok: false, reason });
    };
    const timer = setTimeout(() => fail('upstream.timeout'), connectTimeoutMs);
    // The descriptor is there one tick after the connection was asked for.
    process.nextTick(() => {
      if (!mayDial(socket)) fail('call.overloaded');
    });
    // Stays: whoever gets the socket may listen for more, but no error of it ever finds nobody.
    socket.on('error', (error) =>
      fail(isCertificateError(error) ? 'upstream.certificate_invalid' : 'upstream.connect_failed'),
    );
    socket.once(event, () => {
      const peer = socket.remoteAddress ?? '';
      if (sameAddress(peer, place.address)) {
        clearTimeout(timer);
        resolve({ ok: true, socket, peer: placeText(place) });
      } else fail('upstream.address_denied');
    });
  });
}
