/** Clients of the name server for tests: bare datagrams and bare TCP streams, and a server with sensible options. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { type DnsOptions, type DnsServer, listenDns } from '../../src/dns/server.ts';
import type { Suspicion } from '../../src/dns/tunnelling.ts';

export interface Stage {
  readonly server: DnsServer;
  readonly port: number;
  /** Messages by result. */
  readonly counts: ReadonlyMap<string, number>;
  readonly signs: ReadonlyMap<string, number>;
  readonly suspicions: readonly Suspicion[];
}

/** A server on free ports, closed after the test. */
export async function stage(
  context: TestContext,
  options: Partial<DnsOptions> = {},
): Promise<Stage> {
  const counts = new Map<string, number>();
  const signs = new Map<string, number>();
  const suspicions: Suspicion[] = [];
  const add = (to: Map<string, number>, key: string) => to.set(key, (to.get(key) ?? 0) + 1);
  const server = await listenDns({
    hosts: ['127.0.0.1'],
    port: 0,
    ipv4: '198.18.0.1',
    ttlSeconds: 60,
    queriesPerSecond: 100_000,
    names: ['api.example.com', '*.tools.example.net'],
    counted: (result) => add(counts, result),
    signed: (sign) => add(signs, sign),
    suspected: (suspicion) => suspicions.push(suspicion),
    ...options,
  });
  context.after(() => server.close());
  return { server, port: server.addresses[0]?.port ?? 0, counts, signs, suspicions };
}

export interface UdpClient {
  /** Sends a datagram and nothing else. */
  send(bytes: Uint8Array): void;
  /** Sends and takes the next reply. */
  ask(bytes: Uint8Array): Promise<Buffer>;
  readonly replies: readonly Buffer[];
  close(): void;
}

export function udpClient(context: TestContext, port: number, host = '127.0.0.1'): UdpClient {
  const socket: UdpSocket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  const replies: Buffer[] = [];
  socket.on('message', (reply) => replies.push(reply));
  let open = true;
  const close = () => {
    if (open) socket.close();
    open = false;
  };
  context.after(close);
  return {
    send: (bytes) => socket.send(bytes, port, host),
    async ask(bytes) {
      const reply = once(socket, 'message');
      socket.send(bytes, port, host);
      const [message] = (await reply) as [Buffer];
      return message;
    },
    replies,
    close,
  };
}

export interface TcpClient {
  readonly socket: Socket;
  /** The next message; null when the connection ends before it is whole. */
  next(): Promise<Buffer | null>;
}

export async function tcpClient(
  context: TestContext,
  port: number,
  host = '127.0.0.1',
): Promise<TcpClient> {
  const socket = createConnection({ port, host, noDelay: true });
  context.after(() => socket.destroy());
  // Resets show as the end.
  socket.on('error', () => socket.destroy());
  let ended = false;
  let bytes = Buffer.alloc(0);
  let wake = () => {};
  socket.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    wake();
  });
  socket.on('close', () => {
    ended = true;
    wake();
  });
  await once(socket, 'connect');
  return {
    socket,
    async next() {
      for (;;) {
        const length = bytes.length >= 2 ? bytes.readUInt16BE(0) : Number.POSITIVE_INFINITY;
        if (bytes.length >= 2 + length) {
          const message = bytes.subarray(2, 2 + length);
          bytes = bytes.subarray(2 + length);
          return message;
        }
        if (ended) return null;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}

/** The message with its length in front. */
export function framed(bytes: Uint8Array): Buffer {
  const frame = Buffer.alloc(2 + bytes.length);
  frame.writeUInt16BE(bytes.length);
  frame.set(bytes, 2);
  return frame;
}

/** Waits until something holds; a test that waits for ever is ended by the runner. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}
