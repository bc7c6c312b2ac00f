/**
 * Odd and hostile requests by name, as bytes on the socket. Each is refused with its reason, leaves exactly one record
 * and reaches no tool; or three different servers see one and the same request, and it is the one on record.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { REASONS, type ReasonCode } from '../../src/decision/reason.ts';
import { assertVerifies } from '../e2e/audit-log.ts';
import { ROOT } from '../e2e/sidecar-process.ts';
import { exchange, type WireAnswer } from '../e2e/wire.ts';
import { NGINX_FIELDS, type Origin, type OriginName, type Sighting } from './origin.ts';
import type { Recorded, RecordLeaf } from './record.ts';
import type { RequestCase, Seen } from './request-case.ts';
import { BODY_CASES } from './request-cases-body.ts';
import { FIELD_CASES } from './request-cases-fields.ts';
import { FRAMING_CASES } from './request-cases-framing.ts';
import { MCP_CASES } from './request-cases-mcp.ts';
import { ODDITY_CASES } from './request-cases-oddities.ts';
import { TARGET_CASES } from './request-cases-target.ts';
import { type RequestStage, stageOrigins, stageRequests } from './request-stage.ts';
import { assertSameMeaning, traceIdOf, valuesOf } from './same-meaning.ts';

const CASES: readonly RequestCase[] = [
  ...ODDITY_CASES,
  ...FRAMING_CASES,
  ...TARGET_CASES,
  ...FIELD_CASES,
  ...BODY_CASES,
  ...MCP_CASES,
];
const ODDITIES = 22;
const NGINX: ReadonlySet<string> = new Set(NGINX_FIELDS);
const PATIENCE_MS = 5_000;
const LIMITS = { headersTimeoutMs: 1000, requestTimeoutMs: 1000, bodyBytesMax: 100_000 };

void test('there are as many requests as promised, each under a name of its own', () => {
  assert.equal(new Set(CASES.map(({ name }) => name)).size, CASES.length);
  assert.ok(CASES.length >= 500, `${CASES.length}`);
});

void test('every oddity of the parser has a request that pins it, named in docs/http-hardening.md', () => {
  const rows = readFileSync(join(ROOT, 'docs/http-hardening.md'), 'utf8').split('\n');
  for (let oddity = 1; oddity <= ODDITIES; oddity += 1) {
    const names = CASES.filter((one) => one.oddity === oddity).map(({ name }) => name);
    assert.ok(names.length > 0, `no request for oddity ${oddity}`);
    const row = rows.find((line) => line.startsWith(`| ${oddity} |`)) ?? '';
    assert.ok(
      names.some((name) => row.includes(`\`${name}\``)),
      `docs/http-hardening.md: row ${oddity} names none of ${names.join(', ')}`,
    );
  }
});

void test('odd and hostile requests', { timeout: 180_000 }, async (t) => {
  const origins = await stageOrigins(t);
  const stage = await stageRequests(t, origins, LIMITS);
  stage.records.take();
  for (const one of CASES) {
    await t.test(`${one.at}: ${one.name}: ${sentenceOf(one)}`, async () => {
      for (const origin of one.seen.length > 0 ? origins : origins.slice(0, 1)) {
        await play(stage, origin, one).finally(() => drained(stage));
      }
    });
  }
  await t.test('after all of them the sidecar stops in order, and its log verifies', async () => {
    assert.deepEqual(stage.sidecar.errors, []);
    assert.equal(await stage.sidecar.stop(), 0);
    await assertVerifies(stage.audit);
  });
});

function sentenceOf({ refused, seen }: RequestCase): string {
  const passes =
    seen.length === 0 ? [] : [`seen as ${seen.map(({ target }) => target).join(', ')}`];
  return [...refused.map((reason) => `refused as ${reason}`), ...passes].join(', ') || 'no record';
}

async function play(stage: RequestStage, origin: Origin, one: RequestCase): Promise<void> {
  const port = stage.sidecar.ports[one.at];
  const bytes = one.bytes
    .replaceAll('{origin}', origin.name)
    .replaceAll('{tool}', String(origin.port))
    .replaceAll('{listener}', String(port));
  const answer = await exchange(port, bytes, { untilClosed: one.untilClosed === true });
  assertAnswered(one, answer);
  const seen: Sighting[] = [];
  const decisions: RecordLeaf[] = [];
  const ends = new Set<string | null>();
  await settled(() => {
    for (const { name, take } of stage.origins) {
      const taken = take();
      assert.deepEqual(taken.broken, []);
      assert.ok(taken.seen.length === 0 || name === origin.name, 'another tool was called');
      seen.push(...taken.seen);
    }
    for (const leaf of stage.records.take()) {
      if (leaf.egret.kind === 'decision') decisions.push(leaf);
      if (leaf.egret.kind === 'outcome') ends.add(leaf.egret.ref);
    }
    const enough = decisions.length >= one.refused.length + one.seen.length;
    return enough && ends.size >= one.seen.length && (one.cut || seen.length >= one.seen.length);
  });
  const refused = decisions.filter(({ egret }) => egret.enforcement?.action === 'refuse');
  assert.deepEqual(
    refused.map(({ egret }) => egret.enforcement?.reason).toSorted(),
    one.refused.toSorted(),
  );
  const forwarded = decisions.filter((leaf) => !refused.includes(leaf));
  assert.equal(forwarded.length, one.seen.length, 'decisions to forward');
  assert.ok(one.cut || seen.length === one.seen.length, 'requests that the tool saw');
  for (const [at, sighting] of seen.entries()) {
    const expected = one.seen.find(({ target }) => target === sighting.target) ?? one.seen[at];
    assert.ok(expected !== undefined, `the tool saw ${sighting.target}`);
    assertSeen(expected, sighting, origin.name);
    const leaf = forwarded.find(({ trace_id }) => trace_id === traceIdOf(sighting));
    assert.ok(leaf !== undefined, 'a request that is on no record');
    assertSameMeaning(origin.name, sighting, await openedOf(stage, leaf));
  }
}

/** What came too much is no finding about the next request. */
function drained(stage: RequestStage): void {
  stage.records.take();
  for (const { take } of stage.origins) take();
}

