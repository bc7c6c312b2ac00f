/**
 * CONNECT. A tunnel whose inside can be read is not opened at all: plain HTTP on the ports that carry it, and TLS when
 * interception is on, are served here, each request as a call of its own. Every other tunnel is decided on host and
 * port. Shell: owns the client's socket until it is handed on.
 */
import type { Duplex } from 'node:stream';
import { type Authority, parseAuthority, sameAuthority } from '../call/authority.ts';
import { checkHeaders } from '../call/headers.ts';
import type { Refused } from '../call/refused.ts';
import { refuse } from '../call/refused.ts';
import { refuse as refusal } from '../decision/enforcement.ts';
import { REASONS, type ReasonCode } from '../decision/reason.ts';
import type { BoundPlace, Incoming } from './exchange.ts';
import { checkVersion, headerOf } from './message-rules.ts';
import type { TlsEntry } from './tls-entry.ts';
import { handleTunnel, recordTunnelRefusal, type TunnelParts } from './tunnel-call.ts';

export interface ConnectParts {
  readonly tunnels: TunnelParts;
  readonly plaintextPorts: ReadonlySet<number>;
  /** Serves the plain HTTP inside a tunnel. */
  readonly adopt: (socket: Duplex, bound: BoundPlace) => void;
  /** Takes the TLS inside a tunnel; null when interception is off. */
  readonly tls: TlsEntry | null;
}

const ESTABLISHED = 'HTTP/1.1 200 Connection Established\r\n\r\n';

/** Resolves when the socket is handed on or the tunnel has ended; never rejects. */
export async function handleConnect(
  connect: ConnectParts,
  incoming: Incoming,
  client: Duplex,
  head: Uint8Array,
): Promise<void> {
  client.on('error', () => client.destroy());
  const { tunnels, tls } = connect;
  const authority = connectAuthority(incoming);
  if (!authority.ok) {
    const attempt = { listener: 'proxy', incoming } as const;
    answer(client, authority.reason, await recordTunnelRefusal(tunnels.parts, attempt, authority));
    return;
  }
  const { host, port } = authority;
  if (connect.plaintextPorts.has(port)) {
    establish(client, head);
    connect.adopt(client, { scheme: 'http', host, port });
    return;
  }
  if (tls !== null && !tls.passes(host)) {
    establish(client, head);
    const { connection } = incoming;
    await tls.enter({ listener: 'proxy', socket: client, connection, host, port });
    return;
  }
  await handleTunnel(tunnels, {
    listener: 'proxy',
    incoming,
    authority,
    client,
    head,
    opened: () => client.write(ESTABLISHED),
    inspect: tls === null ? null : () => tls.inspect(client, authority),
    refused: (reason, id) => answer(client, reason, id),
  });
}

/** Nothing has left and nothing will before each request inside is decided: the agent may go on talking. */
function establish(client: Duplex, head: Uint8Array): void {
  client.write(ESTABLISHED);
  if (head.length > 0) client.unshift(head);
}

/** Where a CONNECT leads, when its target and its headers name one place. */
export function connectAuthority(incoming: Incoming): Authority | Refused {
  const broken = checkVersion(incoming) ?? checkHeaders(incoming.headers);
  if (broken !== null) return broken;
  if (incoming.bound !== null) {
    return refuse('call.method_not_allowed', 'CONNECT on a connection that leads to one place');
  }
  const authority = parseAuthority(incoming.target, null);
  if (!authority.ok) return authority;
  if (headerOf(incoming, 'content-length') !== null) {
    return refuse('call.bad_header', 'content-length in a CONNECT');
  }
  const text = headerOf(incoming, 'host');
  const host = text === null ? authority : parseAuthority(text, authority.port);
  if (!host.ok) return host;
  return sameAuthority(host, authority)
    ? authority
    : refuse('call.bad_authority', 'the Host header and the target name different places');
}

/** Clients show little of a refused CONNECT, so the reason stands in headers, too. */
function answer(client: Duplex, reason: ReasonCode, id: string): void {
  const { status } = REASONS[reason];
  const { message } = refusal(id, reason).refusal;
  const body = `${reason}: ${message}\n`;
  client.end(
    `HTTP/1.1 ${status} ${status === 403 ? 'Forbidden' : 'Refused'}\r\n` +
      `content-type: text/plain\r\nx-egret-reason: ${reason}\r\nx-egret-decision-id: ${id}\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}
