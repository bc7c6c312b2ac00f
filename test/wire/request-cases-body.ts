/** Bodies: codings, types, JSON and forms with two readings, and the bytes of those that pass. Pure. */
import { brotliCompressSync, constants, gzipSync, zstdCompressSync } from 'node:zlib';
import { casesAt, JSON_TYPE, posted, type RequestCase } from './request-case.ts';

const at = casesAt('gateway');
const FORM = 'application/x-www-form-urlencoded';
const passes = (name: string, type: string, body: string | Uint8Array, fields = '') =>
  at.passed(name, posted(type, body, fields), {
    method: 'POST',
    body: Buffer.from(body).toString('latin1'),
    headers: { 'content-type': type === '' ? null : type },
  });
const json = (name: string, body: string | Uint8Array, reason: string) =>
  at.refused(name, posted(JSON_TYPE, body), reason);

/** Two million zeros in a few bytes; the sidecar never opens it. */
const bomb = brotliCompressSync(new Uint8Array(2_000_000), {
  params: { [constants.BROTLI_PARAM_LGWIN]: 24 },
});
const text = Buffer.from('{"a":1}');

const codings: readonly RequestCase[] = [
  ...(
    [
      ['a body in gzip', 'gzip', gzipSync(text)],
      ['a body in x-gzip', 'x-gzip', gzipSync(text)],
      ['a body in deflate', 'deflate', 'x'],
      ['a body in brotli', 'br', brotliCompressSync(text)],
      ['a body in zstd', 'zstd', zstdCompressSync(text)],
      ['a body in compress', 'compress', 'x'],
      ['gzip in gzip', 'gzip, gzip', gzipSync(gzipSync(text))],
      ['brotli in gzip', 'br, gzip', gzipSync(brotliCompressSync(text))],
      ['identity and gzip', 'identity, gzip', gzipSync(text)],
      ['a bomb', 'br', bomb],
      ['a coding that is said and not there', 'gzip', '{"a":1}'],
      ['an empty coding', '', '{"a":1}'],
      ['a coding nobody knows', 'aws-chunked', '{"a":1}'],
    ] as const
  ).map(([name, coding, body]) =>
    at.refused(
      name,
      posted(JSON_TYPE, body, `Content-Encoding: ${coding}\r\n`),
      'call.unsupported_encoding',
    ),
  ),
  passes('identity', JSON_TYPE, '{"a":1}', 'Content-Encoding: Identity\r\n'),
  passes('gzip that is said to be bytes', 'application/octet-stream', gzipSync(text)),
];

const types: readonly RequestCase[] = [
  passes('no type', '', '{"a":1}'),
  passes('JSON', JSON_TYPE, '{"a":1}'),
  passes('JSON in upper case', 'Application/JSON', '{"a":1}'),
  passes('JSON in UTF-8', 'application/json; charset="UTF-8"', '{"a":"\u00e9"}'),
  passes('JSON of another kind', 'application/problem+json', '{"a":1}'),
  passes('text', 'text/plain; charset=utf-8', 'caf\u00e9'),
  passes(
    'bytes',
    'application/octet-stream',
    Uint8Array.from({ length: 256 }, (_, i) => i),
  ),
  passes('line breaks of every kind', 'text/plain', '\r\n\r\n\n\r0\r\n\r\n'),
  passes('parts', 'multipart/form-data; boundary=x', '--x\r\n\r\na\r\n--x--\r\n'),
  ...(
    [
      ['UTF-16', 'application/json; charset=utf-16', 'call.unsupported_encoding'],
      ['UTF-7', 'application/json; charset=utf-7', 'call.unsupported_encoding'],
      ['Latin-1', 'text/plain; charset=iso-8859-1', 'call.unsupported_encoding'],
      ['a type without subtype', 'json', 'call.bad_header'],
      ['two types in one', 'application/json, text/plain', 'call.bad_header'],
      [
        'a parameter that stands twice',
        'application/json; charset=utf-8; charset=utf-16',
        'call.bad_header',
      ],
      ['a parameter without value', 'application/json; charset', 'call.bad_header'],
      ['a comment in a type', 'application/json (comment)', 'call.bad_header'],
    ] as const
  ).map(([name, type, reason]) => at.refused(name, posted(type, '{"a":1}'), reason)),
];

