/**
 * The metrics of one sidecar, as small typed functions: callers name facts, never labels. Every label value is bounded
 * here, whatever the agent or a bundle sends, so the number of series is too. Nothing is global. Shell: owns a
 * registry and the event-loop monitor.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import {
  Counter,
  collectDefaultMetrics,
  Gauge,
  type Histogram,
  type OpenMetricsContentType,
  Registry,
} from 'prom-client';
import type { Operation } from '../call/tool-call.ts';
import type { ReasonCode } from '../decision/reason.ts';
import { METRICS, type MetricDeclaration } from './metric-catalogue.ts';
import { type RolloutMetrics, rolloutMetrics } from './rollout-metric.ts';
import { TallyHistogram } from './tally.ts';
import { type WatchMetrics, watchMetrics } from './watch-metric.ts';

export type ListenerLabel = 'proxy' | 'gateway' | 'capture' | 'decision';
export type DecisionLabel = 'allow' | 'deny' | 'require_approval';
export type Stage = 'recognise' | 'decide' | 'audit' | 'upstream';
/** The bound that was reached. */
export type ShedCause =
  | 'calls'
  | 'connections'
  | 'descriptors'
  | 'buffered_bytes'
  | 'tunnels'
  | 'draining';
/** What became of a message to the name server. */
export type DnsResultLabel =
  | 'address'
  | 'no_data'
  | 'no_name'
  | 'refused'
  | 'bad_version'
  | 'limited'
  | 'malformed'
  | 'dropped'
  | 'unsent';
export type DnsSignLabel = 'long_name' | 'random_labels' | 'data_types' | 'many_names' | 'rate';

export interface MetricsOptions {
  readonly version: string;
  /** Also the standard `process_*` and `nodejs_*` metrics. Default false. */
  readonly processMetrics?: boolean;
}

export interface ObservedCall {
  readonly listener: ListenerLabel;
  /** Null when the call was refused before it was recognised. */
  readonly tool: {
    readonly name: string;
    readonly known: boolean;
    readonly operation: Operation;
  } | null;
  readonly decision: DecisionLabel;
  readonly reason: ReasonCode;
  readonly durationSeconds: number;
  /** Of a sampled trace; becomes the exemplar. */
  readonly traceId?: string | undefined;
}

export interface AuditGauges {
  /** Records waiting. */
  readonly queue: number;
  /** Records in the log. */
  readonly size: number;
  /** Milliseconds since 1970; null before the first checkpoint. */
  readonly lastCheckpointMs: number | null;
}

export interface Metrics extends RolloutMetrics, WatchMetrics {
  observeCall(call: ObservedCall): void;
  observeStage(stage: Stage, seconds: number): void;
  /** +1 when a call starts, -1 when it ends. */
  addInflight(delta: 1 | -1): void;
  addTunnels(delta: 1 | -1): void;
  shed(cause: ShedCause): void;
  observeEvaluation(evaluation: {
    seconds: number;
    fuel: number;
    traceId?: string | undefined;
  }): void;
  policyError(reason: ReasonCode): void;
  wouldDeny(reason: ReasonCode): void;
  bundleActivated(bundle: { name: string; revision: string; digest: string; atMs: number }): void;
  /** @param code why, from a small fixed set; more than 64 different ones become `other`. */
  bundleRejected(name: string, code: string): void;
  /** Asked at each scrape for the seconds since the source was read; null leaves the metric out. */
  watchPolicyAge(name: string, ageSeconds: () => number | null): void;
  upstreamError(reason: ReasonCode): void;
  observeConnect(seconds: number): void;
  auditRecord(kind: 'decision' | 'outcome' | 'lifecycle', count?: number): void;
  observeCommit(seconds: number): void;
  auditFailure(op: 'write' | 'fsync' | 'rename' | 'checkpoint' | 'seal' | 'other'): void;
  /** Asked at each scrape. */
  watchAudit(gauges: () => AuditGauges): void;
  upload(result: 'registered' | 'refused'): void;
  /** Asked at each scrape for the number of registered files. */
  watchUploads(registered: () => number): void;
  fenceProven(proven: boolean): void;
  dnsQuery(result: DnsResultLabel): void;
  dnsTunnellingSign(sign: DnsSignLabel): void;
  telemetryDropped(signal: 'traces' | 'logs', count: number): void;
  /** For the Content-Type header of the scrape. */
  readonly contentType: string;
  /** The scrape in OpenMetrics text. */
  render(): Promise<string>;
  /** Stops the event-loop monitor. */
  close(): void;
}

