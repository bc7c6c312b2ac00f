// What must hold in every order of events, beside a twin that only remembers. The seed of a failure is printed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { advance, directiveOf, initialState } from '../../src/rollout/machine.ts';
import type { PolicySetSpec } from '../../src/rollout/policy-set.ts';
import {
  type Advance,
  type Observation,
  type RolloutState,
  VERBS,
  type Verb,
} from '../../src/rollout/state.ts';
import { commandId } from '../../src/rollout/turn.ts';
import { lookOf, revisionOf, specOf, written } from './transcript.ts';

const RUNS = 10_000;

const steps = [{ weight: 10, for: '1m' }, { pause: 'approval' }, { weight: 60, for: '1m' }];
const SPECS: readonly (PolicySetSpec | null)[] = [
  specOf({ steps, analysis: { inconclusiveLimit: 1 } }),
  specOf({
    steps: [
      { weight: 5, for: '1m' },
      { weight: 80, for: '0s' },
    ],
  }),
  specOf({ steps: [{ shadow: '30s' }, { weight: 30, for: '0s' }], onFailure: 'pause' }),
  specOf({ steps, mode: 'candidate', fourEyes: true, analysis: { failureLimit: 0 } }),
  specOf({ steps: [{ weight: 100, for: '0s' }], windows: [{ from: '00:05', to: '00:20' }] }),
  specOf({
    steps: [
      { weight: 20, for: '30s' },
      { weight: 40, for: '30s' },
    ],
    widen: 'unattended',
    deadline: '20m',
    analysis: { checks: { newlyAllowed: 'ignore' } },
  }),
  specOf({ steps: [{ replay: { last: '1h' } }, { weight: 50, for: '0s' }] }),
  specOf({
    steps: [{ weight: 20, for: '0s' }],
    analysis: { failureLimit: 5, checks: { newlyAllowed: 'fail' } },
  }),
  null,
];
const LOOKS = [
  'passed',
  'passed',
  'passed',
  'passed replayed 9',
  'passed allowed 1',
  'inconclusive',
  'nothing',
  'failed',
  'hard',
];

const happening = fc.record({
  afterMs: fc.constantFrom(0, 1000, 20_000, 60_000, 400_000),
  spec: fc.option(fc.nat(SPECS.length - 1), { freq: 8 }),
  bundle: fc.option(fc.constantFrom('A', 'B', 'C', 'bad B', 'bad D', 'missing'), { freq: 6 }),
  look: fc.option(fc.constantFrom(...LOOKS), { nil: null }),
  verb: fc.option(fc.constantFrom(...VERBS, 'promote', 'promote'), { freq: 4 }),
  stale: fc.boolean(),
  by: fc.constantFrom('ann', 'bob', ''),
});
type Happening = typeof happening extends fc.Arbitrary<infer T> ? T : never;

interface Told {
  readonly observation: Observation;
  readonly nowMs: number;
}

/** Turns what happens into what the machine sees; the same for the same order. */
function world() {
  let nowMs = Date.parse('2026-03-02T00:00:00Z');
  let spec = SPECS[0] ?? null;
  let candidate: Observation['candidate'] = { status: 'missing' };
  let count = 0;
  let command: Observation['command'] = null;
  return (happens: Happening, state: RolloutState): Told => {
    nowMs += happens.afterMs;
    count += 1;
    if (happens.spec !== null) spec = SPECS[happens.spec] ?? null;
    if (happens.bundle !== null) candidate = bundle(happens.bundle);
    if (happens.verb !== null) {
      const rolloutId = happens.stale && count % 3 === 0 ? 'stale' : commandId(state);
      const verb = happens.verb as Verb;
      command = { text: `${verb}:${rolloutId}:${count}`, verb, rolloutId, by: happens.by, why: '' };
    }
    const analysis = happens.look === null ? null : lookOf(happens.look);
    const fresh = { rolloutId: `r${count}`, salt: String(count).padStart(32, '0') };
    return { nowMs, observation: { spec, candidate, command, analysis, author: 'ann', fresh } };
  };
}

function bundle(text: string): Observation['candidate'] {
  if (text === 'missing') return { status: 'missing' };
  const revision = revisionOf(text.slice(-1));
  if (!text.startsWith('bad')) return { status: 'stored', revision };
  return { status: 'rejected', digest: revision.digest, errors: ['bundle.unsigned'] };
}

/** Remembers looks and approvals by rollout, and nothing else. */
class Twin {
  readonly #stored = new Set<string>();
  readonly #failing = new Set<string>();
  readonly #allowing = new Set<string>();
  readonly #approved = new Set<string>();
  #passedInStep = false;

  watch(before: RolloutState, { observation, nowMs }: Told, next: Advance): void {
    const { analysis, candidate, spec } = observation;
    if (candidate.status === 'stored') this.#stored.add(candidate.revision.digest);
    const id = before.rollout?.id;
    if (id !== undefined && analysis !== null) {
      const { result } = analysis.look;
      if (result === 'failed' && before.rollout?.revert === false) this.#failing.add(id);
      if (result === 'passed' && spec !== null) this.#failing.delete(id);
      this.#passedInStep = result === 'passed' && spec !== null;
      if (analysis.newlyAllowed > 0) this.#allowing.add(id);
    }
    const said = new Set(next.events.map(({ reason }) => reason));
    if (said.has('WideningApproved') && id !== undefined) this.#approved.add(id);
    this.#check(before, observation, next);
    if (said.has('StepStarted')) this.#passedInStep = false;
    assert.ok(next.wakeAtMs === null || next.wakeAtMs >= nowMs, 'wakes in the future');
  }

