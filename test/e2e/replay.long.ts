/**
 * A rollout that begins with a replay: a real sidecar plays what it decided against the candidate, reports what it
 * found, and the state machine goes on or does not.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openJournal } from '../../src/audit/journal.ts';
import { writeArchive } from '../../src/bundle/archive-writer.ts';
import { Reports } from '../../src/controller/reports.ts';
import { advance, directiveOf, initialState } from '../../src/rollout/machine.ts';
import { readPolicySet } from '../../src/rollout/policy-set.ts';
import type { CandidateSeen, RolloutState } from '../../src/rollout/state.ts';
import { decision } from '../audit/records.ts';
import { bundleFiles } from '../bundle/bundle-files.ts';
import { compileRego } from '../decision/compiled-policy.ts';
import { comparisonOf } from '../rollout/reports.ts';
import { adminText, eventually, sendMail } from './agent.ts';
import { receiptsFor } from './bundle-variant.ts';
import {
  digestOf,
  type StagedDistributor,
  stageDistributor,
  type Told,
} from './distributor-stage.ts';
import { newDirectory, type SidecarProcess } from './sidecar-process.ts';
import { removeAfter, stageMail } from './stage.ts';

const ACCOUNTANT = 'accountant@example.com';
const BOSS = 'boss@example.com';
const STABLE = receiptsFor([ACCOUNTANT], 'stable');
const STRICTER = receiptsFor(['nobody@example.com'], 'stricter');
const WIDER = receiptsFor([ACCOUNTANT, BOSS], 'wider');
const SAME = receiptsFor([ACCOUNTANT], 'the same');
const HOUR_MS = 3_600_000;

interface Stage {
  readonly distributor: StagedDistributor;
  readonly sidecar: SidecarProcess;
  /** For another process with the same records. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** @param kept side files are. @param earlier decisions of an earlier process. */
async function stage(t: TestContext, kept = true, earlier = 0): Promise<Stage> {
  const distributor = await stageDistributor(t, STABLE);
  const place = removeAfter(t, newDirectory());
  if (earlier > 0) await recorded(place, earlier);
  const tokenFile = join(place, 'token');
  writeFileSync(tokenFile, 'the-projected-token-of-a-pod');
  const server = { url: distributor.url, tokenFile };
  const bundles = [
    { name: 'main', distributor: server, reports: { ...server, intervalSeconds: 1 } },
  ];
  const openings = kept ? { openingsDirectory: join(place, 'openings') } : {};
  const config = { bundles, audit: { directory: join(place, 'audit'), ...openings } };
  const { sidecar } = await stageMail(t, { bundle: null, config });
  return { distributor, sidecar, config };
}

async function recorded(place: string, count: number): Promise<void> {
  const openingsDirectory = join(place, 'openings');
  const journal = await openJournal({ directory: join(place, 'audit'), openingsDirectory });
  const obligations = [{ kind: 'log', level: 'full' }] as const;
  const ids = Array.from({ length: count }, (_, at) => `call-${at}`);
  await Promise.all(
    ids.map((id) =>
      journal.recordDecision(decision(id, { obligations, action: 'advise' }), 'write'),
    ),
  );
  await journal.close();
}

const replayOf = (candidate: Uint8Array, rolloutId = 'r1', replayLastMs = HOUR_MS): Told => ({
  phase: 'Replay',
  rolloutId,
  candidate,
  weight: 0,
  replayLastMs,
});

/** Two mails that stable allows and one that it denies. */
async function call({ sidecar }: Stage): Promise<void> {
  assert.equal((await sendMail(sidecar.ports)).reason, '');
  assert.equal((await sendMail(sidecar.ports, { subject: 'another receipt' })).reason, '');
  assert.equal((await sendMail(sidecar.ports, { to: [BOSS] })).reason, 'policy.denied');
}

/** Tells, and waits for the report of a replay that is done. */
async function played({ distributor }: Stage, told: Told) {
  distributor.tell(told);
  const done = () => {
    const rollout = distributor.rollout();
    return rollout?.id === told.rolloutId && rollout?.replay?.done === true;
  };
  await eventually(done);
  const rollout = distributor.rollout();
  assert.ok(rollout?.replay);
  return { ...rollout, replay: rollout.replay };
}

