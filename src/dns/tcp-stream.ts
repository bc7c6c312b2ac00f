/**
 * Queries on one TCP connection (RFC 7766): two bytes of length, then the message, any number in a row. Answers leave
 * in order; while the client does not read them nothing more is read. A connection that completes no query for a while,
 * or announces a message that no query can be, is cut. Shell: owns the connection and its timer.
 */
import type { Socket } from 'node:net';
import { QUERY_BYTES_MAX } from './message.ts';

export interface StreamParts {
  readonly respond: (bytes: Uint8Array) => Uint8Array | null;
  /** A message that cannot be a query; the connection is cut. */
  readonly malformed: () => void;
  /** Milliseconds from one complete query to the next. */
  readonly idleMs: number;
}

const LENGTH_BYTES = 2;
const HEADER_BYTES = 12;

export function serveStream(socket: Socket, { respond, malformed, idleMs }: StreamParts): void {
  /** What was read and not yet answered: at most one read of the socket and one message. */
  let waiting: Buffer = Buffer.alloc(0);
  const idle = setTimeout(() => socket.destroy(), idleMs);
  const proceed = () => {
    let at = 0;
    while (!socket.writableNeedDrain && waiting.length - at >= LENGTH_BYTES) {
      const length = waiting.readUInt16BE(at);
      if (length < HEADER_BYTES || length > QUERY_BYTES_MAX) {
        malformed();
        socket.destroy();
        return;
      }
      const end = at + LENGTH_BYTES + length;
      if (waiting.length < end) break;
      const reply = respond(waiting.subarray(at + LENGTH_BYTES, end));
      if (reply === null) {
        socket.destroy();
        return;
      }
      idle.refresh();
      socket.write(framed(reply));
      at = end;
    }
    // A copy, so that the few bytes left do not keep the whole read alive.
    waiting = Buffer.from(waiting.subarray(at));
    if (socket.writableNeedDrain) socket.pause();
  };
  socket.on('data', (chunk: Buffer) => {
    waiting = waiting.length === 0 ? chunk : Buffer.concat([waiting, chunk]);
    proceed();
  });
  socket.on('drain', () => {
    proceed();
    if (!socket.writableNeedDrain) socket.resume();
  });
  socket.on('error', () => socket.destroy());
  socket.once('close', () => clearTimeout(idle));
}

function framed(reply: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(LENGTH_BYTES + reply.length);
  frame.writeUInt16BE(reply.length, 0);
  frame.set(reply, LENGTH_BYTES);
  return frame;
}
