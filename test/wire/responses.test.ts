/**
 * Bad answers by name, each played by a tool of its own on a real socket: what the client sees, what the record says,
 * and that the next call on the same connection gets its own answer.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { statusOf } from '../e2e/agent.ts';
import {
  assertPaired,
  assertVerifies,
  decisionsOf,
  type Leaf,
  readLeaves,
} from '../e2e/audit-log.ts';
import type { SidecarProcess } from '../e2e/sidecar-process.ts';
import { auditOf, stageSidecar } from '../e2e/stage.ts';
import type { Expected, ResponseCase } from './response-case.ts';
import { BODY_CASES } from './response-cases-body.ts';
import { FIELD_CASES } from './response-cases-fields.ts';
import { HEAD_CASES } from './response-cases-head.ts';
import { type Answered, startClient } from './response-client.ts';
import { valuesOf } from './response-reader.ts';
import { type ScriptedTool, startScriptedTool } from './response-tool.ts';

const CASES = [...HEAD_CASES, ...FIELD_CASES, ...BODY_CASES];
const AT_ONCE = 24;
const LOOKS_MAX = 250;

void test('there are as many bad answers as promised, each under a name of its own', () => {
  assert.equal(new Set(CASES.map(({ name }) => name)).size, CASES.length);
  assert.ok(CASES.length >= 150, `${CASES.length}`);
});

void test('bad answers', { timeout: 180_000 }, async (t) => {
  const tools = await Promise.all(CASES.map(({ script }) => startScriptedTool(script)));
  t.after(() => Promise.all(tools.map((tool) => tool.close())));
  const sidecar = await stageSidecar(t, {
    config: {
      tools: Object.fromEntries(
        tools.map(({ port }, at) => [`t${at}`, { url: `http://127.0.0.1:${port}` }]),
      ),
      enforcement: 'dryrun',
      upstream: {
        headersTimeoutMs: 1000,
        bodyTimeoutMs: 1000,
        responseTimeoutMs: 2500,
        responseBytesMax: 1_048_576,
      },
    },
  });
  const played = await playAll(sidecar.ports.gateway, tools);
  await quiet(sidecar);
  const leaves = readLeaves(auditOf(sidecar));
  const outcomes = outcomesByTrace(leaves);
  for (const [at, one] of CASES.entries()) {
    await t.test(`${one.name}: ${sentenceOf(one.expected)}`, () => {
      const { first, second } = played[at] as Played;
      assertSeen(one, first);
      assertRecorded(one.expected, outcomes.get(traceOf(at)), first);
      assert.deepEqual(textOf(second), '200 good', 'the next call gets another answer');
      const { connections } = tools[at] as ScriptedTool;
      if (one.fresh) assert.equal(connections(), 2, 'the connection was used again');
    });
  }
  await t.test('and the sidecar is as it was', async () => {
    assert.equal((await statusOf(sidecar)).calls.under_way, 0);
    assertPaired(leaves);
    assert.equal(decisionsOf(leaves).length, 2 * CASES.length);
    assert.equal(await sidecar.stop(), 0);
    await assertVerifies(auditOf(sidecar));
  });
});

/** A call that never ends is a finding, which is then named: it is not waited for for ever. */
async function quiet(sidecar: SidecarProcess): Promise<void> {
  for (let looks = 0; looks < LOOKS_MAX; looks += 1) {
    const { audit, calls } = await statusOf(sidecar);
    if (audit.openCalls === 0 && calls.under_way === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

interface Played {
  readonly first: Answered;
  readonly second: Answered;
}

async function playAll(port: number, tools: readonly ScriptedTool[]): Promise<Played[]> {
  const played: Played[] = [];
  let next = 0;
  const worker = async () => {
    while (next < tools.length) {
      const at = next;
      next += 1;
      played[at] = await playOne(port, at);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return played;
}

async function playOne(port: number, at: number): Promise<Played> {
  const { method } = CASES[at] as ResponseCase;
  const client = await startClient(port);
  const first = await client.ask(method, requestOf(method, at));
  // What the tool has still to say comes before the next call.
  await new Promise((resolve) => setTimeout(resolve, 60));
  const again = client.open() ? client : await startClient(port);
  const second = await again.ask('GET', requestOf('GET', at, 'f'.repeat(32)));
  client.close();
  again.close();
  return { first, second };
}

const traceOf = (at: number) => `${at + 1}`.padStart(32, '0');
const requestOf = (method: string, at: number, trace = traceOf(at)) =>
  `${method} /tools/t${at}/ HTTP/1.1\r\nHost: 127.0.0.1\r\ntraceparent: 00-${trace}-00000000000000ff-01\r\n\r\n`;

function outcomesByTrace(leaves: readonly Leaf[]) {
  return new Map(
    leaves
      .filter(({ egret }) => egret.kind === 'outcome')
      .map((leaf) => [leaf.trace_id ?? '', leaf.egret.outcome]),
  );
}

const textOf = ({ reading }: Answered): string =>
  reading.kind === 'whole' ? `${reading.head.status} ${reading.body}${reading.rest}` : reading.kind;

function sentenceOf(expected: Expected): string {
  if (expected.as === 'answer') return `passed on with status ${expected.status}`;
  return `${expected.as} with ${expected.reason}`;
}

function assertSeen({ expected }: ResponseCase, { reading, ended, raw }: Answered): void {
  const shown = raw.slice(0, 600);
  if (expected.as === 'cut') {
    assert.equal(reading.kind, 'partial', shown);
    assert.ok(ended, 'a cut answer ends with its connection');
    return;
  }
  assert.ok(reading.kind === 'whole', `${reading.kind}: ${shown}`);
  assert.equal(reading.rest, '', 'bytes behind the answer');
  const [reason] = valuesOf(reading.head, 'x-egret-reason');
  assert.equal(valuesOf(reading.head, 'x-egret-decision-id').length, 1);
  if (expected.as === 'refused') {
    assert.equal(reason, expected.reason, shown);
    assert.ok(reading.head.status === 502 || reading.head.status === 504);
    return;
  }
  assert.equal(reason, undefined);
  assert.equal(reading.head.status, expected.status, shown);
  assert.ok(reading.body === expected.body, shown);
  assert.equal(valuesOf(reading.head, 'x-egret-decision-id')[0]?.length, 36);
  for (const [name, value] of Object.entries(expected.headers)) {
    const values = valuesOf(reading.head, name);
    assert.equal(values.length === 0 ? null : values.join('|'), value, name);
  }
}

function assertRecorded(
  expected: Expected,
  outcome: NonNullable<Leaf['egret']['outcome']> | undefined,
  { reading }: Answered,
): void {
  assert.ok(outcome !== undefined, 'no outcome in the log');
  assert.match(outcome.peer ?? '', /^127\.0\.0\.1:\d+$/);
  if (expected.as === 'answer') {
    const failed = expected.status >= 400;
    assert.deepEqual([outcome.result, outcome.reason], [failed ? 'tool_error' : 'completed', null]);
    assert.equal(outcome.status, expected.status);
    assert.equal(outcome.resp_bytes, reading.kind === 'whole' ? reading.body.length : -1);
  } else assert.deepEqual([outcome.result, outcome.reason], ['upstream_error', expected.reason]);
}
