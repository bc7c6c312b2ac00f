/** Framing, chunks, ends and paces of bodies. Pure. */
import {
  chunks,
  cut,
  hello,
  passes,
  type ResponseCase,
  refused,
  type Step,
} from './response-case.ts';

const length = (value: string, body = 'hello') =>
  `HTTP/1.1 200 OK\r\nContent-Length: ${value}\r\n\r\n${body}`;
const coded = (value: string) =>
  `HTTP/1.1 200 OK\r\nTransfer-Encoding: ${value}\r\n\r\n5\r\nhello\r\n0\r\n\r\n`;
const EVIL = hello('X-Evil: 1').replace('hello', 'never');
const NOT_EVIL = { headers: { 'x-evil': null } } as const;

const LENGTHS: readonly ResponseCase[] = [
  refused('a negative length', length('-5')),
  refused('a length with a sign', length('+5')),
  refused('a length with a leading zero', length('05')),
  refused('a hexadecimal length', length('0x5')),
  refused('a length in exponents', length('5e0')),
  refused('a length with a fraction', length('5.0')),
  refused('a length with letters', length('5a')),
  refused('two numbers as length', length('5 5')),
  refused('a list of equal lengths', length('5, 5')),
  refused('a list of differing lengths', length('5, 50')),
  refused('a length and a comma', length('5,')),
  refused('an empty length', length('')),
  refused('a length of 2^64 and 5', length('18446744073709551621')),
  refused('a length of 2^64 less 1', length('18446744073709551615')),
  refused('a length of sixteen digits', length('1000000000000000')),
  refused('a length with digits of another script', length('\xd9\xa5')),
  refused('a length twice, the same', hello('Content-Length: 5')),
  refused('a length twice, differing', hello('Content-Length: 50')),
  refused('more than may come is announced', length('1048577', ''), 'upstream.too_large'),
  cut('a length longer than the content', [length('10'), 'close'], 'upstream.reset'),
  cut(
    'a length longer than the content, and Connection: close',
    [length('10').replace('\r\n', '\r\nConnection: close\r\n'), 'close'],
    'upstream.reset',
  ),
  cut(
    'a length longer than the content, then a reset',
    [length('10'), { waitMs: 50 }, 'reset'],
    'upstream.reset',
  ),
  cut('a length longer than the content, then silence', [length('10'), 'hold'], 'upstream.timeout'),
  passes('a length shorter than the content', `${length('5')}more`, {}, { fresh: true }),
  passes('a second response behind the first', `${hello()}${EVIL}`, NOT_EVIL, { fresh: true }),
  passes('a second response a moment later', [hello(), { waitMs: 30 }, EVIL, 'hold'], NOT_EVIL, {
    fresh: true,
  }),
  passes(
    'half a second response behind the first',
    `${hello()}HTTP/1.1 200 OK\r\nX-Evil: `,
    NOT_EVIL,
    { fresh: true },
  ),
  passes('an empty line behind the first', [`${hello()}\r\n\r\n`, 'hold'], {}),
  passes('length 0 and content', length('0'), { body: '' }, { fresh: true }),
  passes(
    'length 0 and a response as content',
    `HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n${EVIL}`,
    { body: '', ...NOT_EVIL },
    { fresh: true },
  ),
];

const CODINGS: readonly ResponseCase[] = [
  ...[
    'gzip',
    'gzip, chunked',
    'chunked, gzip',
    'chunked, chunked',
    'chunked, identity',
    'identity',
    'identity, chunked',
  ].map((value) => refused(`transfer coding ${value}`, coded(value))),
  refused('transfer coding xchunked', coded('xchunked')),
  refused('transfer coding chunked with a parameter', coded('chunked;q=1')),
  refused('a quoted transfer coding', coded('"chunked"')),
  refused('an empty transfer coding', coded('')),
  refused('a transfer coding with a vertical tab', coded('\x0bchunked')),
  refused('a transfer coding with a NUL', coded('chunked\0')),
  refused('a transfer coding with a comma before it', coded(',chunked')),
  refused(
    'a transfer coding twice',
    chunks('5\r\nhello\r\n0\r\n\r\n', 'Transfer-Encoding: chunked'),
  ),
  refused(
    'a transfer coding and another',
    chunks('5\r\nhello\r\n0\r\n\r\n', 'Transfer-Encoding: identity'),
  ),
  refused(
    'a space before the colon of the transfer coding',
    coded('chunked').replace('Encoding:', 'Encoding :'),
  ),
  refused('a folded transfer coding', coded('\r\n chunked')),
  refused('chunks and a length', chunks('5\r\nhello\r\n0\r\n\r\n', 'Content-Length: 5')),
  refused(
    'a length and chunks',
    'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
  ),
  refused('chunks and length 0', chunks('5\r\nhello\r\n0\r\n\r\n', 'Content-Length: 0')),
  passes('a transfer coding in capitals', coded('CHUNKED'), {
    headers: { 'transfer-encoding': 'chunked' },
  }),
  passes('a field that only looks like a transfer coding', hello('Transfer_Encoding: chunked')),
];

