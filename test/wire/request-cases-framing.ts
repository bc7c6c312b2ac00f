/** Requests whose line, length or chunks could be read in two ways, and those that only look odd. Pure. */
import {
  BARE,
  CUT,
  casesAt,
  chunked,
  gateway,
  got,
  posted,
  type RequestCase,
  sees,
} from './request-case.ts';

const at = casesAt('gateway');
const POST_A = { method: 'POST', target: '/a', body: 'hello' };
const HELLO = '5\r\nhello\r\n0\r\n\r\n';
const UNTIL_CLOSED = { untilClosed: true } as const;
const framed = (fields: string, body: string) => gateway('POST /tools/{origin}/a', fields, body);
const line = (text: string, fields = 'Host: 127.0.0.1\r\n') => `${text}\r\n${fields}\r\n`;
/** A request line that is no HTTP for the parser. */
const noLine = (name: string, text: string, fields?: string) =>
  at.refused(name, line(text, fields), 'call.malformed', BARE);

const lines: readonly RequestCase[] = [
  at.refused('bytes that are no HTTP', '\x16\x03\x01\x02\0\x01', 'call.malformed', BARE),
  noLine('a method in lower case', 'get /tools/{origin}/a HTTP/1.1'),
  noLine('a method nobody knows', 'FETCH /tools/{origin}/a HTTP/1.1'),
  noLine('a method with a colon', 'GET: /tools/{origin}/a HTTP/1.1'),
  noLine('a method of 15,000 letters', `${'G'.repeat(15_000)} / HTTP/1.1`),
  noLine('a tab before the target', 'GET\t/tools/{origin}/a HTTP/1.1'),
  noLine('a space in the target', 'GET /tools/{origin}/a b HTTP/1.1'),
  noLine('a space before the method', ' GET /tools/{origin}/a HTTP/1.1'),
  noLine('no target', 'GET HTTP/1.1'),
  noLine('a target without a slash', 'GET tools/{origin}/a HTTP/1.1'),
  noLine('a NUL in the target', 'GET /tools/{origin}/a\0b HTTP/1.1'),
  noLine('a control character in the target', 'GET /tools/{origin}/a\x01b HTTP/1.1'),
  noLine('DEL in the target', 'GET /tools/{origin}/a\x7fb HTTP/1.1'),
  noLine('HTTP/1.2', 'GET /tools/{origin}/a HTTP/1.2'),
  noLine('HTTP/1.10', 'GET /tools/{origin}/a HTTP/1.10'),
  noLine('HTTP/1', 'GET /tools/{origin}/a HTTP/1'),
  noLine('HTTP/3.0', 'GET /tools/{origin}/a HTTP/3.0'),
  noLine('http/1.1', 'GET /tools/{origin}/a http/1.1'),
  noLine('another protocol', 'GET /tools/{origin}/a ICE/1.0'),
  noLine('a space after the version', 'GET /tools/{origin}/a HTTP/1.1 '),
  noLine('a word after the version', 'GET /tools/{origin}/a HTTP/1.1 x'),
  noLine('the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM', ''),
  at.refused(
    'a bare LF after the request line',
    'GET /tools/{origin}/a HTTP/1.1\nHost: 127.0.0.1\r\n\r\n',
    'call.malformed',
    BARE,
  ),
  at.refused(
    'a bare LF after a field',
    'GET /tools/{origin}/a HTTP/1.1\r\nHost: 127.0.0.1\nX-A: b\r\n\r\n',
    'call.malformed',
    BARE,
  ),
  at.refused(
    'bare LFs only',
    'GET /tools/{origin}/a HTTP/1.1\nHost: 127.0.0.1\n\n',
    'call.malformed',
    BARE,
  ),
  at.refused(
    'a bare CR between fields',
    'GET /tools/{origin}/a HTTP/1.1\r\nHost: 127.0.0.1\rX-A: b\r\n\r\n',
    'call.malformed',
    BARE,
  ),
  at.refused(
    'headers that never end',
    'GET /tools/{origin}/ HTTP/1.1\r\nHost: 127',
    'call.timeout',
    BARE,
  ),
  at.passed(
    'more spaces than one in the request line',
    line('GET  /tools/{origin}/a  HTTP/1.1'),
    {},
  ),
  at.passed('HTTP/1.0', 'GET /tools/{origin}/a HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n', {}),
  at.passed(
    'HTTP/1.0 with a length',
    'POST /tools/{origin}/a HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\nhello',
    POST_A,
  ),
  at.passed(
    'HEAD',
    gateway('HEAD /tools/{origin}/a', 'Connection: close\r\n'),
    { method: 'HEAD' },
    UNTIL_CLOSED,
  ),
  at.refused(
    'a HEAD that is refused',
    gateway('HEAD /tools/{origin}/a;b', 'Connection: close\r\n'),
    'call.bad_path',
    UNTIL_CLOSED,
  ),
  at.refused(
    'HTTP/1.0 without Host',
    'GET /tools/{origin}/a HTTP/1.0\r\n\r\n',
    'call.bad_authority',
  ),
];