test('What a sidecar decided is played against the candidate: what it denies, what it allows, what stays the same', async (t) => {
  const staged = await stage(t);
  await call(staged);
  const stricter = await played(staged, replayOf(STRICTER));
  assert.deepEqual(stricter.replay.comparison, comparisonOf({ newly_denied: 2, same: 1 }));
  assert.equal(stricter.replay.notReplayable, 0);
  assert.deepEqual(stricter.comparison, comparisonOf({}), 'no call was made beside it');
  const [example] = stricter.examples;
  assert.equal(stricter.examples.length, 2);
  assert.equal(example?.class, 'newly_denied');
  assert.equal(example?.tool, 'gmail.send');
  assert.deepEqual(example?.stable, {
    outcome: 'allow',
    reason: 'policy.allowed',
    rule: 'receipts.allow',
  });
  assert.equal(example?.candidate.outcome, 'deny');
  assert.ok(!JSON.stringify(stricter.examples).includes('example.com'));

  const wider = await played(staged, replayOf(WIDER, 'r2'));
  assert.deepEqual(wider.replay.comparison, comparisonOf({ newly_allowed: 1, same: 2 }));
  assert.deepEqual(
    wider.examples.map(({ class: kind }) => kind),
    ['newly_allowed'],
  );
  const same = await played(staged, replayOf(SAME, 'r3'));
  assert.deepEqual(same.replay.comparison, comparisonOf({ same: 3 }));
  assert.deepEqual(same.examples, []);

  const events = eventsOf(staged, 'rollout.replayed');
  assert.deepEqual(
    events.map(({ rollout, decisions, newly_allowed, newly_denied }) => {
      return [rollout, decisions, newly_allowed, newly_denied];
    }),
    [
      ['r1', 3, 0, 2],
      ['r2', 3, 1, 0],
      ['r3', 3, 0, 0],
    ],
  );
  assert.equal((await sendMail(staged.sidecar.ports)).reason, '', 'nothing was enforced by it');
});

test('Without the values only decisions that need none can be played', async (t) => {
  const staged = await stage(t, false);
  await call(staged);
  const { replay } = await played(staged, replayOf(STRICTER));
  assert.deepEqual([replay.comparison, replay.notReplayable], [comparisonOf({}), 3]);
});

test('Only what is as young as the replay asks for counts, and what an earlier process recorded counts too', async (t) => {
  const staged = await stage(t);
  await call(staged);
  await staged.sidecar.stop();
  const { sidecar } = await stageMail(t, { bundle: null, config: staged.config });
  const again = { ...staged, sidecar };
  assert.equal((await sendMail(sidecar.ports, { to: [BOSS] })).reason, 'policy.denied');
  const all = await played(again, replayOf(WIDER));
  assert.deepEqual(all.replay.comparison, comparisonOf({ newly_allowed: 2, same: 2 }));
  const none = await played(again, replayOf(WIDER, 'r2', 0));
  assert.deepEqual([none.replay.comparison, none.replay.notReplayable], [comparisonOf({}), 0]);
});

test('What another revision or a candidate decided is compared with what stable says about it now', async (t) => {
  const staged = await stage(t);
  const { distributor, sidecar } = staged;
  await call(staged);
  distributor.tell({ phase: 'Guarded', rolloutId: 'r1', candidate: STRICTER, weight: 10_000 });
  await followed(staged, 'Guarded', digestOf(STRICTER));
  assert.equal((await sendMail(sidecar.ports)).reason, 'policy.denied', 'by the candidate');
  distributor.tell({ phase: 'Stable', rolloutId: null, candidate: null, stable: WIDER, weight: 0 });
  await followed(staged, 'Stable');
  const { replay } = await played(staged, replayOf(receiptsFor([ACCOUNTANT, BOSS], 'x'), 'r2'));
  assert.deepEqual(replay.comparison, comparisonOf({ same: 4 }));
  const stricter = await played(staged, replayOf(STRICTER, 'r3'));
  assert.deepEqual(stricter.replay.comparison, comparisonOf({ newly_denied: 4 }));
});

