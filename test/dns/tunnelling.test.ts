/** Signs of tunnelling: what shows them, what does not, and that reports are few and hold no secret. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { createNames } from '../../src/dns/names.ts';
import {
  createTunnellingWatch,
  looksEncoded,
  type Noticed,
  shortParent,
} from '../../src/dns/tunnelling.ts';

const MINUTE = 60_000;
const names = createNames(['api.example.com', '*.wild.example.com']);

function watch() {
  const tunnelling = createTunnellingWatch();
  return (name: string, nowMs: number, { client = 'agent', refusedType = false } = {}): Noticed =>
    tunnelling.observe({ client, standing: names.look(name), refusedType }, nowMs);
}

/** Hexadecimal text that looks random and is always the same. */
const hex = (seed: number, chars: number) =>
  createHash('sha512').update(String(seed)).digest('hex').slice(0, chars);
const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';
const base32 = (seed: number, chars: number) =>
  [...createHash('sha512').update(String(seed)).digest().subarray(0, chars)]
    .map((byte) => BASE32[byte % 32])
    .join('');

test('a long label is a sign at once, and is reported without the label', () => {
  const look = watch();
  const secret = hex(1, 60);
  const { sign, report } = look(`${secret}.t.evil.com`, 0);
  assert.equal(sign, 'long_name');
  assert.deepEqual(report, {
    client: 'agent',
    parent: 'evil.com',
    sign: 'long_name',
    queries: 1,
    names: 0,
  });
});

test('a long name of short labels is a sign at once', () => {
  const name = `${Array(40).fill('abc').join('.')}.evil.com`;
  assert.equal(watch()(name, 0).sign, 'long_name');
});

test('the third label that looks encoded is a sign, and the same one thrice is none', () => {
  const look = watch();
  assert.equal(look(`${hex(1, 32)}.evil.com`, 0).sign, null);
  for (let n = 0; n < 5; n += 1) assert.equal(look(`${hex(1, 32)}.evil.com`, 0).sign, null);
  assert.equal(look(`${hex(2, 32)}.evil.com`, 0).sign, null);
  assert.equal(look(`${hex(3, 32)}.evil.com`, 0).sign, 'random_labels');
});

test('the third query for a type that can carry data is a sign', () => {
  const look = watch();
  const ask = () => look('t.evil.com', 0, { refusedType: true }).sign;
  assert.deepEqual([ask(), ask(), ask(), ask()], [null, null, 'data_types', 'data_types']);
});

test('the fiftieth name under one parent is a sign', () => {
  const look = watch();
  const signs = Array.from({ length: 51 }, (_, n) => look(`host${n}.evil.com`, 0).sign);
  assert.deepEqual(signs, [...Array(49).fill(null), 'many_names', 'many_names']);
});

test('more than a thousand queries a minute for names that nobody may ask for are a sign', () => {
  const look = watch();
  const signs = Array.from({ length: 1002 }, (_, n) => look(`a${n % 20}.b${n % 90}.org`, n).sign);
  assert.equal(signs[999], null);
  assert.deepEqual(signs.slice(1000), ['rate', 'rate']);
});

test('counts start anew after a minute', () => {
  const look = watch();
  for (let n = 0; n < 49; n += 1) look(`host${n}.evil.com`, n);
  assert.equal(look('host99.evil.com', MINUTE).sign, null);
});

test('names that are listed as they are, and search domains behind them, are never a sign', () => {
  const look = watch();
  for (let n = 0; n < 3000; n += 1) {
    assert.equal(look('api.example.com', n).sign, null);
    assert.equal(look('api.example.com.default.svc.cluster.local', n).sign, null);
    assert.equal(look('api.example.com.svc.cluster.local', n, { refusedType: false }).sign, null);
  }
});

test('data between a listed name and the name of somebody else is a sign', () => {
  const look = watch();
  assert.equal(look(`api.example.com.${hex(1, 60)}.evil.com`, 0).sign, 'long_name');
});

test('data below a listed pattern is a sign', () => {
  const look = watch();
  const signs = [1, 2, 3].map((n) => look(`${hex(n, 32)}.wild.example.com`, 0).sign);
  assert.deepEqual(signs, [null, null, 'random_labels']);
});

