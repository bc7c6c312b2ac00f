/**
 * Connections to tools that are kept for the next call: one pool for each origin at each address it was resolved to, so
 * that a name which moved gets new connections. Shell: owns the pools.
 */
import { type buildConnector, Pool } from 'undici';
import { type DialOptions, dialAddress, type PinnedPlace } from './pinned-dial.ts';
import { DialFailure } from './response-failure.ts';
import type { ResponseBounds } from './response-relay.ts';
import type { Origin } from './upstream.ts';

export interface PoolOptions extends DialOptions, ResponseBounds {
  readonly bodyTimeoutMs: number;
  readonly connectionsMax: number;
  /** Told how long each new connection to a tool took. */
  readonly onConnected?: (seconds: number) => void;
}

export interface Pools {
  poolFor(origin: Origin, place: PinnedPlace): Pool;
  /** Calls under way end; new ones get new connections. */
  retire(pool: Pool): void;
  close(): Promise<void>;
}

const RESPONSE_HEADER_BYTES_MAX = 16 * 1024;
/** Destinations with open connections at once; the one unused longest goes first. */
const POOLS_MAX = 128;

export function createPools(options: PoolOptions): Pools {
  const pools = new Map<string, Pool>();
  return {
    poolFor(origin, place) {
      const url = originUrl(origin);
      const key = `${url} ${place.address} ${place.port}`;
      const known = pools.get(key);
      if (known !== undefined) {
        if (pools.size > POOLS_MAX / 2) {
          pools.delete(key);
          pools.set(key, known);
        }
        return known;
      }
      const pool = new Pool(url, {
        connections: options.connectionsMax,
        pipelining: 1,
        allowH2: false,
        connect: connectorTo(place, origin, options),
        headersTimeout: options.headersTimeoutMs,
        bodyTimeout: options.bodyTimeoutMs,
        maxHeaderSize: RESPONSE_HEADER_BYTES_MAX,
      });
      pools.set(key, pool);
      if (pools.size > POOLS_MAX) evictOldest(pools);
      return pool;
    },
    retire(pool) {
      for (const [key, known] of pools) if (known === pool) pools.delete(key);
      pool.close().catch(() => undefined);
    },
    async close() {
      await Promise.all([...pools.values()].map((pool) => pool.destroy()));
    },
  };
}

function evictOldest(pools: Map<string, Pool>): void {
  const [oldest] = pools;
  if (oldest === undefined) return;
  pools.delete(oldest[0]);
  oldest[1].close().catch(() => undefined);
}

function originUrl({ scheme, host, port }: Origin): string {
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function connectorTo(
  place: PinnedPlace,
  origin: Origin,
  options: PoolOptions,
): buildConnector.connector {
  return (_options, callback) => {
    const startedMs = performance.now();
    void dialAddress(place, origin, 'http/1.1', options).then((dialled) => {
      if (!dialled.ok) {
        callback(new DialFailure(dialled.reason), null);
        return;
      }
      options.onConnected?.((performance.now() - startedMs) / 1000);
      dialled.socket.on('error', callByOtherName);
      callback(null, dialled.socket);
    });
  };
}

/** undici takes ECONNRESET for the end of an answer that says no length, and hands on half of it as a whole. */
function callByOtherName(error: NodeJS.ErrnoException): void {
  if (error.code === 'ECONNRESET') error.code = 'EGRET_RESET';
}