test('A replay ends with the directive that asks for it, and what was played once is not played again', async (t) => {
  const staged = await stage(t);
  const { distributor, sidecar } = staged;
  await call(staged);
  await played(staged, replayOf(STRICTER));
  assert.equal((await sendMail(sidecar.ports)).reason, '');
  distributor.tell({ weight: 0 });
  distributor.tell({ phase: 'Shadow', replayLastMs: null });
  await followed(staged, 'Shadow');
  const known = distributor.reports.length;
  await eventually(() => distributor.reports.length > known + 1);
  const { replay } = distributor.rollout() ?? {};
  assert.deepEqual(replay?.comparison, comparisonOf({ newly_denied: 2, same: 1 }));
  assert.equal(eventsOf(staged, 'rollout.replayed').length, 1);
});

/** So many that no machine plays them before it is told to stop. */
const MANY = 5000;
const comparedIn = ({ distributor }: Stage) =>
  Object.values(distributor.rollout()?.replay?.comparison ?? {}).reduce((a, b) => a + b, 0);

test('A replay that nobody asks for any more stops where it is, and begins anew when it is asked for again', async (t) => {
  const staged = await stage(t, true, MANY);
  const { distributor } = staged;
  distributor.tell(replayOf(STRICTER));
  await eventually(() => comparedIn(staged) > 0);
  assert.equal(distributor.rollout()?.replay?.done, false);
  distributor.tell({ phase: 'Shadow', replayLastMs: null });
  await followed(staged, 'Shadow');
  const { length } = distributor.reports;
  await eventually(() => distributor.reports.length > length);
  const stopped = comparedIn(staged);
  await eventually(() => distributor.reports.length > length + 2);
  assert.equal(comparedIn(staged), stopped);
  assert.ok(stopped < MANY);
  assert.equal(distributor.rollout()?.replay?.done, false);
  const { replay } = await played(staged, replayOf(STRICTER));
  assert.equal(comparedIn(staged) + replay.notReplayable, MANY);
  assert.equal(eventsOf(staged, 'rollout.replayed').length, 1);
});

test('A sidecar that is stopped in the middle of a replay ends as always', async (t) => {
  const staged = await stage(t, true, MANY);
  const { distributor, sidecar } = staged;
  distributor.tell(replayOf(STRICTER));
  await eventually(() => comparedIn(staged) > 0);
  assert.equal(await sidecar.stop(), 0);
  assert.equal(eventsOf(staged, 'rollout.replayed').length, 0);
});

/** Passes the gate, because an empty input does not reach what is wrong with it. */
const FAILING = `package egret
no := {"allowed": false, "outcome": "deny", "code": "policy.no_match", "message": "no", "reasons": [], "obligations": [], "warnings": []}
default decision := {"allowed": false, "outcome": "deny", "code": "policy.no_match", "message": "no", "reasons": [], "obligations": [], "warnings": []}
decision := no if input.tool.name
decision := "yes" if input.tool.name`;

test('A candidate that fails on what was recorded is not asked about all of it, and stays in the rollout', async (t) => {
  const wasm = compileRego(t, [FAILING]);
  const files = wasm === null ? null : bundleFiles(t, { 'policy.wasm': wasm });
  if (files === null) return;
  const staged = await stage(t, true, 100);
  const candidate = writeArchive([...files]);
  const { replay, tripped } = await played(staged, replayOf(candidate));
  assert.deepEqual(replay.comparison, comparisonOf({ error: 20 }));
  assert.equal(tripped, false, 'only calls trip it');
  assert.equal((await sendMail(staged.sidecar.ports)).reason, '');
});

const YAML = (replay: string) => `apiVersion: egret.dev/v1alpha1
kind: PolicySet
metadata: {name: main}
spec:
  candidate: {bundle: shop-policy}
  steps: [{replay: ${replay}}, {shadow: 1h}]
`;

const storedAs = (archive: Uint8Array): CandidateSeen => ({
  status: 'stored',
  revision: { digest: digestOf(archive), revision: 'of the test', pieces: 1 },
});

