/** Address lists, encoded words and base64: the small grammars of a mail, each with one reading. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { strictBase64 } from '../../src/call/base64.ts';
import { decodeWords, parseAddressList } from '../../src/call/mail-address.ts';

const ADDRESSES: [text: string, expected: string[] | null][] = [
  ['a@example.com', ['a@example.com']],
  [' A@Example.COM ', ['a@example.com']],
  ['a@x.org, b@y.org', ['a@x.org', 'b@y.org']],
  ['A B <a@x.org>', ['a@x.org']],
  ['"B, A" <a@x.org>,<b@x.org>', ['a@x.org', 'b@x.org']],
  ['"a@x.org" <a@x.org>', ['a@x.org']],
  ['=?utf-8?B?w7w=?= <a@x.org>', ['a@x.org']],
  ['first.last+tag@mail.x.org', ['first.last+tag@mail.x.org']],
  ['', []],
  ['"ok@x.org" <evil@y.org>', null],
  ['ok@x.org <evil@y.org>', null],
  ['=?utf-8?Q?ok=40x.org?= <evil@y.org>', null],
  ['=?utf-8?Q?=3Cok=40x.org=3E?= <evil@y.org>', null],
  ['=?utf-8?Q?a=40x.org?=', null],
  ['a@x.org,', null],
  ['a@x.org,,b@x.org', null],
  ['a@x.org b@x.org', null],
  ['a@x.org; b@x.org', null],
  ['<a@x.org> b@y.org', null],
  ['<<a@x.org>>', null],
  ['<@relay.org:a@x.org>', null],
  ['a%evil.org@x.org', null],
  ['evil.org!a@x.org', null],
  ['a@b@x.org', null],
  ['a@', null],
  ['@x.org', null],
  ['.a@x.org', null],
  ['a..b@x.org', null],
  ['a@x..org', null],
  ['a@x.org.', null],
  ['a@[127.0.0.1]', null],
  ['a@127.0.0.1', null],
  ['a@x_y.org', null],
  ['\u0430@x.org', null],
  ['a@b\u00fccher.org', null],
  ['a\\@x.org', null],
  ['"a <a@x.org>', null],
  ['a@x.org\r\nBcc: b@x.org', null],
  ['a\u0000@x.org', null],
  ['undisclosed-recipients:;', null],
];

for (const [text, expected] of ADDRESSES) {
  void test(`the address list ${JSON.stringify(text)} is ${expected?.join(' and ') ?? 'refused'}`, () => {
    assert.deepEqual(parseAddressList(text), expected);
  });
}

void test('encoded words next to each other lose the blank between them, others keep it', () => {
  assert.equal(decodeWords('=?utf-8?Q?a?= =?utf-8?Q?b?= c  d'), 'ab c  d');
  assert.equal(decodeWords('x =?iso-8859-1?Q?=FC?='), 'x \u00fc');
  assert.equal(decodeWords('plain  text'), 'plain  text');
});

void test('base64 has one spelling per byte string in each alphabet', () => {
  assert.deepEqual(strictBase64('-_-_'), Buffer.from('+/+/', 'base64'));
  for (const broken of [
    '+_',
    'a',
    'YQ=',
    'Y===',
    'YR==',
    'YR',
    'Y Q',
    'YQ==\n',
    '\u00fc',
    '=',
    'YQ==YQ==',
  ]) {
    assert.equal(strictBase64(broken), null, broken);
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const buffer = Buffer.from(bytes);
      for (const encoding of ['base64', 'base64url'] as const) {
        const text = buffer.toString(encoding);
        assert.deepEqual(strictBase64(text), buffer);
        assert.deepEqual(strictBase64(text.replaceAll('=', '')), buffer);
      }
    }),
  );
});
