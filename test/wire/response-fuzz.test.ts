/**
 * Mutated answers, played by tools on real sockets to a real sidecar: the client sees exactly one valid answer or a cut
 * connection, never a byte of another call's answer; the sidecar lives, stays ready, and has each call on record once.
 * EGRET_FUZZ_ANSWERS says how many; EGRET_FUZZ_SEED repeats a run that failed.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { assertVerifies, type Leaf, readLeaves } from '../e2e/audit-log.ts';
import { type SidecarProcess, startSidecarProcess } from '../e2e/sidecar-process.ts';
import { auditOf } from '../e2e/stage.ts';
import { type Answered, type Client, startClient } from './response-client.ts';
import { type FuzzTool, startFuzzTool } from './response-fuzz-tool.ts';
import { type FuzzedAnswer, fuzzedAnswer } from './response-mutation.ts';
import { valuesOf } from './response-reader.ts';
import { type Fate, fateOf, faultOf } from './response-verdict.ts';

const ANSWERS = Number(process.env['EGRET_FUZZ_ANSWERS'] ?? 1_500);
const SEED = Number(process.env['EGRET_FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
/** Answers to one sidecar: its record is read whole. */
const SLICE = 10_000;
/** With fewer, chance decides what comes of them. */
const ENOUGH = 1_000;
const AT_ONCE = 24;
const LOOK_EVERY = 500;
const FAULTS_SHOWN = 5;

interface Played {
  readonly sent: FuzzedAnswer;
  readonly seen: Answered;
  readonly requests: number;
  /** The tool had reset the connection of the call before. */
  readonly afterReset: boolean;
  readonly settled: boolean;
}

void test(`${ANSWERS} mutated answers do no harm`, {
  timeout: 120_000 + ANSWERS * 60,
}, async (t) => {
  assert.ok(Number.isSafeInteger(ANSWERS) && Number.isSafeInteger(SEED));
  t.diagnostic(`EGRET_FUZZ_SEED=${SEED}`);
  const fates: Record<Fate, number> = { passed: 0, refused: 0, cut: 0 };
  for (let first = 0; first < ANSWERS; first += SLICE) {
    const found = await slice(t, first, Math.min(ANSWERS, first + SLICE));
    for (const fate of ['passed', 'refused', 'cut'] as const) fates[fate] += found[fate];
  }
  t.diagnostic(JSON.stringify(fates));
  // A generator whose answers all meet the same fate tries nothing.
  for (const count of Object.values(fates)) assert.ok(count > ANSWERS / 50, JSON.stringify(fates));
});

async function slice(t: TestContext, first: number, end: number): Promise<Record<Fate, number>> {
  const tools = await Promise.all(Array.from({ length: AT_ONCE }, () => startFuzzTool()));
  try {
    const sidecar = await startSidecarProcess({ config: configFor(tools) });
    try {
      const played = await playAll(sidecar, tools, first, end);
      const connections = tools.reduce((sum, tool) => sum + tool.connections(), 0);
      t.diagnostic(`answers ${first} to ${end}: ${connections} connections`);
      // Some connections were used again, or nothing was tried about what stands behind an answer.
      if (ANSWERS >= ENOUGH) assert.ok(connections < played.length, `${connections} connections`);
      return await judgedWithRecord(sidecar, played);
    } finally {
      await sidecar.kill();
      sidecar.remove();
    }
  } finally {
    await Promise.all(tools.map((tool) => tool.close()));
  }
}

async function judgedWithRecord(
  sidecar: SidecarProcess,
  played: readonly Played[],
): Promise<Record<Fate, number>> {
  await assertWell(sidecar);
  assert.equal(await sidecar.stop(), 0, sidecar.errors.join('\n'));
  assert.deepEqual(sidecar.errors, []);
  await assertVerifies(auditOf(sidecar));
  return judged(played, readLeaves(auditOf(sidecar)));
}

/** How a call is made follows from its number, so that a run can be repeated. */
const KINDS = ['tool', 'mcp', 'proxied', 'tool'] as const;
type Kind = (typeof KINDS)[number];
const kindOf = (index: number) => KINDS[index % KINDS.length] as Kind;

function configFor(tools: readonly FuzzTool[]): Record<string, unknown> {
  const urls = tools.map(({ port }, lane) => [`t${lane}`, { url: `http://127.0.0.1:${port}/` }]);
  return {
    tools: Object.fromEntries(urls),
    mcpServers: Object.fromEntries(urls),
    enforcement: 'dryrun',
    upstream: {
      hosts: Object.fromEntries(
        tools.map(({ port }, lane) => [`t${lane}.example:80`, `127.0.0.1:${port}`]),
      ),
      headersTimeoutMs: 1000,
      bodyTimeoutMs: 1000,
      responseTimeoutMs: 2500,
      responseBytesMax: 65_536,
    },
  };
}

