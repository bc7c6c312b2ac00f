/** Request targets: one normal form, or a refusal. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parsePath, parseTarget } from '../../src/call/path.ts';
import { PARAMETERS_MAX, parseUrlEncoded } from '../../src/call/urlencoded.ts';

const ACCEPTED: [raw: string, normal: string, segments: string[]][] = [
  ['/', '/', ['']],
  ['/a/b', '/a/b', ['a', 'b']],
  ['/a/b/', '/a/b/', ['a', 'b', '']],
  ['/%7euser/%41', '/~user/A', ['~user', 'A']],
  ['/a%20b', '/a%20b', ['a b']],
  ['/%c3%bc', '/%C3%BC', ['\u00fc']],
  ['/v1/models/m:generate@x', '/v1/models/m:generate@x', ['v1', 'models', 'm:generate@x']],
  ['/100%25', '/100%25', ['100%']],
  ['/...', '/...', ['...']],
];

for (const [raw, normal, segments] of ACCEPTED) {
  void test(`${raw} is sent as ${normal}`, () => {
    const path = parsePath(raw);
    assert.ok(path.ok);
    assert.deepEqual([path.raw, path.normal, path.segments], [raw, normal, segments]);
  });
}

const REFUSED: [sentence: string, raw: string][] = [
  ['an empty target', ''],
  ['an asterisk', '*'],
  ['an absolute URL', 'http://example.com/'],
  ['a backslash', '/a\\b'],
  ['two slashes at the start', '//a'],
  ['two slashes inside', '/a//b'],
  ['two slashes at the end', '/a//'],
  ['a dot segment', '/a/./b'],
  ['a parent segment', '/a/../b'],
  ['an escaped parent segment', '/a/%2e%2E/b'],
  ['a half escaped parent segment', '/a/.%2e'],
  ['an escaped slash', '/a%2fb'],
  ['an escaped backslash', '/a%5Cb'],
  ['an escaped NUL', '/a%00'],
  ['an escaped line feed', '/a%0ab'],
  ['a twice escaped slash', '/a%252fb'],
  ['a twice escaped dot', '/%252e%252e/b'],
  ['an escape of an escape in pieces', '/%25%32%66'],
  ['a path parameter', '/a;jsessionid=1/b'],
  ['a fragment', '/a#b'],
  ['a space', '/a b'],
  ['a broken escape', '/a%zz'],
  ['a cut escape', '/a%4'],
  ['overlong UTF-8', '/%c0%af'],
  ['an escaped surrogate', '/%ed%a0%80'],
  ['raw non-ASCII', '/\u00fc'],
  ['a quote', '/a"b'],
];

for (const [sentence, raw] of REFUSED) {
  void test(`refused: ${sentence}`, () => {
    const path = parseTarget(raw);
    assert.equal(path.ok ? path.normal : path.reason, 'call.bad_path');
  });
}

void test('the query keeps every value of a name', () => {
  const target = parseTarget('/s?a=1&b=x+y&a=%32&c&__proto__=z&');
  assert.ok(target.ok);
  assert.deepEqual(Object.entries(target.query), [
    ['a', ['1', '2']],
    ['b', ['x y']],
    ['c', ['']],
    ['__proto__', ['z']],
  ]);
  assert.equal(Object.getPrototypeOf(target.query), null);
  assert.equal(target.normal, '/s?a=1&b=x+y&a=%32&c&__proto__=z&');
});

for (const [sentence, query] of [
  ['a broken escape', 'a=%g1'],
  ['bytes that are not UTF-8', 'a=%ff'],
  ['an escaped NUL', 'a=%00'],
  ['a semicolon', 'a=1;b=2'],
  ['a fragment', 'a=1#b'],
  ['a raw quote', 'a="'],
]) {
  void test(`refused in a query: ${sentence}`, () => {
    const target = parseTarget(`/?${query}`);
    assert.equal(target.ok ? 'ok' : target.reason, 'call.bad_path');
  });
}

void test('parameters, segments and characters are bounded', () => {
  const pairs = (count: number) => Array.from({ length: count }, () => 'a=1').join('&');
  assert.ok(parseUrlEncoded(pairs(PARAMETERS_MAX)).ok);
  assert.ok(!parseUrlEncoded(pairs(PARAMETERS_MAX + 1)).ok);
  assert.ok(!parsePath('/a'.repeat(200)).ok);
  assert.ok(!parseTarget(`/${'a'.repeat(9000)}`).ok);
});

const piece = fc.constantFrom(
  ...'/ a . .. % %2e %2F %41 %25 %32 %c3%bc %c3 ; : ? # \\ ~ %7E %e2%80%a8 * = & + 0'.split(' '),
);

void test('the normal form of a normal form is itself, and names the same segments', () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
      const once = parsePath(`/${pieces.join('')}`);
      if (!once.ok) return;
      const twice = parsePath(once.normal);
      assert.ok(twice.ok, once.normal);
      assert.equal(twice.normal, once.normal);
      assert.deepEqual(twice.segments, once.segments);
    }),
    { numRuns: 5000 },
  );
});

void test('an accepted path has the segments that a URL parser sees', () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
      const path = parsePath(`/${pieces.join('')}`);
      if (!path.ok) return;
      const url = new URL(`http://h${path.normal}`);
      assert.deepEqual(url.pathname.slice(1).split('/').map(decodeURIComponent), path.segments);
      assert.equal(url.search + url.hash, '');
    }),
    { numRuns: 5000 },
  );
});

void test('an accepted query has the values that a URL parser sees', () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
      const parsed = parseUrlEncoded(pieces.join(''));
      if (!parsed.ok) return;
      const url = new URL(`http://h/?${pieces.join('')}`).searchParams;
      for (const name of Object.keys(parsed.parameters)) {
        assert.deepEqual(url.getAll(name), parsed.parameters[name]);
      }
      assert.equal(new Set(url.keys()).size, Object.keys(parsed.parameters).length);
    }),
    { numRuns: 5000 },
  );
});
