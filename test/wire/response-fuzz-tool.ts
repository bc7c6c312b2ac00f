/**
 * A tool for one call after the other: it plays what it was given at the next request, and says when its connection is
 * done with. Shell: owns a listening socket and its connections.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { Step } from './response-case.ts';
import { play } from './response-tool.ts';

const PATIENCE_MS = 8_000;

export interface FuzzTool {
  readonly port: number;
  readonly connections: () => number;
  /** Plays this at the next request. */
  load(script: readonly Step[]): void;
  /** Requests since then. */
  readonly requests: () => number;
  /** False when what had to close in time stayed open. @param mayStay the connection may be used again. */
  settled(mayStay: boolean): Promise<boolean>;
  close(): Promise<void>;
}

export async function startFuzzTool(): Promise<FuzzTool> {
  const sockets = new Set<Socket>();
  let connections = 0;
  let requests = 0;
  let script: readonly Step[] = ['reset'];
  let used: Socket | null = null;
  let playing: Promise<void> = Promise.resolve();
  const server = createServer({ noDelay: true }, (socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
    onEachRequest(socket, () => {
      requests += 1;
      used = socket;
      if (requests === 1) playing = play(socket, script);
      else socket.resetAndDestroy();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => connections,
    requests: () => requests,
    load(next) {
      script = next;
      requests = 0;
      used = null;
    },
    async settled(mayStay) {
      await playing;
      return mayStay || used === null || gone(used);
    },
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

function gone(socket: Socket): Promise<boolean> {
  if (socket.destroyed) return Promise.resolve(true);
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), PATIENCE_MS);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}

/** Bodies have a Content-Length. */
function onEachRequest(socket: Socket, answer: () => void): void {
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    for (;;) {
      const end = text.indexOf('\r\n\r\n');
      if (end === -1) return;
      const length = Number(/\r\ncontent-length: *(\d+)/i.exec(text.slice(0, end))?.[1] ?? 0);
      if (text.length < end + 4 + length) return;
      text = text.slice(end + 4 + length);
      answer();
    }
  });
}
