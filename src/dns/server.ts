/**
 * The name server toward the agent: UDP and TCP, on each address by itself, because the kernel undoes the redirect only
 * for replies from the address it chose. It answers from a fixed set and has no way out: it opens no socket but those
 * that listen, and resolves nothing. Shell: owns the listening sockets and the connections on them.
 */
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import { type AddressInfo, createServer, isIPv6, type Server, type Socket } from 'node:net';
import {
  createResponder,
  type DnsResult,
  type Responder,
  type ResponderOptions,
} from './responder.ts';
import { serveStream } from './tcp-stream.ts';

export interface DnsOptions extends Omit<ResponderOptions, 'counted'> {
  /** Addresses to bind. */
  readonly hosts: readonly string[];
  /** One port for all addresses and both protocols; 0 picks one. */
  readonly port: number;
  /**
   * Called once for each message that came, with what it was answered; `dropped`: a TCP connection too many, or a client
   * that reads no replies; `unsent`: the kernel did not take a reply.
   */
  readonly counted: (result: DnsResult | 'dropped' | 'unsent') => void;
  /** TCP connections at once on each address. Default 64; others are closed. */
  readonly connectionsMax?: number;
  /** Milliseconds a TCP connection has for its next query. Default 10000. */
  readonly idleMs?: number;
  /** Milliseconds on a monotonic clock. Default `performance.now`. */
  readonly nowMs?: () => number;
}

export interface DnsServer {
  readonly addresses: readonly { readonly host: string; readonly port: number }[];
  /** From the next query on, these names and no others may be asked for. */
  setNames(patterns: Iterable<string>): void;
  /** Closes every socket; replies not yet sent are lost. */
  close(): Promise<void>;
}

const CONNECTIONS_MAX = 64;
const IDLE_MS = 10_000;
/** Bytes of replies that wait for the kernel; loopback takes them at once. */
const UNSENT_BYTES_MAX = 256 * 1024;
/** Tries to find a port that is free on all addresses and for both protocols. */
const PORT_TRIES_MAX = 20;

interface Listening {
  readonly port: number;
  close(): Promise<void>;
}

/** Opens all sockets or none. Rejects with an error that names the address, or when a configured address is none. */
export async function listenDns(options: DnsOptions): Promise<DnsServer> {
  const nowMs = options.nowMs ?? (() => performance.now());
  const responder = createResponder(options, nowMs());
  const opened = await openAll({ options, responder, nowMs });
  return {
    addresses: opened.addresses,
    setNames: (patterns) => responder.setNames(patterns),
    close: () => closeAll(opened.sockets),
  };
}

interface Opening {
  readonly options: DnsOptions;
  readonly responder: Responder;
  readonly nowMs: () => number;
}

interface Opened {
  readonly addresses: readonly { readonly host: string; readonly port: number }[];
  readonly sockets: readonly Listening[];
}

async function openAll(opening: Opening): Promise<Opened> {
  for (let tries = 1; ; tries += 1) {
    const sockets: Listening[] = [];
    try {
      return { addresses: await openOnOnePort(opening, sockets), sockets };
    } catch (error) {
      await closeAll(sockets);
      const taken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
      if (opening.options.port !== 0 || !taken || tries === PORT_TRIES_MAX) throw error;
    }
  }
}

async function openOnOnePort(opening: Opening, sockets: Listening[]): Promise<Opened['addresses']> {
  const { hosts } = opening.options;
  let { port } = opening.options;
  for (const host of hosts) {
    for (const open of [listenTcp, listenUdp]) {
      const socket = await open(opening, host, port);
      sockets.push(socket);
      port = socket.port;
    }
  }
  return hosts.map((host) => ({ host, port }));
}

async function closeAll(sockets: readonly Listening[]): Promise<void> {
  await Promise.all(sockets.map((socket) => socket.close()));
}

function listenUdp(opening: Opening, address: string, port: number): Promise<Listening> {
  const { counted } = opening.options;
  const ipv6 = isIPv6(address);
  const socket = createSocket({ type: ipv6 ? 'udp6' : 'udp4', ipv6Only: ipv6 });
  socket.on('message', (message, from) => answerDatagram(opening, socket, message, from));
  return new Promise((resolve, reject) => {
    const failed = (error: Error) => {
      socket.close();
      reject(error);
    };
    socket.once('error', failed);
    socket.bind({ address, port, exclusive: true }, () => {
      socket.off('error', failed);
      // A reply that could not be delivered is the client's loss.
      socket.on('error', () => counted('unsent'));
      const close = () => new Promise<void>((closed) => socket.close(() => closed()));
      resolve({ port: socket.address().port, close });
    });
  });
}

function answerDatagram(
  { options, responder, nowMs }: Opening,
  socket: UdpSocket,
  message: Uint8Array,
  { address, port }: RemoteInfo,
): void {
  const reply = responder.respond(message, address, nowMs());
  // Only a forged packet comes from port 0, and nothing can be sent there.
  if (reply === null || port === 0) return;
  if (socket.getSendQueueSize() > UNSENT_BYTES_MAX) {
    options.counted('dropped');
    return;
  }
  socket.send(reply, port, address, (error) => {
    if (error !== null) options.counted('unsent');
  });
}

function listenTcp(opening: Opening, host: string, port: number): Promise<Listening> {
  const { options } = opening;
  const connections = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
    answerStream(opening, socket);
  });
  server.maxConnections = options.connectionsMax ?? CONNECTIONS_MAX;
  server.on('drop', () => options.counted('dropped'));
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, ipv6Only: true, exclusive: true }, () => {
      server.off('error', reject);
      // Out of file descriptors, say: that connection is lost and no other.
      server.on('error', () => options.counted('dropped'));
      resolve({
        port: (server.address() as AddressInfo).port,
        close: () => closeServer(server, connections),
      });
    });
  });
}

function answerStream({ options, responder, nowMs }: Opening, socket: Socket): void {
  const client = socket.remoteAddress ?? '';
  serveStream(socket, {
    respond: (bytes) => responder.respond(bytes, client, nowMs()),
    malformed: () => options.counted('malformed'),
    idleMs: options.idleMs ?? IDLE_MS,
  });
}

function closeServer(server: Server, connections: ReadonlySet<Socket>): Promise<void> {
  for (const socket of connections) socket.destroy();
  return new Promise((resolve) => server.close(() => resolve()));
}
