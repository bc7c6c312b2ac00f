/**
 * A connection that should speak TLS, captured or inside a CONNECT tunnel. The server name in the ClientHello is the
 * place; it must be the one the CONNECT named. Names that pass through become a tunnel decided on that name; for every
 * other name TLS ends here, and each request inside is a call of its own.
 * Shell: owns the socket until it is handed on, and its place among the tunnels until it closes.
 */
import type { Duplex } from 'node:stream';
import type { SecureContext } from 'node:tls';
import { type Authority, parseAuthority, sameAuthority } from '../call/authority.ts';
import { type Refused, refuse } from '../call/refused.ts';
import type { ReasonCode } from '../decision/reason.ts';
import { NotPermitted } from '../tls/certificate-authority.ts';
import { peekClientHello } from '../tls/peek.ts';
import { terminateTls } from '../tls/terminate.ts';
import type { BoundPlace, ClientConnection, Incoming } from './exchange.ts';
import { handleTunnel, recordTunnelRefusal, type TunnelParts } from './tunnel-call.ts';

export interface TlsEntryParts {
  readonly tunnels: TunnelParts;
  /** True for names whose TLS is not opened. */
  readonly passes: (host: string) => boolean;
  /** A certificate for the name, with its key. */
  readonly contextFor: (host: string) => Promise<SecureContext>;
  /** Protocols offered inside, best first. */
  readonly protocolsFor: (host: string, port: number) => readonly string[];
  /** Serves the requests inside; `protocol` is what was agreed on. */
  readonly serve: (
    socket: Duplex,
    bound: BoundPlace,
    arrival: TlsArrival,
    protocol: string,
  ) => void;
  /** Milliseconds for the ClientHello and again for the rest of the handshake. */
  readonly handshakeMs: number;
}

export interface TlsArrival {
  readonly listener: 'proxy' | 'capture';
  readonly socket: Duplex;
  readonly connection: ClientConnection;
  /** The place a CONNECT named; null when only the port is known. */
  readonly host: string | null;
  readonly port: number;
}

export interface TlsEntry {
  readonly passes: (host: string) => boolean;
  /** Resolves when the socket is handed on, refused, or its tunnel has ended; never rejects. */
  enter(arrival: TlsArrival): Promise<void>;
  /** For a tunnel that passes: refuses TLS that names another place than the tunnel does. */
  inspect(socket: Duplex, place: Authority): Promise<ReasonCode | null>;
}

/** Fatal alert `access_denied` (RFC 8446 section 6), the way TLS says no before there is a key. */
const ACCESS_DENIED = Uint8Array.of(21, 3, 3, 0, 2, 2, 49);

export function createTlsEntry(entry: TlsEntryParts): TlsEntry {
  return {
    passes: entry.passes,
    enter: (arrival) => enter(entry, arrival),
    async inspect(socket, { host, port }) {
      const found = await authorityOf(entry, { socket, host, port });
      return found.ok ? null : found.reason;
    },
  };
}

async function enter(entry: TlsEntryParts, arrival: TlsArrival): Promise<void> {
  const { parts, admission } = entry.tunnels;
  const { socket, listener } = arrival;
  socket.on('error', () => socket.destroy());
  const leave = admission.enterTunnel();
  if (leave === null) {
    parts.shed(admission.draining() ? 'proxy.draining' : 'call.overloaded');
    deny(socket);
    return;
  }
  let handedOn = false;
  try {
    const authority = await authorityOf(entry, arrival);
    const incoming = incomingOf(arrival, authority);
    if (!authority.ok) {
      await recordTunnelRefusal(parts, { listener, incoming }, authority);
      deny(socket);
      return;
    }
    if (entry.passes(authority.host)) {
      // It asks for a place of its own.
      leave();
      handedOn = true;
      await handleTunnel(entry.tunnels, {
        listener,
        incoming,
        authority,
        client: socket,
        head: new Uint8Array(),
        opened: () => undefined,
        inspect: null,
        refused: () => deny(socket),
      });
      return;
    }
    handedOn = await terminate(entry, arrival, authority, leave);
  } catch (error) {
    parts.failed('', error);
    socket.destroy();
  } finally {
    if (!handedOn) leave();
  }
}

/** @returns true when the connection is being served and keeps its place until it closes. */
async function terminate(
  entry: TlsEntryParts,
  arrival: TlsArrival,
  authority: Authority,
  leave: () => void,
): Promise<boolean> {
  const { host, port } = authority;
  const context = await entry.contextFor(host).catch(certificateDenied);
  const ended =
    'ok' in context
      ? context
      : await terminateTls(arrival.socket, {
          host,
          alpn: entry.protocolsFor(host, port),
          context,
          timeoutMs: entry.handshakeMs,
        });
  if (!ended.ok) {
    const { listener } = arrival;
    const incoming = incomingOf(arrival, authority);
    await recordTunnelRefusal(entry.tunnels.parts, { listener, incoming }, ended);
    if (!arrival.socket.destroyed) deny(arrival.socket);
    return false;
  }
  if (ended.socket.destroyed) return false;
  ended.socket.once('close', leave);
  entry.serve(ended.socket, { scheme: 'https', host, port }, arrival, ended.protocol);
  return true;
}

/** The authority may not vouch for every name; then there is no way to look inside. */
function certificateDenied(error: unknown): Refused {
  if (!(error instanceof NotPermitted)) throw error;
  return refuse('call.tls_failed', 'the name lies outside the constraints of the authority');
}

/** The place the TLS on this socket is for, its bytes still unread. */
async function authorityOf(
  entry: TlsEntryParts,
  { socket, host, port }: Pick<TlsArrival, 'socket' | 'host' | 'port'>,
): Promise<Authority | Refused> {
  const hello = await peekClientHello(socket, { timeoutMs: entry.handshakeMs });
  if (!hello.ok) return refuse(hello.reason, hello.detail);
  const connected = host === null ? null : place(host, port);
  if (hello.serverName === null) {
    // A client that dials an address sends no name (RFC 6066 section 3); only a CONNECT can have said which address.
    const literal = connected?.ok === true && connected.kind !== 'name';
    return literal ? connected : refuse('call.bad_server_name', 'TLS without a server name');
  }
  const named = place(hello.serverName, port);
  if (!named.ok || named.kind !== 'name') {
    return refuse('call.bad_server_name', 'the TLS server name is not a host name');
  }
  if (connected !== null && !(connected.ok && sameAuthority(connected, named))) {
    return refuse('call.bad_server_name', 'TLS server name and CONNECT name different places');
  }
  if (hello.encryptedHello && entry.passes(named.host)) {
    return refuse('call.bad_server_name', 'an encrypted ClientHello may hide another name');
  }
  return named;
}

const place = (host: string, port: number) =>
  parseAuthority(host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`, null);

/** What a tunnel without a CONNECT is decided and recorded as. */
function incomingOf(arrival: TlsArrival, authority: Authority | Refused): Incoming {
  const { connection, port } = arrival;
  const host = authority.ok ? authority.host : (arrival.host ?? '');
  return {
    method: 'CONNECT',
    target: `${host}:${port}`,
    httpVersion: '1.1',
    headers: [],
    connection,
    bound: null,
    readBody: () => Promise.resolve({ ok: true, bytes: null }),
  };
}

function deny(socket: Duplex): void {
  socket.end(ACCESS_DENIED);
}
