/**
 * Replicas whose clocks are five minutes apart take turns: a step ends too early by that at most, a bad candidate is
 * found as soon as ever, and the rollout comes to its end.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { SetWorker } from '../../src/controller/set-worker.ts';
import { directiveOf } from '../../src/rollout/machine.ts';
import type { RolloutState } from '../../src/rollout/state.ts';
import { Stage } from './worker-stage.ts';

const MINUTE_MS = 60_000;
const SKEW_MS = 5 * MINUTE_MS;
const STEP_MS = 20 * MINUTE_MS;
const TICK_MS = 20_000;
const TICKS_MAX = 1000;

const STEPS = [
  { shadow: '20m' },
  { weight: 10, for: '20m' },
  { weight: 50, for: '20m' },
  { weight: 100, for: '20m' },
];

/** Three replicas: one is right, one is ahead, one is behind; these two are as far apart as clocks may be. */
function replicas(stage: Stage): readonly SetWorker[] {
  return [0, SKEW_MS / 2, -SKEW_MS / 2].map((skewMs) => {
    const wallMs = () => stage.nowMs + skewMs;
    return stage.worker({
      nowMs: wallMs,
      analyse: async (state, spec) => stage.lookIfDue(state, spec, wallMs()),
    });
  });
}

async function underWay() {
  const stage = new Stage({ steps: STEPS, deadline: '24h' });
  const workers = replicas(stage);
  stage.bundle = 'A';
  await (workers[0] as SetWorker).round();
  stage.bundle = 'B';
  return { stage, workers };
}

const placeOf = (state: RolloutState) => state.rollout?.step ?? null;

test('whoever leads when, no step ends more than the skew too early and the end is reached', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ who: fc.nat(2), ticks: fc.integer({ min: 1, max: 90 }) }), {
        minLength: 1,
        maxLength: 20,
      }),
      async (terms) => {
        const { stage, workers } = await underWay();
        let step: number | null = null;
        let beganMs = stage.nowMs;
        let weight = 0;
        const lead = async (worker: SetWorker) => {
          stage.nowMs += TICK_MS;
          await worker.round();
          const { state } = stage;
          const told = directiveOf(state);
          if (placeOf(state) !== step) {
            const lastedMs = stage.nowMs - beganMs;
            if (step !== null && step >= 0) {
              assert.ok(lastedMs >= STEP_MS - SKEW_MS, `step ${step} lasted ${lastedMs} ms`);
            }
            step = placeOf(state);
            beganMs = stage.nowMs;
          }
          if (told.rolloutId !== null) {
            assert.ok(told.weight >= weight, 'nothing is lost');
            weight = told.weight;
          }
        };
        for (const { who, ticks } of terms) {
          for (let tick = 0; tick < ticks; tick += 1) await lead(workers[who] as SetWorker);
        }
        for (let tick = 0; stage.state.stable?.revision !== 'B'; tick += 1) {
          assert.ok(tick < TICKS_MAX, 'it comes to its end');
          await lead(workers[0] as SetWorker);
        }
      },
    ),
    { numRuns: 60 },
  );
});

test('a replica whose clock is behind looks at once, and not when its clock has caught up', async () => {
  const { stage, workers } = await underWay();
  const [, ahead, behind] = workers as [SetWorker, SetWorker, SetWorker];
  for (let tick = 0; tick < 10; tick += 1) {
    stage.nowMs += TICK_MS;
    await ahead.round();
  }
  assert.equal(stage.state.rollout?.lastLook, 'passed');
  stage.look = 'hard';
  await behind.round();
  assert.equal(stage.state.phase, 'Aborted');
});