  #check(before: RolloutState, observation: Observation, { state, events }: Advance): void {
    const told = directiveOf(state);
    const id = before.rollout?.id;
    const { analysis, spec, command } = observation;
    const first = before.generation === 0;
    if (state !== before && !first) assert.equal(state.generation, before.generation + 1);
    if (state !== before) assert.ok(state.generation > before.generation);
    if (before.stable !== null) assert.ok(state.stable !== null, 'stable never goes away');
    if (state.stable !== null) assert.ok(this.#stored.has(state.stable.digest), 'was stored');
    if (['Stable', 'Aborted', 'Rejected'].includes(state.phase)) {
      assert.deepEqual([told.candidate, told.weight, told.rolloutId], [null, 0, null]);
      assert.equal(state.rollout, null);
    } else if (before.stable !== null) assert.ok(told.candidate !== null);
    if (analysis?.look.result === 'failed' && analysis.look.hard) {
      assert.ok(id === undefined || state.rollout?.id !== id, 'a hard failure ends the rollout');
    }
    const rises = id === state.rollout?.id && told.weight > directiveOf(before).weight;
    const ignored = spec?.widen === 'unattended' && spec.analysis.checks.newlyAllowed === 'ignore';
    const agreed = id === undefined || !this.#allowing.has(id) || this.#approved.has(id) || ignored;
    const commanded = command !== null && command.text !== before.observedCommand;
    if (id !== undefined && rises) {
      assert.ok(!this.#failing.has(id), 'no rise after a failure');
      assert.ok(agreed, 'no rise while it allows more');
      assert.ok(commanded || before.rollout?.step === -1 || this.#passedInStep, 'a look passed');
    }
    const promoted = events.some(({ reason }) => reason === 'Promoted') && before.stable !== null;
    if (!promoted || id === undefined) return;
    assert.ok(agreed, 'no promotion of what allows more');
    assert.ok(!this.#failing.has(id), 'no promotion after a failure');
    const known = before.rollout?.revert === true || before.rollout?.forced !== null;
    assert.ok(known || this.#passedInStep, 'no promotion without a look that passed');
  }
}

void test('in every order of events the rules hold', () => {
  fc.assert(
    fc.property(fc.array(happening, { minLength: 8, maxLength: 30 }), (all) => {
      const see = world();
      const twin = new Twin();
      let state = initialState('shop', 0);
      for (const happens of [FIRST, ...all]) {
        const told = see(happens, state);
        const next = advance(state, told.observation, told.nowMs);
        twin.watch(state, told, next);
        state = next.state;
      }
    }),
    { numRuns: RUNS },
  );
});

const FIRST: Happening = {
  afterMs: 0,
  spec: null,
  bundle: 'A',
  look: null,
  verb: null,
  stale: false,
  by: '',
};

void test('a controller that is killed before or after every write comes to the same state', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(happening, fc.boolean()), { maxLength: 30 }), (all) => {
      const see = world();
      let lives = initialState('shop', 0);
      let killed = initialState('shop', 0);
      for (const [happens, lost] of all) {
        const { observation, nowMs } = see(happens, lives);
        lives = advance(lives, observation, nowMs).state;
        // What it found before the write is lost with it, and found again.
        if (lost) advance(written(killed), observation, nowMs);
        killed = written(advance(written(killed), observation, nowMs).state);
        assert.deepEqual(killed, lives);
        // It does not know that it carried out the command but from the state.
        const again = advance(killed, { ...observation, analysis: null }, nowMs);
        assert.equal(again.state.observedCommand, killed.observedCommand);
        assert.ok(again.events.every(({ reason }) => reason !== 'CommandIgnored'));
      }
    }),
    { numRuns: 1000 },
  );
});

void test('the same observation again and again comes to rest', () => {
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 20 }), (all) => {
      const see = world();
      let state = initialState('shop', 0);
      let last: Told | null = null;
      for (const happens of all) {
        last = see(happens, state);
        state = advance(state, last.observation, last.nowMs).state;
      }
      if (last === null) return;
      const quiet = { ...last.observation, analysis: null };
      for (let turn = 0; turn < 6; turn += 1) state = advance(state, quiet, last.nowMs).state;
      assert.equal(advance(state, quiet, last.nowMs).state, state);
    }),
    { numRuns: 1000 },
  );
});

test('A state that was deleted and begins anew is newer than what sidecars were told before', () => {
  const began = Date.parse('2026-11-28T12:00:00Z');
  const begin = (nowMs: number) => {
    const candidate = { status: 'stored', revision: revisionOf('A') } as const;
    const nothing = { command: null, analysis: null, author: null };
    const fresh = { rolloutId: 'r1', salt: '00'.repeat(16) };
    const observation = { spec: specOf({ steps }), candidate, ...nothing, fresh };
    return advance(initialState('main', nowMs), observation, nowMs).state.generation;
  };
  // A write a second, which is more than there are.
  const afterAnHour = begin(began) + 3599;
  assert.ok(begin(began + 3_600_000) > afterAnHour);
});
