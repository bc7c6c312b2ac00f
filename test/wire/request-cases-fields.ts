/** Header fields: names, values, copies, hop-by-hop fields, Expect and Upgrade, and what of them reaches a tool. Pure. */
import { BARE, casesAt, chunked, gateway, got, posted, type RequestCase } from './request-case.ts';

const at = casesAt('gateway');
const proxy = casesAt('proxy');
const POST_A = { method: 'POST', target: '/a', body: 'hello' };

const names: readonly RequestCase[] = [
  ...(
    [
      ['a name with a space', 'X A: b'],
      ['a name with a NUL', 'X\0A: b'],
      ['a name with a slash', 'X/A: b'],
      ['a name in parentheses', '(X): b'],
      ['a name with a Latin-1 letter', 'X-\xe9: b'],
      ['a name of nothing', ': b'],
      ['a field without colon', 'X-A'],
      ['a space before a colon', 'X-A : b'],
      ['a NUL in a value', 'X-A: b\0c'],
      ['a control character in a value', 'X-A: b\x01c'],
      ['DEL in a value', 'X-A: b\x7fc'],
      ['a bare CR in a value', 'X-A: b\rc'],
      ['a bare LF in a value', 'X-A: b\nX-C: d'],
    ] as const
  ).map(([name, field]) => at.refused(name, got(field), 'call.malformed', BARE)),
  at.refused('a name of 129 letters', got(`${'X'.repeat(129)}: b`), 'call.bad_header'),
  at.refused('a folded value', got('X-A: b\r\n c'), 'call.malformed', BARE),
  at.refused('a folded value with a tab', got('X-A: b\r\n\tc'), 'call.malformed', BARE),
  at.refused('101 headers', got(...Array.from({ length: 101 }, () => 'A: b')), 'call.bad_header'),
  at.refused('17 KiB of headers', got(`A: ${'b'.repeat(17_000)}`), 'call.too_large', {
    ...BARE,
    status: 431,
  }),
  at.refused('2,500 headers', got(...Array.from({ length: 2_500 }, () => 'A:')), 'call.too_large', {
    ...BARE,
    status: 431,
  }),
  at.passed('a tab in a value', got('X-A: b\tc'), { headers: { 'x-a': 'b\tc' } }),
  at.passed('an empty value', got('X-A:'), { headers: { 'x-a': '' } }),
  at.passed('spaces around a value', got('X-A:  b  '), { headers: { 'x-a': 'b' } }),
  at.passed('odd letters of a token', got("X!#$%&'*+.^`|~-A: b"), {
    headers: { "x!#$%&'*+.^`|~-a": 'b' },
  }),
  at.passed('the same field twice', got('X-A: b', 'X-A: c'), { headers: { 'x-a': 'b|c' } }),
];

const copies: readonly RequestCase[] = (
  [
    ['authorization', 'Bearer a'],
    ['content-type', 'text/plain'],
    ['cookie', 'a=b'],
    ['content-encoding', 'identity'],
    ['origin', 'http://localhost'],
    ['range', 'bytes=0-1'],
    ['traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'],
    ['mcp-session-id', 'a'],
    ['mcp-name', 'a'],
    ['last-event-id', '1'],
    ['user-agent', 'a'],
    ['proxy-authorization', 'Basic a'],
    ['expect', '100-continue'],
  ] as const
).map(([name, value]) =>
  at.refused(
    `two ${name} headers`,
    got(`${name}: ${value}`, `${name}: ${value}`),
    'call.bad_header',
  ),
);

const overrides: readonly RequestCase[] = [
  'X-HTTP-Method-Override',
  'X-Method-Override',
  'X-HTTP-Method',
].map((name) => at.refused(`${name}`, got(`${name}: DELETE`), 'call.bad_header'));

