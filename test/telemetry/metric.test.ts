// Metrics: what a scrape says after calls, and that no input makes it grow without bound.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Histogram, Registry } from 'prom-client';
import { createMetrics, type Metrics, type ObservedCall } from '../../src/telemetry/metric.ts';
import { METRICS, type MetricDeclaration } from '../../src/telemetry/metric-catalogue.ts';
import { TallyHistogram } from '../../src/telemetry/tally.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';

function call(change: Partial<ObservedCall> = {}): ObservedCall {
  return {
    listener: 'gateway',
    tool: { name: 'gmail.send', known: true, operation: 'write' },
    decision: 'allow',
    reason: 'policy.allowed',
    durationSeconds: 0.004,
    ...change,
  };
}

async function scrape(use: (metrics: Metrics) => void): Promise<string> {
  const metrics = createMetrics({ version: '1.2.3' });
  try {
    use(metrics);
    return await metrics.render();
  } finally {
    metrics.close();
  }
}

test('a call is counted once, also when it is scraped twice', async () => {
  const metrics = createMetrics({ version: '1.2.3' });
  metrics.observeCall(call());
  await metrics.render();
  metrics.observeCall(call());
  const text = await metrics.render();
  metrics.close();
  assert.match(
    text,
    /^egret_calls_total\{listener="gateway",tool="gmail.send",operation="write",decision="allow",reason="policy.allowed"\} 2$/m,
  );
  assert.match(
    text,
    /^egret_call_duration_seconds_count\{listener="gateway",decision="allow"\} 2$/m,
  );
  assert.match(text, /^egret_build_info\{version="1.2.3"\} 1$/m);
});

test('a sampled call leaves its trace id as the exemplar of its bucket, others leave none', async () => {
  const text = await scrape((metrics) => {
    metrics.observeCall(call({ traceId: TRACE }));
    metrics.observeCall(call({ durationSeconds: 0.2 }));
  });
  const exemplars = text.split('\n').filter((line) => line.includes(' # {'));
  assert.equal(exemplars.length, 1);
  assert.match(
    exemplars[0] ?? '',
    /^egret_call_duration_seconds_bucket\{le="0.005",.*\} 1 # \{trace_id="0af7651916cd43dd8448eb211c80319c"\} 0.004 [0-9.]+$/,
  );
});

test('a tool that the catalogue does not know counts as other', async () => {
  const tool = { name: 'evil"}\n', known: false, operation: 'unknown' } as const;
  const text = await scrape((metrics) => {
    metrics.observeCall(call({ tool, decision: 'deny', reason: 'policy.no_match' }));
    metrics.observeCall(call({ tool: null, decision: 'deny', reason: 'call.malformed' }));
  });
  assert.match(
    text,
    /tool="other",operation="unknown",decision="deny",reason="policy.no_match"\} 1/,
  );
  assert.match(
    text,
    /tool="other",operation="unknown",decision="deny",reason="call.malformed"\} 1/,
  );
  assert.doesNotMatch(text, /evil/);
});

test('at most 500 tools and 2000 series exist, and no call goes uncounted', async () => {
  const reasons = [
    'policy.denied',
    'policy.no_match',
    'policy.error',
    'policy.undefined',
    'bundle.stale',
  ] as const;
  const text = await scrape((metrics) => {
    for (let at = 0; at < 600; at += 1) {
      for (const reason of reasons) {
        const tool = { name: `tool.n${at}`, known: true, operation: 'write' } as const;
        metrics.observeCall(call({ tool, decision: 'deny', reason }));
      }
    }
  });
  const lines = text.split('\n').filter((line) => line.startsWith('egret_calls_total{'));
  const tools = new Set(lines.map((line) => /tool="([^"]*)"/.exec(line)?.[1]));
  assert.ok(tools.size <= 501, `${tools.size} tools`);
  assert.ok(lines.length <= 2000 + reasons.length, `${lines.length} series`);
  const total = lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  assert.equal(total, 3000);
});

test('only the active revision has a bundle info series', async () => {
  const text = await scrape((metrics) => {
    metrics.bundleActivated({ name: 'main', revision: 'r1', digest: 'sha256:aa', atMs: 1000 });
    metrics.bundleActivated({ name: 'main', revision: 'r2', digest: 'sha256:bb', atMs: 2500 });
    metrics.bundleRejected('main', 'signature');
  });
  assert.doesNotMatch(text, /revision="r1"/);
  assert.match(text, /egret_bundle_info\{name="main",revision="r2",digest="sha256:bb"\} 1/);
  assert.match(text, /egret_bundle_last_activation_timestamp_seconds\{name="main"\} 2.5/);
  assert.match(text, /egret_bundle_activations_total\{name="main"\} 2/);
  assert.match(text, /egret_bundle_rejections_total\{name="main",code="signature"\} 1/);
});

test('gauges are read at the scrape', async () => {
  const text = await scrape((metrics) => {
    metrics.watchAudit(() => ({ queue: 3, size: 42, lastCheckpointMs: 1500 }));
    metrics.watchUploads(() => 7);
    metrics.watchPolicyAge('main', () => 12.5);
    metrics.watchPolicyAge('gone', () => null);
    metrics.addInflight(1);
    metrics.addInflight(1);
    metrics.addInflight(-1);
    metrics.addTunnels(1);
  });
  for (const line of [
    'egret_audit_queue_records 3',
    'egret_audit_tree_size 42',
    'egret_audit_checkpoint_timestamp_seconds 1.5',
    'egret_uploads_registered 7',
    'egret_policy_age_seconds{name="main"} 12.5',
    'egret_inflight_calls 1',
    'egret_tunnels 1',
  ]) {
    assert.ok(text.split('\n').includes(line), line);
  }
  assert.doesNotMatch(text, /name="gone"/);
});

