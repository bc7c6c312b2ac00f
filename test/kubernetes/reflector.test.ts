// A reflector on real sockets: its view is the server's, whatever happens between them. Time is simulated.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReadObject } from '../../src/kubernetes/object.ts';
import { always, HALF_OPEN, times } from './fake-fault.ts';
import { MAPS, type Reflected, reflected } from './reflected.ts';
import { until } from './simulated-timing.ts';

const MINUTE = 60_000;

void test('the first list may come from memory, the watch goes on from its version with bookmarks', async (t) => {
  const r = await reflected(t, { selection: { name: 'a' } });
  await r.connected();
  const [list, watch] = r.fake.seen;
  assert.deepEqual(list?.query, {
    fieldSelector: 'metadata.name=a',
    limit: '20',
    resourceVersion: '0',
  });
  assert.equal(watch?.query['fieldSelector'], 'metadata.name=a');
  assert.equal(watch.query['resourceVersion'], '1000');
  assert.equal(watch.query['allowWatchBookmarks'], 'true');
  const seconds = Number(watch.query['timeoutSeconds']);
  assert.ok(seconds >= 290 && seconds <= 590, String(seconds));
});

void test('an empty set is delivered, too, and then every change', async (t) => {
  const r = await reflected(t);
  await r.connected();
  await until(() => r.delivered.length === 1, 'the empty set');
  assert.deepEqual(r.last(), {});
  r.put('a', '1');
  await r.caughtUp();
  r.put('b', '1');
  r.put('a', '2');
  await r.caughtUp();
  r.fake.store.remove(MAPS, 'a', undefined);
  await r.caughtUp();
  assert.deepEqual(r.last(), { b: '1' });
  assert.equal(r.lists(), 1);
  assert.equal(r.said.drift, 0);
});

void test('a watch that ended in order is followed by one from the last version, without a list', async (t) => {
  const r = await reflected(t);
  await r.connected();
  r.put('a', '1');
  await r.caughtUp();
  r.timing.advance(15_000);
  r.fake.watches.end();
  await until(() => r.watchRequests() === 2, 'the next watch');
  assert.equal(r.fake.seen.at(-1)?.query['resourceVersion'], r.fake.store.version);
  await r.connected();
  r.put('a', '2');
  await r.caughtUp();
  assert.equal(r.lists(), 1);
  assert.equal(r.said.failures.length, 0);
});

void test('a half line is thrown away and what it would have said comes again', async (t) => {
  const r = await reflected(t);
  await r.connected();
  r.timing.advance(15_000);
  r.fake.watches.cut();
  await until(() => r.said.failures.length === 1, 'the cut is noticed');
  r.put('a', '1');
  r.timing.advance(r.said.failures[0]?.waitMs ?? 0);
  await r.caughtUp();
  assert.equal(r.lists(), 1);
});

void test('a version that is too old is followed by a list at once', async (t) => {
  for (const goneIn of ['stream', 'answer'] as const) {
    const r = await reflected(t);
    r.fake.watches.goneIn = goneIn;
    await r.connected();
    r.put('a', '1');
    await r.caughtUp();
    r.timing.advance(15_000);
    // Elsewhere something happens that this watch is not told.
    r.fake.watches.silent = true;
    r.put('a', '2');
    r.fake.store.compact();
    r.fake.watches.end();
    await until(() => r.said.gone === 1, 'it is told that it is too late');
    r.fake.watches.silent = false;
    assert.equal(r.said.failures.at(-1)?.waitMs, 0);
    await r.caughtUp();
    assert.deepEqual(r.said.relists, ['start', 'gone']);
    assert.equal(r.fake.seen.findLast(({ watch }) => !watch)?.query['resourceVersion'], undefined);
  }
});

