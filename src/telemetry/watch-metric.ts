/**
 * Metrics of watches on the Kubernetes API, the same in sidecar and controller. A watch is named by what it is for, never
 * by an object. Pure.
 */
import type { declared } from './metric.ts';
import { METRICS } from './metric-catalogue.ts';

export interface WatchStatus {
  readonly connected: boolean;
  /** Milliseconds since the server said anything; null before it ever did. */
  readonly heardAgoMs: number | null;
}

/** Called by a watch; fits its observer. */
export interface WatchCounters {
  relisted(reason: string): void;
  gone(): void;
  reconnected(): void;
  applyError(): void;
  drift(names: number): void;
}

export interface WatchMetrics {
  /** @param status asked at each scrape. */
  kubeWatch(watch: string, status: () => WatchStatus): WatchCounters;
}

export function watchMetrics(make: ReturnType<typeof declared>): WatchMetrics {
  const watches = new Map<string, () => WatchStatus>();
  make.gauge(METRICS.kubeConnected, (gauge) => {
    for (const [watch, status] of watches) gauge.set({ watch }, status().connected ? 1 : 0);
  });
  make.gauge(METRICS.kubeEventAge, (gauge) => {
    for (const [watch, status] of watches) {
      const { heardAgoMs } = status();
      if (heardAgoMs !== null) gauge.set({ watch }, heardAgoMs / 1000);
    }
  });
  const relists = make.counter(METRICS.kubeRelists);
  const gone = make.counter(METRICS.kubeGone);
  const reconnects = make.counter(METRICS.kubeReconnects);
  const applyErrors = make.counter(METRICS.kubeApplyErrors);
  const drift = make.counter(METRICS.kubeDrift);
  return {
    kubeWatch(watch, status) {
      watches.set(watch, status);
      // There from the start, so that an alarm on their growth sees the first one.
      for (const counter of [gone, reconnects, applyErrors, drift]) counter.inc({ watch }, 0);
      return {
        relisted: (reason) => relists.inc({ watch, reason }),
        gone: () => gone.inc({ watch }),
        reconnected: () => reconnects.inc({ watch }),
        applyError: () => applyErrors.inc({ watch }),
        drift: (names) => drift.inc({ watch }, names),
      };
    },
  };
}
