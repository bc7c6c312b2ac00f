// Trace context from the agent: what is believed, what is passed on, and what starts a new trace.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  boundedTracestate,
  parseTraceparent,
  renderTraceparent,
  sampledByRatio,
} from '../../src/telemetry/trace-context.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';

test('a well-formed traceparent is read, and only its sampled flag counts', () => {
  const context = { traceId: TRACE, spanId: SPAN };
  assert.deepEqual(parseTraceparent(`00-${TRACE}-${SPAN}-01`), { ...context, sampled: true });
  assert.deepEqual(parseTraceparent(`00-${TRACE}-${SPAN}-00`), { ...context, sampled: false });
  assert.deepEqual(parseTraceparent(`00-${TRACE}-${SPAN}-fe`), { ...context, sampled: false });
});

const INVALID: readonly (readonly [string, string | undefined])[] = [
  ['no header', undefined],
  ['an empty header', ''],
  ['upper-case digits', `00-${TRACE.toUpperCase()}-${SPAN}-01`],
  ['a trace id of zeros', `00-${'0'.repeat(32)}-${SPAN}-01`],
  ['a span id of zeros', `00-${TRACE}-${'0'.repeat(16)}-01`],
  ['version ff', `ff-${TRACE}-${SPAN}-01`],
  ['more fields in version 00', `00-${TRACE}-${SPAN}-01-extra`],
  ['a short trace id', `00-${TRACE.slice(1)}-${SPAN}-01`],
  ['white space around it', ` 00-${TRACE}-${SPAN}-01`],
  ['a line break after it', `00-${TRACE}-${SPAN}-01\n`],
  ['two headers joined by a comma', `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`],
  ['a later version with junk instead of a field', `01-${TRACE}-${SPAN}-01x`],
  ['a later version that is too long', `01-${TRACE}-${SPAN}-01-${'a'.repeat(300)}`],
];

for (const [what, header] of INVALID) {
  test(`${what} is no trace context`, () => assert.equal(parseTraceparent(header), null));
}

test('a later version is read by its first four fields', () => {
  const context = parseTraceparent(`cc-${TRACE}-${SPAN}-01-what-may-follow`);
  assert.deepEqual(context, { traceId: TRACE, spanId: SPAN, sampled: true });
});

test('what is rendered is read back as the same context', () => {
  const hex = (digits: number) =>
    fc
      .array(fc.constantFrom(...'0123456789abcdef'), { minLength: digits, maxLength: digits })
      .map((all) => all.join(''))
      .filter((text) => !/^0+$/.test(text));
  fc.assert(
    fc.property(hex(32), hex(16), fc.boolean(), (traceId, spanId, sampled) => {
      const context = { traceId, spanId, sampled };
      assert.deepEqual(parseTraceparent(renderTraceparent(context)), context);
    }),
  );
});

test('no text makes the parser throw or return ids that are not hexadecimal', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 80 }), (text) => {
      const context = parseTraceparent(text);
      if (context !== null) assert.match(renderTraceparent(context), /^00(-[0-9a-f]+){3}$/);
    }),
  );
});

test('a small tracestate is passed on without optional white space', () => {
  assert.equal(
    boundedTracestate('rojo=00f067aa0ba902b7, congo=t61rcWkgMzE'),
    'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE',
  );
  assert.equal(boundedTracestate('tenant@system=1,,a=b'), 'tenant@system=1,a=b');
});

for (const [what, header] of [
  ['no tracestate', undefined],
  ['an empty tracestate', ''],
  ['a member without a value', 'a='],
  ['a member without a key', '=b'],
  ['an upper-case key', 'A=b'],
  ['a key that comes twice', 'a=1,a=2'],
  ['a control character in a value', 'a=b\u0000c'],
  ['a value with an equals sign', 'a=b=c'],
  ['one malformed member among good ones', 'a=1,b'],
] as const) {
  test(`${what} is not passed on`, () => assert.equal(boundedTracestate(header), null));
}

test('a tracestate is cut at whole members within 32 members and 512 characters', () => {
  const many = Array.from({ length: 40 }, (_, at) => `k${at}=v`);
  assert.equal(boundedTracestate(many.join(',')), many.slice(0, 32).join(','));
  const long = Array.from({ length: 10 }, (_, at) => `k${at}=${'v'.repeat(100)}`);
  assert.equal(boundedTracestate(long.join(',')), long.slice(0, 4).join(','));
});

test('a ratio keeps about its part of the traces, the same ones every time', () => {
  const ids = Array.from({ length: 2000 }, (_, at) =>
    (at * 2_654_435_761).toString(16).padStart(32, 'a'),
  );
  assert.equal(ids.filter((id) => sampledByRatio(id, 0)).length, 0);
  assert.equal(ids.filter((id) => sampledByRatio(id, 1)).length, ids.length);
  assert.equal(sampledByRatio(`${'a'.repeat(19)}${'0'.repeat(13)}`, 0.01), true);
  assert.equal(sampledByRatio(`${'a'.repeat(19)}${'f'.repeat(13)}`, 0.99), false);
  assert.equal(sampledByRatio(`${'a'.repeat(19)}4${'0'.repeat(12)}`, 0.25), false);
  assert.equal(sampledByRatio(`${'a'.repeat(19)}3${'f'.repeat(12)}`, 0.25), true);
});
