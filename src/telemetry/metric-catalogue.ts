/**
 * Every Prometheus metric, declared once: name, kind, unit, labels and help. metric.ts makes them, docs/metrics.md is
 * rendered from them. Label values are bounded: closed registries, configured names, or capped with `other`. Pure.
 */

/** What one unit of the value is; for counters, what is counted. The name ends accordingly. */
export type Unit =
  | 'seconds'
  | 'unix seconds'
  | 'steps'
  | 'calls'
  | 'tunnels'
  | 'evaluations'
  | 'activations'
  | 'bundles'
  | 'errors'
  | 'records'
  | 'files'
  | 'items'
  | 'ratio'
  | 'one'
  | 'truth';

export interface MetricDeclaration {
  readonly name: `egret_${string}`;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly unit: Unit;
  readonly help: string;
  readonly labels: readonly string[];
  readonly buckets?: readonly number[];
  /** Carries a `trace_id` exemplar of sampled calls. */
  readonly exemplars?: true;
}

/** Calls wait for tools, so up to five minutes; the low end shows what the sidecar itself adds. */
const CALL_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 60, 300];
/** Parts of the sidecar's own work. */
const STAGE_BUCKETS = [
  0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.025, 0.1, 1, 10,
];
const FUEL_BUCKETS = [1e3, 1e4, 1e5, 1e6, 5e6, 1e7, 5e7, 1e8, 2e8];

