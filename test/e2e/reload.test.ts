/**
 * A hundred bundles a second under load, in turn one that allows only one recipient and one that allows only another:
 * no call fails, every decision names one revision and is what that revision says, and a bundle that is broken changes
 * nothing.
 */
import assert from 'node:assert/strict';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, sendMail, statusOf, type ToolAnswer } from './agent.ts';
import { assertVerifies, decisionsOf, readLeaves } from './audit-log.ts';
import { receiptsFor } from './bundle-variant.ts';
import type { SidecarProcess } from './sidecar-process.ts';
import { auditOf, stageMail } from './stage.ts';

const OFFERS = 100 * Number(process.env['EGRET_TEST_SECONDS'] ?? 3);
const OFFER_EVERY_MS = 10;
const RECIPIENTS = { a: 'first@a.example', b: 'second@b.example' };
const BUNDLES = [
  receiptsFor([RECIPIENTS.a], 'revision-a'),
  receiptsFor([RECIPIENTS.b], 'revision-b'),
] as const;
/** What each revision says about mail to each recipient. */
const EXPECTED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'revision-a': { [RECIPIENTS.a]: 'policy.allowed', [RECIPIENTS.b]: 'policy.denied' },
  'revision-b': { [RECIPIENTS.a]: 'policy.denied', [RECIPIENTS.b]: 'policy.allowed' },
};

void test('reloads under load: no call fails and none mixes revisions', {
  timeout: 90_000,
}, async (t) => {
  const { sidecar, tool } = await stageMail(t, {
    bundle: BUNDLES[0],
    config: {
      bundles: [{ name: 'main', directory: './bundles', pollMs: 5 }],
      audit: { directory: './audit', durability: { write: 'write' } },
    },
  });
  const answers: [string, ToolAnswer][] = [];
  let loading = true;
  const load = Array.from({ length: 4 }, async (_, worker) => {
    for (let call = worker; loading; call += 1) {
      const to = call % 2 === 0 ? RECIPIENTS.a : RECIPIENTS.b;
      answers.push([to, await sendMail(sidecar.ports, { to: [to] })]);
    }
  });
  for (let offer = 1; offer <= OFFERS; offer += 1) {
    swapIn(sidecar, BUNDLES[offer % 2] as Uint8Array);
    await sleep(OFFER_EVERY_MS);
  }
  loading = false;
  await Promise.all(load);

  const { activations } = (await statusOf(sidecar)).bundles[0] ?? { activations: 0 };
  t.diagnostic(`${OFFERS} offered, ${activations} activated, ${answers.length} calls`);
  assert.ok(activations > 10, 'bundles were activated under load');
  const decisions = new Map(
    decisionsOf(readLeaves(auditOf(sidecar))).map((leaf) => [leaf.decision_id, leaf]),
  );
  const seen = new Set<string>();
  for (const [to, { status, decisionId, reason }] of answers) {
    assert.equal(status, 200);
    const leaf = decisions.get(decisionId);
    const revisions = Object.values(leaf?.bundles ?? {}).map(({ revision }) => revision);
    assert.equal(revisions.length, 1);
    seen.add(revisions[0] ?? '');
    assert.equal(leaf?.egret.enforcement?.reason, EXPECTED[revisions[0] ?? '']?.[to]);
    assert.equal(
      reason,
      leaf?.egret.enforcement?.reason === 'policy.allowed' ? '' : 'policy.denied',
    );
  }
  assert.deepEqual([...seen].toSorted(), ['revision-a', 'revision-b']);
  const allowed = answers.filter(([, { reason }]) => reason === '');
  assert.equal(tool.received.length, allowed.length);
  assert.equal(await sidecar.stop(), 0);
  await assertVerifies(auditOf(sidecar));
});

void test('a broken bundle changes nothing, and the status says what is wrong with it', async (t) => {
  const { sidecar } = await stageMail(t, { bundle: BUNDLES[0] });
  const broken: readonly [string, Uint8Array, RegExp][] = [
    ['no archive', Buffer.from('this is no archive'), /bundle/],
    ['half of one', BUNDLES[1].subarray(0, BUNDLES[1].length / 2), /bundle/],
    ['empty', new Uint8Array(), /bundle/],
  ];
  for (const [sentence, bytes, message] of broken) {
    await t.test(sentence, async () => {
      const before = JSON.stringify((await statusOf(sidecar)).bundles[0]?.message);
      swapIn(sidecar, bytes);
      await eventually(
        async () => JSON.stringify((await statusOf(sidecar)).bundles[0]?.message) !== before,
      );
      const [bundle] = (await statusOf(sidecar)).bundles;
      assert.equal(bundle?.code, 'bundle_error');
      assert.match(bundle?.message ?? '', message);
      assert.equal(bundle?.active_revision, 'revision-a');
      assert.equal((await sendMail(sidecar.ports, { to: [RECIPIENTS.a] })).reason, '');
      assert.equal((await sendMail(sidecar.ports, { to: [RECIPIENTS.b] })).reason, 'policy.denied');
    });
  }
  swapIn(sidecar, BUNDLES[1]);
  await eventually(
    async () => (await statusOf(sidecar)).bundles[0]?.active_revision === 'revision-b',
  );
  assert.equal((await statusOf(sidecar)).bundles[0]?.code, null);
  assert.equal((await sendMail(sidecar.ports, { to: [RECIPIENTS.b] })).reason, '');
});

/** Replaces the bundle at once, as a file system does it. */
function swapIn(sidecar: SidecarProcess, bytes: Uint8Array): void {
  const draft = join(sidecar.directory, 'draft');
  writeFileSync(draft, bytes);
  renameSync(draft, join(sidecar.directory, 'bundles', 'bundle.tar.gz'));
}