/** Label values for tools; the rest is `other`. */
const TOOLS_MAX = 500;
/** Series of `egret_calls_total`; beyond, calls count under the tool `other`. */
const CALL_SERIES_MAX = 2000;
const CODES_MAX = 64;
const LABEL_CHARS_MAX = 128;
const LAG_RESOLUTION_MS = 10;
const OTHER = 'other';

export const OPEN_METRICS = Registry.OPENMETRICS_CONTENT_TYPE;
type OpenRegistry = Registry<OpenMetricsContentType>;

export function createMetrics(options: MetricsOptions): Metrics {
  const registry: OpenRegistry = new Registry<OpenMetricsContentType>();
  // Before any metric is made: exemplars exist in this format only.
  registry.setContentType(OPEN_METRICS);
  const make = declared(registry);
  if (options.processMetrics === true) collectDefaultMetrics({ register: registry });
  make.gauge(METRICS.buildInfo).set({ version: options.version }, 1);
  const lag = watchEventLoop(make.gauge, METRICS.eventLoopLag);
  const dropped = make.counter(METRICS.telemetryDropped);
  return {
    ...callMetrics(make),
    ...policyMetrics(make),
    ...bundleMetrics(make),
    ...auditMetrics(make),
    ...fenceMetrics(make),
    ...dnsMetrics(make),
    ...watchMetrics(make),
    telemetryDropped: (signal, count) => dropped.inc({ signal }, count),
    contentType: OPEN_METRICS,
    render: () => registry.metrics(),
    close: () => lag.disable(),
  };
}

type Make = ReturnType<typeof declared>;

/** Constructors for declared metrics. The names of labels come from the declaration and are checked by type. */
export function declared(registry: OpenRegistry) {
  const base = (metric: MetricDeclaration, collect?: () => void) => ({
    name: metric.name,
    help: metric.help,
    labelNames: [...metric.labels],
    registers: [registry],
    ...(collect === undefined ? {} : { collect }),
  });
  type Labels<M extends MetricDeclaration> = M['labels'][number];
  return {
    counter: <M extends MetricDeclaration>(
      metric: M,
      collect?: (counter: Counter<Labels<M>>) => void,
    ) => {
      const counter: Counter<Labels<M>> = new Counter<Labels<M>>(
        base(metric, () => collect?.(counter)),
      );
      return counter;
    },
    gauge: <M extends MetricDeclaration>(
      metric: M,
      collect?: (gauge: Gauge<Labels<M>>) => void,
    ) => {
      const gauge: Gauge<Labels<M>> = new Gauge<Labels<M>>(base(metric, () => collect?.(gauge)));
      return gauge;
    },
    histogram(metric: MetricDeclaration): TallyHistogram {
      const histogram = new TallyHistogram(metric);
      // The registry asks a metric for its name and `get()`; its type names only its own classes.
      registry.registerMetric(histogram as unknown as Histogram);
      return histogram;
    },
  };
}

