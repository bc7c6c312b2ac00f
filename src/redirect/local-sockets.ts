/**
 * The kernel's table of TCP sockets in this network namespace (/proc/net/tcp and tcp6), as text. It tells where a
 * connection really arrived, whatever address was dialled. Pure.
 */

export interface TcpSocket {
  readonly localPort: number;
  readonly remotePort: number;
  readonly established: boolean;
}

const ESTABLISHED = '01';

/** @param table content of /proc/net/tcp or /proc/net/tcp6; lines that are none are left out. */
export function parseTcpTable(table: string): TcpSocket[] {
  return table.split('\n').flatMap((line) => {
    const [, local = '', remote = '', state = ''] = line.trim().split(/\s+/);
    const ports = [local, remote].map((address) => /^[0-9A-F]+:([0-9A-F]{4})$/.exec(address)?.[1]);
    const [localPort, remotePort] = ports;
    if (localPort === undefined || remotePort === undefined) return [];
    return [
      {
        localPort: Number.parseInt(localPort, 16),
        remotePort: Number.parseInt(remotePort, 16),
        established: state === ESTABLISHED,
      },
    ];
  });
}

/** Whether a connection from `sourcePort` was accepted on `port` of this very namespace. */
export const arrivedHere = (sockets: readonly TcpSocket[], port: number, sourcePort: number) =>
  sockets.some(
    (socket) => socket.established && socket.localPort === port && socket.remotePort === sourcePort,
  );
