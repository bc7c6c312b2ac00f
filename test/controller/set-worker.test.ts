/**
 * What brings one policy set forward: killed at any write it comes to the same end, it writes seldom unless somebody
 * must know at once, and whoever was overtaken never writes over what is newer.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { SetWorker, StateRead } from '../../src/controller/set-worker.ts';
import { directiveOf } from '../../src/rollout/machine.ts';
import { Killed, START_MS, Stage } from './worker-stage.ts';

const STEPS = [{ weight: 10, for: '1m' }, { pause: 'approval' }, { weight: 60, for: '1m' }];

/** What happens, and at which second. */
const STORY: readonly (readonly [number, (stage: Stage) => void])[] = [
  [
    0,
    (stage) => {
      stage.bundle = 'A';
    },
  ],
  [
    100,
    (stage) => {
      stage.bundle = 'B';
    },
  ],
  [400, (stage) => stage.say('promote')],
  [
    900,
    (stage) => {
      stage.bundle = 'C';
    },
  ],
  [1000, (stage) => stage.say('abort')],
  [1100, (stage) => stage.say('undo')],
  [1300, (stage) => stage.say('pause')],
];
const STORY_SECONDS = 1500;

interface Death {
  /** Of all writes that were tried, the one it dies at. */
  readonly at: number;
  readonly when: 'before' | 'after';
}

/** Plays the story; whoever dies is followed by a new controller, which remembers nothing. */
async function played(death: Death | null, restartSeconds: number) {
  const stage = new Stage({ steps: STEPS });
  let tried = 0;
  const life = () => {
    const own = stage.worker();
    const deadly = stage.worker({
      write: async (state, version) => {
        tried += 1;
        const dies = death !== null && tried === death.at;
        if (dies && death.when === 'before') throw new Killed();
        const by = 'one';
        const written = stage.stored.write({ atMs: stage.nowMs, by, state }, version);
        if (dies) throw new Killed();
        return written;
      },
    });
    return death === null ? own : deadly;
  };
  let worker = life();
  const pass = async (ms: number) => {
    const endMs = stage.nowMs + ms;
    try {
      await stage.pass(worker, ms);
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
      stage.nowMs = Math.min(endMs, stage.nowMs + restartSeconds * 1000);
      worker = life();
      await stage.pass(worker, endMs - stage.nowMs);
    }
  };
  for (const [at, happens] of STORY) {
    await pass(START_MS + at * 1000 - stage.nowMs);
    happens(stage);
  }
  await pass(START_MS + STORY_SECONDS * 1000 - stage.nowMs);
  return { stage, tried };
}

const outline = ({ state }: Stage) => ({
  phase: state.phase,
  stable: state.stable?.revision,
  rollout: state.rollout?.id,
  history: state.history.map(({ rolloutId, result }) => `${rolloutId} ${result}`),
  directive: { ...directiveOf(state), generation: 0 },
});

describe('killed at every write', () => {
  test('before it took effect or after, it comes to the very same state at the same moment', async () => {
    const whole = await played(null, 0);
    const { length } = whole.stage.stored.writes;
    assert.ok(length > 8, `the story has ${length} writes`);
    for (let at = 1; at <= length; at += 1) {
      for (const when of ['before', 'after'] as const) {
        const { stage, tried } = await played({ at, when }, 0);
        assert.ok(tried >= at, 'it died');
        assert.deepEqual(stage.state, whole.stage.state, `${when} write ${at}`);
      }
    }
  });

  test('and comes back seven seconds later, the story ends the same', async () => {
    const whole = await played(null, 0);
    for (let at = 1; at <= whole.stage.stored.writes.length; at += 1) {
      for (const when of ['before', 'after'] as const) {
        const { stage } = await played({ at, when }, 7);
        assert.deepEqual(outline(stage), outline(whole.stage), `${when} write ${at}`);
      }
    }
  });
});

async function underWay(fields: object = {}) {
  const stage = new Stage({ steps: [{ weight: 10, for: '1h' }], ...fields });
  const worker = stage.worker();
  stage.bundle = 'A';
  await stage.pass(worker, 60_000);
  stage.bundle = 'B';
  await stage.pass(worker, 60_000);
  assert.equal(stage.state.phase, 'Guarded');
  return { stage, worker, writes: stage.stored.writes };
}