/** Looks again and again; what is still missing after that is for the assertions to name. */
async function settled(holds: () => boolean | undefined): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!holds() && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

async function openedOf({ records }: RequestStage, leaf: RecordLeaf): Promise<Recorded> {
  let found = records.recorded(leaf);
  await settled(() => {
    found ??= records.recorded(leaf);
    return found !== null;
  });
  assert.ok(found !== null, 'no openings of a decision');
  return found;
}

function assertAnswered(one: RequestCase, answer: WireAnswer): void {
  const [reason] = one.refused;
  if (one.refused.length + one.seen.length !== 1 || answer.raw.includes('200 Connection')) return;
  if (reason === undefined) {
    assert.match(answer.raw, /^HTTP\/1\.1 (100 Continue\r\n\r\nHTTP\/1\.1 )?200 /);
    return;
  }
  assert.equal(answer.status, one.status ?? REASONS[reason as ReasonCode].status, answer.raw);
  // What the parser itself refuses is answered without a body, so that nothing is echoed.
  if (one.bare === true) assert.equal(answer.body, '');
  else assert.equal(answer.headers.get('x-egret-reason'), reason, answer.raw);
}

function assertSeen(expected: Seen, seen: Sighting, origin: OriginName): void {
  const { method, target, body, headers } = expected;
  assert.deepEqual([seen.method, seen.target, seen.bytes], [method, target, body.length]);
  for (const [name, value] of Object.entries(headers)) {
    // nginx says neither other fields nor empty ones, and only the first of several.
    if (origin === 'nginx' && (!NGINX.has(name) || /^$|\|/.test(value ?? 'a'))) continue;
    const values = valuesOf(seen.headers, name);
    assert.equal(values.length === 0 ? null : values.join('|'), value, name);
  }
}
