/**
 * Opens many connections to one port and keeps them. Prints, whenever it changes, how many were opened and what became
 * of them as a line of JSON; ends with its standard input. Shell: owns its sockets.
 * Usage: flood.ts PORT CONNECTIONS SOURCE_ADDRESS [BYTES_TO_SEND]
 */
import { connect, type Socket } from 'node:net';

/** What became of the connections of one flood. */
export interface FloodTally {
  /** Connections tried so far. */
  tried: number;
  /** Open now. */
  open: number;
  /** Ended without a word: refused, reset or closed. */
  shed: number;
  /** Status codes that were answered. */
  readonly answers: Record<string, number>;
}

/** Under way at once: fewer than the backlog of a listener, so that the kernel does not turn them away itself. */
const WINDOW = 64;
const PRINT_MS = 100;

const [port, count, source, bytes = ''] = process.argv.slice(2);
if (source === undefined) throw new Error('usage: flood.ts PORT CONNECTIONS SOURCE [BYTES]');
const tally: FloodTally = { tried: 0, open: 0, shed: 0, answers: {} };
/** So that none is collected and closed. */
const sockets = new Set<Socket>();

function opened(localAddress: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port: Number(port), localAddress });
    sockets.add(socket);
    let answered = false;
    tally.tried += 1;
    tally.open += 1;
    socket.once('connect', () => {
      if (bytes !== '') socket.write(bytes);
      resolve();
    });
    socket.on('data', (chunk: Buffer) => {
      const status = answered
        ? undefined
        : /^HTTP\/1\.1 (\d{3})/.exec(chunk.toString('latin1'))?.[1];
      answered = true;
      if (status !== undefined) tally.answers[status] = (tally.answers[status] ?? 0) + 1;
    });
    socket.on('error', () => socket.destroy());
    socket.once('close', () => {
      sockets.delete(socket);
      tally.open -= 1;
      if (!answered) tally.shed += 1;
      resolve();
    });
  });
}

async function worker(localAddress: string): Promise<void> {
  while (tally.tried < Number(count)) await opened(localAddress);
}

let printed = '';
const print = () => {
  const line = JSON.stringify(tally);
  if (line !== printed) process.stdout.write(`${line}\n`);
  printed = line;
};
setInterval(print, PRINT_MS);
process.stdin.resume().once('end', () => process.exit(0));
await Promise.all(Array.from({ length: WINDOW }, () => worker(source)));
