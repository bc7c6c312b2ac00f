/**
 * The server side of TLS toward the agent, ended here with a certificate for the name the agent asked for. TLS 1.2 or
 * newer, no renegotiation, no resumption, one of the offered protocols. What OpenSSL read as the server name must be
 * what was decided on. Shell: owns the socket until the handshake is over.
 */
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { type SecureContext, TLSSocket } from 'node:tls';
import { type Refused, refuse } from '../call/refused.ts';

export interface Termination {
  /** The place decided on: a name in lower case, or an address, for which clients send no server name. */
  readonly host: string;
  /** Protocols offered, best first; a client that offers others only is refused. */
  readonly alpn: readonly string[];
  /** Certificate and key for `host`, from `contextFor`. */
  readonly context: SecureContext;
  /** Milliseconds for the handshake. */
  readonly timeoutMs: number;
}

export interface Terminated {
  readonly ok: true;
  /** Carries the plain bytes. Errors destroy it; who reads it may listen for more. */
  readonly socket: TLSSocket;
  /** What was agreed on; `http/1.1` when the client named no protocol. */
  readonly protocol: string;
}

const VERSIONS: ReadonlySet<string | null> = new Set(['TLSv1.2', 'TLSv1.3']);
const PROTOCOL_WITHOUT_ALPN = 'http/1.1';

/** Alerts by which a client says that it does not believe the certificate, whatever its reason. */
const DISTRUST: ReadonlySet<string> = new Set([
  'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA',
  'ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE',
  'ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN',
  'ERR_SSL_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE',
  'ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED',
  'ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED',
  'ERR_SSL_TLSV1_ALERT_ACCESS_DENIED',
]);

/**
 * Shakes hands as the server on a socket whose ClientHello is still unread.
 * @returns the plain socket; `call.tls_failed` when the client distrusts the certificate, offers nothing acceptable,
 * breaks off or is too slow; `call.bad_server_name` when its name is not `host`. The socket is destroyed then.
 */
export function terminateTls(
  socket: Duplex,
  termination: Termination,
): Promise<Terminated | Refused> {
  return new Promise((resolve) => {
    if (socket.destroyed) {
      resolve(failed('the connection ended before the handshake'));
      return;
    }
    const tls = new TLSSocket(socket, {
      isServer: true,
      secureContext: termination.context,
      ALPNProtocols: [...termination.alpn],
    });
    tls.disableRenegotiation();
    const settle = (ended: Terminated | Refused) => {
      clearTimeout(timer);
      tls.off('secure', secure).off('close', broken).off('_tlsError', distrusted);
      if (!ended.ok) destroy(tls, socket);
      resolve(ended);
    };
    const secure = () => settle(checked(tls, termination));
    const broken = () => settle(failed('the client broke off the handshake'));
    const distrusted = (error: NodeJS.ErrnoException) => settle(failed(causeOf(error)));
    const late = () => settle(failed('the handshake took too long'));
    const timer = setTimeout(late, termination.timeoutMs);
    // Stays: an error after the handshake must find a listener before the next reader has one.
    tls.on('error', () => tls.destroy());
    tls.once('secure', secure).once('close', broken).once('_tlsError', distrusted);
  });
}

const failed = (detail: string) => refuse('call.tls_failed', detail);

/** Says once more, from OpenSSL's own reading, what was peeked at. */
function checked(tls: TLSSocket, { host, alpn }: Termination): Terminated | Refused {
  if (!VERSIONS.has(tls.getProtocol())) return failed('a protocol version older than TLS 1.2');
  const { servername } = tls as { servername?: string | false | null };
  const named = typeof servername === 'string' ? servername.toLowerCase() : null;
  if (named !== (isIP(host) === 0 ? host : null)) {
    return refuse('call.bad_server_name', 'the handshake is for another server name');
  }
  const protocol = tls.alpnProtocol === false ? PROTOCOL_WITHOUT_ALPN : tls.alpnProtocol;
  if (protocol === null || (protocol !== PROTOCOL_WITHOUT_ALPN && !alpn.includes(protocol))) {
    return failed('no protocol in common');
  }
  return { ok: true, socket: tls, protocol };
}

function causeOf({ code = '' }: NodeJS.ErrnoException): string {
  // Codes of OpenSSL are its own words, never the client's.
  const word = /^ERR_SSL_[A-Z0-9_]{1,80}$/.test(code) ? code.slice(8).toLowerCase() : 'no alert';
  return DISTRUST.has(code)
    ? `the client pins another certificate or does not trust this authority (${word})`
    : `the handshake failed (${word})`;
}

function destroy(tls: TLSSocket, socket: Duplex): void {
  tls.destroy();
  socket.destroy();
}
