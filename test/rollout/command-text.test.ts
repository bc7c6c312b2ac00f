// Commands of people: refused where they make no sense, and else the annotation that the controller reads.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandOf } from '../../src/controller/commands.ts';
import { changeLines } from '../../src/rollout/change-text.ts';
import { commandAnnotations, commandFor, wasCarriedOut } from '../../src/rollout/command-text.ts';
import { advance } from '../../src/rollout/machine.ts';
import { nextCommands } from '../../src/rollout/next-command.ts';
import { type RolloutState, VERBS, type Verb } from '../../src/rollout/state.ts';
import { commandId } from '../../src/rollout/turn.ts';
import {
  ABORTED,
  CANDIDATE,
  GUARDED,
  NOW,
  PROMOTED,
  ROLLOUT,
  STABLE,
  viewWith,
  WIDENING,
} from './set-stage.ts';

const wish = { rolloutId: null, reason: null, nonce: 'n1' };
const paused = (pauseReason: RolloutState['pauseReason']): RolloutState => ({
  ...GUARDED,
  phase: 'Paused',
  pausedIn: 'Guarded',
  pauseReason,
});
const FAILED: RolloutState = { ...GUARDED, rollout: { ...ROLLOUT, lastLook: 'failed' } };
const NEVER: RolloutState = {
  ...GUARDED,
  phase: 'Stable',
  rollout: null,
  previous: null,
  history: [],
};

/** What the machine makes of it one second later, for the same set. */
function afterwards(state: RolloutState, text: string, why: string): RolloutState {
  const { spec } = viewWith(state);
  const command = commandOf({
    'egret.dev/command': text,
    'egret.dev/command-reason': why,
    'egret.dev/command-by': 'ada',
  });
  assert.ok(command.ok);
  const observation = {
    spec,
    candidate: { status: 'stored', revision: CANDIDATE } as const,
    command: command.command,
    analysis: null,
    author: null,
    fresh: { rolloutId: 'r-new', salt: '11'.repeat(16) },
  };
  return advance(state, observation, NOW + 1000).state;
}

const STATES: Readonly<Record<string, RolloutState>> = {
  guarded: GUARDED,
  widening: WIDENING,
  aborted: ABORTED,
  promoted: PROMOTED,
  failed: FAILED,
  approval: { ...paused('Approval'), rollout: { ...ROLLOUT, step: 3 } },
  step: { ...paused('Step'), rollout: { ...ROLLOUT, step: 3 } },
  manual: paused('Manual'),
  inconclusive: paused('Inconclusive'),
  failing: paused('Failed'),
  never: NEVER,
};

for (const [name, state] of Object.entries(STATES)) {
  for (const verb of VERBS) {
    test(`${verb} when ${name}: whether it is refused here is what the machine does with it`, () => {
      const reading = commandFor(viewWith(state), { ...wish, verb, reason: 'because' });
      const text = `${verb}:${commandId(state)}:n1`;
      const after = afterwards(state, text, 'because');
      const said = reading.ok ? text : reading.why;
      assert.equal(reading.ok, wasCarriedOut(verb, state, after), said);
      if (reading.ok) assert.equal(reading.text, text);
    });
  }
}

test('what is proposed for a state is not refused in it', () => {
  for (const state of Object.values(STATES)) {
    for (const { line } of nextCommands(viewWith(state), 'egret')) {
      const verb = line.split(' ')[2] as Verb;
      const reading = commandFor(viewWith(state), { ...wish, verb, reason: 'because' });
      assert.ok(reading.ok, `${line}: ${reading.ok ? '' : reading.why}`);
    }
  }
});

test('a widening is promoted only with a reason', () => {
  const refused = commandFor(viewWith(WIDENING), { ...wish, verb: 'promote' });
  assert.ok(!refused.ok);
  assert.match(refused.why, /allows calls that stable denies \(37 seen\): say why .* --reason/);
});

test('a rollout that is over is refused with the one that is under way now', () => {
  const stale = commandFor(viewWith(GUARDED), { ...wish, verb: 'abort', rolloutId: 'r-6e10' });
  assert.ok(!stale.ok);
  assert.equal(stale.why, 'rollout r-6e10 is not the present one: now it is r-7f3c (Guarded)');
});

test('undo says what it goes back from and to', () => {
  const reading = commandFor(viewWith(PROMOTED), { ...wish, verb: 'undo' });
  assert.ok(reading.ok);
  assert.match(reading.announces, /^goes back from 2026-11-28\.1 .* to 2026-11-20\.3 /);
});

test('without a state, and without a ConfigMap, nothing is written', () => {
  const unseen = commandFor(viewWith(null), { ...wish, verb: 'abort' });
  assert.match(unseen.ok ? '' : unseen.why, /no state yet/);
  const gone = commandFor({ ...viewWith(GUARDED), object: null }, { ...wish, verb: 'abort' });
  assert.match(gone.ok ? '' : gone.why, /no ConfigMap holds the policy set mail/);
});

test('name and reason of an earlier command do not stay with a later one', () => {
  assert.deepEqual(commandAnnotations('abort:r-1:n', null, null), {
    'egret.dev/command': 'abort:r-1:n',
    'egret.dev/command-by': null,
    'egret.dev/command-reason': null,
  });
});

test('watch tells starts, failed checks, pauses, commands and the end, and nothing twice', () => {
  const { spec } = viewWith(GUARDED);
  const lines = (before: RolloutState | null, after: RolloutState) =>
    changeLines(before, after, spec).map((line) => line.slice(44));
  const clock = changeLines(null, GUARDED, spec)[0]?.slice(0, 44);
  assert.equal(clock, '2026-11-28 02:45:58Z  Guarded               ');
  assert.deepEqual(lines(GUARDED, { ...GUARDED, generation: 99, updatedAtMs: NOW }), []);
  assert.deepEqual(lines(GUARDED, { ...GUARDED, rollout: { ...ROLLOUT, failures: 2 } }), [
    'checks failed, 2 so far (2 forgiven)',
  ]);
  assert.deepEqual(lines(null, GUARDED), [
    'rollout r-7f3c: 2026-11-28.1 (ef2def2def2d) beside 2026-11-20.3 (4b224b224b22)',
    'step 3 of 6: 5% for 15m, enforced for 5%',
  ]);
  assert.deepEqual(lines(GUARDED, WIDENING), [
    'Allows 37 calls that stable denies (gmail.send); needs approval',
  ]);
  assert.deepEqual(lines(WIDENING, { ...PROMOTED, observedCommand: 'promote:r-7f3c:1' }), [
    'command promote:r-7f3c:1 was read',
    'rollout r-7f3c ended after 31m13s: Promoted 2026-11-28.1 (ef2def2def2d): all steps passed',
    'in force now: 2026-11-28.1 (ef2def2def2d), before: 2026-11-20.3 (4b224b224b22)',
    'nothing is being rolled out',
  ]);
  assert.equal(STABLE.revision, '2026-11-20.3');
});