const lengths: readonly RequestCase[] = [
  at.passed('a body with its length', posted('', 'hello'), POST_A),
  at.passed('a body of nothing', posted('', ''), { method: 'POST' }),
  at.passed('a POST without length', gateway('POST /tools/{origin}/a'), { method: 'POST' }),
  at.passed('a GET with length 0', got('Content-Length: 0'), {}),
  at.passed('spaces around the length', framed('Content-Length:   5  \r\n', 'hello'), POST_A),
  ...(
    [
      ['two lengths', 'Content-Length: 5\r\nContent-Length: 6\r\n'],
      ['the same length twice', 'Content-Length: 5\r\nContent-Length: 5\r\n'],
      ['a list of lengths', 'Content-Length: 5, 5\r\n'],
      ['a length with a sign', 'Content-Length: +5\r\n'],
      ['a length below zero', 'Content-Length: -5\r\n'],
      ['a length in hexadecimal', 'Content-Length: 0x5\r\n'],
      ['a length with an exponent', 'Content-Length: 5e0\r\n'],
      ['a length with a fraction', 'Content-Length: 5.0\r\n'],
      ['an empty length', 'Content-Length:\r\n'],
      ['a length in two words', 'Content-Length: 5 5\r\n'],
      ['a length of 2^64', 'Content-Length: 18446744073709551616\r\n'],
      ['a length with a letter', 'Content-Length: 5x\r\n'],
      ['a length with a Latin-1 space', 'Content-Length: \xa05\r\n'],
      ['a length on a line of its own', 'Content-Length:\r\n 5\r\n'],
    ] as const
  ).map(([name, fields]) => at.refused(name, framed(fields, 'hello'), 'call.malformed', BARE)),
  at.refused(
    'a length of 16 digits',
    framed('Content-Length: 1000000000000000\r\n', ''),
    'call.bad_header',
  ),
  at.refused('a length over the limit', framed('Content-Length: 100001\r\n', ''), 'call.too_large'),
  at.refused('a body that never ends', framed('Content-Length: 9\r\n', '{'), 'call.timeout'),
  at.refused(
    'a space before the colon of the length',
    framed('Content-Length : 5\r\n', 'hello'),
    'call.malformed',
    BARE,
  ),
];

