/**
 * What a connection that only stands costs: resident memory of the sidecar for each of 2,000 idle CONNECT tunnels, of
 * 500 event streams beside them, and of 500 connections whose TLS it opened; fewer in a quick run. Shell: owns the
 * connections while it measures.
 */
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { type Children, freePorts, waitForPort } from './children.ts';
import { ALLOWED_BODY, REQUEST_PATH, renderRequest, UPSTREAM_MARK } from './request.ts';
import type { Standing } from './result.ts';
import { type Sidecar, startSidecar } from './sidecar.ts';
import { usageOf } from './usage.ts';

const WHOLE = { tunnels: 2000, streams: 500, intercepted: 500 };
const QUICK = { tunnels: 500, streams: 250, intercepted: 250 };
/**
 * Opened and closed before anything is counted: code, tables and pools that every process has once. Few, because the
 * memory that they leave free is not counted for those that follow.
 */
const WARM_UP = 20;
const HOST = 'idle.example';
const PLACE = `${HOST}:443`;
const CONNECT = `CONNECT ${PLACE} HTTP/1.1\r\nHost: ${PLACE}\r\n\r\n`;
const LIMITS = { connectionsMax: 4096, tunnelsMax: 4096, callsMax: 1024 };
/** Under way at once while they are opened. */
const WINDOW = 50;
const OPENING_MS_MAX = 10_000;
const SETTLED_BYTES = 64 * 1024;
const LOOK_MS = 150;
const LOOKS_MAX = 40;

export interface ConnectionsOptions {
  readonly children: Children;
  readonly directory: string;
  readonly bundleDirectory: string;
  readonly quick: boolean;
  readonly progress: (text: string) => void;
}

/** @throws when a connection does not stand, or where there is no /proc. */
export async function measureConnections(options: ConnectionsOptions): Promise<Standing> {
  const [upstreamPort] = (await freePorts(1)) as [number];
  const script = join(import.meta.dirname, 'idle-upstream.ts');
  const args = [script, String(upstreamPort)];
  const far = options.children.start('idle-upstream', process.execPath, args);
  await waitForPort(far, upstreamPort);
  const closed = await measureClosed(options, upstreamPort);
  const interceptedBytes = await measureIntercepted(options, upstreamPort);
  await options.children.end(far);
  const { tunnels, streams, intercepted } = countsOf(options);
  return { tunnels, streams, intercepted, ...closed, interceptedBytes };
}

const countsOf = ({ quick }: ConnectionsOptions) => (quick ? QUICK : WHOLE);

async function measureClosed(options: ConnectionsOptions, upstreamPort: number) {
  const sidecar = await start(options, upstreamPort, 'idle', {});
  const { proxyPort, gatewayUrl } = sidecar;
  const gateway = new URL(gatewayUrl);
  const post = renderRequest(gateway.host, REQUEST_PATH, ALLOWED_BODY);
  const tunnel = () => opened(proxyPort, CONNECT, '200 Connection Established');
  const stream = () => opened(Number(gateway.port), post, UPSTREAM_MARK);
  const counts = countsOf(options);
  close([...(await many(WARM_UP, tunnel)), ...(await many(WARM_UP, stream))]);
  const before = await settledBytes(sidecar);
  options.progress(`part: connections: ${counts.tunnels} tunnels`);
  const tunnels = await many(counts.tunnels, tunnel);
  const between = await settledBytes(sidecar);
  options.progress(`part: connections: ${counts.streams} event streams`);
  const streams = await many(counts.streams, stream);
  const after = await settledBytes(sidecar);
  const gone = [...tunnels, ...streams].filter((socket) => socket.destroyed).length;
  close([...tunnels, ...streams]);
  await options.children.end(sidecar.child);
  if (gone > 0) throw new Error(`${gone} connections did not stand until the end`);
  return {
    tunnelBytes: (between - before) / counts.tunnels,
    streamBytes: (after - between) / counts.streams,
  };
}

async function measureIntercepted(options: ConnectionsOptions, upstreamPort: number) {
  const trustDirectory = join(options.directory, 'idle-trust');
  const sidecar = await start(options, upstreamPort, 'idle-tls', { tls: { trustDirectory } });
  const ca = readFileSync(join(trustDirectory, 'ca.crt'), 'utf8');
  const inside = async () => {
    const socket = await opened(sidecar.proxyPort, CONNECT, '200 Connection Established');
    return secured(socket, ca);
  };
  const { intercepted } = countsOf(options);
  close(await many(WARM_UP, inside));
  const before = await settledBytes(sidecar);
  options.progress(`part: connections: ${intercepted} with opened TLS`);
  const sockets = await many(intercepted, inside);
  const after = await settledBytes(sidecar);
  close(sockets);
  await options.children.end(sidecar.child);
  return (after - before) / intercepted;
}

const start = (
  options: ConnectionsOptions,
  upstreamPort: number,
  name: string,
  more: Readonly<Record<string, unknown>>,
): Promise<Sidecar> =>
  startSidecar(options.children, {
    ...options,
    name,
    upstreamPort,
    durability: 'write',
    nodeOptions: ['--expose-gc', '--import', join(import.meta.dirname, 'collect-on-signal.ts')],
    settings: {
      // The receipts policy permits no tunnel; each is still decided and recorded.
      enforcement: 'dryrun',
      limits: { ...LIMITS, headersTimeoutMs: 60_000 },
      upstream: { hosts: { [PLACE]: `127.0.0.1:${upstreamPort}` }, connectionsMax: 1024 },
      ...more,
    },
  });

async function many(count: number, open: () => Promise<Socket>): Promise<Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const batch = Math.min(WINDOW, count - sockets.length);
    sockets.push(...(await Promise.all(Array.from({ length: batch }, open))));
  }
  return sockets;
}

function close(sockets: readonly Socket[]): void {
  for (const socket of sockets) socket.destroy();
}

/** Sends bytes on a new connection and waits for a text in what comes back. */
function opened(port: number, bytes: string | Buffer, expected: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port });
    let text = '';
    const fail = () => {
      socket.destroy();
      reject(new Error(`expected "${expected}" on a new connection, got: ${text.slice(0, 500)}`));
    };
    const late = setTimeout(fail, OPENING_MS_MAX);
    const look = (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (!text.includes(expected)) return;
      clearTimeout(late);
      socket.off('data', look).off('close', fail);
      resolve(socket);
    };
    socket.on('error', () => socket.destroy());
    socket.on('data', look).once('close', fail);
    socket.write(bytes);
  });
}

function secured(socket: Socket, ca: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const tls = connectTls({ socket, ca, servername: HOST, ALPNProtocols: ['http/1.1'] });
    tls.once('secureConnect', () => resolve(tls));
    tls.on('error', (error) => {
      reject(error);
      tls.destroy();
    });
  });
}

/** Resident bytes once garbage is collected and the figure has come to rest. */
async function settledBytes({ child }: Sidecar): Promise<number> {
  let last = Number.POSITIVE_INFINITY;
  for (let look = 0; look < LOOKS_MAX; look += 1) {
    child.process.kill('SIGUSR2');
    await sleep(LOOK_MS);
    const now = usageOf([child.pid])?.nowBytes;
    if (now === undefined) throw new Error('there is no /proc');
    if (look > 2 && Math.abs(now - last) < SETTLED_BYTES) return now;
    last = now;
  }
  return last;
}
