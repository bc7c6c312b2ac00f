/** From directives to bundles: which word wins, what is fetched, and what waits for nothing. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { RevisionName } from '../../src/rollout/directive.ts';
import { DirectiveFollower, type FollowerOptions } from '../../src/source/directive-follower.ts';
import { archiveOf, directiveOf, Remembering } from './directives.ts';

const NAMES = ['a', 'b', 'c', 'd'];

function following(t: TestContext, change: Partial<FollowerOptions> = {}) {
  const listener = new Remembering(NAMES);
  const fetched: string[] = [];
  const follower = new DirectiveFollower({
    listener,
    selected: () => true,
    lastGood: null,
    retryMs: 1,
    fetch: async ({ revision }) => {
      fetched.push(revision);
      return archiveOf(revision);
    },
    ...change,
  });
  t.after(() => follower.close());
  return { follower, listener, fetched };
}

/** Until it is so; a test that waits for ever is ended by the runner. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

const gate = () => Promise.withResolvers<void>();

test('stable is in force first, and the candidate joins when it is there', async (t) => {
  const { follower, listener, fetched } = following(t);
  await follower.take(directiveOf(1, 'a', 'b'));
  assert.deepEqual([listener.stable, follower.generation], ['a', 1]);
  await until(() => listener.candidate === 'b');
  assert.deepEqual(listener.words, ['a', 'a + b']);
  await follower.take(directiveOf(2, 'a', 'b', { weight: 500 }));
  await follower.take(directiveOf(3, 'b'));
  assert.deepEqual(listener.words.slice(2), ['a + b as before', 'b']);
  assert.deepEqual(fetched, ['a', 'b'], 'what is held is not fetched again');
});

test('an older generation never replaces a newer one, and the same one says nothing new', async (t) => {
  const { follower, listener } = following(t);
  await follower.take(directiveOf(7, 'b'));
  await follower.take(directiveOf(6, 'a'));
  await follower.take(directiveOf(7, 'b'));
  assert.deepEqual([listener.words, listener.unchanged], [['b'], 1]);
});

test('of many that wait the newest is followed', async (t) => {
  const held = gate();
  const { follower, listener } = following(t);
  listener.busy = () => held.promise;
  const all = [1, 2, 3, 4].map((g) => follower.take(directiveOf(g, NAMES[g - 1] as string)));
  held.resolve();
  await Promise.all(all);
  assert.deepEqual([listener.stable, follower.generation], ['d', 4]);
  assert.ok(listener.words.length <= 2, listener.words.join());
});

test('a candidate that is slow to come never holds up a newer directive', async (t) => {
  const never = gate();
  const { follower, listener } = following(t, {
    fetch: async ({ revision }: RevisionName) => {
      if (revision === 'b') await never.promise;
      return archiveOf(revision);
    },
  });
  await follower.take(directiveOf(1, 'a', 'b'));
  await follower.take(directiveOf(2, 'c'));
  assert.deepEqual(listener.words, ['a', 'c']);
  never.resolve();
  await follower.close();
  assert.deepEqual(listener.words, ['a', 'c'], 'what comes too late is not handed on');
});

test('the spread over a fleet holds up the candidate only', async (t) => {
  const { follower, listener, fetched } = following(t, { candidateDelayMs: () => 3_600_000 });
  await follower.take(directiveOf(1, 'a', 'b'));
  await follower.take(directiveOf(2, 'c', 'b'));
  await follower.close();
  assert.deepEqual(
    [listener.words, fetched],
    [
      ['a', 'c'],
      ['a', 'c'],
    ],
  );
});

test('a candidate that cannot be had is said once and fetched until it is there', async (t) => {
  let failures = 3;
  const { follower, listener } = following(t, {
    fetch: async ({ revision }: RevisionName) => {
      if (revision === 'b' && failures-- > 0) throw new Error('429');
      return archiveOf(revision);
    },
  });
  await follower.take(directiveOf(1, 'a', 'b'));
  await until(() => listener.candidate === 'b');
  assert.deepEqual(listener.words, ['a', 'a + b source_unreadable', 'a + b']);
  assert.deepEqual(listener.errors, [], 'stable has no errors');
});

test('a candidate that the gate refused is not fetched again while it is wanted', async (t) => {
  const { follower, listener, fetched } = following(t);
  listener.refuses.add('b');
  await follower.take(directiveOf(1, 'a', 'b'));
  await until(() => listener.words.length === 2);
  await follower.take(directiveOf(2, 'a', 'b', { weight: 5 }));
  await follower.take(directiveOf(3, 'a'));
  await follower.take(directiveOf(4, 'a', 'b'));
  await until(() => listener.words.length === 6);
  assert.deepEqual(listener.words, ['a', 'a + b', 'a + b as before', 'a', 'a', 'a + b']);
  assert.deepEqual(fetched, ['a', 'b', 'b'], 'again only when it was wanted anew');
});

test('bytes with another digest are no bundle, as stable and as candidate', async (t) => {
  const { follower, listener } = following(t, {
    fetch: async ({ revision }) => archiveOf(revision === 'a' ? 'a' : 'd'),
  });
  await follower.take(directiveOf(1, 'a', 'b'));
  await until(() => listener.words.length === 2);
  await follower.take(directiveOf(2, 'c'));
  assert.deepEqual(listener.words, ['a', 'a + b digest_mismatch']);
  assert.deepEqual(listener.errors, ['digest_mismatch']);
  assert.deepEqual([listener.stable, follower.generation, follower.behind], ['a', 1, true]);
});

test('stable that cannot be had leaves the last one and is asked for again', async (t) => {
  let up = false;
  const { follower, listener } = following(t, {
    fetch: async ({ revision }) => {
      if (revision === 'b' && !up) throw new Error('unreachable');
      return archiveOf(revision);
    },
  });
  await follower.take(directiveOf(1, 'a'));
  await follower.take(directiveOf(2, 'b'));
  assert.deepEqual([listener.stable, follower.behind], ['a', true]);
  await follower.unchanged();
  assert.equal(listener.unchanged, 0, 'an old policy is not confirmed by hearing that it is old');
  up = true;
  await follower.take(directiveOf(2, 'b'));
  assert.deepEqual([listener.stable, follower.behind], ['b', false]);
});

test('stable that the gate refused is not fetched again until another one is wanted', async (t) => {
  const { follower, listener, fetched } = following(t);
  listener.refuses.add('b');
  await follower.take(directiveOf(1, 'a'));
  await follower.take(directiveOf(2, 'b'));
  await follower.take(directiveOf(2, 'b'));
  await follower.take(directiveOf(3, 'b', null, { weight: 1 }));
  assert.deepEqual([fetched, follower.behind], [['a', 'b'], false]);
  await follower.take(directiveOf(4, 'c'));
  assert.deepEqual([listener.stable, follower.generation], ['c', 4]);
});

test('after a problem of the transport everything is said in full again', async (t) => {
  const { follower, listener } = following(t);
  await follower.take(directiveOf(1, 'a', 'b'));
  await until(() => listener.candidate === 'b');
  follower.fail([]);
  await follower.unchanged();
  await follower.unchanged();
  assert.deepEqual(listener.words.slice(2), ['a + b as before']);
  assert.equal(listener.unchanged, 1);
});

test('a state without a stable revision changes nothing', async (t) => {
  const { follower, listener } = following(t);
  await follower.take(directiveOf(1, 'a'));
  await follower.take(directiveOf(2, null));
  assert.deepEqual([listener.stable, listener.errors], ['a', ['source_missing']]);
  assert.equal(follower.behind, true);
});

test('a listener that fails once is asked again, and later directives are followed', async (t) => {
  const { follower, listener } = following(t);
  listener.busy = () => Promise.reject(new Error('a bug'));
  await assert.rejects(follower.take(directiveOf(1, 'a')), /a bug/);
  listener.busy = () => Promise.resolve();
  const after = new Remembering(NAMES);
  Object.assign(listener, { onWanted: after.onWanted.bind(after), holds: after.holds.bind(after) });
  await follower.take(directiveOf(1, 'a'));
  await follower.take(directiveOf(2, 'b'));
  assert.deepEqual(after.words, ['a', 'b']);
});

test('a sidecar that takes no part fetches no candidate', async (t) => {
  const { follower, listener, fetched } = following(t, { selected: () => false });
  await follower.take(directiveOf(1, 'a', 'b'));
  await follower.close();
  assert.deepEqual([listener.words, fetched], [['a'], ['a']]);
});

test('in whatever order directives come, generations only rise and the newest wins', async (t) => {
  const name = fc.constantFrom(...NAMES);
  const step = fc.record({
    generation: fc.integer({ min: 0, max: 30 }),
    turns: fc.integer({ min: 0, max: 3 }),
    failing: fc.boolean(),
  });
  // One generation says one thing.
  const told = fc.array(fc.tuple(name, fc.option(name)), { minLength: 31, maxLength: 31 });
  await fc.assert(
    fc.asyncProperty(told, fc.array(step, { minLength: 1, maxLength: 20 }), async (said, steps) => {
      let down = false;
      const { follower, listener } = following(t, {
        fetch: async ({ revision }) => {
          await new Promise((resolve) => setImmediate(resolve));
          if (down) throw new Error('down');
          return archiveOf(revision);
        },
      });
      const take = (generation: number) => {
        const [stable, candidate] = said[generation] as [string, string | null];
        return follower.take(directiveOf(generation, stable, candidate));
      };
      for (const { generation, turns, failing } of steps) {
        down = failing;
        const taken = take(generation);
        if (turns === 0) await taken;
        for (let turn = 1; turn < turns; turn += 1) await new Promise((done) => setImmediate(done));
      }
      down = false;
      const newest = Math.max(...steps.map(({ generation }) => generation));
      await take(newest);
      const [stable, candidate] = said[newest] as [string, string | null];
      assert.deepEqual([follower.generation, listener.stable], [newest, stable]);
      if (candidate !== null)
        await until(() => listener.holds(directiveOf(0, candidate).stable?.digest ?? ''));
      assert.deepEqual(
        listener.generations,
        listener.generations.toSorted((x, y) => x - y),
      );
      await follower.close();
    }),
    { numRuns: 100 },
  );
});
