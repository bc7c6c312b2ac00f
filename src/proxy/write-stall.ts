/**
 * Cuts connections whose other end takes nothing of what waits for it. Slow is allowed, idle with nothing waiting is
 * allowed; holding an answer, its memory and the tool behind it without reading is not. Looks at all connections of a
 * listener from time to time, so one that is watched costs nothing while it moves. Shell: owns a timer.
 */
import type { Socket } from 'node:net';

export interface StallWatch {
  /** Watches a connection until it closes. */
  add(socket: Socket): void;
  /** True of a connection that was cut here. */
  cut(socket: object): boolean;
  close(): Promise<void>;
}

const LOOKS_PER_STALL = 4;

/** @param stallMs a connection is cut after this long, and at most a quarter longer, without any byte taken. */
export function createStallWatch(
  stallMs: number,
  nowMs: () => number = () => performance.now(),
): StallWatch {
  const watched = new Map<Socket, { taken: number; sinceMs: number }>();
  const stalled = new WeakSet<object>();
  const look = () => {
    const now = nowMs();
    for (const [socket, seen] of watched) {
      const taken = socket.bytesWritten - socket.writableLength;
      if (socket.writableLength === 0 || taken !== seen.taken) {
        seen.taken = taken;
        seen.sinceMs = now;
      } else if (now - seen.sinceMs >= stallMs) {
        stalled.add(socket);
        socket.destroy();
      }
    }
  };
  const timer = setInterval(look, Math.max(1, stallMs / LOOKS_PER_STALL));
  timer.unref();
  return {
    add(socket) {
      watched.set(socket, { taken: 0, sinceMs: nowMs() });
      socket.once('close', () => watched.delete(socket));
    },
    cut: (socket) => stalled.has(socket),
    close() {
      clearInterval(timer);
      return Promise.resolve();
    },
  };
}