const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
const documents: readonly RequestCase[] = [
  passes('64 levels', JSON_TYPE, nested(64)),
  passes('the largest whole number', JSON_TYPE, '{"a":9007199254740991}'),
  passes('an own key named __proto__', JSON_TYPE, '{"__proto__":{"a":1}}'),
  passes('white space around JSON', JSON_TYPE, ' \t\r\n{"a" : 1}\n'),
  passes('an escaped key', JSON_TYPE, '{"\\u0061":1}'),
  passes('a pair of surrogates', JSON_TYPE, '{"a":"\\ud83d\\udcce"}'),
  passes('minus zero', JSON_TYPE, '{"a":-0}'),
  json('65 levels', nested(65), 'call.too_deep'),
  json('45,000 levels', nested(45_000), 'call.too_deep'),
  json('a key that stands twice', '{"a":1,"a":2}', 'call.duplicate_key'),
  json('a key that stands twice by an escape', '{"a":1,"\\u0061":2}', 'call.duplicate_key'),
  json('a key that stands twice far inside', '[{"b":{"a":1,"a":1}}]', 'call.duplicate_key'),
  json('__proto__ twice', '{"__proto__":1,"__proto__":2}', 'call.duplicate_key'),
  json('an index that stands twice', '{"0":1,"0":2}', 'call.duplicate_key'),
  json('a number beyond 2^53', '{"a":9007199254740993}', 'call.imprecise_number'),
  json('a number that is infinite', '{"a":1e999}', 'call.imprecise_number'),
  json('a number that vanishes', '{"a":1e-999}', 'call.imprecise_number'),
  json('a fraction of 25 digits', '{"a":0.1234567890123456789012345}', 'call.imprecise_number'),
  json('a lone surrogate', '{"a":"\\ud800"}', 'call.malformed'),
  json('a lone surrogate in a key', '{"\\udc00":1}', 'call.malformed'),
  json('bytes that are not UTF-8', Buffer.from('{"a":"\xff"}', 'latin1'), 'call.bad_utf8'),
  json('an overlong slash in JSON', Buffer.from('{"a":"\xc0\xaf"}', 'latin1'), 'call.bad_utf8'),
  json('a surrogate as UTF-8', Buffer.from('{"a":"\xed\xa0\x80"}', 'latin1'), 'call.bad_utf8'),
  json('a byte order mark', '\ufeff{"a":1}', 'call.malformed'),
  json('two values', '{"a":1}{"a":2}', 'call.malformed'),
  json('a comment', '{"a":1/*b*/}', 'call.malformed'),
  json('a comma at the end', '{"a":1,}', 'call.malformed'),
  json('single quotes', "{'a':1}", 'call.malformed'),
  json('a key without quotes', '{a:1}', 'call.malformed'),
  json('NaN', '{"a":NaN}', 'call.malformed'),
  json('a number with a plus', '{"a":+1}', 'call.malformed'),
  json('a number with a leading zero', '{"a":01}', 'call.malformed'),
  json('a number in hexadecimal', '{"a":0x1}', 'call.malformed'),
  json('a line break in a string', '{"a":"b\nc"}', 'call.malformed'),
  json('a NUL after JSON', '{"a":1}\0', 'call.malformed'),
  json(
    '10,001 members',
    `{${Array.from({ length: 10_001 }, (_, i) => `"${i}":1`).join()}}`,
    'call.too_large',
  ),
];

const forms: readonly RequestCase[] = [
  passes('a form', FORM, 'a=b&c=d+e&a=%C3%A9'),
  passes('a form of nothing', FORM, '&&'),
  ...(
    [
      ['a broken escape in a form', 'a=%zz'],
      ['a NUL in a form', 'a=%00'],
      ['Latin-1 in a form', 'a=%e9'],
      ['raw UTF-8 in a form', 'a=\u00e9'],
      ['a semicolon in a form', 'a=b;c=d'],
      ['a method in a form', '_method=DELETE'],
    ] as const
  ).map(([name, body]) => at.refused(name, posted(FORM, body), 'call.malformed')),
];

export const BODY_CASES: readonly RequestCase[] = [...codings, ...types, ...documents, ...forms];
