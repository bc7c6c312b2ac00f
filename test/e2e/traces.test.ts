/**
 * One call as a trace shows it: a server span in the trace of the agent, deciding and recording and the client span
 * below it, the context handed to the tool, the exemplar in the metrics; and names that no agent can choose.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type CollectedSpan, startCollector } from '../telemetry/collector.ts';
import { adminText, eventually, MCP_HEADERS, mailCall, post } from './agent.ts';
import { decisionsOf, readLeaves } from './audit-log.ts';
import { auditOf, stageMail } from './stage.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
const OTHER = '11111111111111111111111111111111';
const [INTERNAL, SERVER, CLIENT] = [1, 2, 3];

async function stage(t: TestContext) {
  const collector = await startCollector();
  t.after(() => collector.close());
  const telemetry = { traces: { endpoint: collector.url } };
  const staged = await stageMail(t, { config: { telemetry } });
  const url = `http://127.0.0.1:${staged.sidecar.ports.gateway}/mcp/mail`;
  /** The spans of a trace, when as many as this have arrived. */
  const spansOf = async (count: number, trace: string) => {
    const found = () => collector.spans.filter(({ traceId }) => traceId === trace);
    await eventually(() => found().length === count);
    return found();
  };
  return { ...staged, collector, url, spansOf };
}

const byName = (spans: readonly CollectedSpan[], name: string) => {
  const found = spans.find((span) => span.name === name);
  assert.ok(found, `${name} in ${spans.map((span) => span.name).join(', ')}`);
  return found;
};

void test('a call is a server span with deciding, recording and the tool below it', async (t) => {
  const { sidecar, tool, url, spansOf } = await stage(t);
  const _meta = { traceparent: `00-${TRACE}-${PARENT}-01` };
  const headers = { ...MCP_HEADERS, traceparent: `00-${OTHER}-${PARENT}-01` };
  const answer = await post(url, mailCall({}, { _meta }), headers);
  assert.equal(answer.reason, '');
  const spans = await spansOf(4, TRACE);
  const server = byName(spans, 'tools/call gmail.send');
  assert.deepEqual([server.kind, server.parentSpanId], [SERVER, PARENT]);
  assert.deepEqual(
    server.links.map(({ traceId }) => traceId),
    [OTHER],
    'beside _meta the header is a link',
  );
  for (const [name, kind] of [
    ['policy.evaluate', INTERNAL],
    ['audit.commit', INTERNAL],
    ['POST', CLIENT],
  ] as const) {
    const child = byName(spans, name);
    assert.deepEqual([child.kind, child.parentSpanId], [kind, server.spanId], name);
  }
  assert.equal(
    tool.received[0]?.headers['traceparent'],
    `00-${TRACE}-${byName(spans, 'POST').spanId}-01`,
  );
  const [leaf] = decisionsOf(readLeaves(auditOf(sidecar)));
  assert.equal(leaf?.trace_id, TRACE);
  const metrics = await adminText(sidecar.ports, '/metrics');
  for (const metric of ['egret_call_duration_seconds', 'egret_policy_eval_seconds']) {
    assert.match(metrics, new RegExp(`^${metric}_bucket\\{.*# \\{trace_id="${TRACE}"\\}`, 'm'));
  }
});

void test('a refused call is kept although its trace is not sampled, and has no client span', async (t) => {
  const { url, spansOf } = await stage(t);
  const headers = { ...MCP_HEADERS, traceparent: `00-${TRACE}-${PARENT}-00` };
  const answer = await post(url, mailCall({ to: ['somebody@else.example'] }), headers);
  assert.equal(answer.reason, 'policy.denied');
  const spans = await spansOf(3, TRACE);
  assert.deepEqual(spans.map(({ name }) => name).toSorted(), [
    'audit.commit',
    'policy.evaluate',
    'tools/call gmail.send',
  ]);
});

void test('neither a tool nor a method that nobody knows becomes the name of a span', async (t) => {
  const { url, spansOf } = await stage(t);
  const word = 'a-word-of-the-agent';
  const headers = { ...MCP_HEADERS, traceparent: `00-${TRACE}-${PARENT}-01` };
  await post(url, mailCall({}, { name: word }), headers);
  await post(url, JSON.stringify({ jsonrpc: '2.0', id: 1, method: word, params: {} }), headers);
  await post(url, JSON.stringify({ jsonrpc: '2.0', id: 2, method: 'tools/list' }), headers);
  const names = (await spansOf(10, TRACE))
    .filter(({ kind }) => kind === SERVER)
    .map(({ name }) => name);
  assert.deepEqual(names.toSorted(), ['_OTHER', 'tools/call', 'tools/list']);
});
