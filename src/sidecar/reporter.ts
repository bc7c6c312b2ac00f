/**
 * Sends what the sidecar counted to the controller, every so often and soon after something that should be heard:
 * a lost report costs nothing, because the next one says it all. Shell: owns one timer and one connection.
 */
import { randomUUID } from 'node:crypto';
import type { Report } from '../rollout/report.ts';
import type { HttpsClient } from '../source/https-client.ts';
import type { RolloutMetrics } from '../telemetry/rollout-metric.ts';

export interface ReporterOptions {
  readonly client: HttpsClient;
  /** Name of this sidecar as long as it lives; a controller with tokens of pods knows better. */
  readonly sidecar: string;
  readonly intervalMs: number;
  readonly report: () => Omit<Report, 'sidecar' | 'epoch' | 'sequence'> | null;
  readonly metrics: Pick<RolloutMetrics, 'reported'>;
}

export interface Reporter {
  /** Something changed that the controller should hear of soon. */
  hurry(): void;
  close(): Promise<void>;
}

const SOON_MS = 1000;
const TIMEOUT_MS = 10_000;
const ANSWER_BYTES_MAX = 16 * 1024;

export function startReporter(options: ReporterOptions): Reporter {
  const { client, sidecar, intervalMs, report, metrics } = options;
  const epoch = randomUUID();
  let sequence = 0;
  let timer: NodeJS.Timeout | null = null;
  let dueAt = Number.POSITIVE_INFINITY;
  let sending: Promise<void> = Promise.resolve();
  let closed = false;
  const send = async () => {
    const said = report();
    if (said === null) return;
    sequence += 1;
    const body = JSON.stringify({ ...said, sidecar, epoch, sequence } satisfies Report);
    const ask = { method: 'POST', path: '/v1/reports', body } as const;
    try {
      const { status } = await client.ask({
        ...ask,
        timeoutMs: TIMEOUT_MS,
        bytesMax: ANSWER_BYTES_MAX,
      });
      metrics.reported(status === 204 ? 'sent' : 'failed');
    } catch {
      metrics.reported('failed');
    }
  };
  const schedule = (ms: number) => {
    const at = performance.now() + ms;
    if (closed || at >= dueAt) return;
    if (timer !== null) clearTimeout(timer);
    dueAt = at;
    timer = setTimeout(() => {
      dueAt = Number.POSITIVE_INFINITY;
      sending = sending.then(send);
      schedule(intervalMs * (0.8 + 0.4 * Math.random()));
    }, ms);
    timer.unref();
  };
  schedule(SOON_MS * Math.random());
  return {
    hurry: () => schedule(SOON_MS * Math.random()),
    close: async () => {
      closed = true;
      if (timer !== null) clearTimeout(timer);
      await client.close();
      await sending;
    },
  };
}
