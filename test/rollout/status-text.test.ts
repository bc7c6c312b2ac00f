// What `egret rollout status` and `history` print, letter by letter: test/rollout/golden. To change them on purpose, run
// this file with EGRET_GOLDEN=write and read the difference as somebody who was just woken up.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { conditionsOf } from '../../src/rollout/condition.ts';
import { historyText } from '../../src/rollout/history-text.ts';
import { viewsOf } from '../../src/rollout/set-view.ts';
import { statusTable, statusText } from '../../src/rollout/status-text.ts';
import { PLAIN_MARKS, TERMINAL_MARKS, timelineOf } from '../../src/rollout/timeline.ts';
import {
  ABORTED,
  EVENTS,
  GUARDED,
  NOW,
  PROMOTED,
  ROLLOUT,
  setObject,
  stateObject,
  viewWith,
  WIDENING,
} from './set-stage.ts';

const plain = { now: NOW, marks: PLAIN_MARKS, events: [], program: 'egret' };

function golden(name: string, text: string): void {
  const file = join(import.meta.dirname, 'golden', `${name}.txt`);
  if (process.env['EGRET_GOLDEN'] === 'write') writeFileSync(file, `${text}\n`);
  assert.equal(`${text}\n`, readFileSync(file, 'utf8'));
}

test('all sets are one table, whatever their state', () => {
  const states = [GUARDED, WIDENING, ABORTED, PROMOTED, null];
  golden(
    'status-table',
    statusTable(
      states.map((state) => viewWith(state)),
      NOW,
      true,
    ),
  );
});

test('a rollout on its way: what is enforced, its steps, what comes when, what happened', () => {
  const options = { ...plain, marks: TERMINAL_MARKS, events: EVENTS };
  golden('status-guarded', statusText(viewWith(GUARDED), options));
});

test('a widening: how many calls, examples with both answers, and the command that agrees', () => {
  golden('status-widening', statusText(viewWith(WIDENING), plain));
});

test('an aborted rollout: why, what is in force, and that a command waits', () => {
  golden('status-aborted', statusText(viewWith(ABORTED, 'retry:r-7f3c:1'), plain));
});

test('history is a table with the newest on top and the one under way before it', () => {
  golden('history', historyText(WIDENING, NOW));
});

test('without a terminal everything is ASCII', () => {
  for (const state of [GUARDED, WIDENING, ABORTED, PROMOTED, null]) {
    assert.match(statusText(viewWith(state), { ...plain, events: EVENTS }), /^[\n\x20-\x7e]*$/);
  }
});

test('the time until a step is over counts down and then says what it waits for', () => {
  const at = (ms: number) => statusText(viewWith(GUARDED), { ...plain, now: NOW + ms });
  assert.match(at(0), /> {2}3 {2}5% for 15m .*; 2m52s left/);
  assert.match(at(171_000), /; 1s left/);
  assert.match(at(172_000), /; time is up, waits for its checks/);
});

test('a step after a pause for approval has no earliest time', () => {
  const steps = timelineOf(viewWith(GUARDED).spec, GUARDED);
  assert.deepEqual(
    steps.map(({ status, dueAtMs }) => [status, dueAtMs === null ? null : dueAtMs - NOW]),
    [
      ['done', null],
      ['done', null],
      ['current', 172_000],
      ['ahead', 172_000],
      ['ahead', null],
      ['ahead', null],
    ],
  );
});

test('a clock that is behind the controller makes no negative ages', () => {
  const early = { ...plain, now: ROLLOUT.startedAtMs - 60_000 };
  assert.doesNotMatch(statusText(viewWith(GUARDED), early), /-\d+[smhd]/);
});

test('a set whose rollout.yaml is wrong says where, and still shows what is in force', () => {
  const wrong = setObject({}, 'apiVersion: egret.dev/v1alpha1\nkind: PolicySet\n');
  const [view] = viewsOf([wrong], [stateObject(GUARDED)]);
  assert.ok(view !== undefined);
  const text = statusText(view, plain);
  assert.match(text, /problems: nothing moves on until they are gone\n {2}! rollout\.yaml/);
  assert.match(text, /^stable +2026-11-20\.3/m);
  assert.match(statusTable([view], NOW, false), /^mail .* 3\/\? .*rollout\.yaml/m);
});

test('two ConfigMaps of one set, a set without ConfigMap, and a state that is none are problems', () => {
  const problems = (...args: Parameters<typeof viewsOf>) => viewsOf(...args)[0]?.problems.join();
  const twin = setObject();
  const second = { ...twin, metadata: { ...twin.metadata, name: 'other' } };
  assert.match(problems([twin, second], []) ?? '', /found mail-policy and other, expected one/);
  assert.match(problems([], [stateObject(GUARDED)]) ?? '', /no ConfigMap has the label/);
  const broken = { ...stateObject(GUARDED), data: { 'state.json': '{}' } };
  assert.match(problems([twin], [broken]) ?? '', /mail-state: not readable/);
});

test('conditions: healthy and moving, held for a human, aborted', () => {
  const holding = (state: typeof GUARDED) =>
    conditionsOf(viewWith(state)).flatMap(({ type, status }) => (status ? [type] : []));
  assert.deepEqual(holding(GUARDED).includes('Progressing'), true);
  assert.deepEqual(holding(WIDENING).includes('Progressing'), false);
  assert.deepEqual(holding(WIDENING).includes('Healthy'), true);
  assert.deepEqual(holding(ABORTED).includes('Healthy'), false);
});