const CHUNKS: readonly ResponseCase[] = [
  passes('plain chunks', chunks('2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n')),
  passes('an extension', chunks('5;a=b\r\nhello\r\n0\r\n\r\n')),
  passes('a quoted extension', chunks('5;a="b;c"\r\nhello\r\n0;d\r\n\r\n')),
  passes('a last chunk of many zeros', chunks('5\r\nhello\r\n0000\r\n\r\n')),
  passes('a size with leading zeros', chunks('0005\r\nhello\r\n0\r\n\r\n')),
  passes(
    'trailers are dropped',
    chunks('5\r\nhello\r\n0\r\nSet-Cookie: a=1\r\nX-Egret-Reason: x\r\n\r\n'),
    { headers: { 'set-cookie': null, 'x-egret-reason': null } },
  ),
  ...[
    'Transfer-Encoding: identity',
    'Transfer-Encoding: chunked',
    'Transfer-Encoding: gzip, chunked',
    'Content-Length: 5',
    'Content-Length: 50',
    'Connection: close',
    'Connection: upgrade',
    'Upgrade: h2c',
  ].map((line) =>
    cut(
      `${line} as a trailer`,
      chunks(`5\r\nhello\r\n0\r\n${line}\r\n\r\n`),
      'upstream.bad_response',
    ),
  ),
  passes('Keep-Alive as a trailer', chunks('5\r\nhello\r\n0\r\nKeep-Alive: timeout=0\r\n\r\n')),
  passes(
    'a second response behind the last chunk',
    `${chunks('5\r\nhello\r\n0\r\n\r\n')}${EVIL}`,
    NOT_EVIL,
    { fresh: true },
  ),
  ...(
    [
      ['a size that is no number', 'g\r\nhello\r\n0\r\n\r\n'],
      ['a size with a prefix', '0x5\r\nhello\r\n0\r\n\r\n'],
      ['a negative size', '-5\r\nhello\r\n0\r\n\r\n'],
      ['a size with a sign', '+5\r\nhello\r\n0\r\n\r\n'],
      ['a size of seventeen digits', '10000000000000005\r\nhello\r\n0\r\n\r\n'],
      ['no size', '\r\nhello\r\n0\r\n\r\n'],
      ['a space before the size', ' 5\r\nhello\r\n0\r\n\r\n'],
      ['a size line that ends in a line feed', '5\nhello\r\n0\r\n\r\n'],
      ['a size line that ends in a carriage return', '5\rhello\r\n0\r\n\r\n'],
      ['more in a chunk than its size', '5\r\nhello more\r\n0\r\n\r\n'],
      ['less in a chunk than its size', '9\r\nhello\r\n0\r\n\r\n5\r\nhello\r\n'],
      ['no end after a chunk', '5\r\nhello0\r\n\r\n'],
      ['a line feed after a chunk', '5\r\nhello\n0\r\n\r\n'],
      ['a line feed in an extension', '5;a\nb\r\nhello\r\n0\r\n\r\n'],
      ['a NUL in an extension', '5;a\0b\r\nhello\r\n0\r\n\r\n'],
      ['a carriage return in an extension', '5;a\rb\r\nhello\r\n0\r\n\r\n'],
      ['a trailer without a colon', '5\r\nhello\r\n0\r\nodd\r\n\r\n'],
      ['a trailer with a NUL', '5\r\nhello\r\n0\r\nX-A: \0\r\n\r\n'],
      ['trailers of 17 KiB', `5\r\nhello\r\n0\r\nX-A: ${'a'.repeat(17_408)}\r\n\r\n`],
    ] as const
  ).map(([name, bytes]) => cut(`chunks: ${name}`, chunks(bytes), 'upstream.bad_response')),
  cut('chunks without the last one', [chunks('5\r\nhello\r\n'), 'close'], 'upstream.reset'),
  cut(
    'chunks without the last one, and Connection: close',
    [chunks('5\r\nhello\r\n', 'Connection: close'), 'close'],
    'upstream.reset',
  ),
  cut(
    'a last chunk without the last line',
    [chunks('5\r\nhello\r\n0\r\n'), 'close'],
    'upstream.reset',
  ),
  cut('half a chunk', [chunks('9\r\nhello'), 'close'], 'upstream.reset'),
  cut(
    'half a chunk, then a reset',
    [chunks('9\r\nhello'), { waitMs: 50 }, 'reset'],
    'upstream.reset',
  ),
  cut('half a chunk, then silence', [chunks('9\r\nhello'), 'hold'], 'upstream.timeout'),
];

