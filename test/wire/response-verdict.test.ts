/**
 * The judge of mutated answers, judged: each promise broken once, and the fault is named. The generator repeats itself
 * and leaves no mark of another call.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Leaf } from '../e2e/audit-log.ts';
import type { Answered } from './response-client.ts';
import { type FuzzedAnswer, foreignMarks, fuzzedAnswer, markOf } from './response-mutation.ts';
import { readResponse } from './response-reader.ts';
import { faultOf } from './response-verdict.ts';

type Outcome = NonNullable<Leaf['egret']['outcome']>;

const SENT = `HTTP/1.1 200 OK\r\nX-Mark: ${markOf(7)}\r\nAlt-Svc: a\r\nContent-Length: 5\r\n\r\nhello`;
const OURS = `x-egret-decision-id: ${'d'.repeat(36)}\r\n`;
const SEEN = `HTTP/1.1 200 OK\r\nX-Mark: ${markOf(7)}\r\nContent-Length: 5\r\n${OURS}\r\nhello`;
const REFUSED = `HTTP/1.1 502 Bad\r\nx-egret-reason: upstream.reset\r\nContent-Length: 0\r\n${OURS}\r\n`;
const PASSED_ON: Outcome = {
  result: 'completed',
  reason: null,
  status: 200,
  resp_bytes: 5,
  is_error: false,
  peer: '127.0.0.1:1',
};
const FAILED: Outcome = { ...PASSED_ON, result: 'upstream_error', reason: 'upstream.reset' };

const sent = (bytes: string, more: Partial<FuzzedAnswer> = {}): FuzzedAnswer => ({
  index: 7,
  mark: markOf(7),
  method: 'GET',
  script: [],
  bytes,
  truth: readResponse(bytes, 'GET', true, true),
  untouched: false,
  mayStay: false,
  ...more,
});
const seen = (raw: string, ended = false): Answered => ({
  reading: readResponse(raw, 'GET', false),
  ended,
  raw,
});

interface Row {
  readonly sent?: FuzzedAnswer;
  readonly seen: Answered;
  readonly outcome: Outcome;
  /** What the judge says; null when nothing is wrong. */
  readonly fault: string | null;
}

const HALF = SEEN.slice(0, -2);
const ROWS: Readonly<Record<string, Row>> = {
  'an answer passed on': { seen: seen(SEEN), outcome: PASSED_ON, fault: null },
  'a refusal': { seen: seen(REFUSED), outcome: FAILED, fault: null },
  'a visible cut': { seen: seen(HALF, true), outcome: FAILED, fault: null },
  'the mark of another call': {
    seen: seen(SEEN.replace(markOf(7), markOf(8))),
    outcome: PASSED_ON,
    fault: `bytes of another answer: ${markOf(8)}`,
  },
  'two answers': { seen: seen(SEEN + SEEN), outcome: PASSED_ON, fault: 'bytes behind the answer' },
  'no HTTP': {
    seen: seen('hello\r\n\r\n'),
    outcome: PASSED_ON,
    fault: 'the client reads no valid answer: status line',
  },
  'half an answer and silence': {
    seen: seen(HALF),
    outcome: FAILED,
    fault: 'the client waits for ever',
  },
  'a cut before anything began': {
    seen: seen('', true),
    outcome: { ...FAILED, status: null },
    fault: 'cut without a word although nothing had begun',
  },
  'a cut that is on record as whole': {
    seen: seen(HALF, true),
    outcome: PASSED_ON,
    fault: 'cut, and recorded as completed',
  },
  'half an answer as a whole one': {
    sent: sent(SENT.slice(0, -1)),
    seen: seen(SEEN),
    outcome: PASSED_ON,
    fault: 'passed although it is partial',
  },
  'another body': {
    sent: sent(SENT.replace('hello', 'other')),
    seen: seen(SEEN),
    outcome: PASSED_ON,
    fault: 'another body',
  },
  'another status': {
    sent: sent(SENT.replace('200', '201')),
    seen: seen(SEEN),
    outcome: PASSED_ON,
    fault: 'another status',
  },
  'a field that may not pass': {
    seen: seen(SEEN.replace(OURS, `Alt-Svc: a\r\n${OURS}`)),
    outcome: PASSED_ON,
    fault: 'other header fields',
  },
  'a good answer refused': {
    sent: sent(SENT, { untouched: true }),
    seen: seen(REFUSED),
    outcome: FAILED,
    fault: 'a good answer is refused',
  },
  'a refusal for a fault of the sidecar': {
    seen: seen(REFUSED.replace('upstream.reset', 'proxy.internal')),
    outcome: FAILED,
    fault: 'refused for proxy.internal',
  },
};

for (const [sentence, row] of Object.entries(ROWS)) {
  void test(`${sentence}: ${row.fault ?? 'as promised'}`, () => {
    assert.equal(faultOf(row.sent ?? sent(SENT), row.seen, row.outcome), row.fault);
  });
}

void test('the same seed and number make the same answer, others another', () => {
  const some = (seed: number) =>
    Array.from({ length: 50 }, (_, at) => fuzzedAnswer(seed, at, false));
  assert.deepEqual(some(1), some(1));
  assert.notDeepEqual(some(1), some(2));
  for (const { bytes, index } of some(3)) assert.deepEqual(foreignMarks(bytes, index), []);
});
