/**
 * Looks at the first bytes a client sent without taking them: whoever gets the socket next reads them again. Bounded in
 * bytes and by one deadline for the whole, however slowly they drip. Shell: owns the socket's reading side meanwhile.
 */
import type { Duplex } from 'node:stream';
import { type Refused, refuse } from '../call/refused.ts';
import { type ClientHello, HELLO_BYTES_MAX, parseClientHello } from './client-hello.ts';

export type FirstByte =
  | { readonly ok: true; readonly byte: number }
  | { readonly ok: false; readonly reason: 'closed' | 'timeout' };

/** What `look` makes of the bytes so far; null asks for more. */
type Look<T> = (bytes: Uint8Array) => T | null;

/**
 * Waits for one byte. The socket is left as it came, not flowing, its bytes unread; errors of the socket are its
 * owner's to listen for.
 * @returns `closed` when the client ended, broke or never opened the connection; `timeout` after `timeoutMs`.
 */
export async function peekFirstByte(socket: Duplex, timeoutMs: number): Promise<FirstByte> {
  const found = await peek(socket, timeoutMs, (bytes) => bytes[0] ?? null);
  return typeof found === 'number' ? { ok: true, byte: found } : { ok: false, reason: found };
}

/**
 * Waits for a whole ClientHello. The socket is left as by `peekFirstByte`, also when the hello is refused.
 * @returns `call.not_tls`, `call.bad_server_name`, or `call.timeout` after `timeoutMs`.
 */
export async function peekClientHello(
  socket: Duplex,
  { timeoutMs }: { readonly timeoutMs: number },
): Promise<ClientHello | Refused> {
  const found = await peek(socket, timeoutMs, (bytes): ClientHello | Refused | null => {
    const hello = parseClientHello(bytes);
    return hello.ok === 'more' ? null : hello;
  });
  if (found === 'closed')
    return refuse('call.not_tls', 'the connection ended before a ClientHello');
  if (found === 'timeout') return refuse('call.timeout', 'no whole ClientHello in time');
  return found;
}

function peek<T>(
  socket: Duplex,
  timeoutMs: number,
  look: Look<T>,
): Promise<T | 'closed' | 'timeout'> {
  return new Promise((resolve) => {
    const taken = Buffer.alloc(HELLO_BYTES_MAX);
    let length = 0;
    const settle = (found: T | 'closed' | 'timeout', rest: Uint8Array = EMPTY) => {
      clearTimeout(timer);
      socket.off('readable', read).off('end', closed).off('close', closed).off('error', closed);
      const whole = Buffer.concat([taken.subarray(0, length), rest]);
      // After the end nothing can be put back, and nobody is left to read it for.
      if (whole.length > 0 && !socket.readableEnded && !socket.destroyed) socket.unshift(whole);
      resolve(found);
    };
    const closed = () => settle('closed');
    const read = () => {
      for (let chunk = next(socket); chunk !== null; chunk = next(socket)) {
        const room = chunk.subarray(0, taken.length - length);
        taken.set(room, length);
        length += room.length;
        // A look at a full buffer always answers: no ClientHello may be that long.
        const found = look(taken.subarray(0, length));
        if (found !== null) {
          settle(found, chunk.subarray(room.length));
          return;
        }
      }
    };
    const timer = setTimeout(() => settle('timeout'), timeoutMs);
    if (socket.destroyed || socket.readableEnded) {
      closed();
      return;
    }
    socket.on('readable', read).once('end', closed).once('close', closed).once('error', closed);
  });
}

const EMPTY = new Uint8Array();

const next = (socket: Duplex): Buffer | null => socket.read() as Buffer | null;