/** As the timer of the worker goes, with no look at any other moment. */
function byItsTimer(stage: Stage, worker: SetWorker) {
  let timer: number | null = stage.nowMs;
  return async (ms: number) => {
    const endMs = stage.nowMs + ms;
    while (timer !== null && timer <= endMs) {
      stage.nowMs = timer;
      timer = await stage.settle(worker);
    }
    stage.nowMs = endMs;
  };
}

describe('how often it writes', () => {
  const OFTEN = { analysis: { interval: '5s', inconclusiveLimit: 1000 } };

  test('looks every five seconds are one write in thirty', async () => {
    const { stage, worker, writes } = await underWay(OFTEN);
    const from = writes.length;
    stage.look = 'inconclusive';
    await stage.pass(worker, 600_000);
    const times = writes.slice(from - 1).map(({ atMs }) => atMs);
    assert.ok(times.length > 10, 'it writes');
    for (const [index, atMs] of times.slice(1).entries()) {
      assert.ok(atMs - (times[index] ?? 0) >= 30_000, `${atMs - (times[index] ?? 0)} ms`);
    }
  });
  test('what a person says is written at that moment', async () => {
    const { stage, worker } = await underWay(OFTEN);
    for (const [verb, phase] of [
      ['pause', 'Paused'],
      ['resume', 'Guarded'],
      ['abort', 'Aborted'],
      ['retry', 'Guarded'],
    ] as const) {
      await stage.pass(worker, 1000);
      stage.say(verb);
      await stage.settle(worker);
      assert.equal(stage.state.updatedAtMs, stage.nowMs, verb);
      assert.equal(stage.state.phase, phase);
    }
  });
  test('a hard failure is found by the next look and not by the next write', async () => {
    const { stage, worker } = await underWay(OFTEN);
    stage.look = 'inconclusive';
    await stage.pass(worker, 31_000);
    while (stage.state.updatedAtMs < stage.nowMs - 1000) await stage.pass(worker, 1000);
    const { updatedAtMs } = stage.state;
    const passes = byItsTimer(stage, worker);
    // This look is not written.
    await passes(6000);
    stage.look = 'hard';
    await passes(6000);
    assert.equal(stage.state.phase, 'Aborted');
    assert.ok(stage.state.updatedAtMs - updatedAtMs < 30_000);
  });
  test('nothing that changed nothing is looked at again in the same moment', async () => {
    const { stage, worker } = await underWay();
    stage.bundle = 'missing';
    stage.say('promote-full');
    await stage.pass(worker, 120_000);
    assert.equal(stage.state.phase, 'Promoting');
    assert.equal(stage.state.rollout?.lastLook, 'passed');
  });
});

describe('what is slow or broken', () => {
  test('an abort does not wait for an analysis that hangs, nor for a copy that cannot be stored', async () => {
    const { stage } = await underWay();
    const never = new Promise<never>(() => undefined);
    const hung = Promise.withResolvers<void>();
    const worker = stage.worker({
      analyse: () => {
        hung.resolve();
        return never;
      },
    });
    worker.kick();
    await hung.promise;
    stage.say('abort');
    worker.kick();
    while (stage.state.phase !== 'Aborted') await new Promise(setImmediate);
    const failures: unknown[] = [];
    const other = await underWay();
    const broken = other.stage.worker({
      candidate: () => Promise.reject(new Error('the quota is used up')),
      failed: (error) => failures.push(error),
    });
    await other.stage.settle(broken);
    assert.equal(failures.length, 1);
    other.stage.look = 'hard';
    await other.stage.pass(broken, 60_000);
    assert.equal(other.stage.state.phase, 'Aborted');
  });

  test('a state that nobody can read is left alone, and the set does not begin anew', async () => {
    const { stage, writes } = await underWay();
    const before = writes.length;
    stage.stored.spoil();
    await assert.rejects(stage.settle(stage.worker()), /the state cannot be read/);
    assert.equal(writes.length, before);
  });

  test('a status that cannot be shown holds up nothing', async () => {
    const { stage } = await underWay();
    const worker = stage.worker({
      read: () => ({ ...stage.seen(stage.stored.read()), problems: ['a wrong key'] }),
      show: () => Promise.reject(new Error('forbidden')),
    });
    stage.say('abort');
    await assert.rejects(worker.round(), /forbidden/);
    assert.equal(stage.state.phase, 'Aborted');
  });

  test('whoever was overtaken reads again and then does what is still to be done', async () => {
    const { stage, worker } = await underWay();
    const view = stage.stored.read();
    const late = stage.worker({ read: () => stage.seen(view) }, 'late');
    await stage.pass(worker, 60_000);
    stage.say('pause');
    await stage.settle(worker);
    stage.say('abort');
    await stage.settle(late);
    assert.ok(stage.stored.conflicts > 0);
    assert.equal(stage.state.phase, 'Aborted');
  });
});