void test('a server that calls every version too old is asked less and less often', async (t) => {
  const r = await reflected(t);
  r.fake.fails((seen) => (seen.watch ? { status: 410, reason: 'Expired' } : null));
  for (let n = 1; r.timing.nowMs() < 10 * MINUTE; n += 1) {
    await until(() => r.said.failures.length === n, `failure ${n}`);
    r.timing.advance(r.said.failures[n - 1]?.waitMs ?? 0);
  }
  // At most one at once, then 1 s or more each, soon 15 s on average.
  assert.ok(r.fake.seen.length < 200, String(r.fake.seen.length));
  assert.ok(r.said.failures.slice(1).every(({ waitMs }) => waitMs >= 1000));
});

void test('a silent watch is given up after 100 seconds, with its connection, and followed at once', async (t) => {
  const r = await reflected(t);
  await r.connected();
  r.timing.advance(60_000);
  r.fake.watches.bookmark();
  r.put('a', '1');
  await r.caughtUp();
  r.fake.watches.silent = true;
  r.put('a', '2');
  r.timing.advance(99_000);
  assert.equal(r.said.reconnects, 0);
  r.fake.watches.silent = false;
  r.timing.advance(1000);
  await r.caughtUp();
  await until(() => r.fake.watches.size === 1, 'the old connection is gone');
  assert.equal(r.reflector.status().heardAgoMs, 0);
  assert.equal(r.said.reconnects, 1);
  assert.equal(r.said.failures.length, 0);
  assert.equal(r.lists(), 1);
});

void test('a server that takes requests and says nothing is given up, and believed again later', async (t) => {
  const r = await reflected(t, { prepare: (fake) => fake.fails(always(HALF_OPEN)) });
  await until(() => r.lists() === 1, 'the list');
  r.timing.advance(30_000);
  await until(() => r.said.failures.length === 1, 'the list is given up');
  assert.match(r.said.failures[0]?.error.message ?? '', /no answer to a list for 30000 ms/);
  assert.equal(r.delivered.length, 0);
  r.fake.fails(() => null);
  r.put('a', '1');
  r.timing.advance(2000);
  await r.caughtUp();
  await r.connected();
});

void test('a refused token is read again and tried once more', async (t) => {
  const r = await reflected(t, {
    prepare(fake) {
      fake.tokens.clear();
      fake.tokens.add('the-next-token-of-the-pod');
    },
  });
  await until(() => r.said.failures.length === 1, 'both tries were refused');
  assert.equal(r.fake.refusedTokens, 2);
  assert.equal(r.said.failures[0]?.error.status, 401);
  r.fake.writeServiceAccount('the-next-token-of-the-pod');
  r.put('a', '1');
  r.timing.advance(r.said.failures[0]?.waitMs ?? 0);
  await r.caughtUp();
  assert.equal(r.fake.refusedTokens, 2);
});

void test('a right that is taken away leaves the last good view, and is asked for every 5 to 60 seconds', async (t) => {
  for (const status of [403, 404]) {
    const r = await reflected(t);
    await r.connected();
    r.put('a', '1');
    await r.caughtUp();
    r.fake.fails(always({ status, reason: 'Forbidden' }));
    r.fake.watches.cut();
    await until(() => r.said.failures.length === 1, 'the cut');
    const startMs = r.timing.nowMs();
    r.timing.advance(r.said.failures[0]?.waitMs ?? 0);
    for (let n = 2; n < 12; n += 1) {
      await until(() => r.said.failures.length === n, `refusal ${n}`);
      const waitMs = r.said.failures[n - 1]?.waitMs ?? 0;
      assert.ok(waitMs >= 5000 && waitMs <= 60_000, String(waitMs));
      r.timing.advance(waitMs);
    }
    assert.ok(r.timing.nowMs() - startMs > 60_000);
    assert.deepEqual(r.last(), { a: '1' });
    assert.equal(r.delivered.length, 2);
  }
});

