/**
 * The oddities that Node's strict parser accepts, by their number in docs/http-hardening.md: each is refused, or made
 * normal before policy looks at it. Pure.
 */
import {
  BARE,
  CALL,
  casesAt,
  chunked,
  gateway,
  got,
  named,
  posted,
  proxied,
  type RequestCase,
  rpc,
} from './request-case.ts';

const at = casesAt('gateway');
const proxy = casesAt('proxy');
const capture = casesAt('capture:80');
const POST_A = { method: 'POST', target: '/a', body: 'hello' };

const hosts: readonly RequestCase[] = [
  at.refused('two Host headers', got('Host: other'), 'call.bad_header', { oddity: 1 }),
  at.refused('the same Host twice', got('Host: 127.0.0.1:{listener}'), 'call.bad_header', {
    oddity: 1,
  }),
  proxy.refused(
    'two Hosts at the proxy',
    named('GET http://{origin}.example/', 'Host: {origin}.example\r\nHost: other\r\n'),
    'call.bad_header',
    { oddity: 1 },
  ),
  proxy.refused(
    'an absolute target with another Host',
    named('GET http://{origin}.example/', 'Host: other.example\r\n'),
    'call.bad_authority',
    { oddity: 2 },
  ),
  proxy.refused(
    'an absolute target with another port than Host',
    named('GET http://{origin}.example/', 'Host: {origin}.example:81\r\n'),
    'call.bad_authority',
    { oddity: 2 },
  ),
  at.refused(
    'an absolute target at the gateway',
    gateway('GET http://127.0.0.1:{listener}/tools/{origin}/a'),
    'call.unknown_route',
    { oddity: 2 },
  ),
  capture.refused(
    'an absolute target on a captured connection',
    named('GET http://{origin}.example/a'),
    'call.bad_path',
    { oddity: 2 },
  ),
  proxy.refused(
    'user info before the host',
    named('GET http://user:secret@{origin}.example/'),
    'call.bad_authority',
    { oddity: 3 },
  ),
  proxy.refused('an empty user', named('GET http://@{origin}.example/'), 'call.bad_authority', {
    oddity: 3,
  }),
  proxy.refused(
    'another host as user info',
    named('GET http://{origin}.example@other.example/'),
    'call.bad_authority',
    { oddity: 3 },
  ),
];

const targets: readonly RequestCase[] = [
  at.refused('a fragment', gateway('GET /tools/{origin}/a#b'), 'call.bad_path', { oddity: 4 }),
  proxy.refused(
    'a fragment at the proxy',
    named('GET http://{origin}.example/a#b'),
    'call.bad_path',
    { oddity: 4 },
  ),
  proxy.refused(
    'a fragment that hides the host',
    named('GET http://other.example#@{origin}.example/'),
    'call.malformed',
    { ...BARE, oddity: 4 },
  ),
  at.refused(
    'a target that begins with two slashes',
    gateway('GET //tools/{origin}/a'),
    'call.unknown_route',
    { oddity: 5 },
  ),
  proxy.refused(
    'a target without its scheme',
    named('GET //{origin}.example/a'),
    'call.unknown_route',
    { oddity: 5 },
  ),
  capture.refused(
    'two slashes that look like a host',
    named('GET //other.example/a'),
    'call.bad_path',
    { oddity: 5 },
  ),
];

const framings: readonly RequestCase[] = [
  at.refused(
    'a coding before the chunks',
    chunked('5\r\nhello\r\n0\r\n\r\n', 'Transfer-Encoding: gzip, chunked\r\n'),
    'call.bad_header',
    { oddity: 6 },
  ),
  at.refused(
    'an empty coding before the chunks',
    chunked('5\r\nhello\r\n0\r\n\r\n', 'Transfer-Encoding: ,chunked\r\n'),
    'call.bad_header',
    { oddity: 7 },
  ),
  at.refused(
    'chunks in HTTP/1.0',
    'POST /tools/{origin}/a HTTP/1.0\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'call.bad_header',
    { oddity: 8 },
  ),
  at.refused('HTTP/0.9', 'GET /tools/{origin}/a\r\n\r\n', 'call.malformed', { oddity: 9 }),
  at.refused(
    'a version of the future',
    'GET /tools/{origin}/a HTTP/2.0\r\nHost: 127.0.0.1\r\n\r\n',
    'call.malformed',
    { oddity: 10 },
  ),
  at.refused(
    'a length with leading zeros',
    gateway('POST /tools/{origin}/a', 'Content-Length: 005\r\n', 'hello'),
    'call.bad_header',
    { oddity: 11 },
  ),
  at.refused(
    'leading zeros in the length of an MCP call',
    gateway(
      'POST /mcp/{origin}',
      `Content-Type: application/json\r\nContent-Length: 0${CALL.length}\r\n`,
      CALL,
    ),
    'call.bad_header',
    { oddity: 11 },
  ),
];

const fields: readonly RequestCase[] = [
  at.refused('a Latin-1 byte in a value', got('X-A: caf\xe9'), 'call.bad_header', { oddity: 12 }),
  at.refused('UTF-8 in a value', got('X-A: caf\xc3\xa9'), 'call.bad_header', { oddity: 12 }),
  at.refused('an underscore in a name', got('Content_Length: 5'), 'call.bad_header', {
    oddity: 13,
  }),
  at.refused(
    'an underscore in the name of an MCP header',
    rpc(CALL, 'Mcp_Name: x\r\n'),
    'call.bad_header',
    {
      oddity: 13,
    },
  ),
  at.refused('a header named __proto__', got('__proto__: x'), 'call.bad_header', { oddity: 14 }),
  at.passed(
    'a header named constructor',
    got('constructor: x'),
    { headers: { constructor: 'x' } },
    { oddity: 14 },
  ),
];

