/**
 * A permitted CONNECT: bytes pass both ways unread, between the agent and the one address that was resolved and
 * checked. Node gives such sockets no time-outs, so idleness is watched here. Shell: owns the two sockets of a tunnel.
 */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ReasonCode } from '../decision/reason.ts';
import { type DialOptions, dialTcp } from './pinned-dial.ts';
import type { Recorded } from './record.ts';
import type { Resolver } from './resolver.ts';
import type { Forwarded } from './upstream.ts';

export interface TunnelBounds extends Pick<DialOptions, 'connectTimeoutMs' | 'mayDial'> {
  readonly idleMs: number;
  /** Told of the connection to the tool; the agent's is watched by its listener. */
  readonly connected: (socket: Socket) => void;
  /** True of a connection that was cut because its other end read nothing. */
  readonly stalled: (socket: object) => boolean;
}

export interface TunnelRequest {
  readonly host: string;
  readonly port: number;
  readonly client: Duplex;
  /** Bytes that arrived with the CONNECT; held until the tunnel stands. */
  readonly head: Uint8Array;
  /** Tells the agent that the tunnel stands. */
  readonly opened: () => void;
  /** Looks at the agent's first bytes; a reason cuts the tunnel before any of them leaves. */
  readonly inspect: (() => Promise<ReasonCode | null>) | null;
}

/**
 * Opens the tunnel and resolves when it has ended.
 * Takes a Recorded permit, so no tunnel stands without a durable decision.
 */
export async function runTunnel(
  _recorded: Recorded,
  request: TunnelRequest,
  resolve: Resolver,
  bounds: TunnelBounds,
): Promise<Forwarded> {
  const started = performance.now();
  const { host, port } = request;
  const upstream = await dialTcp({ host, port, trusted: false }, { ...bounds, resolve });
  if (!upstream.ok) return summary('upstream_error', upstream.reason, { started });
  const { socket, peer } = upstream;
  bounds.connected(socket);
  const connectedMs = performance.now() - started;
  const { client, head } = request;
  request.opened();
  if (head.length > 0) client.unshift(head);
  const wrong = (await request.inspect?.()) ?? null;
  if (wrong !== null) {
    socket.destroy();
    client.destroy();
    return { ...summary('client_aborted', wrong, { started, peer }), status: 200 };
  }
  const bytes = await join(client, socket, bounds.idleMs);
  const [result, reason] = endingOf({ client, tool: socket }, bounds);
  return {
    ...summary(result, reason, { started, peer }),
    status: 200,
    bytes,
    ttfbMs: connectedMs,
  };
}

/** Somebody closed it, or somebody read nothing of what waited. */
function endingOf(
  { client, tool }: { readonly client: object; readonly tool: object },
  { stalled }: TunnelBounds,
): [Forwarded['result'], ReasonCode | null] {
  if (stalled(client)) return ['client_aborted', null];
  return stalled(tool) ? ['upstream_error', 'upstream.timeout'] : ['completed', null];
}

/** Joins two sockets until both have ended, one has failed, or nothing has passed for `idleMs`. */
function join(client: Duplex, upstream: Socket, idleMs: number): Promise<number> {
  return new Promise((resolve) => {
    let received = 0;
    let open = 2;
    const destroy = () => {
      client.destroy();
      upstream.destroy();
    };
    const closed = () => {
      open -= 1;
      if (open === 0) resolve(received);
      else destroy();
    };
    upstream.setTimeout(idleMs, destroy);
    upstream.on('data', (chunk: Uint8Array) => {
      received += chunk.length;
    });
    for (const socket of [client, upstream]) {
      socket.on('error', destroy);
      socket.once('close', closed);
    }
    client.pipe(upstream);
    upstream.pipe(client);
    if (client.destroyed) destroy();
  });
}

function summary(
  result: Forwarded['result'],
  reason: ReasonCode | null,
  seen: { started: number; peer?: string | null },
): Forwarded {
  return {
    result,
    reason,
    status: 0,
    contentType: null,
    bytes: 0,
    sha256: '',
    ttfbMs: 0,
    totalMs: performance.now() - seen.started,
    body: null,
    peer: seen.peer ?? null,
  };
}
