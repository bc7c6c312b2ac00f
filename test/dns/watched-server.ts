/**
 * The name server in a process of its own that watches itself: every native resource Node makes after the start, every
 * place a datagram is sent to, and every socket the kernel says the process has. Tells it all when asked.
 */
import { createHook } from 'node:async_hooks';
import { Socket } from 'node:dgram';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { listenDns } from '../../src/dns/server.ts';

const resources = new Set<string>();
const destinations = new Set<string>();
const suspicions: unknown[] = [];

const send = Reflect.get(Socket.prototype, 'send') as (...args: unknown[]) => void;
Reflect.set(Socket.prototype, 'send', function watched(this: Socket, ...args: unknown[]) {
  destinations.add(`${String(args[2])} ${String(args[1])}`);
  send.apply(this, args);
});

const { addresses } = await listenDns({
  hosts: ['127.0.0.1'],
  port: 0,
  ipv4: '198.18.0.1',
  ttlSeconds: 60,
  queriesPerSecond: 100_000,
  names: ['api.example.com', '*.tools.example.net'],
  counted: () => undefined,
  signed: () => undefined,
  suspected: (suspicion) => suspicions.push(suspicion),
});
createHook({ init: (_id, type) => resources.add(type) }).enable();

process.on('message', () => {
  process.send?.({
    resources: [...resources],
    destinations: [...destinations],
    localPorts: localPorts(),
    suspicions,
  });
});
process.send?.({ port: addresses[0]?.port });

/** Local ports of the Internet sockets of this process, as the kernel lists them. */
function localPorts(): number[] {
  const inodes = new Set(
    readdirSync('/proc/self/fd').flatMap((fd) => {
      try {
        const socket = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`));
        return socket?.[1] === undefined ? [] : [socket[1]];
      } catch {
        // The directory that is being read is closed by now.
        return [];
      }
    }),
  );
  return ['tcp', 'tcp6', 'udp', 'udp6', 'raw', 'raw6'].flatMap((table) =>
    readFileSync(`/proc/self/net/${table}`, 'latin1')
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter((columns) => inodes.has(columns[9] ?? ''))
      .map((columns) => Number.parseInt(columns[1]?.split(':')[1] ?? '', 16)),
  );
}
