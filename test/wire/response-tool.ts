/**
 * A tool that plays a script at its first request, and answers every later one as it should. Shell: owns a listening
 * socket.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { Step } from './response-case.ts';

export const GOOD = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood';

export interface ScriptedTool {
  readonly port: number;
  readonly connections: () => number;
  close(): Promise<void>;
}

export async function startScriptedTool(script: readonly Step[]): Promise<ScriptedTool> {
  const sockets = new Set<Socket>();
  let connections = 0;
  let requests = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
    onRequests(socket, () => {
      requests += 1;
      if (requests === 1) void play(socket, script);
      else socket.write(GOOD);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => connections,
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

/** Requests without bodies only. */
export function onRequests(socket: Socket, answer: () => void): void {
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
      text = text.slice(end + 4);
      answer();
    }
  });
}

export async function play(socket: Socket, script: readonly Step[]): Promise<void> {
  for (const step of script) {
    if (socket.destroyed) return;
    if (step === 'close') socket.end();
    else if (step === 'reset') socket.resetAndDestroy();
    else if (step === 'hold') return;
    else if (typeof step === 'string') socket.write(step, 'latin1');
    else if ('waitMs' in step) await sleep(step.waitMs);
    else await repeat(socket, step);
  }
}

async function repeat(
  socket: Socket,
  { forever, everyMs }: Extract<Step, { forever: string }>,
): Promise<void> {
  while (!socket.destroyed) {
    const taken = socket.write(forever, 'latin1');
    if (!taken) await drained(socket);
    else await sleep(everyMs);
  }
}

const drained = (socket: Socket) =>
  new Promise<void>((resolve) => {
    socket.once('drain', () => resolve());
    socket.once('close', () => resolve());
  });

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
