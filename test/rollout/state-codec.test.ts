// A state as the data of its ConfigMap: what people read in it, that it comes back whole, and that it stays small.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DIRECTIVE_KEY, readDirective } from '../../src/rollout/directive.ts';
import { advance, directiveOf, initialState } from '../../src/rollout/machine.ts';
import type { Observation, RolloutState } from '../../src/rollout/state.ts';
import {
  readState,
  renderState,
  STATE_CHARS_MAX,
  STATE_KEY,
} from '../../src/rollout/state-codec.ts';
import { lookOf, revisionOf, specOf } from './transcript.ts';

const WILD = '"\\\u0000\u001b\n\u202e\ud800字';

function next(state: RolloutState, patch: Partial<Observation>, nowMs: number): RolloutState {
  const observation: Observation = {
    spec: specOf({ steps: [{ weight: 25, for: '1m' }, { pause: 'approval' }] }),
    candidate: { status: 'stored', revision: revisionOf('B') },
    command: null,
    analysis: null,
    author: null,
    fresh: { rolloutId: `r${nowMs}`, salt: 'ab'.repeat(16) },
    ...patch,
  };
  return advance(state, observation, nowMs).state;
}

function canary(): RolloutState {
  const first = next(
    initialState('shop', 0),
    { candidate: { status: 'stored', revision: revisionOf('A') } },
    1,
  );
  return next(next(first, {}, 2), {}, 3);
}

void test('flat keys are for kubectl, the directive for sidecars, the rest for the controller', () => {
  const state = canary();
  const { [DIRECTIVE_KEY]: directive, [STATE_KEY]: whole, ...flat } = renderState(state);
  assert.deepEqual(flat, {
    phase: 'Guarded',
    pauseReason: '',
    step: '1/2',
    weight: '25%',
    mode: 'guarded',
    stable: 'A',
    candidate: 'B',
    rolloutID: 'r2',
    message: 'Step 1 of 2: 25% for 1m',
  });
  assert.deepEqual(readDirective(directive), directiveOf(state));
  assert.deepEqual(readState({ [STATE_KEY]: whole ?? '' }), state);
});

void test('the first state of all can be written and read', () => {
  const state = initialState('shop', 7);
  assert.deepEqual(readState(renderState(state)), state);
  assert.deepEqual(readDirective(renderState(state)[DIRECTIVE_KEY]), directiveOf(state));
});

void test('what is no state is none', () => {
  const text = renderState(canary())[STATE_KEY] ?? '';
  const wrong = [
    undefined,
    {},
    { [STATE_KEY]: '' },
    { [STATE_KEY]: text.slice(1) },
    { [STATE_KEY]: text.replace('"weight":2500', '"weight":25000') },
    { [STATE_KEY]: text.replace('"set"', '"sett"') },
    { [STATE_KEY]: `${text}${' '.repeat(STATE_CHARS_MAX)}` },
  ];
  for (const data of wrong) assert.equal(readState(data), null);
});

void test('with every list full and every text long and wild it stays below 200 kB', () => {
  const long = WILD.repeat(200);
  const selector = {
    namespaces: Array.from({ length: 256 }, (_, at) => `${at}`.padStart(63, 'n')),
    podLabels: Object.fromEntries(
      Array.from({ length: 32 }, (_, at) => [`${at}`.padStart(317, 'l'), 'v'.repeat(63)]),
    ),
  };
  const spec = specOf({ selector, steps: [{ weight: 25, for: '1h' }] });
  const example = { ...lookOf('passed allowed 1').examples[0], tool: long.slice(0, 256) };
  const examples = Array.from({ length: 30 }, () => ({
    ...example,
    class: 'newly_allowed' as const,
    at: '2026-03-02T00:00:00.000000000Z',
    decisionId: long.slice(0, 64),
    stable: { outcome: long.slice(0, 256), reason: long.slice(0, 256), rule: long.slice(0, 256) },
    candidate: { outcome: long.slice(0, 256), reason: long.slice(0, 256), rule: null },
    tool: long.slice(0, 256),
  }));
  let state = canary();
  for (let at = 10; at < 80; at += 2) {
    const candidate = { status: 'stored' as const, revision: wild(at) };
    const analysis = { ...lookOf('passed allowed 1'), examples };
    state = next(next(state, { spec, candidate }, at), { spec, candidate, analysis }, at);
    const { id: rolloutId = '' } = state.rollout ?? {};
    const by = long.slice(0, 256);
    const command = { text: `p:${at}`, verb: 'promote' as const, rolloutId, by, why: long };
    state = next(state, { spec, candidate, command }, at);
  }
  assert.equal(state.history.length, 20);
  assert.equal(state.rollout?.widening?.examples.length, 10);
  assert.ok(state.history.every(({ approval }) => approval === null || approval.by.length > 50));
  const data = renderState(state);
  assert.ok(Buffer.byteLength(data[STATE_KEY] ?? '') < 200_000);
  assert.deepEqual(readState(data), state);
  assert.ok(readDirective(data[DIRECTIVE_KEY]) !== null);
  assert.doesNotMatch(data['message'] ?? '', /\p{Cc}/u);
});

const wild = (at: number) => ({
  digest: `sha256:${String(at).padStart(64, '0')}`,
  revision: WILD.toWellFormed().repeat(40).slice(0, 256),
  pieces: 1,
});