const hops: readonly RequestCase[] = [
  ...[
    'Authorization',
    'Content-Type',
    'Content-Length',
    'Transfer-Encoding',
    'Accept',
    'Cookie',
    'Mcp-Method',
    'Traceparent',
  ].map((name) =>
    at.refused(`Connection that drops ${name}`, got(`Connection: ${name}`), 'call.bad_header'),
  ),
  at.refused(
    'Connection in two fields that drops Host',
    got('Connection: close', 'Connection: hOsT'),
    'call.bad_header',
  ),
  at.refused('Connection with a word that is no name', got('Connection: a b'), 'call.bad_header'),
  at.refused(
    'Connection that drops a name with an underscore',
    got('Connection: x_a'),
    'call.bad_header',
  ),
  at.passed('Connection with empty items', got('Connection: ,, keep-alive,', 'X-A: b'), {
    headers: { 'x-a': 'b' },
  }),
  ...(
    [
      ['Keep-Alive', 'timeout=5'],
      ['Proxy-Connection', 'keep-alive'],
      ['Proxy-Authorization', 'Basic secret'],
      ['Proxy-Anything', 'a'],
      ['TE', 'trailers, chunked'],
      ['Trailer', 'X-Late'],
      ['HTTP2-Settings', 'AAMAAABkAAQAAP__'],
      ['X-Egret-Reason', 'policy.allowed'],
      ['X-Egret-Decision-Id', 'mine'],
      ['X-Forwarded-For', '10.0.0.1'],
      ['X-Forwarded-Host', 'other.example'],
      ['X-Forwarded-Proto', 'https'],
      ['Forwarded', 'for=10.0.0.1'],
      ['Via', '1.1 other'],
      ['Baggage', 'a=b'],
    ] as const
  ).map(([name, value]) =>
    at.passed(`${name} stays behind`, got(`${name}: ${value}`, 'X-A: b'), {
      headers: { [name.toLowerCase()]: null, 'x-a': 'b' },
    }),
  ),
  at.passed('credentials cross', got('Authorization: Bearer a', 'Cookie: a=b'), {
    headers: { authorization: 'Bearer a', cookie: 'a=b' },
  }),
  at.passed('a length of nothing does not cross a GET', got('Content-Length: 0'), {
    headers: { 'content-length': null },
  }),
  proxy.passed(
    'Proxy-Authorization stays at the proxy',
    'GET http://{origin}.example/a HTTP/1.1\r\nHost: {origin}.example\r\nProxy-Authorization: Basic a\r\n\r\n',
    { headers: { 'proxy-authorization': null } },
  ),
];

const expectations: readonly RequestCase[] = [
  at.mixed(
    'Expect: 100-continue',
    posted('', 'hello', 'Expect: 100-continue\r\nConnection: close\r\n'),
    { seen: [{ ...POST_A, headers: { expect: null } }] },
  ),
  at.mixed(
    'Expect: 100-Continue before chunks',
    chunked(
      '5\r\nhello\r\n0\r\n\r\n',
      'Expect: 100-Continue\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n',
    ),
    { seen: [{ ...POST_A, headers: { expect: null } }] },
  ),
  at.refused(
    'a body that nobody asks for, because its head is refused',
    gateway('POST /tools/none/', 'Content-Length: 5\r\nExpect: 100-continue\r\n'),
    'call.unknown_route',
  ),
  at.refused(
    'a body that nobody asks for, because it is too large',
    gateway('POST /tools/{origin}/a', 'Content-Length: 100001\r\nExpect: 100-continue\r\n'),
    'call.too_large',
  ),
  proxy.refused(
    'an expectation in a CONNECT',
    'CONNECT {origin}.example:80 HTTP/1.1\r\nExpect: 100-continue\r\n\r\n',
    'call.bad_header',
  ),
  at.refused('an expectation nobody knows', got('Expect: the-unexpected'), 'call.bad_header'),
  at.refused('two expectations in one', got('Expect: 100-continue, other'), 'call.bad_header'),
  at.refused('an empty expectation', got('Expect:'), 'call.bad_header'),
];

const SOCKET =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n';
const upgrades: readonly RequestCase[] = [
  at.passed(
    'an offer of h2c alone',
    got('Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__'),
    {
      headers: { upgrade: null, 'http2-settings': null, connection: 'keep-alive' },
    },
  ),
  ...(
    [
      ['TLS inside', got('Connection: Upgrade', 'Upgrade: TLS/1.0')],
      ['h2c and something else', got('Connection: Upgrade', 'Upgrade: h2c, websocket')],
      ['two upgrades', got('Connection: Upgrade', 'Upgrade: h2c', 'Upgrade: websocket')],
      ['an upgrade that Connection does not name', got('Upgrade: other')],
      ['an empty upgrade', got('Upgrade:')],
      ['a WebSocket by POST', gateway('POST /tools/{origin}/a', `${SOCKET}Content-Length: 0\r\n`)],
      ['a WebSocket where none is allowed', gateway('GET /tools/{origin}/a', SOCKET)],
      ['a WebSocket at an MCP server', gateway('GET /mcp/{origin}', SOCKET)],
    ] as const
  ).map(([name, bytes]) => at.refused(name, bytes, 'call.upgrade_denied')),
];

export const FIELD_CASES: readonly RequestCase[] = [
  ...names,
  ...copies,
  ...overrides,
  ...hops,
  ...expectations,
  ...upgrades,
];
