/**
 * Bounds the connections of a listener that must answer whatever somebody else does: where there is one too many, the
 * one that has asked nothing for longest makes room. Shell: owns the list of open connections.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

export function boundConnections(server: Server, connectionsMax: number): void {
  const open = new Set<Socket>();
  /** Without a request under way, the one that is so for longest first. */
  const idle = new Set<Socket>();
  const forget = (socket: Socket) => {
    open.delete(socket);
    idle.delete(socket);
  };
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    idle.add(socket);
    socket.once('close', () => forget(socket));
    if (open.size <= connectionsMax) return;
    const [oldest = socket] = idle;
    forget(oldest);
    oldest.destroy();
  });
  server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    idle.delete(socket);
    response.once('close', () => {
      if (open.has(socket)) idle.add(socket);
    });
  });
}
