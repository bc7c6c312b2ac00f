/**
 * Listeners for the length of a trial, on the ports where nobody listens yet: before the sidecar runs, the redirect can
 * be proven only by somebody who answers. Shell: owns these listeners until `close`.
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type Server } from 'node:net';

export interface StandIns {
  close(): Promise<void>;
}

/** Opens what is free; a port where somebody listens already is left to him. */
export async function openStandIns(
  hosts: readonly string[],
  tcpPorts: readonly number[],
  udpPort: number,
): Promise<StandIns> {
  const servers: Server[] = [];
  const sockets: UdpSocket[] = [];
  for (const host of hosts) {
    for (const port of tcpPorts) servers.push(await listenTcp(host, port));
    sockets.push(await listenUdp(host, udpPort));
  }
  return {
    async close() {
      await Promise.all([
        ...servers.map((server) => new Promise((resolve) => server.close(resolve))),
        ...sockets.map((socket) => new Promise<void>((resolve) => socket.close(resolve))),
      ]);
    },
  };
}

function listenTcp(host: string, port: number): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.resume();
  });
  return new Promise((resolve) => {
    server.once('error', () => resolve(server));
    server.listen({ host, port }, () => resolve(server));
  });
}

function listenUdp(host: string, port: number): Promise<UdpSocket> {
  const ipv6 = host.includes(':');
  const socket = createSocket({ type: ipv6 ? 'udp6' : 'udp4', ipv6Only: ipv6 });
  socket.on('message', (message, from) => socket.send(message, from.port, from.address));
  return new Promise((resolve) => {
    socket.once('error', () => resolve(socket));
    socket.bind(port, host, () => resolve(socket));
  });
}