const codings: readonly RequestCase[] = [
  at.passed('chunks', chunked(HELLO), {
    ...POST_A,
    headers: { 'content-length': '5', 'transfer-encoding': null },
  }),
  at.passed('Chunked with a capital', chunked(HELLO, 'transfer-encoding: Chunked\r\n'), POST_A),
  at.passed('chunks of one byte', chunked('1\r\nh\r\n1\r\ne\r\n3\r\nllo\r\n0\r\n\r\n'), POST_A),
  at.passed('a size in upper case', chunked(`A\r\n0123456789\r\n0\r\n\r\n`), {
    ...POST_A,
    body: '0123456789',
  }),
  at.passed('leading zeros in a chunk size', chunked('0005\r\nhello\r\n000\r\n\r\n'), POST_A),
  at.passed('no chunk but the last', chunked('0\r\n\r\n'), { method: 'POST' }),
  ...(
    [
      ['a length and chunks', 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n'],
      ['chunks and a length', 'Transfer-Encoding: chunked\r\nContent-Length: 5\r\n'],
      ['chunks and length 0', 'Transfer-Encoding: chunked\r\nContent-Length: 0\r\n'],
      ['chunked twice in one field', 'Transfer-Encoding: chunked, chunked\r\n'],
      ['chunked in two fields', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n'],
      ['a coding after the chunks', 'Transfer-Encoding: chunked, gzip\r\n'],
      ['chunked on a line of its own', 'Transfer-Encoding:\r\n chunked\r\n'],
      ['a space before the colon', 'Transfer-Encoding : chunked\r\n'],
      ['a tab before the colon', 'Transfer-Encoding\t: chunked\r\n'],
      ['a space before the name', ' Transfer-Encoding: chunked\r\n'],
      ['a NUL after chunked', 'Transfer-Encoding: chunked\0\r\n'],
      ['identity after chunked', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n'],
      ['chunked behind a vertical tab', 'Transfer-Encoding: \x0bchunked\r\n'],
      ['no transfer coding', 'Transfer-Encoding:\r\n'],
    ] as const
  ).map(([name, fields]) => at.refused(name, framed(fields, HELLO), 'call.malformed', BARE)),
  ...(
    [
      ['another coding', 'Transfer-Encoding: gzip\r\n'],
      ['identity for chunks', 'Transfer-Encoding: identity\r\n'],
      ['a word that ends in chunked', 'Transfer-Encoding: xchunked\r\n'],
      ['a word that begins with chunked', 'Transfer-Encoding: chunkedx\r\n'],
      ['chunked in quotes', 'Transfer-Encoding: "chunked"\r\n'],
      ['chunked with a parameter', 'Transfer-Encoding: chunked;q=1\r\n'],
    ] as const
  ).map(([name, fields]) => at.refused(name, framed(fields, HELLO), 'call.bad_header')),
  at.refused(
    'an underscore in Transfer-Encoding',
    framed('Content-Length: 5\r\nTransfer_Encoding: chunked\r\n', 'hello'),
    'call.bad_header',
  ),
  at.refused(
    'chunks larger than the limit',
    chunked(`20000\r\n${'x'.repeat(0x20000)}\r\n0\r\n\r\n`),
    'call.too_large',
  ),
];

/** The head is sound, so the call had begun when the chunks broke. */
const chunks: readonly RequestCase[] = (
  [
    ['chunks that are no chunks', 'zz\r\nabc\r\n0\r\n\r\n'],
    ['a chunk size with a sign', '+5\r\nhello\r\n0\r\n\r\n'],
    ['a chunk size below zero', '-5\r\nhello\r\n0\r\n\r\n'],
    ['a chunk size with 0x', '0x5\r\nhello\r\n0\r\n\r\n'],
    ['an empty chunk size', '\r\nhello\r\n0\r\n\r\n'],
    ['a space before a chunk size', ' 5\r\nhello\r\n0\r\n\r\n'],
    ['a space after a chunk size', '5 \r\nhello\r\n0\r\n\r\n'],
    ['a chunk size of 2^64', '10000000000000005\r\nhello\r\n0\r\n\r\n'],
    ['a chunk size that ends in LF', '5\nhello\r\n0\r\n\r\n'],
    ['a chunk that ends in LF', '5\r\nhello\n0\r\n\r\n'],
    ['a chunk longer than its size', '4\r\nhello\r\n0\r\n\r\n'],
    ['a chunk shorter than its size', '6\r\nhello\r\n0\r\n\r\n'],
    ['a CR in a chunk extension', '5;a\rb\r\nhello\r\n0\r\n\r\n'],
    ['an LF in a chunk extension', '5;a\nb\r\nhello\r\n0\r\n\r\n'],
    ['a NUL in a chunk extension', '5;a=\0\r\nhello\r\n0\r\n\r\n'],
    ['a chunk extension of 17 KiB', `5;a=${'b'.repeat(17_000)}\r\nhello\r\n0\r\n\r\n`],
    ['a trailer without a colon', '5\r\nhello\r\n0\r\nlate\r\n\r\n'],
    ['a trailer with a space before its colon', '5\r\nhello\r\n0\r\nX-Late : 1\r\n\r\n'],
    ['a length as a trailer', '5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n'],
    ['chunked as a trailer', '5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ] as const
).map(([name, bytes]) => at.refused(name, chunked(bytes), 'call.malformed'));

const second = (path: string) => gateway(`GET /tools/{origin}${path}`, 'Connection: close\r\n');

/** Of a length that is known: no name is put into it. */
const INNER = 'GET /tools/node/b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n';

const pipelines: readonly RequestCase[] = [
  at.mixed('two requests in one segment', got() + second('/b'), {
    seen: [sees({}), sees({ target: '/b' })],
  }),
  at.mixed('a blank line between two requests', `${posted('', 'hello')}\r\n${second('/b')}`, {
    seen: [sees(POST_A), sees({ target: '/b' })],
  }),
  at.passed('a request inside a body of its length', posted('', INNER), { ...POST_A, body: INNER }),
  at.mixed(
    'a request behind a body that is longer than announced',
    `${posted('', 'hello')}X${second('/b')}`,
    {
      seen: [sees(POST_A)],
      refused: ['call.malformed'],
    },
    CUT,
  ),
  at.mixed('a request behind the last chunk', chunked(HELLO) + second('/b'), {
    seen: [sees(POST_A), sees({ target: '/b' })],
  }),
  at.mixed(
    'a request behind Connection: close',
    second('/a') + second('/b'),
    {
      seen: [sees({})],
      refused: ['call.malformed'],
    },
    CUT,
  ),
  at.mixed(
    'a refused request before one that passes',
    gateway('GET /tools/{origin}/a;b') + second('/b'),
    {
      seen: [sees({ target: '/b' })],
      refused: ['call.bad_path'],
    },
  ),
  at.mixed(
    'a body that a refusal left behind is not the next request',
    gateway(
      'POST /tools/{origin}/a;b',
      `Content-Length: ${INNER.length}\r\nConnection: close\r\n`,
      INNER,
    ),
    { refused: ['call.bad_path'] },
  ),
];

export const FRAMING_CASES: readonly RequestCase[] = [
  ...lines,
  ...lengths,
  ...codings,
  ...chunks,
  ...pipelines,
];