const event = fc.record({
  afterMs: fc.constantFrom(0, 0, 1000, 20_000, 60_000),
  worker: fc.nat(1),
  /** Who may write from now on; both may believe it. */
  leads: fc.option(fc.tuple(fc.boolean(), fc.boolean()), { freq: 3 }),
  /** Whose watch hears the newest. */
  hears: fc.tuple(fc.boolean(), fc.boolean()),
  /** Changes in the middle of the round of the other one. */
  loses: fc.boolean(),
  bundle: fc.option(fc.constantFrom('A', 'B', 'C', 'missing'), { freq: 5 }),
  look: fc.constantFrom('passed', 'passed', 'passed', 'inconclusive', 'failed', 'hard'),
  verb: fc.option(fc.constantFrom('pause', 'resume', 'abort', 'retry', 'promote', 'undo'), {
    freq: 5,
  }),
});
type Event = typeof event extends fc.Arbitrary<infer T> ? T : never;

/** Two replicas on one store, each with a watch that may be late. */
function replicas(stage: Stage) {
  const leads = [true, false];
  const views: (StateRead | null)[] = [null, null];
  let middle: () => void = () => undefined;
  const unlawful: string[] = [];
  let rollouts = 0;
  const workers = [0, 1].map((at) =>
    stage.worker(
      {
        read: () => stage.seen(views[at] ?? null),
        mayWrite: () => leads[at] === true,
        fresh: () => {
          rollouts += 1;
          return { rolloutId: `r${rollouts}`, salt: '0'.repeat(32) };
        },
        analyse: async (state, spec) => {
          middle();
          return stage.lookIfDue(state, spec, stage.nowMs);
        },
        write: async (state, version) => {
          if (leads[at] !== true) unlawful.push(`${at} wrote without leading`);
          return stage.stored.write({ atMs: stage.nowMs, by: String(at), state }, version);
        },
      },
      String(at),
    ),
  );
  const happen = async ({ worker, leads: who, hears, loses, ...told }: Event) => {
    stage.nowMs += told.afterMs;
    if (told.bundle !== null) stage.bundle = told.bundle;
    if (told.verb !== null) stage.say(told.verb as 'pause');
    stage.look = told.look;
    if (who !== null) [leads[0], leads[1]] = who;
    for (const at of [0, 1]) if (hears[at] === true) views[at] = stage.stored.read();
    middle = () => {
      if (loses) leads[worker] = false;
    };
    await (workers[worker] as SetWorker).round();
    assert.deepEqual(unlawful, []);
  };
  return { happen };
}

test('two replicas in any order, both leading or none, never write over what is newer', async () => {
  let writes = 0;
  let conflicts = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(event, { minLength: 10, maxLength: 60 }), async (events) => {
      const stage = new Stage({ steps: STEPS, analysis: { interval: '10s' } });
      stage.bundle = 'A';
      const { happen } = replicas(stage);
      for (const one of events) await happen(one);
      // The store refuses everything older; here is what the accepted ones say about each other.
      const failed = new Set<string>();
      let stable = false;
      for (const { state } of stage.stored.writes) {
        const told = directiveOf(state);
        for (const { rolloutId: id, result } of state.history) {
          if (result === 'Aborted') failed.add(id);
        }
        assert.ok(told.rolloutId === null || !failed.has(told.rolloutId), 'what failed stays away');
        assert.ok(!stable || state.stable !== null, 'stable never goes away');
        stable ||= state.stable !== null;
      }
      writes += stage.stored.writes.length;
      conflicts += stage.stored.conflicts;
    }),
    { numRuns: 500 },
  );
  assert.ok(writes > 1000 && conflicts > 100, `${writes} writes, ${conflicts} conflicts`);
});
