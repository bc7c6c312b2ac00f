/**
 * Proves the fence for as long as the sidecar runs: tries it from the agent's side, again and again, and says when it
 * does not stand. Nobody is served a false sense of safety: unproven is not ready. Shell: owns a timer and its trials.
 */
import type { Config } from '../config/schema.ts';
import type { CaptureListener } from '../proxy/capture.ts';
import { type FenceReport, type FenceTrial, tryFence } from '../redirect/probe.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metric.ts';

export interface Fence {
  /** `fence.unproven` before the first trial has ended, `fence.open` when the last one failed. */
  problems(): readonly string[];
  /** For people: the last trial. */
  status(): FenceReport | null;
  /** Begins when the listeners are open. */
  watch(captured: readonly CaptureListener[], names: readonly { readonly port: number }[]): void;
  close(): Promise<void>;
}

/** A sidecar without capture promises no fence. */
const NO_FENCE: Fence = {
  problems: () => [],
  status: () => null,
  watch: () => undefined,
  close: () => Promise.resolve(),
};

export function createFence(
  capture: Config['capture'],
  log: Log,
  metrics: Pick<Metrics, 'fenceProven'>,
): Fence {
  if (capture === undefined) return NO_FENCE;
  const { probe } = capture;
  let report: FenceReport | null = null;
  let timer: NodeJS.Timeout | undefined;
  let trial: Promise<void> = Promise.resolve();
  const ending = new AbortController();
  const run = async (options: FenceTrial) => {
    const found = await tryFence(options, ending.signal);
    if (ending.signal.aborted) return;
    if (found.ok !== report?.ok) announce(found, log);
    report = found;
    metrics.fenceProven(found.ok);
    timer = setTimeout(() => {
      trial = run(options);
    }, probe.intervalMs);
    timer.unref();
  };
  return {
    problems: () => (report === null ? ['fence.unproven'] : report.ok ? [] : ['fence.open']),
    status: () => report,
    watch(captured, [names]) {
      // Each port listens once for each family.
      const ports = new Map(captured.map(({ dialled, address }) => [dialled, address.port]));
      trial = run({ ...probe, ports: [...ports], dnsPort: names?.port ?? 0 });
    },
    async close() {
      ending.abort();
      clearTimeout(timer);
      await trial;
    },
  };
}

function announce({ checks }: FenceReport, log: Log): void {
  const failed = checks.find(({ ok }) => !ok);
  if (failed === undefined) log.event('fence.proven', { checks: checks.length });
  else {
    const { name, found, expected } = failed;
    log.event('fence.open', { check: name, found, expected });
  }
}
