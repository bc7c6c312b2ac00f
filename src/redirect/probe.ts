/**
 * Tries the fence from the agent's side: dials addresses that lead nowhere (TEST-NET, RFC 5737 and 3849) from the source
 * ports on which the rules treat even the sidecar like the agent. A captured port must arrive at our own listener,
 * anything else must be refused at once by this very kernel. Silence proves nothing, so it counts as open.
 * Shell: opens sockets for the length of one trial.
 */
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { arrivedHere, parseTcpTable } from './local-sockets.ts';

export interface FenceTrial {
  /** Port that is dialled to port that listens. */
  readonly ports: readonly (readonly [dialled: number, listen: number])[];
  readonly dnsPort: number;
  readonly sourcePorts: readonly [first: number, last: number];
  readonly ipv4: string;
  readonly ipv6: string;
  /** TCP port that is not captured. */
  readonly directPort: number;
}

export interface FenceCheck {
  /** What was tried, e.g. `tcp 192.0.2.1:443`. */
  readonly name: string;
  readonly ok: boolean;
  readonly found: string;
  readonly expected: string;
}

export interface FenceReport {
  readonly ok: boolean;
  readonly checks: readonly FenceCheck[];
}

/** Milliseconds for one answer; this kernel answers within one. */
const ANSWER_MS = 1000;
type Trial = FenceTrial & { readonly signal: AbortSignal };

const QUIC_PORT = 443;
const DNS_PORT = 53;
const ENDED = 'the trial was ended';

/**
 * All checks, in both families where this machine has both. Never rejects.
 * @param signal ends a trial that nobody waits for any more; its report says nothing then.
 */
export async function tryFence(
  options: FenceTrial,
  signal: AbortSignal = new AbortController().signal,
): Promise<FenceReport> {
  const trial = { ...options, signal };
  const addresses = hasIpv6() ? [trial.ipv4, trial.ipv6] : [trial.ipv4];
  const checks: FenceCheck[] = [];
  for (const address of addresses) {
    for (const [dialled, listen] of trial.ports) {
      checks.push(await captured({ address, dialled, listen }, trial));
    }
    checks.push(await refusedTcp(address, trial));
    checks.push(await refusedUdp(address, trial));
    checks.push(await answeredDns(address, trial));
  }
  return { ok: checks.every(({ ok }) => ok), checks };
}

/** IPv6 beyond loopback and the link: without it nothing of IPv6 can leave. */
function hasIpv6(): boolean {
  return Object.values(networkInterfaces()).some((addresses) =>
    addresses?.some(
      ({ family, internal, address }) =>
        family === 'IPv6' && !internal && !address.toLowerCase().startsWith('fe80:'),
    ),
  );
}

async function captured(
  { address, dialled, listen }: { address: string; dialled: number; listen: number },
  trial: Trial,
): Promise<FenceCheck> {
  const name = place('tcp', address, dialled);
  const expected = `our own listener on port ${listen}`;
  const { socket, sourcePort, code } = await dial(address, dialled, trial);
  if (socket === null) return { name, ok: false, found: code, expected };
  const ok = arrivedHere(localSockets(), listen, sourcePort);
  socket.resetAndDestroy();
  return { name, ok, found: ok ? expected : 'a connection to somewhere else', expected };
}

async function refusedTcp(address: string, trial: Trial): Promise<FenceCheck> {
  const { socket, code } = await dial(address, trial.directPort, trial);
  socket?.resetAndDestroy();
  return {
    name: place('tcp', address, trial.directPort),
    ok: code === 'ECONNREFUSED',
    found: socket === null ? code : 'a connection',
    expected: 'ECONNREFUSED',
  };
}

interface Dialled {
  readonly socket: Socket | null;
  readonly sourcePort: number;
  /** Why there is no connection: the error, or `silence`. */
  readonly code: string;
}

/** Dials from the first source port that is free. */
async function dial(host: string, port: number, { sourcePorts, signal }: Trial): Promise<Dialled> {
  const [first, last] = sourcePorts;
  let dialled: Dialled = { socket: null, sourcePort: first, code: 'no source port is free' };
  for (let sourcePort = first; sourcePort <= last; sourcePort += 1) {
    dialled = await dialFrom({ host, port, sourcePort }, signal);
    if (dialled.code !== 'EADDRINUSE') break;
  }
  return dialled;
}

function dialFrom(
  { host, port, sourcePort }: { host: string; port: number; sourcePort: number },
  signal: AbortSignal,
): Promise<Dialled> {
  if (signal.aborted) return Promise.resolve({ socket: null, sourcePort, code: ENDED });
  return new Promise((resolve) => {
    const socket = connect({ host, port, localPort: sourcePort });
    const fail = (code: string) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      socket.destroy();
      resolve({ socket: null, sourcePort, code });
    };
    const end = () => fail(ENDED);
    signal.addEventListener('abort', end);
    const timer = setTimeout(() => fail('silence'), ANSWER_MS);
    socket.on('error', (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
    socket.once('connect', () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve({ socket, sourcePort, code: '' });
    });
  });
}

function localSockets() {
  return ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((file) => {
    try {
      return parseTcpTable(readFileSync(file, 'utf8'));
    } catch {
      // A kernel without IPv6 has no second table.
      return [];
    }
  });
}

async function refusedUdp(address: string, trial: Trial): Promise<FenceCheck> {
  const found = await sendUdp(address, QUIC_PORT, trial);
  return {
    name: place('udp', address, QUIC_PORT),
    ok: REFUSALS.has(found),
    found,
    expected: 'a refusal',
  };
}

/** What a rejected datagram comes back as: ICMP admin-prohibited, port unreachable, or the drop itself. */
const REFUSALS: ReadonlySet<string> = new Set(['EHOSTUNREACH', 'EACCES', 'EPERM', 'ECONNREFUSED']);

async function answeredDns(address: string, trial: Trial): Promise<FenceCheck> {
  const found = await sendUdp(address, DNS_PORT, trial);
  return {
    name: place('udp', address, DNS_PORT),
    ok: found === 'an answer',
    found,
    expected: 'an answer',
  };
}

/** One query for the root; whatever comes back first, or `silence`. */
function sendUdp(address: string, port: number, { sourcePorts, signal }: Trial): Promise<string> {
  if (signal.aborted) return Promise.resolve(ENDED);
  return new Promise((resolve) => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    let open = true;
    const finish = (found: string) => {
      if (!open) return;
      open = false;
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      socket.close();
      resolve(found);
    };
    const end = () => finish(ENDED);
    signal.addEventListener('abort', end);
    const timer = setTimeout(() => finish('silence'), ANSWER_MS);
    socket.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
    socket.once('message', () => finish('an answer'));
    socket.bind(sourcePorts[0], () => {
      socket.connect(port, address, (unreachable?: NodeJS.ErrnoException) => {
        if (unreachable) {
          finish(unreachable.code ?? unreachable.message);
          return;
        }
        socket.send(ROOT_QUERY, (error: NodeJS.ErrnoException | null) => {
          if (error !== null) finish(error.code ?? error.message);
        });
      });
    });
  });
}

/** A query for the address of the root, with id 0x6567. */
const ROOT_QUERY = Uint8Array.of(0x65, 0x67, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1);

const place = (protocol: string, address: string, port: number) =>
  `${protocol} ${address.includes(':') ? `[${address}]` : address}:${port}`;
