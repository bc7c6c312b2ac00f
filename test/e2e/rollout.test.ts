/**
 * A real sidecar in a rollout: the candidate is asked about the same calls, has as much to say as the directive lets it,
 * and whatever is wrong with it stays with it.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { writeArchive } from '../../src/bundle/archive-writer.ts';
import { withAbiMinor } from '../bundle/abi-patch.ts';
import { bundleFiles } from '../bundle/bundle-files.ts';
import { compileRego } from '../decision/compiled-policy.ts';
import { adminText, eventually, sendMail } from './agent.ts';
import { decisionsOf, readLeaves } from './audit-log.ts';
import { receiptsFor, receiptsWith } from './bundle-variant.ts';
import { digestOf, type StagedDistributor, stageDistributor } from './distributor-stage.ts';
import { newDirectory, type SidecarProcess } from './sidecar-process.ts';
import { auditOf, removeAfter, stageMail } from './stage.ts';

const ACCOUNTANT = 'accountant@example.com';
const BOSS = 'boss@example.com';
const STABLE = receiptsFor([ACCOUNTANT], 'stable');
const STRICTER = receiptsFor(['nobody@example.com'], 'stricter');
const WIDER = receiptsFor([ACCOUNTANT, BOSS], 'wider');
const toBoss = { to: [BOSS] };

interface Stage {
  readonly distributor: StagedDistributor;
  readonly sidecar: SidecarProcess;
}

async function stage(t: TestContext, more: object = {}): Promise<Stage> {
  const distributor = await stageDistributor(t, STABLE);
  const server = serverOf(t, distributor);
  const reports = { ...server, intervalSeconds: 1 };
  const bundles = [{ name: 'main', distributor: server, reports, ...more }];
  const { sidecar } = await stageMail(t, { bundle: null, config: { bundles } });
  return { distributor, sidecar };
}

/** With a token, as a pod has one. */
function serverOf(t: TestContext, { url }: StagedDistributor) {
  const tokenFile = join(removeAfter(t, newDirectory()), 'token');
  writeFileSync(tokenFile, 'the-projected-token-of-a-pod');
  return { url, tokenFile };
}

interface RolloutStatus {
  readonly generation: number;
  readonly phase: string;
  readonly candidate_digest: string | null;
  readonly candidate_errors: readonly { readonly code: string }[];
  readonly weight: number;
  readonly tripped: boolean;
}

async function rolloutOf({ ports }: SidecarProcess): Promise<RolloutStatus> {
  const { bundles } = JSON.parse(await adminText(ports, '/status')) as {
    bundles: { rollout: RolloutStatus }[];
  };
  return bundles[0]?.rollout as RolloutStatus;
}

/** Tells, and waits until the sidecar follows: stable first, then the candidate is held or refused. */
async function follow(
  { distributor, sidecar }: Stage,
  told: Parameters<StagedDistributor['tell']>[0],
) {
  const before = (await rolloutOf(sidecar)).generation;
  distributor.tell(told);
  const { candidate, selector } = told;
  const wanted = candidate == null || selector !== undefined ? null : digestOf(candidate);
  await eventually(async () => {
    const {
      generation,
      candidate_digest: held,
      candidate_errors: errors,
    } = await rolloutOf(sidecar);
    const settled = wanted === null || held === wanted || errors.length > 0;
    return generation > before && settled;
  });
}

const shadow = (candidate: Uint8Array) =>
  ({ phase: 'Shadow', rolloutId: 'r1', candidate, weight: 0 }) as const;
const guarded = (candidate: Uint8Array) =>
  ({ phase: 'Guarded', rolloutId: 'r1', candidate, weight: 10_000, mode: 'guarded' }) as const;
const canary = (candidate: Uint8Array) =>
  ({ phase: 'Canary', rolloutId: 'r1', candidate, weight: 10_000, mode: 'candidate' }) as const;

const reasonOf = async ({ sidecar }: Stage, mail = {}) =>
  (await sendMail(sidecar.ports, mail)).reason;

interface RolloutLeaf {
  readonly egret: { readonly rollout?: Record<string, unknown> };
}

