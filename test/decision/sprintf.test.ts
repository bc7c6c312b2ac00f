/** `sprintf` beside the real OPA on random formats, and its bounds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sprintf } from '../../src/decision/builtins-sprintf.ts';
import type { RegoValue } from '../../src/decision/rego-value.ts';
import { type BuiltinCall, compareWithOpa, sample } from './opa-oracle.ts';

const number = fc.oneof(
  fc.integer(),
  fc.integer({ min: -20, max: 300 }),
  fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }),
  fc.constantFrom(0.5, 1.5, 2.5, -0.25, 1234567.5, 100000.5, 0.1, 12345.678, 0.00012, 99.995),
);
const text = fc.constantFrom(
  '',
  'a',
  'abc',
  'é€',
  '😀b',
  'tab\t"q"\n',
  '`tick`',
  '\u007f\u00a0\u2028',
  'x y',
);
const value: fc.Arbitrary<RegoValue> = fc.oneof(
  number,
  text,
  fc.constantFrom<RegoValue>(
    null,
    true,
    false,
    [],
    [1, 'x', null],
    new Map<RegoValue, RegoValue>(),
  ),
  fc.array(fc.oneof(number, text), { maxLength: 3 }),
  fc
    .dictionary(text, fc.oneof(number, text), { maxKeys: 3 })
    .map((o) => new Map<RegoValue, RegoValue>(Object.entries(o))),
);

const directive = fc
  .tuple(
    fc.constantFrom('', '', '', '-', '+', '#', '0', ' ', '-0', '+0', '+#'),
    fc.constantFrom('', '', '', '1', '5', '12', '*', '[1]', '[2]*', '[9]'),
    fc.constantFrom('', '', '', '.', '.0', '.1', '.3', '.*'),
    fc.constantFrom(
      's',
      'd',
      'v',
      'f',
      't',
      'q',
      'x',
      '%',
      'e',
      'g',
      'X',
      'o',
      'b',
      'c',
      'U',
      'T',
      'z',
      'O',
      'E',
      'G',
      'F',
      '!',
      'é',
    ),
  )
  .map((parts) => `%${parts.join('')}`);

/** Left out: hexadecimal and binary forms of fractions, `#` with fractions. */
const comparable = (format: string, values: readonly RegoValue[]) =>
  !values.some((v) => typeof v === 'number' && !Number.isInteger(v)) || !/[xXb]|#/.test(format);

test('sprintf prints what Go prints', (t) => {
  const formats = fc.array(
    fc.oneof(directive, fc.constantFrom(' ', 'to ', 'é', '%', '%5', '%.'), directive),
    { maxLength: 4 },
  );
  const calls = sample(fc.tuple(formats, fc.array(value, { maxLength: 4 })), 6000)
    .map(([parts, values]) => ['sprintf', parts.join(''), values] as BuiltinCall)
    .filter(([, format, values]) => comparable(format as string, values as RegoValue[]));
  compareWithOpa(t, calls);
});

test('sprintf rounds every fraction as Go does', (t) => {
  const fractions = fc
    .double({ noNaN: true, noDefaultInfinity: true, min: 1e-5, max: 1e7 })
    .filter((d) => !Number.isInteger(d) && d > 1e-4);
  const format = fc.constantFrom(
    '%f',
    '%.0f',
    '%.1f',
    '%.2f',
    '%e',
    '%.2e',
    '%g',
    '%.3g',
    '%v',
    '%.10g',
    '%08.3f',
    '%+.1f',
  );
  compareWithOpa(
    t,
    sample(fc.tuple(format, fractions), 3000).map(([f, d]) => ['sprintf', f, [d]] as BuiltinCall),
  );
});

test('wide output is charged before it is made', () => {
  const stop = (characters: number) => {
    if (characters > 1000) throw new Error('stopped');
  };
  assert.throws(() => sprintf('%999999d', [1], stop), /stopped/);
  assert.throws(() => sprintf('%.*f', [1000000, 0.5], stop), /stopped/);
  assert.equal(sprintf('%9999999d', [1], stop), '%!(NOVERB)%!(EXTRA int64=1)');
});
