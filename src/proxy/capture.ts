/**
 * Connections that the redirect captured. The listener a connection arrives on says which port the agent dialled; its
 * first byte says whether it speaks TLS; the name comes from the Host header or the TLS server name. The address the
 * agent dialled is never asked for: the name alone is resolved, here, after policy has permitted the call.
 * Shell: owns the capture listeners and each connection until its protocol is known.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';
import { peekFirstByte } from '../tls/peek.ts';
import type { BoundPlace, ClientConnection } from './exchange.ts';
import type { TlsEntry } from './tls-entry.ts';

export interface CaptureParts {
  /** Addresses to bind; the kernel undoes the redirect only for answers from the address it chose. */
  readonly hosts: readonly string[];
  /** Port the agent dialled to port that listens for it. */
  readonly ports: readonly { readonly dialled: number; readonly listen: number }[];
  readonly connectionsMax: number;
  /** Milliseconds for the first byte. */
  readonly firstByteMs: number;
  /** Serves HTTP. */
  readonly adopt: (socket: Socket, bound: BoundPlace) => void;
  readonly tls: TlsEntry;
  /** Every connection that was accepted. */
  readonly connected: (socket: Socket) => void;
  /** A connection beyond `connectionsMax` was closed. */
  readonly dropped: () => void;
  /** False of a connection that must be closed at once. */
  readonly mayServe: (socket: Socket) => boolean;
  /** A connection that ended before its protocol was known, for the record. */
  readonly broken: (remoteAddress: string) => void;
}

export interface CaptureListener {
  readonly address: { readonly host: string; readonly port: number };
  readonly dialled: number;
}

export interface Capture {
  readonly listeners: readonly CaptureListener[];
  /** Stops accepting. */
  drain(): void;
  close(): Promise<void>;
}

const FIRST_BYTE_OF_TLS = 0x16;

/** Opens all listeners or none. Rejects with an error that names the address. */
export async function listenCapture(capture: CaptureParts): Promise<Capture> {
  const servers: Server[] = [];
  const listeners: CaptureListener[] = [];
  const sockets = new Set<Socket>();
  const close = async () => {
    for (const socket of sockets) socket.destroy();
    await Promise.all(servers.map(closed));
  };
  try {
    for (const { dialled, listen } of capture.ports) {
      // Port 0 is picked once: the redirect knows one port for all addresses.
      let port = listen;
      for (const host of capture.hosts) {
        const server = serverFor(capture, dialled, sockets);
        servers.push(server);
        port = await listening(server, host, port);
        listeners.push({ address: { host, port }, dialled });
      }
    }
  } catch (error) {
    await close();
    throw error;
  }
  return {
    listeners,
    drain() {
      for (const server of servers) server.close();
    },
    close,
  };
}

function serverFor(capture: CaptureParts, dialled: number, sockets: Set<Socket>): Server {
  const server = createServer({ noDelay: true, pauseOnConnect: true }, (socket) => {
    if (!capture.mayServe(socket)) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    capture.connected(socket);
    void sort(capture, dialled, socket);
  });
  server.maxConnections = capture.connectionsMax;
  server.on('drop', capture.dropped);
  return server;
}

async function sort(capture: CaptureParts, dialled: number, socket: Socket): Promise<void> {
  const first = await peekFirstByte(socket, capture.firstByteMs);
  if (!first.ok) {
    if (first.reason !== 'closed') capture.broken(socket.remoteAddress ?? '');
    socket.destroy();
    return;
  }
  if (first.byte !== FIRST_BYTE_OF_TLS) {
    capture.adopt(socket, { scheme: 'http', host: null, port: dialled });
    return;
  }
  const connection: ClientConnection = {
    id: randomUUID(),
    remoteAddress: socket.remoteAddress ?? '',
    calls: 0,
  };
  await capture.tls.enter({ listener: 'capture', socket, connection, host: null, port: dialled });
}

function listening(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : port);
    });
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    if (server.listening) server.close(() => resolve());
    else resolve();
  });
}