async function playAll(
  sidecar: SidecarProcess,
  tools: readonly FuzzTool[],
  first: number,
  end: number,
): Promise<Played[]> {
  const played: Played[] = [];
  const { gateway, proxy } = sidecar.ports;
  let next = first;
  const lane = async (tool: FuzzTool, at: number) => {
    const clients = new Map<number, Client>();
    let afterReset = false;
    while (next < end) {
      const index = next;
      next += 1;
      if (index % LOOK_EVERY === 0) await assertWell(sidecar);
      const sent = fuzzedAnswer(SEED, index, kindOf(index) === 'mcp');
      const port = kindOf(index) === 'proxied' ? proxy : gateway;
      const known = clients.get(port);
      const client = known?.open() === true ? known : await startClient(port);
      clients.set(port, client);
      tool.load(sent.script);
      const seen = await client.ask(sent.method, requestOf(sent, at));
      const settled = await tool.settled(sent.mayStay);
      played.push({ sent, seen, settled, afterReset, requests: tool.requests() });
      afterReset = sent.script.at(-1) === 'reset';
    }
    for (const client of clients.values()) client.close();
  };
  await Promise.all(tools.map(lane));
  return played;
}

const traceOf = (index: number) => `${index + 1}`.padStart(32, '0');

function requestOf({ index, method }: FuzzedAnswer, lane: number): string {
  const traceparent = `00-${traceOf(index)}-00000000000000ff-01`;
  const kind = kindOf(index);
  const target = kind === 'proxied' ? `http://t${lane}.example/` : `/tools/t${lane}/`;
  const host = kind === 'proxied' ? `t${lane}.example` : '127.0.0.1';
  if (kind !== 'mcp') {
    const length = method === 'POST' ? 'Content-Length: 0\r\n' : '';
    return `${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n${length}traceparent: ${traceparent}\r\n\r\n`;
  }
  const params = { name: 'find', arguments: {}, _meta: { traceparent } };
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params });
  return (
    `POST /mcp/t${lane} HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\n` +
    `Accept: application/json, text/event-stream\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  );
}

async function assertWell(sidecar: SidecarProcess): Promise<void> {
  assert.equal(sidecar.process.exitCode, null, `the sidecar ended: ${sidecar.errors.join('\n')}`);
  const { status } = await fetch(`http://127.0.0.1:${sidecar.ports.admin}/readyz`);
  assert.equal(status, 200, 'the sidecar is not ready');
}

function judged(played: readonly Played[], leaves: readonly Leaf[]): Record<Fate, number> {
  const byTrace = Map.groupBy(leaves, ({ trace_id }) => trace_id ?? '');
  const fates: Record<Fate, number> = { passed: 0, refused: 0, cut: 0 };
  const faults: string[] = [];
  for (const one of played) {
    fates[fateOf(one.seen)] += 1;
    const fault = faultIn(one, byTrace.get(traceOf(one.sent.index)) ?? []);
    if (fault !== null) faults.push(described(fault, one));
  }
  assert.equal(
    faults.length,
    0,
    `EGRET_FUZZ_SEED=${SEED}: ${faults.length} faults\n${faults.slice(0, FAULTS_SHOWN).join('\n')}`,
  );
  return fates;
}

function faultIn(played: Played, leaves: readonly Leaf[]): string | null {
  const { sent, seen, requests, settled } = played;
  const kinds = leaves.map(({ egret }) => egret.kind).toSorted();
  if (kinds.join() !== 'decision,outcome') return `recorded as ${kinds.join() || 'nothing'}`;
  if (metReset(played)) return null;
  if (requests !== 1) return `sent ${requests} times`;
  if (!settled) return 'a connection with more or less than an answer on it was kept';
  const outcome = leaves.find(({ egret }) => egret.kind === 'outcome')?.egret.outcome;
  return outcome === undefined ? 'an outcome without content' : faultOf(sent, seen, outcome);
}

/** A reset and the next call can cross on their way. Then the call has met a dead connection, and is not repeated. */
const metReset = ({ seen, requests, afterReset }: Played): boolean =>
  requests === 0 &&
  afterReset &&
  seen.reading.kind === 'whole' &&
  valuesOf(seen.reading.head, 'x-egret-reason').join() === 'upstream.reset';

function described(fault: string, { sent, seen }: Played): string {
  const script = JSON.stringify(sent.script).slice(0, 1_500);
  return `answer ${sent.index} (${sent.method}): ${fault}\n  sent ${script}\n  seen ${JSON.stringify(seen.raw.slice(0, 800))}`;
}
