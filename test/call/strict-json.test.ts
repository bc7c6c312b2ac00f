/**
 * Strict JSON beside a dumb twin: a recursive-descent parser that checks one rule at a time, slowly
 * and plainly.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseStrictJson } from '../../src/call/strict-json.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const outcome = (text: string) => {
  const parsed = parseStrictJson(bytes(text));
  return parsed.ok ? 'ok' : parsed.reason;
};

const TABLE: [sentence: string, text: string, expected: string][] = [
  ['a plain object passes', '{"a":1,"b":[true,null,"x"]}', 'ok'],
  ['white space passes', ' \t\r\n{ "a" : 1 } \n', 'ok'],
  ['the same key in different objects passes', '{"a":{"a":1},"b":[{"a":2},{"a":3}]}', 'ok'],
  ['a key twice is refused', '{"a":1,"b":2,"a":1}', 'call.duplicate_key'],
  ['a key twice deep inside is refused', '[[{"x":{"a":1,"a":2}}]]', 'call.duplicate_key'],
  ['an escaped twin of a key is refused', '{"a":1,"\\u0061":2}', 'call.duplicate_key'],
  ['__proto__ twice is refused', '{"__proto__":1,"__proto__":2}', 'call.duplicate_key'],
  ['colons and braces inside strings do not count', '{"a":"{\\"b\\":1,\\"b\\":2}:[[["}', 'ok'],
  ['a string that ends in a backslash passes', '{"a":"\\\\","b":":"}', 'ok'],
  ['64 levels pass', `${'['.repeat(64)}${']'.repeat(64)}`, 'ok'],
  ['65 levels are refused', `${'['.repeat(65)}${']'.repeat(65)}`, 'call.too_deep'],
  ['a million open brackets are refused', '['.repeat(1_000_000), 'call.too_deep'],
  ['2^53-1 passes', '[9007199254740991,-9007199254740991]', 'ok'],
  ['2^53 is refused', '9007199254740992', 'call.imprecise_number'],
  ['-2^53 is refused', '[-9007199254740992]', 'call.imprecise_number'],
  ['a large integer in exponent form is refused', '1e300', 'call.imprecise_number'],
  ['an overflow is refused', '1e400', 'call.imprecise_number'],
  ['an underflow is refused', '1e-400', 'call.imprecise_number'],
  ['a tenth passes', '0.1', 'ok'],
  ['trailing zeros pass', '[0.10, 1.50e1, 100e-2, 0e999]', 'ok'],
  ['minus zero passes', '-0', 'ok'],
  [
    'seventeen digits that no double holds are refused',
    '0.12345678901234567',
    'call.imprecise_number',
  ],
  [
    'the expansion of a double is refused',
    '0.1000000000000000055511151231257827',
    'call.imprecise_number',
  ],
  ['a byte order mark is refused', '\ufeff{}', 'call.malformed'],
  ['an empty text is refused', '', 'call.malformed'],
  ['a comment is refused', '{"a":1/**/}', 'call.malformed'],
  ['a trailing comma is refused', '{"a":1,}', 'call.malformed'],
  ['single quotes are refused', "{'a':1}", 'call.malformed'],
  ['a leading zero is refused', '01', 'call.malformed'],
  ['a plus sign is refused', '+1', 'call.malformed'],
  ['NaN is refused', 'NaN', 'call.malformed'],
  ['two values are refused', '{}{}', 'call.malformed'],
  ['an open string is refused', '{"a":"', 'call.malformed'],
  ['a raw control character is refused', '"\u0001"', 'call.malformed'],
  ['a surrogate pair passes', '"\\ud83d\\ude00"', 'ok'],
  ['a lone high surrogate is refused', '"\\ud83d"', 'call.malformed'],
  ['a lone low surrogate in a key is refused', '{"\\ude00":1}', 'call.malformed'],
  ['10,000 members pass', members(10_000), 'ok'],
  ['10,001 members are refused', members(10_001), 'call.too_large'],
];

function members(count: number): string {
  return `{${Array.from({ length: count }, (_, index) => `"${index}":0`).join()}}`;
}

for (const [sentence, text, expected] of TABLE) {
  void test(sentence, () => assert.equal(outcome(text), expected));
}

void test('bytes that are not UTF-8 are refused', () => {
  for (const broken of [
    [0x22, 0xff, 0x22],
    [0x22, 0xc0, 0xaf, 0x22],
    [0x22, 0xed, 0xa0, 0x80, 0x22],
  ]) {
    const parsed = parseStrictJson(Uint8Array.from(broken));
    assert.equal(parsed.ok ? 'ok' : parsed.reason, 'call.bad_utf8');
  }
});