export const METRICS = {
  calls: {
    name: 'egret_calls_total',
    type: 'counter',
    unit: 'calls',
    help: 'Tool calls that were answered, by what was decided and why.',
    labels: ['listener', 'tool', 'operation', 'decision', 'reason'],
  },
  callDuration: {
    name: 'egret_call_duration_seconds',
    type: 'histogram',
    unit: 'seconds',
    help: 'Time from the arrival of a call to the end of its answer, the tool included.',
    labels: ['listener', 'decision'],
    buckets: CALL_BUCKETS,
    exemplars: true,
  },
  stage: {
    name: 'egret_stage_seconds',
    type: 'histogram',
    unit: 'seconds',
    help: 'Time one stage of a call took: recognise, decide, audit or upstream.',
    labels: ['stage'],
    buckets: [...STAGE_BUCKETS, 60],
  },
  inflight: {
    name: 'egret_inflight_calls',
    type: 'gauge',
    unit: 'calls',
    help: 'Calls under way.',
    labels: [],
  },
  tunnels: {
    name: 'egret_tunnels',
    type: 'gauge',
    unit: 'tunnels',
    help: 'Open CONNECT tunnels.',
    labels: [],
  },
  shed: {
    name: 'egret_shed_total',
    type: 'counter',
    unit: 'calls',
    help: 'Calls and connections turned away because a bound was reached, by bound.',
    labels: ['cause'],
  },
  fenceProven: {
    name: 'egret_fence_proven',
    type: 'gauge',
    unit: 'truth',
    help: 'Whether the last trial from the side of the agent was held back as it must be: 1 yes, 0 no, absent without capture.',
    labels: [],
  },
  dnsQueries: {
    name: 'egret_dns_queries_total',
    type: 'counter',
    unit: 'items',
    help: 'Messages to the name server of the agent, by what they were answered; none is ever sent on.',
    labels: ['result'],
  },
  dnsSigns: {
    name: 'egret_dns_tunnelling_signs_total',
    type: 'counter',
    unit: 'items',
    help: 'Queries that look as if the agent tried to carry data in names, by sign. Nothing left that way.',
    labels: ['sign'],
  },
  policyEval: {
    name: 'egret_policy_eval_seconds',
    type: 'histogram',
    unit: 'seconds',
    help: 'Time one policy evaluation took inside the engine, by the policy that was asked.',
    labels: ['arm'],
    buckets: STAGE_BUCKETS,
    exemplars: true,
  },
  policyFuel: {
    name: 'egret_policy_fuel',
    type: 'histogram',
    unit: 'steps',
    help: 'Steps one policy evaluation was charged.',
    labels: [],
    buckets: FUEL_BUCKETS,
  },
  policyErrors: {
    name: 'egret_policy_errors_total',
    type: 'counter',
    unit: 'evaluations',
    help: 'Evaluations without a usable verdict, which deny, by reason.',
    labels: ['reason'],
  },
  wouldDeny: {
    name: 'egret_would_deny_total',
    type: 'counter',
    unit: 'calls',
    help: 'Calls let through by enforcement warn or dryrun although policy did not allow them.',
    labels: ['reason'],
  },
  bundleInfo: {
    name: 'egret_bundle_info',
    type: 'gauge',
    unit: 'one',
    help: 'Always 1; its labels name the active policy revision.',
    labels: ['name', 'revision', 'digest'],
  },
  bundleLastActivation: {
    name: 'egret_bundle_last_activation_timestamp_seconds',
    type: 'gauge',
    unit: 'unix seconds',
    help: 'When the active policy revision was activated.',
    labels: ['name'],
  },
  bundleActivations: {
    name: 'egret_bundle_activations_total',
    type: 'counter',
    unit: 'activations',
    help: 'Policy revisions that became active.',
    labels: ['name'],
  },
  bundleRejections: {
    name: 'egret_bundle_rejections_total',
    type: 'counter',
    unit: 'bundles',
    help: 'Bundles that the activation gate refused; the last good one stays active.',
    labels: ['name', 'code'],
  },
  policyDecisions: {
    name: 'egret_policy_decisions_total',
    type: 'counter',
    unit: 'calls',
    help: 'Calls about which a candidate was asked too, by whose verdict was enforced and what the policy in force said.',
    labels: ['set', 'arm', 'decision'],
  },
  policyDifferences: {
    name: 'egret_policy_diff_total',
    type: 'counter',
    unit: 'calls',
    help: 'Calls about which a candidate was asked too, by how its answer differed from that of the policy in force.',
    labels: ['set', 'kind'],
  },
  localTrips: {
    name: 'egret_policy_local_trip_total',
    type: 'counter',
    unit: 'items',
    help: 'Rollouts that this sidecar took itself out of because the candidate failed.',
    labels: ['set'],
  },
  policyInfo: {
    name: 'egret_policy_info',
    type: 'gauge',
    unit: 'one',
    help: 'Always 1; its labels name the bundle in each role, stable or candidate.',
    labels: ['set', 'role', 'digest'],
  },
  rolloutWeight: {
    name: 'egret_rollout_weight_ratio',
    type: 'gauge',
    unit: 'ratio',
    help: 'Part of the units that the candidate takes part in deciding for here, 0 to 1.',
    labels: ['set'],
  },
  reports: {
    name: 'egret_policy_reports_total',
    type: 'counter',
    unit: 'items',
    help: 'Reports about a rollout to the controller, by result.',
    labels: ['result'],
  },
  policyAge: {
    name: 'egret_policy_age_seconds',
    type: 'gauge',
    unit: 'seconds',
    help: 'Time since the source of the policy was last read successfully. Over the maximum staleness every call is denied.',
    labels: ['name'],
  },
  upstreamErrors: {
    name: 'egret_upstream_errors_total',
    type: 'counter',
    unit: 'errors',
    help: 'Allowed calls that failed on the way to the tool, by reason.',
    labels: ['reason'],
  },
  upstreamConnect: {
    name: 'egret_upstream_connect_seconds',
    type: 'histogram',
    unit: 'seconds',
    help: 'Time to open a new connection to a tool, TLS included.',
    labels: [],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  },
  auditRecords: {
    name: 'egret_audit_records_total',
    type: 'counter',
    unit: 'records',
    help: 'Records that are durable in the audit log, by kind.',
    labels: ['kind'],
  },
  auditCommit: {
    name: 'egret_audit_commit_seconds',
    type: 'histogram',
    unit: 'seconds',
    help: 'Time one group commit of the audit log took.',
    labels: [],
    buckets: STAGE_BUCKETS,
  },
  auditQueue: {
    name: 'egret_audit_queue_records',
    type: 'gauge',
    unit: 'records',
    help: 'Records waiting to become durable.',
    labels: [],
  },
  auditFailures: {
    name: 'egret_audit_failures_total',
    type: 'counter',
    unit: 'errors',
    help: 'Failed operations on the audit log, by operation. While it cannot be written, calls are refused.',
    labels: ['op'],
  },
  auditTreeSize: {
    name: 'egret_audit_tree_size',
    type: 'gauge',
    unit: 'records',
    help: 'Records in the audit log.',
    labels: [],
  },
  auditCheckpoint: {
    name: 'egret_audit_checkpoint_timestamp_seconds',
    type: 'gauge',
    unit: 'unix seconds',
    help: 'When the last checkpoint of the audit log was signed.',
    labels: [],
  },
  uploads: {
    name: 'egret_uploads_total',
    type: 'counter',
    unit: 'files',
    help: 'Requests to register a file that a user provided, by result.',
    labels: ['result'],
  },
  uploadsRegistered: {
    name: 'egret_uploads_registered',
    type: 'gauge',
    unit: 'files',
    help: 'Registered files that attachments are compared with.',
    labels: [],
  },
  kubeConnected: {
    name: 'egret_kube_watch_connected',
    type: 'gauge',
    unit: 'truth',
    help: 'Whether the watch on the Kubernetes API is open: 1 yes, 0 no. Calls do not depend on it; the policy stays the last good one.',
    labels: ['watch'],
  },
  kubeEventAge: {
    name: 'egret_kube_watch_last_event_age_seconds',
    type: 'gauge',
    unit: 'seconds',
    help: 'Time since the Kubernetes API said anything to the watch. About one minute at most while it is open.',
    labels: ['watch'],
  },
  kubeRelists: {
    name: 'egret_kube_relists_total',
    type: 'counter',
    unit: 'items',
    help: 'Lists that began a watch anew or were compared with it, by reason: start, gone, unreadable, drift or periodic.',
    labels: ['watch', 'reason'],
  },
  kubeGone: {
    name: 'egret_kube_gone_total',
    type: 'counter',
    unit: 'items',
    help: 'Watches that were refused because the version to go on from was too old (410).',
    labels: ['watch'],
  },
  kubeReconnects: {
    name: 'egret_kube_reconnects_total',
    type: 'counter',
    unit: 'items',
    help: 'Watches that ended, in order or not, and were asked for again.',
    labels: ['watch'],
  },
  kubeApplyErrors: {
    name: 'egret_kube_apply_errors_total',
    type: 'counter',
    unit: 'errors',
    help: 'Newest objects that could not be taken over; they are tried again.',
    labels: ['watch'],
  },
  kubeDrift: {
    name: 'egret_kube_drift_total',
    type: 'counter',
    unit: 'items',
    help: 'Objects that a list found changed although the watch had said nothing. Must stay 0: raise an alarm otherwise.',
    labels: ['watch'],
  },
  telemetryDropped: {
    name: 'egret_telemetry_dropped_total',
    type: 'counter',
    unit: 'items',
    help: 'Spans and log lines that were lost, by signal. Audit records are never among them.',
    labels: ['signal'],
  },
  eventLoopLag: {
    name: 'egret_event_loop_lag_seconds',
    type: 'gauge',
    unit: 'seconds',
    help: 'How late the event loop ran, 99th percentile since the last scrape.',
    labels: [],
  },
  buildInfo: {
    name: 'egret_build_info',
    type: 'gauge',
    unit: 'one',
    help: 'Always 1; its label names the version of the sidecar.',
    labels: ['version'],
  },
} as const satisfies Readonly<Record<string, MetricDeclaration>>;
