/**
 * A client that asks on one connection and reads strictly: one answer at a time, and not a byte more than it.
 * Shell: owns a socket.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type Reading, readResponse } from './response-reader.ts';

const PATIENCE_MS = 15_000;

export interface Answered {
  readonly reading: Reading;
  /** The connection ended with it. */
  readonly ended: boolean;
  readonly raw: string;
}

export interface Client {
  ask(method: string, request: string): Promise<Answered>;
  readonly open: () => boolean;
  close(): void;
}

export async function startClient(port: number): Promise<Client> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  return clientOn(socket);
}

function clientOn(socket: Socket): Client {
  const pieces: Buffer[] = [];
  let ending: 'none' | 'closed' | 'broken' = 'none';
  let look = () => {};
  const ended = (how: 'closed' | 'broken') => {
    if (ending === 'none') ending = how;
    look();
  };
  socket.on('data', (chunk: Buffer) => {
    pieces.push(chunk);
    look();
  });
  socket.on('error', () => ended('broken'));
  socket.on('end', () => ended('closed'));
  socket.on('close', () => ended('broken'));
  return {
    open: () => ending === 'none',
    close: () => socket.destroy(),
    ask(method, request) {
      socket.write(request, 'latin1');
      return new Promise((resolve) => {
        const read = () => {
          const raw = Buffer.concat(pieces).toString('latin1');
          return { raw, reading: readResponse(raw, method, ending === 'closed') };
        };
        const finish = () => {
          clearTimeout(timer);
          look = () => {};
          const { raw, reading } = read();
          pieces.length = 0;
          if (reading.kind === 'whole') pieces.push(Buffer.from(reading.rest, 'latin1'));
          resolve({ reading, ended: ending !== 'none', raw });
        };
        // An answer that never ends is a finding, not a reason to wait for ever.
        const timer = setTimeout(finish, PATIENCE_MS);
        look = () => {
          if (ending !== 'none' || read().reading.kind !== 'partial') finish();
        };
        look();
      });
    },
  };
}