test('every function leaves the metric it is named after', async () => {
  const text = await scrape((metrics) => {
    metrics.observeStage('decide', 0.0001);
    metrics.shed('calls');
    metrics.observeEvaluation({ seconds: 0.00002, fuel: 5000, traceId: TRACE });
    metrics.policyError('policy.error');
    metrics.wouldDeny('policy.denied');
    metrics.upstreamError('upstream.timeout');
    metrics.observeConnect(0.01);
    metrics.auditRecord('decision');
    metrics.auditRecord('outcome', 2);
    metrics.observeCommit(0.001);
    metrics.auditFailure('fsync');
    metrics.upload('registered');
    metrics.dnsQuery('no_name');
    metrics.dnsTunnellingSign('long_name');
    metrics.telemetryDropped('traces', 5);
  });
  for (const line of [
    'egret_stage_seconds_count{stage="decide"} 1',
    'egret_shed_total{cause="calls"} 1',
    'egret_policy_eval_seconds_count{arm="stable"} 1',
    'egret_policy_fuel_sum 5000',
    'egret_policy_errors_total{reason="policy.error"} 1',
    'egret_would_deny_total{reason="policy.denied"} 1',
    'egret_upstream_errors_total{reason="upstream.timeout"} 1',
    'egret_upstream_connect_seconds_count 1',
    'egret_audit_records_total{kind="decision"} 1',
    'egret_audit_records_total{kind="outcome"} 2',
    'egret_audit_commit_seconds_count 1',
    'egret_audit_failures_total{op="fsync"} 1',
    'egret_uploads_total{result="registered"} 1',
    'egret_dns_queries_total{result="no_name"} 1',
    'egret_dns_tunnelling_signs_total{sign="long_name"} 1',
    'egret_telemetry_dropped_total{signal="traces"} 5',
  ]) {
    assert.ok(text.split('\n').includes(line), line);
  }
});

test('a watch shows its state at the scrape, and its counters from the start', async () => {
  const text = await scrape((metrics) => {
    const watch = metrics.kubeWatch('state', () => ({ connected: true, heardAgoMs: 2500 }));
    metrics.kubeWatch('bundle', () => ({ connected: false, heardAgoMs: null }));
    watch.relisted('gone');
    watch.gone();
    watch.reconnected();
    watch.applyError();
    watch.drift(2);
  });
  for (const line of [
    'egret_kube_watch_connected{watch="state"} 1',
    'egret_kube_watch_connected{watch="bundle"} 0',
    'egret_kube_watch_last_event_age_seconds{watch="state"} 2.5',
    'egret_kube_relists_total{watch="state",reason="gone"} 1',
    'egret_kube_gone_total{watch="state"} 1',
    'egret_kube_reconnects_total{watch="state"} 1',
    'egret_kube_apply_errors_total{watch="state"} 1',
    'egret_kube_drift_total{watch="state"} 2',
    'egret_kube_drift_total{watch="bundle"} 0',
  ]) {
    assert.ok(text.split('\n').includes(line), line);
  }
  assert.doesNotMatch(text, /event_age_seconds\{watch="bundle"/);
});

test('a scrape holds every declared metric with its help and type, and ends as OpenMetrics does', async () => {
  const text = await scrape((metrics) => metrics.fenceProven(true));
  for (const { name, type, help } of Object.values<MetricDeclaration>(METRICS)) {
    const family = type === 'counter' ? name.replace(/_total$/, '') : name;
    assert.ok(text.includes(`# TYPE ${family} ${type}\n`), name);
    assert.ok(text.includes(`# HELP ${family} ${help}\n`), name);
  }
  assert.ok(text.endsWith('# EOF\n'));
});

test('two sidecars in one process share no metric, and process metrics come when asked for', async () => {
  const one = createMetrics({ version: '1', processMetrics: true });
  const two = createMetrics({ version: '2' });
  one.shed('calls');
  assert.match(await one.render(), /process_cpu_seconds_total/);
  assert.doesNotMatch(await two.render(), /egret_shed_total\{|process_cpu/);
  one.close();
  two.close();
});

test('the tallied histogram prints what the histogram of prom-client prints', async () => {
  const buckets = [0.1, 1, 10];
  const declaration = { ...METRICS.stage, name: 'egret_x_seconds', buckets } as const;
  await fc.assert(
    fc.asyncProperty(fc.array(fc.double({ min: 0, max: 20, noNaN: true })), async (values) => {
      const ours = new Registry();
      const theirs = new Registry();
      const tally = new TallyHistogram(declaration);
      ours.registerMetric(tally as unknown as Histogram);
      const child = tally.child({ stage: 'decide' });
      const twin = new Histogram({
        name: declaration.name,
        help: declaration.help,
        labelNames: ['stage'],
        buckets,
        registers: [theirs],
      });
      twin.zero({ stage: 'decide' });
      for (const value of values) {
        child.observe(value);
        twin.observe({ stage: 'decide' }, value);
      }
      assert.equal(await ours.metrics(), await theirs.metrics());
    }),
  );
});

test('an observation that is no number is left out instead of breaking the scrape', async () => {
  const text = await scrape((metrics) => metrics.observeStage('audit', Number.NaN));
  assert.match(text, /egret_stage_seconds_count\{stage="audit"\} 0/);
});
