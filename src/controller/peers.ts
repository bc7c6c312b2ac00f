/**
 * The reports that other replicas hold, asked for by the leader at each address of the headless service. A replica that
 * does not answer leaves the reports of its sidecars out, which is no data and holds a rollout; it never moves one on.
 * Shell: owns the connections to the others.
 */
import { lookup } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { Agent, request } from 'undici';
import { z } from 'zod';
import type { ControllerConfig } from '../config/controller.ts';
import type { Heard } from '../rollout/aggregate.ts';
import { reportSchema } from '../rollout/report.ts';

type PeerConfig = NonNullable<NonNullable<ControllerConfig['distributor']>['peers']>;

export interface Peers {
  /** What all replicas that answer heard, this one among them. */
  heard(): Promise<Heard[]>;
  close(): Promise<void>;
}

const TIMEOUT_MS = 5000;
/** Of 20,000 sidecars with a report of 2 kB each. */
const BYTES_MAX = 64 * 1024 * 1024;
const REPLICAS_MAX = 32;
const heardSchema = z.array(z.strictObject({ report: reportSchema, ageMs: z.number().min(0) }));

/** @param port of the distributor, the same on all replicas. */
export async function openPeers(
  { service, serverName, caFile, tokenFile }: PeerConfig,
  port: number,
  failed: (error: unknown) => void,
): Promise<Peers> {
  const ca = await readFile(caFile, 'utf8');
  const dispatcher = new Agent({ connect: { ca, servername: serverName, timeout: TIMEOUT_MS } });
  const ask = async (address: string): Promise<Heard[]> => {
    const host = address.includes(':') ? `[${address}]` : address;
    const token = (await readFile(tokenFile, 'utf8')).trim();
    const { statusCode, body } = await request(`https://${host}:${port}/v1/peers/reports`, {
      dispatcher,
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > BYTES_MAX) throw new Error(`${address}: found a longer answer than expected`);
      chunks.push(chunk);
    }
    if (statusCode !== 200) throw new Error(`${address}: found status ${statusCode}, expected 200`);
    return heardSchema.parse(JSON.parse(Buffer.concat(chunks).toString('utf8')));
  };
  return {
    async heard() {
      const addresses = await lookup(service, { all: true }).catch((error: unknown) => {
        failed(error);
        return [];
      });
      const answers = await Promise.all(
        addresses.slice(0, REPLICAS_MAX).map(({ address }) =>
          ask(address).catch((error: unknown) => {
            failed(error);
            return [];
          }),
        ),
      );
      return answers.flat();
    },
    close: () => dispatcher.destroy(),
  };
}
