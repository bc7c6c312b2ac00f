/**
 * `kill -9` at random moments under load. Whatever moment it is: the log verifies, no call that got its answer is
 * missing from it, no call reached the tool without its decision, and every forwarded decision has one outcome.
 * EGRET_TEST_ROUNDS sets the number of kills; 6 by default.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, sendMail } from './agent.ts';
import { assertPaired, assertVerifies, decisionsOf, type Leaf, readLeaves } from './audit-log.ts';
import {
  newDirectory,
  prepared,
  type SidecarProcess,
  startSidecarProcess,
} from './sidecar-process.ts';
import { auditOf, removeAfter, stageTool } from './stage.ts';
import { type Answer, answerSent } from './tool-server.ts';

const ROUNDS = Number(process.env['EGRET_TEST_ROUNDS'] ?? 6);
const PARALLEL = 16;
const LOAD_MS = { least: 20, most: 250 };

/** Some answers take a while, so that a kill also finds calls between their decision and their outcome. */
const slowly: Answer = (call, response, request) => {
  setTimeout(() => answerSent(call, response, request), Math.random() * 20);
};

void test(`after ${ROUNDS} kills under load nothing is lost and nothing happened unrecorded`, {
  timeout: 30_000 + ROUNDS * 10_000,
}, async (t) => {
  const tool = await stageTool(t, slowly);
  const config = { mcpServers: { mail: { url: tool.url } } };
  const directory = removeAfter(t, newDirectory());
  prepared(directory, { config });
  const acknowledged = new Set<string>();
  for (let round = 0; round < ROUNDS; round += 1) {
    const sidecar = await startSidecarProcess({ directory, config });
    const load = Array.from({ length: PARALLEL }, () => callUntilGone(sidecar, acknowledged));
    // Every second kill finds calls that were answered, however slow the machine is.
    const before = acknowledged.size;
    if (round % 2 === 0) await eventually(() => acknowledged.size > before);
    await sleep(LOAD_MS.least + Math.random() * (LOAD_MS.most - LOAD_MS.least));
    await sidecar.kill();
    await Promise.all(load);
  }
  const last = await startSidecarProcess({ directory, config });
  assert.ok(
    last.lines.some((line) => line.includes('"audit.recovered"')),
    'and the log says so',
  );
  assert.equal((await sendMail(last.ports)).status, 200);
  assert.equal(await last.stop(), 0);

  await assertVerifies(auditOf(last));
  const leaves = readLeaves(auditOf(last));
  assert.ok(acknowledged.size >= ROUNDS / 2, `${acknowledged.size} calls were answered`);
  const forwarded = decisionsOf(leaves).filter(isForward);
  const ids = new Set(forwarded.map((leaf) => leaf.decision_id));
  const lost = [...acknowledged].filter((id) => !ids.has(id));
  assert.deepEqual(lost, [], 'answered, but not in the log');
  const traces = new Set(forwarded.map((leaf) => leaf.trace_id));
  const unrecorded = tool.received.filter((call) => !traces.has(call.traceId));
  assert.deepEqual(unrecorded, [], 'reached the tool, but not in the log');
  assertPaired(leaves);
  const starts = leaves.filter(({ egret }) => egret.lifecycle?.event === 'start');
  assert.equal(starts.length, ROUNDS + 1);
  t.diagnostic(
    `${acknowledged.size} answered, ${forwarded.length} forwarded, ${leaves.length} leaves`,
  );
});

const isForward = (leaf: Leaf) => leaf.egret.enforcement?.action === 'forward';

/** Calls one after another until the sidecar is gone; remembers which were answered by the tool. */
async function callUntilGone(sidecar: SidecarProcess, acknowledged: Set<string>): Promise<void> {
  for (;;) {
    try {
      const answer = await sendMail(sidecar.ports);
      assert.equal(answer.reason, '');
      acknowledged.add(answer.decisionId);
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      return;
    }
  }
}
