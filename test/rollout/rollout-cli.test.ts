// `egret rollout` as people and pipelines use it: real processes, TLS, a fake API server, the real state machine.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rolloutStage } from './rollout-stage.ts';
import { ABORTED, CANDIDATE, GUARDED, PROMOTED, ROLLOUT, WIDENING } from './set-stage.ts';

test('status: a table of the namespace of the context, one set in detail, JSON of both', async (t) => {
  const { run } = await rolloutStage(t, GUARDED);
  const [table, detail, list, one] = await Promise.all([
    run(['status']),
    run(['status', 'mail']),
    run(['status', '--json']),
    run(['status', 'mail', '--json']),
  ]);
  assert.equal(table.status, 0, table.stderr);
  assert.match(table.stdout, /^NAME +PHASE +STEP +WEIGHT .*\nmail +Guarded +3\/6 +5% /);
  assert.match(detail.stdout, /^steps \(UTC\)\n {2}\+ {2}1 {2}shadow for 10m/m);
  assert.equal(JSON.parse(list.stdout).items[0].set, 'mail');
  const { state, steps, conditions } = JSON.parse(one.stdout);
  assert.deepEqual(state, GUARDED);
  assert.equal(steps.length, 6);
  assert.equal(conditions.length, 5);
});

test('status of a set that is not there names those that are, exit code 2', async (t) => {
  const { run } = await rolloutStage(t, GUARDED);
  const { status, stderr } = await run(['status', 'male']);
  assert.equal(status, 2);
  assert.equal(
    stderr,
    'egret rollout status: no policy set male in namespace agents; there are: mail\n',
  );
});

test('abort is written with reason, carried out, and said in one sentence', async (t) => {
  const { run, startController, annotations } = await rolloutStage(t, GUARDED);
  startController(GUARDED);
  const { status, stdout, stderr } = await run(['abort', 'mail', '--reason', 'wrong list']);
  assert.equal(status, 0, stderr);
  const [first, second] = stdout.trimEnd().split('\n');
  assert.match(first ?? '', /^stops rollout r-7f3c of 2026-11-28\.1 .*; in force stays 2026-11-20/);
  assert.match(second ?? '', /^Aborted: rollout r-7f3c ended .*: Aborted .* wrong list/);
  assert.match(annotations()['egret.dev/command'] ?? '', /^abort:r-7f3c:[0-9a-z]+$/);
  assert.equal(annotations()['egret.dev/command-reason'], 'wrong list');
});

test('a widening is promoted only with a reason; without one nothing is written', async (t) => {
  const { run, startController, annotations } = await rolloutStage(t, WIDENING);
  startController(WIDENING);
  const without = await run(['promote', 'mail']);
  assert.equal(without.status, 1);
  assert.match(without.stderr, /allows calls that stable denies \(37 seen\)/);
  assert.equal(annotations()['egret.dev/command'], undefined);
  const { status, stdout } = await run(['promote', 'mail', '--reason', 'new accountant', '--json']);
  assert.equal(status, 0);
  const said = JSON.parse(stdout);
  assert.equal(said.result, 'carried-out');
  assert.equal(said.status.state.rollout.approval.why, 'new accountant');
});

test('what the controller does not carry out is exit code 1 with its reason', async (t) => {
  // What the controller knows is newer than what is written.
  const { run, startController } = await rolloutStage(t, GUARDED);
  startController({ ...GUARDED, rollout: { ...ROLLOUT, lastLook: 'failed' } });
  const { status, stderr } = await run(['promote', 'mail', '--reason', 'please']);
  assert.equal(status, 1);
  assert.match(stderr, /the controller did not carry it out: promote: the last look failed/);
});

test('a stale rollout is refused with the present one, and nothing is written', async (t) => {
  const { run, annotations } = await rolloutStage(t, GUARDED);
  const { status, stderr } = await run(['abort', 'mail', '--rollout', 'r-6e10']);
  assert.equal(status, 1);
  assert.match(stderr, /rollout r-6e10 is not the present one: now it is r-7f3c \(Guarded\)/);
  assert.equal(annotations()['egret.dev/command'], undefined);
});

test('without a controller a command is written and exit code 3 says that nobody took it up', async (t) => {
  const { run, annotations } = await rolloutStage(t, GUARDED);
  const { status, stderr } = await run(['pause', 'mail', '--wait', '1s']);
  assert.equal(status, 3);
  assert.match(stderr, /nobody took it up within 1s: is the controller running\?/);
  assert.match(annotations()['egret.dev/command'] ?? '', /^pause:r-7f3c:/);
});

test('who writes to the set in between is not written over', async (t) => {
  const { run, fake, annotations, startController } = await rolloutStage(t, GUARDED);
  startController(GUARDED);
  let others = 2;
  fake.fails(({ method }) => {
    if (method !== 'PATCH' || others === 0) return null;
    others -= 1;
    const patch = { metadata: { annotations: { [`other-${others}`]: 'x' } } };
    fake.store.mergePatch('/api/v1/namespaces/agents/configmaps', 'mail-policy', patch, {
      manager: 'other',
    });
    return null;
  });
  const { status, stderr } = await run(['abort', 'mail']);
  assert.equal(status, 0, stderr);
  assert.deepEqual(Object.keys(annotations()).toSorted(), [
    'egret.dev/command',
    'other-0',
    'other-1',
  ]);
});