test('In shadow the candidate is asked, compared, reported and recorded, and decides nothing', async (t) => {
  const staged = await stage(t);
  assert.equal(await reasonOf(staged), '');
  await follow(staged, shadow(STRICTER));
  assert.equal(await reasonOf(staged), '');
  assert.equal(await reasonOf(staged, toBoss), 'policy.denied');
  const { distributor, sidecar } = staged;
  // A report may go between the two calls.
  await eventually(() => distributor.rollout()?.comparison.same === 1);
  const report = distributor.rollout();
  assert.equal(report?.enforced, 0);
  assert.deepEqual(
    report?.examples.map(({ class: kind, tool }) => [kind, tool]),
    [['newly_denied', 'gmail.send']],
  );
  assert.equal(
    report?.evalCandidate.reduce((sum, count) => sum + count, 0),
    2,
  );
  const leaves = decisionsOf(readLeaves(auditOf(sidecar))) as unknown as RolloutLeaf[];
  const [before, first] = leaves.map((leaf) => leaf.egret.rollout);
  assert.equal(before, undefined);
  assert.deepEqual(first, {
    arm: 'shadow',
    bucket: null,
    candidate: {
      digest: (await rolloutOf(sidecar)).candidate_digest,
      outcome: 'deny',
      reason: 'policy.denied',
      revision: 'stricter',
    },
    difference: 'newly_denied',
    id: 'r1',
  });
});

test('Guarded, a call leaves only when both revisions allow it', async (t) => {
  const staged = await stage(t);
  await follow(staged, guarded(STRICTER));
  assert.equal(await reasonOf(staged), 'policy.denied');
  await follow(staged, guarded(WIDER));
  assert.equal(await reasonOf(staged), '');
  assert.equal(await reasonOf(staged, toBoss), 'policy.denied');
  await eventually(() => staged.distributor.rollout()?.comparison.newly_allowed === 1);
});

test('As a canary the candidate decides for those within the weight, and for nobody at weight 0', async (t) => {
  const staged = await stage(t);
  await follow(staged, canary(WIDER));
  assert.equal(await reasonOf(staged, toBoss), '');
  await follow(staged, { weight: 0 });
  assert.equal(await reasonOf(staged, toBoss), 'policy.denied');
});

test('A promotion puts what is loaded in force without another fetch, and an abort takes the candidate away', async (t) => {
  const staged = await stage(t);
  await follow(staged, canary(WIDER));
  await follow(staged, {
    phase: 'Stable',
    stable: WIDER,
    candidate: null,
    rolloutId: null,
    weight: 0,
  });
  assert.equal(await reasonOf(staged, toBoss), '');
  assert.deepEqual([...staged.distributor.fetched.values()], [1, 1]);
  await follow(staged, guarded(STRICTER));
  await follow(staged, { phase: 'Aborted', candidate: null, weight: 0 });
  assert.equal(await reasonOf(staged), '');
  await follow(staged, { phase: 'Stable', stable: STABLE });
  assert.equal(await reasonOf(staged, toBoss), 'policy.denied');
});

test('Pods that the selector leaves out hold no candidate', async (t) => {
  const staged = await stage(t);
  await follow(staged, { ...canary(WIDER), selector: { podLabels: { tier: 'gold' } } });
  assert.equal((await rolloutOf(staged.sidecar)).candidate_digest, null);
  assert.equal(await reasonOf(staged, toBoss), 'policy.denied');
  const { reports } = staged.distributor;
  await eventually(() => reports.at(-1)?.generation === 2);
  assert.equal(staged.distributor.rollout(), null, 'nobody waits for their reports');
});

const policyOf = (body: string) => `package egret
deny := {"allowed": false, "outcome": "deny", "code": "policy.no_match", "message": "no", "reasons": [], "obligations": [], "warnings": []}
allow := object.union(deny, {"allowed": true, "outcome": "allow", "code": "policy.allowed"})
default decision := {"allowed": false, "outcome": "deny", "code": "policy.no_match", "message": "no", "reasons": [], "obligations": [], "warnings": []}
${body}`;

/** Pass the gate, because an empty input does not reach what is wrong with them. */
const FAILING = {
  'conflicts with itself':
    'decision := deny if input.tool.name\ndecision := allow if input.tool.name',
  'never ends':
    'decision := allow if { input.tool.name; count({x | some a in numbers.range(1, 9999); some b in numbers.range(1, 9999); some c in numbers.range(1, 9999); x := a + b + c; x < 0}) == 0 }',
  'eats memory':
    'decision := allow if { input.tool.name; count([x | some a in numbers.range(1, 3000); some b in numbers.range(1, 3000); x := [a, b, a, b]]) > 0 }',
  'answers with another shape': 'decision := "yes" if input.tool.name',
} as const;

function failing(t: TestContext, body: string): Uint8Array | null {
  const wasm = compileRego(t, [policyOf(body)]);
  const files = wasm === null ? null : bundleFiles(t, { 'policy.wasm': wasm });
  return files === null ? null : writeArchive([...files]);
}

