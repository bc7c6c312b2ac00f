/**
 * The load generator of the interception table: N connections with one request under way on each, kept for all requests
 * or new for every one (full handshakes, no session is resumed); prints one line of JSON. A process of its own:
 * node bench/tls-load.ts JSON. Shell: owns its sockets.
 */
import { readFileSync } from 'node:fs';
import { createSecureContext, type TLSSocket } from 'node:tls';
import type { Sample } from './generator.ts';
import { ask, openTls, type TlsTarget } from './tls-client.ts';

export interface TlsLoad {
  readonly target: TlsTarget;
  /** PEM file with the authority that vouches for the target. */
  readonly caFile: string;
  /** File with the bytes of the request. */
  readonly requestFile: string;
  readonly connections: number;
  readonly seconds: number;
  /** A new connection for every request. */
  readonly fresh: boolean;
}

const nowUs = () => Number(process.hrtime.bigint()) / 1000;

async function main(load: TlsLoad): Promise<Sample> {
  const context = createSecureContext({ ca: readFileSync(load.caFile), minVersion: 'TLSv1.3' });
  const request = readFileSync(load.requestFile);
  const latenciesUs: number[] = [];
  let errors = 0;
  let bytes = 0;
  const open = () => openTls(load.target, context);
  const drive = async (deadlineUs: number) => {
    let kept: TLSSocket | null = null;
    do {
      const startUs = nowUs();
      kept ??= await open();
      const answer = await ask(kept, request);
      latenciesUs.push(nowUs() - startUs);
      bytes += answer.bytes;
      if (answer.status !== 200) errors += 1;
      if (load.fresh) {
        kept.destroy();
        kept = null;
      }
    } while (nowUs() < deadlineUs);
    kept?.destroy();
  };
  const startUs = nowUs();
  const deadlineUs = startUs + load.seconds * 1e6;
  const drivers = Array.from({ length: load.connections }, () =>
    drive(deadlineUs).catch(() => {
      errors += 1;
    }),
  );
  await Promise.all(drivers);
  const durationUs = Math.round(nowUs() - startUs);
  const sorted = latenciesUs.toSorted((a, b) => a - b);
  const at = (share: number) => Math.round(sorted[Math.floor(sorted.length * share)] ?? 0);
  const percentiles = { p50Us: at(0.5), p90Us: at(0.9), p99Us: at(0.99) };
  return { requests: sorted.length, durationUs, bytes, errors, ...percentiles };
}

console.log(JSON.stringify(await main(JSON.parse(process.argv[2] ?? '') as TlsLoad)));