test('undo says what it goes back to first; --dry-run writes nothing', async (t) => {
  const { run, annotations, startController } = await rolloutStage(t, PROMOTED);
  startController(PROMOTED);
  const dry = await run(['undo', 'mail', '--dry-run']);
  assert.equal(dry.status, 0, dry.stderr);
  assert.match(
    dry.stdout,
    /^would write undo:r-7f3c:\w+: goes back from 2026-11-28\.1 .* to 2026-11-20\.3/,
  );
  assert.equal(annotations()['egret.dev/command'], undefined);
  const { status, stdout } = await run(['undo', 'mail', '--reason', 'bad day']);
  assert.equal(status, 0);
  assert.match(stdout, /^goes back from 2026-11-28\.1 .*\n.*in force now: 2026-11-20\.3/);
});

test('watch tells each change until promotion, exit code 0', async (t) => {
  const { run, setState, fake } = await rolloutStage(t, GUARDED);
  const states = [
    { ...WIDENING, generation: 30 },
    { ...PROMOTED, generation: 31 },
  ];
  fake.fails(({ path }) => {
    // The next state is there when the one before was read.
    if (!path.endsWith('/mail-state')) return null;
    setImmediate(() => {
      const next = states.shift();
      if (next !== undefined) setState(next);
    });
    return null;
  });
  const { status, stdout, stderr } = await run(['watch', 'mail', '--timeout', '1m']);
  assert.equal(status, 0, stderr);
  assert.match(stdout, /rollout r-7f3c: .* beside /);
  assert.match(stdout, /Paused\/Widening +Allows 37 calls/);
  assert.match(stdout, /Stable +in force now: 2026-11-28\.1/);
});

test('watch ends with 1 after an abort, and with 3 when the time is up', async (t) => {
  const aborted = await rolloutStage(t, ABORTED);
  const guarded = await rolloutStage(t, GUARDED);
  const [bad, late] = await Promise.all([
    aborted.run(['watch', 'mail']),
    guarded.run(['watch', 'mail', '--timeout', '1s']),
  ]);
  assert.equal(bad.status, 1);
  assert.equal(late.status, 3);
  assert.match(late.stderr, /mail is not done within the timeout/);
});

test('watch for a digest does not take the stable revision of before for the end', async (t) => {
  const { run } = await rolloutStage(t, {
    ...PROMOTED,
    stable: { ...CANDIDATE, digest: `sha256:${'1'.repeat(64)}` },
  });
  const { status } = await run(['watch', 'mail', '--digest', CANDIDATE.digest, '--timeout', '1s']);
  assert.equal(status, 3);
});

test('watch goes on while the API server fails for a moment', async (t) => {
  const { run, fake, setState } = await rolloutStage(t, GUARDED);
  let asked = 0;
  fake.fails(({ path }) => {
    if (!path.endsWith('/mail-state')) return null;
    asked += 1;
    if (asked === 2) setState(PROMOTED);
    return asked === 2 ? { status: 503 } : null;
  });
  const { status, stderr } = await run(['watch', 'mail', '--timeout', '1m']);
  assert.equal(status, 0, stderr);
  assert.equal(asked, 3);
});

test('what the controller cut short is ASCII in a pipe, too', async (t) => {
  const { run } = await rolloutStage(t, { ...GUARDED, message: 'a long sentence…' });
  const { stdout } = await run(['status', 'mail']);
  assert.match(stdout, /^ +a long sentence\.\.\.$/m);
  assert.match(stdout, /^[\n\x20-\x7e]*$/);
});

test('history is a table, newest first', async (t) => {
  const { run } = await rolloutStage(t, PROMOTED);
  const { status, stdout } = await run(['history', 'mail']);
  assert.equal(status, 0);
  assert.match(stdout, /^ENDED .*\n.*Promoted +2026-11-28\.1.*ada@example\.com +new accountant/);
});

test('--kubeconfig, KUBECONFIG of several files and --context choose as kubectl does', async (t) => {
  const { run, kubeconfig } = await rolloutStage(t, GUARDED);
  const [option, several, stranger, nowhere] = await Promise.all([
    run(['status', '--kubeconfig', kubeconfig], {}),
    run(['status'], { KUBECONFIG: `/nonexistent/config:${kubeconfig}` }),
    run(['status', '--context', 'stranger']),
    run(['status', '--context', 'moon']),
  ]);
  assert.equal(option.status, 0, option.stderr);
  assert.equal(several.status, 0, several.stderr);
  assert.deepEqual([stranger.status, nowhere.status], [2, 2]);
  assert.match(stranger.stderr, /Unauthorized/);
  assert.match(nowhere.stderr, /expected the name of a context .*: agents, stranger/);
});

test('outside of a cluster and without a kubeconfig one line says what is missing', async (t) => {
  const { run } = await rolloutStage(t, GUARDED);
  const { status, stderr } = await run(['status'], {});
  assert.equal(status, 2);
  assert.match(stderr, /^egret rollout status: KUBERNETES_SERVICE_HOST .* kubeconfig file\n$/);
});