function callMetrics(make: Make) {
  const calls = countedCalls(make);
  const duration = make.histogram(METRICS.callDuration);
  const byDecision = (listener: ListenerLabel) => ({
    allow: duration.child({ listener, decision: 'allow' }),
    deny: duration.child({ listener, decision: 'deny' }),
    require_approval: duration.child({ listener, decision: 'require_approval' }),
  });
  const durations = {
    proxy: byDecision('proxy'),
    gateway: byDecision('gateway'),
    capture: byDecision('capture'),
    decision: byDecision('decision'),
  };
  const stage = make.histogram(METRICS.stage);
  const stages = {
    recognise: stage.child({ stage: 'recognise' }),
    decide: stage.child({ stage: 'decide' }),
    audit: stage.child({ stage: 'audit' }),
    upstream: stage.child({ stage: 'upstream' }),
  };
  const open = { calls: 0, tunnels: 0 };
  make.gauge(METRICS.inflight, (gauge) => gauge.set(open.calls));
  make.gauge(METRICS.tunnels, (gauge) => gauge.set(open.tunnels));
  const shed = make.counter(METRICS.shed);
  const upstreamErrors = make.counter(METRICS.upstreamErrors);
  const connect = make.histogram(METRICS.upstreamConnect).child();
  return {
    observeCall(call: ObservedCall): void {
      calls(call);
      durations[call.listener][call.decision].observe(call.durationSeconds, call.traceId);
    },
    observeStage: (name: Stage, seconds: number) => stages[name].observe(seconds),
    addInflight(delta: 1 | -1): void {
      open.calls += delta;
    },
    addTunnels(delta: 1 | -1): void {
      open.tunnels += delta;
    },
    shed: (cause: ShedCause) => shed.inc({ cause }),
    upstreamError: (reason: ReasonCode) => upstreamErrors.inc({ reason }),
    observeConnect: (seconds: number) => connect.observe(seconds),
  };
}

/** Counts calls in plain numbers; the registry's counter gets them at a scrape. */
function countedCalls(make: Make): (call: ObservedCall) => void {
  const series = new Map<string, { labels: CallLabels; calls: number }>();
  make.counter(METRICS.calls, (counter) => {
    for (const one of series.values()) {
      counter.inc(one.labels, one.calls);
      one.calls = 0;
    }
  });
  const toolLabel = bounded(TOOLS_MAX);
  const count = (call: ObservedCall, tool: string): boolean => {
    const { listener, decision, reason } = call;
    const operation = call.tool?.operation ?? 'unknown';
    const key = `${listener} ${decision} ${reason} ${operation} ${tool}`;
    let one = series.get(key);
    if (one === undefined) {
      if (series.size >= CALL_SERIES_MAX && tool !== OTHER) return false;
      one = { labels: { listener, tool, operation, decision, reason }, calls: 0 };
      series.set(key, one);
    }
    one.calls += 1;
    return true;
  };
  return (call) => {
    const tool = call.tool?.known === true ? toolLabel(call.tool.name) : OTHER;
    if (!count(call, tool)) count(call, OTHER);
  };
}

type CallLabels = Record<(typeof METRICS.calls.labels)[number], string>;

function policyMetrics(make: Make) {
  const evaluated = make.histogram(METRICS.policyEval);
  const seconds = evaluated.child({ arm: 'stable' });
  const candidateSeconds = evaluated.child({ arm: 'candidate' });
  const fuel = make.histogram(METRICS.policyFuel).child();
  const errors = make.counter(METRICS.policyErrors);
  const wouldDeny = make.counter(METRICS.wouldDeny);
  return {
    observeEvaluation(e: { seconds: number; fuel: number; traceId?: string | undefined }): void {
      seconds.observe(e.seconds, e.traceId);
      fuel.observe(e.fuel);
    },
    ...rolloutMetrics(make, (value) => candidateSeconds.observe(value)),
    policyError: (reason: ReasonCode) => errors.inc({ reason }),
    wouldDeny: (reason: ReasonCode) => wouldDeny.inc({ reason }),
  };
}