void test('in a storm of 429 the server is left alone for as long as it asks', async (t) => {
  const r = await reflected(t);
  await r.connected();
  r.fake.fails(times(3, { status: 429, reason: 'TooManyRequests', retryAfterSeconds: 40 }));
  r.fake.watches.cut();
  await until(() => r.said.failures.length === 1, 'the cut');
  r.timing.advance(r.said.failures[0]?.waitMs ?? 0);
  for (let n = 2; n <= 4; n += 1) {
    await until(() => r.said.failures.length === n, `429 number ${n - 1}`);
    const waitMs = r.said.failures[n - 1]?.waitMs ?? 0;
    assert.ok(waitMs >= 40_000 && waitMs <= 50_000, String(waitMs));
    const asked = r.fake.seen.length;
    r.timing.advance(39_999);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(r.fake.seen.length, asked);
    r.timing.advance(waitMs - 39_999);
  }
  r.put('a', '1');
  await r.caughtUp();
});

void test('an API server that is gone for 30 minutes is asked a bounded number of times and then watched', async (t) => {
  const r = await reflected(t);
  await r.connected();
  r.put('a', '1');
  await r.caughtUp();
  await r.fake.off();
  for (let n = 1; r.timing.nowMs() < 30 * MINUTE; n += 1) {
    await until(() => r.said.failures.length === n, `failure ${n}`);
    assert.equal(r.reflector.status().connected, false);
    const waitMs = r.said.failures[n - 1]?.waitMs ?? 0;
    assert.ok(waitMs >= 1000 && waitMs <= 30_000, String(waitMs));
    r.timing.advance(waitMs);
  }
  assert.ok(r.said.failures.length < 300, String(r.said.failures.length));
  assert.deepEqual(r.last(), { a: '1' });
  r.put('a', '2');
  await r.fake.on();
  const failures = r.said.failures.length;
  await until(() => r.said.connected || r.said.failures.length > failures, 'the next try');
  if (!r.said.connected) r.timing.advance(30_000);
  await r.caughtUp();
  assert.ok((r.reflector.status().heardAgoMs ?? 1e9) < MINUTE);
});

void test('a clock of the server that is five minutes off changes nothing', async (t) => {
  for (const minutes of [-5, 5]) {
    const r = await reflected(t, {
      prepare(fake) {
        fake.clockSkewMs = minutes * MINUTE;
        fake.fails(times(1, { status: 503, retryAfterSeconds: 1 }));
      },
    });
    await until(() => r.said.failures.length === 1, 'the failure');
    r.timing.advance(1250);
    await r.connected();
    r.put('a', '1');
    await r.caughtUp();
  }
});

void test('a list now and then finds nothing, as long as the watch said everything', async (t) => {
  const r = await reflected(t);
  await r.connected();
  for (let n = 1; n <= 12; n += 1) {
    r.put(`a${n}`, String(n));
    for (let minute = 0; minute < 5; minute += 1) {
      r.fake.watches.bookmark();
      await r.caughtUp();
      await pass(r, MINUTE);
    }
  }
  const periodic = r.said.relists.filter((reason) => reason === 'periodic').length;
  // Once in 10 to 15 minutes of the hour.
  assert.ok(periodic >= 3 && periodic <= 6, String(periodic));
  assert.equal(r.said.drift, 0);
  assert.equal(r.said.failures.length, 0);
});

void test('what the watch never said is found by a list, counted and read anew', async (t) => {
  const r = await reflected(t);
  await r.connected();
  r.put('a', '1');
  r.put('b', '1');
  await r.caughtUp();
  r.fake.store.writeUnseen(MAPS, 'a', { data: { v: '2' } });
  for (let minute = 0; minute < 20 && r.said.drift === 0; minute += 1) {
    r.fake.watches.bookmark();
    await pass(r, MINUTE);
  }
  assert.equal(r.said.drift, 1);
  await r.caughtUp();
  assert.deepEqual(r.last(), { a: '2', b: '1' });
  assert.ok(r.said.relists.includes('drift'));
});