const bodies: readonly RequestCase[] = [
  at.passed('a chunk extension', chunked('5;a=b\r\nhello\r\n0\r\n\r\n'), POST_A, { oddity: 15 }),
  at.passed(
    'chunk extensions with quotes, and one at the end',
    chunked('5;a="b";c\r\nhello\r\n0;d=e\r\n\r\n'),
    { ...POST_A, headers: { 'transfer-encoding': null, 'content-length': '5' } },
    { oddity: 15 },
  ),
  at.passed(
    'a trailer',
    chunked(
      '5\r\nhello\r\n0\r\nX-Late: 1\r\n\r\n',
      'Trailer: X-Late\r\nTransfer-Encoding: chunked\r\n',
    ),
    { ...POST_A, headers: { 'x-late': null, trailer: null } },
    { oddity: 16 },
  ),
  at.passed(
    'a Host and a credential as trailers',
    chunked('5\r\nhello\r\n0\r\nHost: other.example\r\nAuthorization: Bearer late\r\n\r\n'),
    { ...POST_A, headers: { authorization: null } },
    { oddity: 16 },
  ),
  at.refused(
    'an upgrade with a body',
    posted('', 'hello', 'Connection: upgrade\r\nUpgrade: other\r\n'),
    'call.upgrade_denied',
    { oddity: 17 },
  ),
  at.refused(
    'a WebSocket with a body',
    gateway(
      'GET /tools/{origin}/a',
      'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
        'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nContent-Length: 5\r\n',
      'hello',
    ),
    'call.upgrade_denied',
    { oddity: 17 },
  ),
  at.refused(
    'Connection that drops Host',
    got('Connection: close, Host, X-Auth', 'X-Auth: a'),
    'call.bad_header',
    { oddity: 18 },
  ),
  at.passed(
    'Connection that drops a field of its own',
    got('Connection: close, X-Mine', 'X-Mine: a', 'X-Other: b'),
    { headers: { 'x-mine': null, 'x-other': 'b' } },
    { oddity: 18, untilClosed: true },
  ),
  ...['TRACE', 'QUERY', 'PROPFIND', 'MKCOL', 'COPY', 'LOCK', 'PURGE', 'REPORT', 'LINK'].map(
    (method) =>
      at.refused(
        `the method ${method}`,
        gateway(`${method} /tools/{origin}/a`),
        'call.method_not_allowed',
        {
          oddity: 19,
        },
      ),
  ),
  ...['GET', 'HEAD', 'DELETE'].map((method) =>
    at.refused(
      `${method} with a body`,
      gateway(`${method} /tools/{origin}/a`, 'Content-Length: 5\r\nConnection: close\r\n', 'hello'),
      'call.malformed',
      { oddity: 20, untilClosed: true },
    ),
  ),
  at.refused(
    'GET with a chunked body',
    gateway('GET /tools/{origin}/a', 'Transfer-Encoding: chunked\r\n', '1\r\nx\r\n0\r\n\r\n'),
    'call.malformed',
    { oddity: 20 },
  ),
];

const tunnels: readonly RequestCase[] = [
  proxy.refused('CONNECT to a path', proxied('CONNECT /x'), 'call.bad_authority', { oddity: 21 }),
  proxy.refused('CONNECT to a URL', proxied('CONNECT http://@/'), 'call.bad_authority', {
    oddity: 21,
  }),
  proxy.refused(
    'CONNECT without a port',
    named('CONNECT {origin}.example', 'Host: {origin}.example\r\n'),
    'call.bad_authority',
    { oddity: 21 },
  ),
  proxy.refused(
    'CONNECT with user info',
    named('CONNECT a@{origin}.example:80', 'Host: {origin}.example:80\r\n'),
    'call.bad_authority',
    { oddity: 21 },
  ),
  proxy.refused(
    'CONNECT with a length and a body',
    named(
      'CONNECT {origin}.example:80',
      'Host: {origin}.example:80\r\nContent-Length: 5\r\n',
      'hello',
    ),
    'call.bad_header',
    { oddity: 21 },
  ),
  proxy.refused(
    'CONNECT with chunks',
    named(
      'CONNECT {origin}.example:80',
      'Host: {origin}.example:80\r\nTransfer-Encoding: chunked\r\n',
      '0\r\n\r\n',
    ),
    'call.bad_header',
    { oddity: 21 },
  ),
  proxy.refused(
    'CONNECT with an upgrade',
    named('CONNECT {origin}.example:80', 'Host: {origin}.example:80\r\nUpgrade: other\r\n'),
    'call.upgrade_denied',
    { oddity: 21 },
  ),
  at.refused(
    'CONNECT at the gateway',
    gateway('CONNECT 127.0.0.1:443'),
    'call.method_not_allowed',
    {
      ...BARE,
      oddity: 21,
    },
  ),
  at.passed('blank lines before a request', `\r\n\r\n${got()}`, {}, { oddity: 22 }),
];

export const ODDITY_CASES: readonly RequestCase[] = [
  ...hosts,
  ...targets,
  ...framings,
  ...fields,
  ...bodies,
  ...tunnels,
];
