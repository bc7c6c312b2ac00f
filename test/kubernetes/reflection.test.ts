// What a reflector does after a failure, line by line and wait by wait; and that whatever happens in whatever order, its
// view is the server's in the end.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { ApiError } from '../../src/kubernetes/api-error.ts';
import { moveAfter } from '../../src/kubernetes/reflection.ts';
import { watchLines } from '../../src/kubernetes/watch-lines.ts';
import { always, HALF_OPEN } from './fake-fault.ts';
import { MAPS, type Reflected, reflected } from './reflected.ts';

const failure = (status: number, reason: string, retryAfterMs: number | null = null) =>
  new ApiError({ status, reason, message: '', retryAfterMs });

void test('each failure has its wait and its way on', () => {
  const table = [
    [failure(410, 'Expired'), 0, 0, 0, 'gone'],
    [failure(410, 'Gone'), 1, 1000, 2000, 'gone'],
    [failure(401, 'Unauthorized'), 0, 5000, 10_000, null],
    [failure(403, 'Forbidden'), 9, 5000, 60_000, null],
    [failure(404, 'NotFound'), 0, 5000, 10_000, null],
    [failure(429, 'TooManyRequests', 7000), 0, 7000, 8750, null],
    [failure(429, 'TooManyRequests'), 0, 1000, 2000, null],
    [failure(429, 'TooManyRequests', 86_400_000), 0, 300_000, 375_000, null],
    [failure(500, 'InternalError'), 1, 1000, 4000, null],
    [failure(0, 'Unreachable'), 99, 1000, 30_000, null],
    [failure(0, 'Malformed'), 0, 5000, 10_000, 'unreadable'],
  ] as const;
  for (const [error, streak, leastMs, mostMs, relist] of table) {
    const name = `${error.status} ${error.reason}`;
    assert.deepEqual(moveAfter(error, streak, 0), { waitMs: leastMs, relist }, name);
    assert.deepEqual(moveAfter(error, streak, 1), { waitMs: mostMs, relist }, name);
  }
});

void test('lines are the same however they are cut', async () => {
  const lines = fc.array(fc.string({ unit: 'grapheme', minLength: 1 }), { maxLength: 10 });
  const sizes = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 });
  await fc.assert(
    fc.asyncProperty(lines, sizes, async (given, cuts) => {
      const said = given
        .map((line) => line.replaceAll('\n', ' '))
        .filter((line) => line.trim() !== '');
      const bytes = Buffer.from(said.map((line) => `${line}\n`).join(''));
      async function* chunks() {
        for (let from = 0, n = 0; from < bytes.length; n += 1) {
          const to = from + (cuts[n % cuts.length] ?? 1);
          yield bytes.subarray(from, to);
          from = to;
        }
      }
      const got: string[] = [];
      for await (const line of watchLines(chunks(), 10_000)) got.push(line);
      assert.deepEqual(got, said);
    }),
    { numRuns: 200 },
  );
});

type Act = (r: Reflected) => void | Promise<void>;
const name = fc.constantFrom('a', 'b', 'c');

const act: fc.Arbitrary<{ readonly what: string; readonly act: Act }> = fc.oneof(
  { weight: 5, arbitrary: name.map((of) => ({ what: `put ${of}`, act: put(of) })) },
  { weight: 2, arbitrary: name.map((of) => ({ what: `remove ${of}`, act: remove(of) })) },
  { weight: 2, arbitrary: fc.constantFrom(...faults()) },
  {
    weight: 2,
    arbitrary: fc
      .integer({ min: 100, max: 40_000 })
      .map((ms) => ({ what: `wait ${ms}`, act: (r: Reflected) => r.timing.advance(ms) })),
  },
);

let written = 0;

function put(of: string): Act {
  return (r) => {
    written += 1;
    r.put(of, String(written));
  };
}

function remove(of: string): Act {
  return (r) => {
    if (r.fake.store.list(MAPS, ({ metadata }) => metadata.name === of).length === 0) return;
    r.fake.store.remove(MAPS, of, undefined);
  };
}

function faults(): { readonly what: string; readonly act: Act }[] {
  const failing = (status: number, reason: string): Act => {
    return (r) => r.fake.fails(always({ status, reason }));
  };
  return [
    { what: 'compact', act: (r) => r.fake.store.compact() },
    { what: 'cut', act: (r) => r.fake.watches.cut() },
    { what: 'end', act: (r) => r.fake.watches.end() },
    { what: 'bookmark', act: (r) => r.fake.watches.bookmark() },
    { what: '500', act: failing(500, 'InternalError') },
    { what: '429', act: failing(429, 'TooManyRequests') },
    { what: '403', act: failing(403, 'Forbidden') },
    { what: 'half open', act: (r) => r.fake.fails(always(HALF_OPEN)) },
    { what: 'well', act: (r) => r.fake.fails(() => null) },
    { what: 'away and back', act: awayAndBack },
  ];
}

async function awayAndBack(r: Reflected): Promise<void> {
  await r.fake.off();
  r.put('a', 'while it was away');
  await r.fake.on();
}

/** Sockets take their time: some turns of the loop between two acts, so that both orders happen. */
const turn = (t: number) => new Promise((resolve) => setTimeout(resolve, t));

async function endsEqual(t: TestContext, acts: readonly { readonly act: Act }[], seed: number) {
  const r = await reflected(t, { seed });
  for (const [at, one] of acts.entries()) {
    await one.act(r);
    await turn((seed + at) % 4);
  }
  r.fake.fails(() => null);
  r.put('last', String(seed));
  const same = () => JSON.stringify(r.last()) === r.server();
  // Whatever it waits for passes; a request that nobody answers takes 30 or 100 seconds of its time.
  const givenUp = performance.now() + 20_000;
  while (!same() && performance.now() < givenUp) {
    await turn(5);
    const listed = performance.now() + 100;
    while (r.said.listing > 0 && performance.now() < listed) await turn(2);
    if (!same()) r.timing.advance(Math.min(r.timing.nextInMs, 20_000));
  }
  assert.equal(JSON.stringify(r.last()), r.server());
  assert.equal(r.said.drift, 0);
  await r.stop();
}

void test('after any row of events, faults and compactions the view is the server’s', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(act, { minLength: 3, maxLength: 25 }),
      fc.integer({ min: 1, max: 1_000_000 }),
      (acts, seed) => endsEqual(t, acts, seed),
    ),
    { numRuns: 60, endOnFailure: true },
  );
});