const drip = (text: string, everyMs: number): Step[] =>
  [...text].flatMap((byte): Step[] => [byte, { waitMs: everyMs }]);
const STREAM = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n';

const PACES: readonly ResponseCase[] = [
  refused('silence', ['hold'], 'upstream.timeout'),
  refused(
    'a head that drips',
    ['HTTP/1.1 200 OK\r\nX: ', { forever: 'a', everyMs: 50 }],
    'upstream.timeout',
  ),
  refused('a status line that drips', [{ forever: 'HTTP/1.1 200 '.slice(0, 1), everyMs: 50 }]),
  refused(
    'a reason phrase without end',
    ['HTTP/1.1 200 ', { forever: 'a', everyMs: 50 }],
    'upstream.timeout',
  ),
  cut(
    'a body that drips for ever',
    ['HTTP/1.1 200 OK\r\n\r\n', { forever: 'a', everyMs: 50 }],
    'upstream.timeout',
  ),
  cut(
    'chunks that drip for ever',
    [chunks(''), { forever: '1\r\na\r\n', everyMs: 50 }],
    'upstream.timeout',
  ),
  cut(
    'an extension without end',
    [chunks('5\r\nhello\r\n5;'), { forever: 'a', everyMs: 50 }],
    'upstream.timeout',
  ),
  cut(
    'trailers without end',
    [chunks('5\r\nhello\r\n0\r\n'), { forever: `X-A: ${'b'.repeat(512)}\r\n`, everyMs: 1 }],
    'upstream.bad_response',
  ),
  cut(
    'a body without end',
    ['HTTP/1.1 200 OK\r\n\r\n', { forever: 'a'.repeat(65_536), everyMs: 0 }],
    'upstream.too_large',
  ),
  cut(
    'chunks without end',
    [chunks(''), { forever: `8000\r\n${'a'.repeat(32_768)}\r\n`, everyMs: 0 }],
    'upstream.too_large',
  ),
  passes('one byte at a time', drip(hello('X-A: b'), 1), { headers: { 'x-a': 'b' } }),
  passes('chunks one byte at a time', drip(chunks('5\r\nhello\r\n0\r\n\r\n'), 1)),
  passes('a pause between head and body', [hello().slice(0, -5), { waitMs: 300 }, 'hello', 'hold']),
  passes(
    'an event stream longer than any other answer may last',
    [`${STREAM}\r\n`, ...drip('12345678', 400), 'close'],
    { body: '12345678' },
  ),
  passes(
    'an event stream with more than any other answer may have',
    [`${STREAM}Content-Length: 2097152\r\n\r\n${'a'.repeat(2_097_152)}`, 'hold'],
    { body: 'a'.repeat(2_097_152) },
  ),
  cut(
    'an event stream that falls silent',
    [`${STREAM}\r\ndata: 1\n\n`, 'hold'],
    'upstream.timeout',
  ),
];

const ENDS: readonly ResponseCase[] = [
  passes('a body that ends with the connection', ['HTTP/1.1 200 OK\r\n\r\nhello', 'close']),
  passes('HTTP/1.0 that ends with the connection', ['HTTP/1.0 200 OK\r\n\r\nhello', 'close']),
  passes('a close at once after the answer', [hello(), 'close'], {}, { fresh: true }),
  passes(
    'content that looks like a response',
    ['HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n', 'close'],
    { body: 'HTTP/1.1 200 OK\r\n\r\n' },
  ),
  cut(
    'a body that would end with the connection, then a reset',
    ['HTTP/1.1 200 OK\r\n\r\nhello', { waitMs: 50 }, 'reset'],
    'upstream.reset',
  ),
  cut(
    'HTTP/1.0, then a reset',
    ['HTTP/1.0 200 OK\r\n\r\nhello', { waitMs: 50 }, 'reset'],
    'upstream.reset',
  ),
  cut(
    'a body that would end with the connection, then silence',
    ['HTTP/1.1 200 OK\r\n\r\nhello', 'hold'],
    'upstream.timeout',
  ),
];

export const BODY_CASES: readonly ResponseCase[] = [
  ...LENGTHS,
  ...CODINGS,
  ...CHUNKS,
  ...PACES,
  ...ENDS,
];
