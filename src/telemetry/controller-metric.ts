/**
 * The metrics of one controller, declared and made here: docs/metrics.md is rendered from the declarations. Labels are
 * sets, phases and closed words; never a sidecar, an agent or a digest of somebody else's choosing. Shell: owns a
 * registry.
 */
import { collectDefaultMetrics, type OpenMetricsContentType, Registry } from 'prom-client';
import { declared, OPEN_METRICS } from './metric.ts';
import type { MetricDeclaration } from './metric-catalogue.ts';
import { type WatchMetrics, watchMetrics } from './watch-metric.ts';

export const CONTROLLER_METRICS = {
  leader: {
    name: 'egret_controller_leader',
    type: 'gauge',
    unit: 'truth',
    help: 'Whether this replica leads: 1 yes, 0 no. Exactly one replica should say 1.',
    labels: [],
  },
  phase: {
    name: 'egret_controller_set_phase',
    type: 'gauge',
    unit: 'one',
    help: 'Always 1; its labels name the phase that each policy set is in.',
    labels: ['set', 'phase', 'reason'],
  },
  weight: {
    name: 'egret_controller_set_weight_ratio',
    type: 'gauge',
    unit: 'ratio',
    help: 'Part of the units that the candidate takes part in deciding for, 0 to 1.',
    labels: ['set'],
  },
  phaseSince: {
    name: 'egret_controller_set_updated_timestamp_seconds',
    type: 'gauge',
    unit: 'unix seconds',
    help: 'When the state of the policy set was last written.',
    labels: ['set'],
  },
  sidecars: {
    name: 'egret_controller_reporting_sidecars',
    type: 'gauge',
    unit: 'items',
    help: 'Sidecars that this replica has a recent report of.',
    labels: [],
  },
  writes: {
    name: 'egret_controller_writes_total',
    type: 'counter',
    unit: 'items',
    help: 'Writes to the Kubernetes API, by object and result; a conflict is tried again.',
    labels: ['object', 'result'],
  },
  events: {
    name: 'egret_controller_events_total',
    type: 'counter',
    unit: 'items',
    help: 'Events of rollouts, by reason.',
    labels: ['set', 'reason'],
  },
  errors: {
    name: 'egret_controller_errors_total',
    type: 'counter',
    unit: 'errors',
    help: 'What went wrong in the controller and is tried again, by what it was doing.',
    labels: ['operation'],
  },
  requests: {
    name: 'egret_distributor_requests_total',
    type: 'counter',
    unit: 'items',
    help: 'Requests to the distributor, by route and status.',
    labels: ['route', 'status'],
  },
  admission: {
    name: 'egret_admission_requests_total',
    type: 'counter',
    unit: 'items',
    help: 'Requests to the injection webhook, by result (patch, skip, refuse, bad) and reason.',
    labels: ['result', 'reason'],
  },
  waiting: {
    name: 'egret_distributor_waiting_requests',
    type: 'gauge',
    unit: 'items',
    help: 'Requests that wait for news of a policy set.',
    labels: [],
  },
} as const satisfies Readonly<Record<string, MetricDeclaration>>;

export type WriteObject = 'state' | 'copy' | 'lease' | 'event' | 'status';
export type WriteResult = 'done' | 'conflict' | 'failed';
export type ControllerOperation =
  | 'watch'
  | 'election'
  | 'round'
  | 'write'
  | 'event'
  | 'prometheus'
  | 'peers'
  | 'tokens'
  | 'distributor'
  | 'admission'
  | 'certificate';

/** One policy set at a scrape. */
export interface SetGauges {
  readonly set: string;
  readonly phase: string;
  /** Why it is paused; empty otherwise. */
  readonly reason: string;
  /** Hundredths of a percent. */
  readonly weight: number;
  readonly updatedAtMs: number;
}

export interface ControllerMetrics extends WatchMetrics {
  leads(leads: boolean): void;
  /** Asked at each scrape. */
  watchSets(sets: () => readonly SetGauges[]): void;
  watchSidecars(count: () => number): void;
  watchWaiting(count: () => number): void;
  wrote(object: WriteObject, result: WriteResult): void;
  event(set: string, reason: string): void;
  failed(operation: ControllerOperation): void;
  request(route: string, status: number): void;
  admission(result: string, reason: string): void;
  readonly contentType: string;
  render(): Promise<string>;
}

export function createControllerMetrics(): ControllerMetrics {
  const registry = new Registry<OpenMetricsContentType>();
  registry.setContentType(OPEN_METRICS);
  collectDefaultMetrics({ register: registry });
  const make = declared(registry);
  const M = CONTROLLER_METRICS;
  let sets: () => readonly SetGauges[] = () => [];
  let sidecars = () => 0;
  let waiting = () => 0;
  make.gauge(M.phase, (gauge) => {
    gauge.reset();
    for (const { set, phase, reason } of sets()) gauge.set({ set, phase, reason }, 1);
  });
  make.gauge(M.weight, (gauge) => {
    gauge.reset();
    for (const { set, weight } of sets()) gauge.set({ set }, weight / 10_000);
  });
  make.gauge(M.phaseSince, (gauge) => {
    gauge.reset();
    for (const { set, updatedAtMs } of sets()) gauge.set({ set }, updatedAtMs / 1000);
  });
  make.gauge(M.sidecars, (gauge) => gauge.set(sidecars()));
  make.gauge(M.waiting, (gauge) => gauge.set(waiting()));
  const leader = make.gauge(M.leader);
  leader.set(0);
  const writes = make.counter(M.writes);
  const events = make.counter(M.events);
  const errors = make.counter(M.errors);
  const requests = make.counter(M.requests);
  const admissions = make.counter(M.admission);
  return {
    ...watchMetrics(make),
    leads: (leads) => leader.set(leads ? 1 : 0),
    watchSets: (given) => {
      sets = given;
    },
    watchSidecars: (given) => {
      sidecars = given;
    },
    watchWaiting: (given) => {
      waiting = given;
    },
    wrote: (object, result) => writes.inc({ object, result }),
    event: (set, reason) => events.inc({ set, reason }),
    failed: (operation) => errors.inc({ operation }),
    request: (route, status) => requests.inc({ route, status: String(status) }),
    admission: (result, reason) => admissions.inc({ result, reason }),
    contentType: OPEN_METRICS,
    render: () => registry.metrics(),
  };
}
