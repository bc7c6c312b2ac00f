// Traces as a collector on a real socket receives them, and as the next party sees them in headers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ATTRIBUTES, SPANS } from '../../src/telemetry/semconv.ts';
import { type CallSpan, createTracing, type TracingOptions } from '../../src/telemetry/trace.ts';
import { parseTraceparent } from '../../src/telemetry/trace-context.ts';
import { SPANS_QUEUED_MAX } from '../../src/telemetry/trace-export.ts';
import { attributesOf, type Collector, startCollector } from './collector.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';
const SAMPLED = `00-${TRACE}-${SPAN}-01`;
const UNSAMPLED = `00-${TRACE}-${SPAN}-00`;
const service = { serviceName: 'egret', serviceVersion: '1.2.3' } as const;

/** Runs calls against a collector and returns what it received. */
async function collect(
  use: (startCall: (name?: string, traceparent?: string) => CallSpan) => void,
  options: Partial<TracingOptions> = {},
): Promise<Collector> {
  const collector = await startCollector();
  const tracing = await createTracing({ ...service, endpoint: collector.url, ...options });
  use((name = 'tools/call gmail.send', traceparent = undefined) =>
    tracing.startCall({ name, traceparent }),
  );
  await tracing.close();
  await collector.close();
  return collector;
}

test('a call becomes a server span with its children under it, in the trace of the agent', async () => {
  let outgoing = '';
  const { spans, bodies } = await collect((startCall) => {
    const call = startCall('POST', SAMPLED);
    call.child(SPANS.decide, 'internal').end({ attributes: { [ATTRIBUTES.policyFuel]: 4711 } });
    call.child(SPANS.audit, 'internal').end();
    const upstream = call.child('tools/call', 'client', { [ATTRIBUTES.serverPort]: 443 });
    outgoing = upstream.traceparent();
    upstream.end();
    call.setName('tools/call gmail.send');
    call.setAttributes({ [ATTRIBUTES.reason]: 'policy.allowed' });
    call.end({ attributes: { [ATTRIBUTES.decision]: 'allow' } });
  });
  const server = spans.find((span) => span.kind === 2);
  assert.equal(server?.name, 'tools/call gmail.send');
  assert.equal(server.parentSpanId, SPAN);
  assert.deepEqual(attributesOf(server), {
    'egret.reason': 'policy.allowed',
    'egret.decision': 'allow',
  });
  assert.deepEqual(
    spans.map((span) => span.traceId),
    [TRACE, TRACE, TRACE, TRACE],
  );
  const children = spans.filter((span) => span !== server);
  assert.deepEqual(
    children.map((span) => [span.name, span.kind, span.parentSpanId]),
    [
      ['policy.evaluate', 1, server.spanId],
      ['audit.commit', 1, server.spanId],
      ['tools/call', 3, server.spanId],
    ],
  );
  assert.equal(outgoing, `00-${TRACE}-${children[2]?.spanId}-01`);
  assert.deepEqual(attributesOf(children[0]), { 'egret.policy.fuel': 4711 });
  assert.match(bodies.join(), /"key":"service.name","value":\{"stringValue":"egret"\}/);
  for (const span of spans) {
    assert.ok(BigInt(span.startTimeUnixNano) <= BigInt(span.endTimeUnixNano));
    assert.ok(BigInt(span.startTimeUnixNano) >= BigInt(server.startTimeUnixNano));
  }
});

test('an invalid traceparent starts a new trace and is not passed on', async () => {
  const { spans } = await collect((startCall) => startCall('GET', `00-${TRACE}-${SPAN}-1`).end());
  assert.equal(spans.length, 1);
  assert.notEqual(spans[0]?.traceId, TRACE);
  assert.ok(!spans[0]?.parentSpanId);
});

test('beside the context in MCP _meta, the one of the HTTP header is a link', async () => {
  const collector = await startCollector();
  const tracing = await createTracing({ ...service, endpoint: collector.url });
  const other = '4bf92f3577b34da6a3ce929d0e0e4736';
  tracing
    .startCall({
      name: 'x',
      traceparent: SAMPLED,
      tracestate: 'congo=t61',
      links: [`00-${other}-${SPAN}-01`, 'not one', undefined],
    })
    .end();
  await tracing.close();
  await collector.close();
  assert.deepEqual(
    collector.spans[0]?.links.map((link) => link.traceId),
    [other],
  );
  assert.equal(collector.spans[0]?.traceState, 'congo=t61');
});

test('a trace that is not sampled is kept only when the call was denied, held or failed', async () => {
  const { spans } = await collect((startCall) => {
    startCall('allowed', UNSAMPLED).end();
    startCall('denied', UNSAMPLED).end({ keep: true });
    const failing = startCall('failed', UNSAMPLED);
    failing.child('tools/call', 'client').end({ failed: true });
    failing.end({ failed: true });
  });
  assert.deepEqual(
    spans.map((span) => span.name),
    ['denied', 'tools/call', 'failed'],
  );
  assert.deepEqual(
    spans.map((span) => span.status.code),
    [0, 2, 2],
  );
});