/** Runs the state machine on what the sidecar reports until the state is as wanted; its clock is its own. */
async function rolledOut(
  { distributor }: Stage,
  { candidate, replay }: { readonly candidate: Uint8Array; readonly replay: string },
  until: (state: RolloutState) => boolean,
): Promise<RolloutState> {
  const reading = readPolicySet(YAML(replay));
  assert.ok(reading.ok);
  const { spec } = reading.value;
  const reports = new Reports({ monotonicMs: () => performance.now(), failed: assert.ifError });
  const fresh = { rolloutId: 'r1', salt: '00'.repeat(16) };
  const seen = { spec, command: null, author: null, fresh, analysis: null };
  let state = initialState('main', 0);
  // The first bundle goes into force at once.
  state = advance(state, { ...seen, candidate: storedAs(STABLE) }, 0).state;
  assert.equal(state.phase, 'Stable');
  let heard = distributor.reports.length;
  for (let nowMs = 0; !until(state); nowMs += spec.analysis.interval) {
    const analysis = await reports.look(state, spec, nowMs);
    const next = advance(state, { ...seen, candidate: storedAs(candidate), analysis }, nowMs);
    if (next.state !== state) {
      const { stable: _, candidate: wanted, ...told } = directiveOf(next.state);
      distributor.tell({ ...told, candidate: wanted === null ? null : candidate });
    }
    state = next.state;
    reports.follow(state);
    // One that was made after what was just told was followed.
    const { rollout } = state;
    await eventually(() => distributor.rollout()?.id === rollout?.id || rollout === null);
    const known = distributor.reports.length;
    await eventually(() => distributor.reports.length > known || until(state));
    for (const report of distributor.reports.slice(heard)) reports.take(report, true);
    heard = distributor.reports.length;
  }
  return state;
}

const ended = ({ phase, rollout }: RolloutState) =>
  ['Paused', 'Shadow', 'Aborted'].includes(phase) && (rollout?.step ?? 0) >= 0;

test('A rollout goes on from its replay when the records stay what they are', async (t) => {
  const staged = await stage(t);
  await call(staged);
  const replay = '{last: 1h, minDecisions: 3}';
  const state = await rolledOut(staged, { candidate: SAME, replay }, ended);
  assert.deepEqual([state.phase, state.rollout?.step], ['Shadow', 1]);
  await followed(staged, 'Shadow');
});

test('A rollout whose replay denies more than agreed is rolled back', async (t) => {
  const staged = await stage(t);
  await call(staged);
  const state = await rolledOut(staged, { candidate: STRICTER, replay: '{last: 1h}' }, ended);
  assert.equal(state.phase, 'Aborted');
  assert.match(state.message, /denies 2 of 3 recorded calls/);
});

test('A rollout whose replay allows more waits for a person, who sees which calls', async (t) => {
  const staged = await stage(t);
  await call(staged);
  const state = await rolledOut(staged, { candidate: WIDER, replay: '{last: 1h}' }, ended);
  assert.deepEqual([state.phase, state.pauseReason], ['Paused', 'Widening']);
  assert.equal(state.rollout?.widening?.count, 1);
  assert.equal(state.rollout?.widening?.examples[0]?.tool, 'gmail.send');
});

test('A rollout without enough records to replay is held', async (t) => {
  const staged = await stage(t, false);
  await call(staged);
  const state = await rolledOut(staged, { candidate: SAME, replay: '{last: 1h}' }, ended);
  assert.deepEqual([state.phase, state.pauseReason], ['Paused', 'Inconclusive']);
  assert.match(state.message, /0 recorded calls, expected at least 1/);
});

/** @param candidate joins after stable. */
async function followed({ sidecar }: Stage, phase: string, candidate?: string): Promise<void> {
  await eventually(async () => {
    const { bundles } = JSON.parse(await adminText(sidecar.ports, '/status'));
    const { rollout } = bundles[0];
    const joined = candidate === undefined || rollout?.candidate_digest === candidate;
    return rollout?.phase === phase && joined;
  });
}

const eventsOf = ({ sidecar }: Stage, name: string) =>
  sidecar.lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ event }) => event === name);