function bundleMetrics(make: Make) {
  const info = make.gauge(METRICS.bundleInfo);
  const lastActivation = make.gauge(METRICS.bundleLastActivation);
  const activations = make.counter(METRICS.bundleActivations);
  const rejections = make.counter(METRICS.bundleRejections);
  const ages = new Map<string, () => number | null>();
  make.gauge(METRICS.policyAge, (gauge) => {
    gauge.reset();
    for (const [name, age] of ages) {
      const value = age();
      if (value !== null) gauge.set({ name }, value);
    }
  });
  const active = new Map<string, { name: string; revision: string; digest: string }>();
  const codeLabel = bounded(CODES_MAX);
  return {
    bundleActivated(bundle: {
      name: string;
      revision: string;
      digest: string;
      atMs: number;
    }): void {
      const { name } = bundle;
      const labels = { name, revision: short(bundle.revision), digest: short(bundle.digest) };
      const before = active.get(name);
      if (before !== undefined) info.remove(before);
      active.set(name, labels);
      info.set(labels, 1);
      lastActivation.set({ name }, bundle.atMs / 1000);
      activations.inc({ name });
    },
    bundleRejected: (name: string, code: string) => rejections.inc({ name, code: codeLabel(code) }),
    watchPolicyAge(name: string, ageSeconds: () => number | null): void {
      ages.set(name, ageSeconds);
    },
  };
}

function auditMetrics(make: Make) {
  const records = make.counter(METRICS.auditRecords);
  const commit = make.histogram(METRICS.auditCommit).child();
  const failures = make.counter(METRICS.auditFailures);
  const uploads = make.counter(METRICS.uploads);
  let audit: () => AuditGauges = () => ({ queue: 0, size: 0, lastCheckpointMs: null });
  let registered = () => 0;
  make.gauge(METRICS.auditQueue, (gauge) => gauge.set(audit().queue));
  make.gauge(METRICS.auditTreeSize, (gauge) => gauge.set(audit().size));
  make.gauge(METRICS.auditCheckpoint, (gauge) => gauge.set((audit().lastCheckpointMs ?? 0) / 1000));
  make.gauge(METRICS.uploadsRegistered, (gauge) => gauge.set(registered()));
  return {
    auditRecord: (kind: string, count = 1) => records.inc({ kind }, count),
    observeCommit: (seconds: number) => commit.observe(seconds),
    auditFailure: (op: string) => failures.inc({ op }),
    watchAudit(gauges: () => AuditGauges): void {
      audit = gauges;
    },
    upload: (result: string) => uploads.inc({ result }),
    watchUploads(count: () => number): void {
      registered = count;
    },
  };
}

function fenceMetrics(make: Make) {
  // Made with the first trial: a zero where nothing is captured would be an alarm for nothing.
  let gauge: ReturnType<Make['gauge']> | null = null;
  return {
    fenceProven(proven: boolean): void {
      gauge ??= make.gauge(METRICS.fenceProven);
      gauge.set(proven ? 1 : 0);
    },
  };
}

function dnsMetrics(make: Make) {
  const queries = make.counter(METRICS.dnsQueries);
  const signs = make.counter(METRICS.dnsSigns);
  return {
    dnsQuery: (result: DnsResultLabel) => queries.inc({ result }),
    dnsTunnellingSign: (sign: DnsSignLabel) => signs.inc({ sign }),
  };
}

/** Measures how late a timer fires; what the timer itself takes is no lag. */
function watchEventLoop(gauge: Make['gauge'], metric: typeof METRICS.eventLoopLag) {
  const delay = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
  delay.enable();
  gauge(metric, (lag) => {
    const late = delay.count === 0 ? 0 : delay.percentile(99) / 1e9 - LAG_RESOLUTION_MS / 1000;
    lag.set(Math.max(0, late));
    delay.reset();
  });
  return delay;
}

/** Lets the first `max` different values through; every later new one becomes `other`. */
function bounded(max: number): (value: string) => string {
  const seen = new Map<string, string>();
  return (value) => {
    const known = seen.get(value);
    if (known !== undefined) return known;
    if (seen.size >= max) return OTHER;
    const label = short(value);
    seen.set(value, label);
    return label;
  };
}

const short = (text: string) => text.slice(0, LABEL_CHARS_MAX);
