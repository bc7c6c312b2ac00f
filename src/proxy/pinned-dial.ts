/**
 * Connections for calls that do not go through the pool: to an address that was resolved and checked and to no other,
 * with TLS verified for the host that policy decided on. Shell: owns a socket until it is connected.
 */
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { ReasonCode } from '../decision/reason.ts';
import { isCertificateError, type UpstreamTls } from '../tls/upstream-trust.ts';
import type { Resolver } from './resolver.ts';
import type { Origin } from './upstream.ts';

export interface DialOptions {
  readonly resolve: Resolver;
  readonly tlsFor: (host: string, port: number) => UpstreamTls;
  /** Milliseconds to connect, the TLS handshake included. */
  readonly connectTimeoutMs: number;
}

export type Dialled =
  | { readonly ok: true; readonly socket: Socket; readonly peer: string }
  | { readonly ok: false; readonly reason: ReasonCode };

/** @param alpn the one protocol the tool must agree to over TLS. */
export async function dialPinned(
  origin: Origin,
  alpn: 'http/1.1' | 'h2',
  options: DialOptions,
): Promise<Dialled> {
  const { host, port, trusted } = origin;
  const found = await options.resolve(host, port, trusted ? 'operator' : 'agent');
  if (!found.ok) return found;
  let last: Dialled = { ok: false, reason: 'upstream.connect_failed' };
  for (const address of found.addresses) {
    last = await dialAddress({ address, port: found.port }, origin, alpn, options);
    if (last.ok || last.reason !== 'upstream.connect_failed') return last;
  }
  return last;
}

function dialAddress(
  at: { readonly address: string; readonly port: number },
  { scheme, host, port }: Origin,
  alpn: string,
  options: DialOptions,
): Promise<Dialled> {
  const place = { host: at.address, port: at.port, noDelay: true };
  const socket =
    scheme === 'http'
      ? connectTcp(place)
      : connectTls({ ...place, ...options.tlsFor(host, port), ALPNProtocols: [alpn] });
  return new Promise((resolve) => {
    const fail = (reason: ReasonCode) => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ ok: false, reason });
    };
    const timer = setTimeout(() => fail('upstream.timeout'), options.connectTimeoutMs);
    // Stays: whoever gets the socket may listen for more, but no error of it ever finds nobody.
    socket.on('error', (error) =>
      fail(isCertificateError(error) ? 'upstream.certificate_invalid' : 'upstream.connect_failed'),
    );
    socket.once(scheme === 'http' ? 'connect' : 'secureConnect', () => {
      const peer = socket.remoteAddress ?? '';
      if (!sameAddress(peer, at.address)) fail('upstream.address_denied');
      else if (alpn === 'h2' && scheme === 'https' && agreedOn(socket) !== 'h2') {
        fail('upstream.bad_response');
      } else {
        clearTimeout(timer);
        resolve({ ok: true, socket, peer });
      }
    });
  });
}

const sameAddress = (peer: string, address: string): boolean =>
  peer === address || (isIP(address) === 4 && peer === `::ffff:${address}`);

const agreedOn = (socket: Socket): unknown => (socket as TLSSocket).alpnProtocol;