test('one report per parent and minute, one more in the next minute', () => {
  const look = watch();
  const reports = Array.from({ length: 600 }, (_, n) => look(`${hex(n, 55)}.evil.com`, n * 200));
  assert.equal(reports.filter(({ sign }) => sign === 'long_name').length, 600);
  const at = reports.flatMap(({ report }, n) => (report === null ? [] : [n * 200]));
  assert.deepEqual(at, [0, MINUTE]);
});

test('two clients are counted apart, and each is reported', () => {
  const look = watch();
  const ask = (client: string) => look(`${hex(1, 55)}.evil.com`, 0, { client }).report?.client;
  assert.deepEqual([ask('127.0.0.1'), ask('::1'), ask('::1')], ['127.0.0.1', '::1', undefined]);
});

test('an agent that changes the parent each time gets 30 reports a minute and no more', () => {
  const look = watch();
  const asked = Array.from({ length: 5000 }, (_, n) => look(`${hex(n, 55)}.evil${n}.com`, n));
  assert.equal(asked.filter(({ report }) => report !== null).length, 30);
});

test('an agent that changes the parent each time still shows by number', () => {
  const look = watch();
  const asked = Array.from({ length: 2000 }, (_, n) => look(`a${n % 9}.evil${n}.com`, n));
  assert.equal(asked.filter(({ sign }) => sign === 'rate').length, 1000);
  const reported = asked.flatMap(({ report }) => (report === null ? [] : [report.parent]));
  assert.deepEqual(reported, ['*']);
});

test('memory is bounded: behind 256 other parents the first one is forgotten, before them it is not', () => {
  for (const [others, sign] of [
    [255, 'many_names'],
    [256, null],
  ] as const) {
    const look = watch();
    for (let n = 0; n < 49; n += 1) look(`host${n}.evil.com`, 0);
    for (let n = 0; n < others; n += 1) look(`a.other${n}.com`, 0);
    assert.equal(look('host99.evil.com', 0).sign, sign);
  }
});

test('encoded data is told from the names that people and clouds give', () => {
  const seeds = Array.from({ length: 2000 }, (_, n) => n);
  const share = (make: (seed: number) => string) =>
    seeds.filter((seed) => looksEncoded(make(seed))).length / seeds.length;
  assert.ok(share((seed) => hex(seed, 32)) > 0.95, `hex ${share((seed) => hex(seed, 32))}`);
  assert.ok(
    share((seed) => base32(seed, 32)) > 0.95,
    `base32 ${share((seed) => base32(seed, 32))}`,
  );
  for (const usual of [
    'api',
    'generativelanguage',
    'cognitiveservices',
    'raw-githubusercontent-com',
    'ec2-203-0-113-25',
    'my-production-database-primary-2024',
    'prod-eu-west-1-cluster-01',
    'internationalization2024',
    'aaaaaaaaaaaaaaaaaaaaaaa11111111',
  ]) {
    assert.equal(looksEncoded(usual), false, usual);
  }
});

const PARENTS: readonly (readonly [string, string])[] = [
  ['data.evil.com', 'evil.com'],
  ['evil.com', 'evil.com'],
  ['x', 'x'],
  ['a.akiaiosfodnn7example99.com', '[22].com'],
  [`a.${'k'.repeat(21)}.com`, '[21].com'],
  ['a.sk-live-4242.com', '[12].com'],
  ['a.b\\000c.com', '[6].com'],
  [`evil.${hex(1, 40)}`, 'evil.[40]'],
];

for (const [name, parent] of PARENTS) {
  test(`of ${name} the log shows ${parent}`, () => assert.equal(shortParent(name), parent));
}

test('no report ever holds a secret of 12 characters with digits, wherever in the name it stands', () => {
  const label: fc.Arbitrary<string> = fc.constantFrom(
    'a',
    'evil',
    'com',
    'wild.example.com',
    'api.example.com',
  );
  const property = fc.property(
    fc.nat(),
    fc.array(label, { maxLength: 4 }),
    fc.nat(4),
    (seed, labels, at) => {
      const secret = `${hex(seed, 8)}0123`;
      const name = labels.toSpliced(at, 0, secret, hex(seed, 60)).join('.');
      const { report } = watch()(name, 0);
      assert.ok(!JSON.stringify(report ?? '').includes(secret), name);
    },
  );
  fc.assert(property, { numRuns: 2000 });
});