test('without a parent the sample ratio decides, and the decision is handed on', async () => {
  const flags: string[] = [];
  const { spans } = await collect(
    (startCall) => {
      const call = startCall();
      flags.push(call.child('x', 'client').traceparent().slice(-2), String(call.sampled));
      call.end();
      startCall().end({ keep: true });
    },
    { sampleRatio: 0 },
  );
  assert.deepEqual(flags, ['00', 'false']);
  assert.equal(spans.length, 1);
});

test('a child that outlives its call is exported with it or dropped with it', async () => {
  const { spans } = await collect((startCall) => {
    const kept = startCall('kept', SAMPLED);
    const dropped = startCall('dropped', UNSAMPLED);
    const late = kept.child('late', 'client');
    const lost = dropped.child('lost', 'client');
    kept.end();
    dropped.end();
    late.end();
    late.end();
    lost.end();
    kept.end();
  });
  assert.deepEqual(
    spans.map((span) => span.name),
    ['kept', 'late'],
  );
});

test('an attribute that is not on the list, a secret and a long text do not reach the collector', async () => {
  const secret = 'hunter2hunter2';
  const { bodies, spans } = await collect((startCall) => {
    const call = startCall(`GET bearer ${secret}`);
    call.setAttributes({ 'http.request.header.cookie': secret } as never);
    call.setAttributes({ [ATTRIBUTES.errorType]: `Authorization: Bearer ${secret}` });
    call.setAttributes({ [ATTRIBUTES.toolServer]: 'x'.repeat(5000) });
    call.end();
  });
  assert.equal(spans.length, 1);
  assert.ok(!bodies.join().includes(secret));
  assert.ok(bodies.join().length < 3000);
});

test('a call keeps at most 32 children, the rest is counted as dropped', async () => {
  let dropped = 0;
  const { spans } = await collect(
    (startCall) => {
      const call = startCall();
      for (let at = 0; at < 40; at += 1) call.child('x', 'internal').end();
      call.end();
    },
    { onDropped: (count) => (dropped += count) },
  );
  assert.equal(spans.length, 33);
  assert.equal(dropped, 8);
});

test('spans that a collector refuses are counted as dropped', async () => {
  const collector = await startCollector('refuse');
  let dropped = 0;
  const onDropped = (count: number) => (dropped += count);
  const tracing = await createTracing({ ...service, endpoint: collector.url, onDropped });
  tracing.startCall({ name: 'x' }).end();
  await tracing.close();
  await collector.close();
  assert.equal(dropped, 1);
});

test('with a collector that is down nothing throws, and every span is counted', async () => {
  const gone = await startCollector();
  await gone.close();
  let dropped = 0;
  const tracing = await createTracing({
    ...service,
    endpoint: gone.url,
    exportTimeoutMs: 300,
    onDropped: (count) => (dropped += count),
  });
  for (let at = 0; at < 10; at += 1) tracing.startCall({ name: 'x' }).end();
  await tracing.close();
  assert.equal(dropped, 10);
});

test('with a collector that never answers at most a full queue waits, and calls go on at once', async () => {
  const collector = await startCollector('hang');
  let dropped = 0;
  const tracing = await createTracing({
    ...service,
    endpoint: collector.url,
    exportTimeoutMs: 500,
    onDropped: (count) => (dropped += count),
  });
  const calls = SPANS_QUEUED_MAX * 3;
  for (let at = 0; at < calls; at += 1) tracing.startCall({ name: 'x' }).end();
  // Nothing was awaited since the first call, so at most one batch is on its way and one queue is waiting.
  assert.ok(dropped >= calls - SPANS_QUEUED_MAX - 512, `${dropped} dropped`);
  await tracing.close();
  await collector.close();
  assert.equal(dropped, calls);
});

test('without an endpoint every call still has fresh ids, and the context of the agent is handed on', async () => {
  const tracing = await createTracing(service);
  const ids = new Set<string>();
  for (let at = 0; at < 1000; at += 1) {
    const call = tracing.startCall({ name: 'x' });
    assert.match(call.traceId, /^[0-9a-f]{32}$/);
    assert.match(call.spanId, /^[0-9a-f]{16}$/);
    assert.equal(parseTraceparent(call.child('y', 'client').traceparent())?.traceId, call.traceId);
    ids.add(call.traceId).add(call.spanId);
    call.end();
  }
  assert.equal(ids.size, 2000);
  const call = tracing.startCall({ name: 'x', traceparent: SAMPLED, tracestate: 'a=b' });
  assert.equal(call.traceId, TRACE);
  assert.equal(call.child('y', 'client').traceparent(), SAMPLED);
  assert.equal(call.tracestate, 'a=b');
  assert.equal(
    tracing.startCall({ name: 'x', traceparent: 'bad', tracestate: 'a=b' }).tracestate,
    null,
  );
  await tracing.close();
});