for (const [what, body] of Object.entries(FAILING)) {
  test(`A candidate that ${what} changes no answer in shadow and guarded, and is given up after three calls`, async (t) => {
    const candidate = failing(t, body);
    if (candidate === null) return;
    const staged = await stage(t);
    const { distributor, sidecar } = staged;
    for (const [phase, id] of [
      [shadow(candidate), 'r1'],
      [guarded(candidate), 'r2'],
    ] as const) {
      await follow(staged, { ...phase, rolloutId: id });
      assert.notEqual((await rolloutOf(sidecar)).candidate_digest, null);
      for (const _ of [1, 2, 3]) {
        assert.equal(await reasonOf(staged), '');
        assert.equal(await reasonOf(staged, toBoss), 'policy.denied');
      }
      await eventually(
        () => distributor.rollout()?.id === id && distributor.rollout()?.tripped === true,
      );
      assert.equal(distributor.rollout()?.comparison.error, 3);
      assert.equal((await rolloutOf(sidecar)).tripped, true);
    }
    assert.match(
      await adminText(sidecar.ports, '/metrics'),
      /egret_policy_local_trip_total\{set="main"\} 2/,
    );
  });
}

test('A failing canary falls back to stable, counts twice, and is given up sooner', async (t) => {
  const candidate = failing(t, FAILING['answers with another shape']);
  if (candidate === null) return;
  const staged = await stage(t);
  await follow(staged, canary(candidate));
  for (const _ of [1, 2]) assert.equal(await reasonOf(staged), '');
  await eventually(() => staged.distributor.rollout()?.tripped === true);
  assert.equal(staged.distributor.rollout()?.comparison.error, 4);
});

/** Never pass the gate. */
function refused(t: TestContext): Record<string, Uint8Array | null> {
  const good = bundleFiles(t);
  const files = (change: Record<string, string | Uint8Array | object>) => {
    const bent = bundleFiles(t, change);
    return bent === null ? null : writeArchive([...bent]);
  };
  const wasm = good?.get('policy.wasm');
  return {
    wasm_unsupported: files({ 'policy.wasm': 'no module' }),
    abi_unsupported: wasm === undefined ? null : files({ 'policy.wasm': withAbiMinor(wasm, 9) }),
    data_missing: files({ 'data.json': '' }),
    catalogue_invalid: receiptsWith('tools.yaml', 'x: ['),
    signature_unverifiable: receiptsWith('.signatures.json', '{"signatures":["x"]}'),
    archive_invalid: Buffer.from('not an archive'),
  };
}

test('A candidate that the gate refuses is reported with its code and changes no answer', async (t) => {
  const staged = await stage(t);
  const { distributor, sidecar } = staged;
  for (const [code, candidate] of Object.entries(refused(t))) {
    if (candidate === null) continue;
    for (const phase of [shadow(candidate), guarded(candidate), canary(candidate)]) {
      await follow(staged, { ...phase, rolloutId: `${code}-${phase.phase}` });
      assert.equal(await reasonOf(staged), '');
      assert.equal(await reasonOf(staged, toBoss), 'policy.denied');
      const { candidate_errors: errors, candidate_digest: held } = await rolloutOf(sidecar);
      assert.equal(held, null, code);
      if (code !== 'wasm_unsupported') assert.equal(errors[0]?.code, code);
      await eventually(
        () =>
          distributor.rollout()?.id === `${code}-${phase.phase}` &&
          distributor.rollout()?.loadErrors[0] === errors[0]?.code,
      );
    }
  }
});

test('A candidate that cannot be fetched yet is not there, which is no failure to load it', async (t) => {
  const staged = await stage(t);
  staged.distributor.lose(WIDER);
  await follow(staged, guarded(WIDER));
  await eventually(() => staged.distributor.rollout() !== null);
  const { candidate, loadErrors } = staged.distributor.rollout() ?? {};
  assert.deepEqual([candidate, loadErrors], [null, []]);
  assert.equal(await reasonOf(staged), '');
});

test('When the distributor is gone the sidecar goes on, and denies when its set says so', async (t) => {
  const staged = await stage(t);
  const { distributor, sidecar } = staged;
  await follow(staged, { maxStaleness: { afterMs: 3000, action: 'deny' } });
  await distributor.close();
  assert.equal(await reasonOf(staged), '');
  await eventually(async () => (await reasonOf(staged)) === 'bundle.stale');
  assert.ok(sidecar.lines.some((line) => line.includes('"bundle.stale"')));
});

test('A sidecar that starts while nobody can be asked goes on with the last good policy', async (t) => {
  const distributor = await stageDistributor(t, WIDER);
  const server = serverOf(t, distributor);
  const bundle = { name: 'main', distributor: server, lastGoodDirectory: './last-good' };
  const config = { bundles: [bundle] };
  const first = await stageMail(t, { bundle: null, config });
  assert.equal((await sendMail(first.sidecar.ports, toBoss)).reason, '');
  await first.sidecar.stop();
  await distributor.close();
  const again = await stageMail(t, { directory: first.sidecar.directory, config });
  assert.equal((await sendMail(again.sidecar.ports, toBoss)).reason, '');
});
