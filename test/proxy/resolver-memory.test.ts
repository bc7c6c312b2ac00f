/** What is remembered of names: for how long, how much, and that one question serves all who wait for it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NameCache } from '../../src/proxy/name-cache.ts';
import type { NameAnswer } from '../../src/proxy/name-lookup.ts';

function stage(answer: (name: string) => NameAnswer | Promise<NameAnswer>, bounds = {}) {
  const asked: string[] = [];
  const clock = { ms: 1000 };
  const lookup = async (name: string) => {
    asked.push(name);
    return answer(name);
  };
  return { asked, clock, cache: new NameCache({ lookup, nowMs: () => clock.ms, ...bounds }) };
}

const lasting = (ttlSeconds: number): NameAnswer => ({
  ok: true,
  addresses: ['1.1.1.1'],
  ttlSeconds,
});

/** [sentence, answer, milliseconds it is remembered] */
const TABLE: readonly (readonly [string, NameAnswer, number])[] = [
  ['an answer of ten seconds', lasting(10), 10_000],
  ['an answer of a day', lasting(86_400), 60_000],
  ['a name that does not exist', { ok: false, lasting: true }, 5000],
  ['a question without an answer', { ok: false, lasting: false }, 500],
];

for (const [sentence, answer, ms] of TABLE) {
  void test(`${sentence} is remembered for ${ms} ms`, async () => {
    const { asked, clock, cache } = stage(() => answer);
    assert.deepEqual(await cache.ask('a'), answer);
    clock.ms += ms - 1;
    assert.deepEqual(await cache.ask('a'), answer);
    assert.equal(asked.length, 1);
    clock.ms += 1;
    await cache.ask('a');
    assert.equal(asked.length, 2);
  });
}

void test('an answer of zero seconds is not remembered', async () => {
  const { asked, cache } = stage(() => lasting(0));
  await cache.ask('a');
  await cache.ask('a');
  assert.equal(asked.length, 2);
  assert.equal(cache.size, 0);
});

void test('the memory is bounded, and what was learned first goes first', async () => {
  const { asked, cache } = stage(() => lasting(60), { namesMax: 3 });
  for (const name of ['a', 'b', 'c', 'd']) await cache.ask(name);
  assert.equal(cache.size, 3);
  await cache.ask('d');
  await cache.ask('b');
  assert.equal(asked.length, 4);
  await cache.ask('a');
  assert.equal(asked.length, 5);
});

void test('questions under way are bounded; the next one is unanswered and not remembered', async () => {
  let release = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { asked, cache } = stage(() => gate.then(() => lasting(60)), { questionsMax: 2 });
  const waiting = ['a', 'b', 'a', 'b'].map((name) => cache.ask(name));
  assert.deepEqual(await cache.ask('c'), { ok: false, lasting: false });
  release();
  await Promise.all(waiting);
  assert.deepEqual(asked, ['a', 'b']);
  assert.equal((await cache.ask('c')).ok, true);
});

void test('a failing lookup is everybody’s failure and leaves nothing behind', async () => {
  let broken = true;
  const { cache } = stage(() => {
    if (broken) throw new Error('broken');
    return lasting(60);
  });
  await assert.rejects(cache.ask('a'), /broken/);
  broken = false;
  assert.equal((await cache.ask('a')).ok, true);
});