/** Lets time pass so slowly that what each timer asks of the server is answered before the next one. */
async function pass(r: Reflected, ms: number): Promise<void> {
  const end = r.timing.nowMs() + ms;
  while (r.timing.nowMs() < end) {
    await settled(r);
    r.timing.advance(Math.min(end - r.timing.nowMs(), r.timing.nextInMs));
  }
  await settled(r);
}

async function settled(r: Reflected): Promise<void> {
  // What the server sent is on its way.
  await new Promise((resolve) => setTimeout(resolve, 4));
  await until(() => r.said.listing === 0, 'the list is answered');
}

void test('a failing receiver is asked again with the newest set, and never twice at a time', async (t) => {
  let running = 0;
  let most = 0;
  const got: number[] = [];
  const r = await reflected(t, {
    also: {
      async onObjects(objects) {
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => setTimeout(resolve, 5));
        running -= 1;
        got.push(objects.size);
        if (got.length < 4) throw new Error('not yet');
      },
    },
  });
  await r.connected();
  for (let n = 1; n <= 3; n += 1) {
    await until(() => r.said.applyErrors.length === n, `failure ${n}`);
    r.timing.advance(30_000);
  }
  await until(() => got.length === 4, 'success');
  r.put('a', '1');
  r.put('b', '1');
  r.put('c', '1');
  await until(() => got.at(-1) === 3, 'the newest set');
  assert.equal(most, 1);
  assert.ok(got.length <= 7);
});

void test('a change that its receiver need not know of is not delivered', async (t) => {
  const print = (object: ReadObject) => JSON.stringify(object['data']);
  const r = await reflected(t, { also: { print } });
  await r.connected();
  r.put('a', '1');
  await r.caughtUp();
  const before = r.delivered.length;
  r.put('a', '1', { label: 'new' });
  r.put('b', '1');
  await until(() => r.last()?.['b'] === '1', 'the next change');
  assert.equal(r.delivered.length, before + 1);
});

void test('too many objects, an endless line and words that are no event leave the last good view', async (t) => {
  const r = await reflected(t, { also: { objectsMax: 2, lineBytesMax: 5000 } });
  await r.connected();
  r.put('a', '1');
  r.put('b', '1');
  await until(() => r.last()?.['b'] === '1', 'both');
  r.put('c', '1');
  await until(() => r.said.failures.length === 1, 'too many');
  r.timing.advance(60_000);
  await until(() => r.said.failures.length === 2, 'too many in the list, too');
  assert.deepEqual(
    r.said.failures.map(({ error }) => error.reason),
    ['TooMany', 'TooMany'],
  );
  assert.deepEqual(r.last(), { a: '1', b: '1' });
  r.fake.store.remove(MAPS, 'c', undefined);
  r.timing.advance(60_000);
  await r.connected();
  for (const [said, reason] of [
    ['x'.repeat(5001), 'TooLarge'],
    ['{"type":"ADDED","object":{"metadata":{}}}\n', 'Malformed'],
    ['<html>\n', 'Malformed'],
    ['{"type":"NEWS"}\n', 'Malformed'],
  ] as const) {
    const failures = r.said.failures.length;
    r.fake.watches.say(said);
    await until(() => r.said.failures.length === failures + 1, reason);
    assert.equal(r.said.failures.at(-1)?.error.reason, reason);
    r.timing.advance(60_000);
    await r.connected();
    assert.deepEqual(r.last(), { a: '1', b: '1' });
  }
});

void test('after close nothing runs: no timer, no connection, no delivery', async (t) => {
  const r = await reflected(t);
  await r.connected();
  r.put('a', '1');
  await r.caughtUp();
  await r.reflector.close();
  assert.equal(r.timing.timers, 0);
  await until(() => r.fake.watches.size === 0, 'the watch is closed');
  const asked = r.fake.seen.length;
  r.put('a', '2');
  r.timing.advance(60 * MINUTE);
  assert.equal(r.fake.seen.length, asked);
  assert.deepEqual(r.last(), { a: '1' });
});