void test('a __proto__ key is an own property and changes no prototype', () => {
  const parsed = parseStrictJson(bytes('{"__proto__":{"polluted":true}}'));
  assert.ok(parsed.ok);
  assert.ok(Object.hasOwn(parsed.value as object, '__proto__'));
  assert.equal(Object.getPrototypeOf(parsed.value), Object.prototype);
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
});

void test('what is accepted is what the platform parser reads', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 6 }), (text) => {
      const parsed = parseStrictJson(bytes(text));
      if (parsed.ok) assert.deepEqual(parsed.value, JSON.parse(text));
      else assert.match(parsed.reason, /imprecise_number|malformed/);
    }),
  );
});

void test('the parser and its dumb twin agree on what is acceptable', () => {
  const token = fc.constantFrom(
    ...'{ } [ ] : , "a" "b" "\\u0061" "\\ud800" "\\\\" "\\"" 1 -0 0.1 1e5 01 1e400 9007199254740993 true nul null'.split(
      ' ',
    ),
    ' ',
  );
  const nested = fc.letrec<{ value: string }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      token,
      fc.array(tie('value'), { maxLength: 4 }).map((items) => `[${items.join()}]`),
      fc
        .array(fc.tuple(fc.constantFrom('"a"', '"b"', '"\\u0061"', '"c:"'), tie('value')), {
          maxLength: 4,
        })
        .map((pairs) => `{${pairs.map(([key, item]) => `${key}:${item}`).join()}}`),
    ),
  })).value;
  const soup = fc.array(token, { maxLength: 12 }).map((tokens) => tokens.join(''));
  fc.assert(
    fc.property(fc.oneof(nested, soup), (text) => {
      assert.equal(outcome(text) === 'ok', twinAccepts(text), text);
    }),
    { numRuns: 3000 },
  );
});

void test('no bytes make it throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (input) => {
      assert.equal(typeof parseStrictJson(input).ok, 'boolean');
    }),
    { numRuns: 2000 },
  );
});

/** Accepts a text if it is JSON without duplicate keys, inexact numbers and lone surrogates. */
function twinAccepts(text: string): boolean {
  let at = 0;
  const skip = () => {
    while (' \t\r\n'.includes(text[at] ?? 'x')) at++;
  };
  const eat = (literal: string) => {
    if (!text.startsWith(literal, at)) throw new Error('unexpected');
    at += literal.length;
  };
  const string = (): string => {
    const found = /^"(?:[^"\\]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/.exec(text.slice(at));
    if (found === null) throw new Error('no string');
    at += found[0].length;
    const value = JSON.parse(found[0]) as string;
    if (!value.isWellFormed()) throw new Error('lone surrogate');
    return value;
  };
  const value = (): void => {
    skip();
    const next = text[at];
    if (next === '"') string();
    else if (next === '{') object();
    else if (next === '[') array();
    else if (next === 't') eat('true');
    else if (next === 'f') eat('false');
    else if (next === 'n') eat('null');
    else number();
    skip();
  };
  const object = () => {
    eat('{');
    skip();
    const keys = new Set<string>();
    while (text[at] !== '}') {
      if (keys.size > 0) eat(',');
      skip();
      const key = string();
      if (keys.has(key)) throw new Error('duplicate');
      keys.add(key);
      skip();
      eat(':');
      value();
    }
    eat('}');
  };
  const array = () => {
    eat('[');
    skip();
    if (text[at] !== ']') value();
    while (text[at] === ',') {
      eat(',');
      value();
    }
    eat(']');
  };
  const number = () => {
    const found = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/.exec(text.slice(at));
    if (found === null) throw new Error('no number');
    at += found[0].length;
    const double = Number(found[0]);
    if (Math.abs(double) > Number.MAX_SAFE_INTEGER) throw new Error('too large');
    if (!sameRational(found[0], String(double))) throw new Error('inexact');
  };
  try {
    value();
    return at === text.length;
  } catch {
    return false;
  }
}

/** Compares two decimals by scaling both to integers. */
function sameRational(left: string, right: string): boolean {
  const scaled = (text: string): bigint => {
    const [, sign, whole, fraction = '', exponent = '0'] =
      /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? [];
    const shift = 500 + Number(exponent) - fraction.length;
    const digits = BigInt(`${whole}${fraction}`);
    const size = shift >= 0 ? digits * 10n ** BigInt(shift) : digits / 10n ** BigInt(-shift);
    return sign === '-' ? -size : size;
  };
  return scaled(left) === scaled(right);
}
