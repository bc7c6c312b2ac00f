/** The judge of what a tool saw can say no: each difference between a request and its record is found. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Sighting } from './origin.ts';
import type { Recorded, RecordLeaf } from './record.ts';
import { Ledger } from './request-ledger.ts';
import { assertSameMeaning } from './same-meaning.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SEEN: Sighting = {
  method: 'POST',
  target: '/a/b%2Bc?d=e',
  version: 'HTTP/1.1',
  headers: [
    ['host', 'tool.example'],
    ['connection', 'keep-alive'],
    ['X-A', 'b'],
    ['authorization', 'Bearer a'],
    ['traceparent', `00-${TRACE}-b7ad6b7169203331-01`],
    ['content-length', '5'],
  ],
  bytes: 5,
  sha256: 'aa',
  segments: ['a', 'b+c'],
  query: [['d', ['e']]],
};
const RECORDED: Recorded = {
  mcp: false,
  method: 'POST',
  host: 'tool.example',
  port: 80,
  path: '/a/b%2Bc',
  segments: ['a', 'b+c'],
  query: { d: ['e'] },
  headers: { host: ['tool.example'], 'x-a': ['b'], via: ['ends here'] },
  bytes: 5,
  sha256: 'aa',
};
const withFields = (...fields: Sighting['headers']) => ({ headers: [...SEEN.headers, ...fields] });
const without = (name: string) => ({ headers: SEEN.headers.filter(([given]) => given !== name) });

const DIFFERENCES: readonly (readonly [string, Partial<Sighting>])[] = [
  ['another method', { method: 'PUT' }],
  ['another version', { version: 'HTTP/1.0' }],
  ['another path', { target: '/a/b%2bc?d=e' }],
  ['another reading of the path', { segments: ['a', 'b c'] }],
  ['another value in the query', { query: [['d', ['f']]] }],
  ['one more name in the query', { query: [...SEEN.query, ['f', ['g']]] }],
  ['another body', { sha256: 'bb' }],
  ['a longer body', { bytes: 6 }],
  ['another host', { headers: [['host', 'other.example'], ...SEEN.headers.slice(1)] }],
  ['a second host', withFields(['Host', 'tool.example'])],
  ['a field that policy did not see', withFields(['x-other', 'c'])],
  ['a second value of a field', withFields(['x-a', 'c'])],
  ['chunks', withFields(['transfer-encoding', 'chunked'])],
  ['a second length', withFields(['content-length', '5'])],
  ['a field that did not arrive', without('X-A')],
];

test('what is on record is the same', () => {
  assertSameMeaning('node', SEEN, RECORDED);
});

for (const [sentence, change] of DIFFERENCES) {
  test(`${sentence} is another meaning`, () => {
    assert.throws(() => assertSameMeaning('node', { ...SEEN, ...change }, RECORDED));
  });
}

const decision = (trace_id: string, reason = 'policy.allowed') =>
  ({
    decision_id: `of ${trace_id}`,
    trace_id,
    input: null,
    egret: { kind: 'decision', ref: null, enforcement: { action: 'forward', reason } },
  }) as unknown as RecordLeaf;
const outcome = (trace: string, result: string) =>
  ({
    egret: { kind: 'outcome', ref: `of ${trace}`, outcome: { result, reason: null } },
  }) as unknown as RecordLeaf;

function findingsOf(leaves: readonly RecordLeaf[], sightings: readonly Sighting[]): string[] {
  const ledger = new Ledger();
  for (const one of sightings) ledger.sighting('node', one);
  for (const leaf of leaves) ledger.leaf(leaf);
  ledger.compare(() => RECORDED);
  ledger.close();
  return ledger.findings;
}

test('a call that was decided, seen once and ended has no finding', () => {
  assert.deepEqual(findingsOf([decision(TRACE), outcome(TRACE, 'completed')], [SEEN]), []);
  assert.deepEqual(findingsOf([decision(TRACE), outcome(TRACE, 'upstream_error')], []), []);
});

for (const [sentence, leaves, sightings] of [
  ['a request on no record', [], [SEEN]],
  ['a request that was seen twice', [decision(TRACE), outcome(TRACE, 'completed')], [SEEN, SEEN]],
  [
    'a call that ended well and that nobody saw',
    [decision(TRACE), outcome(TRACE, 'completed')],
    [],
  ],
  ['a call without an outcome', [decision(TRACE)], [SEEN]],
  ['an outcome without a call', [outcome(TRACE, 'completed')], []],
  [
    'a failure of the sidecar',
    [decision(TRACE, 'proxy.internal'), outcome(TRACE, 'completed')],
    [SEEN],
  ],
] as const) {
  test(`${sentence} is a finding`, () => {
    assert.equal(findingsOf(leaves, sightings).length, 1);
  });
}
