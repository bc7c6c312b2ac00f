/** Targets and hosts that servers read differently, on every listener, and the normal form of those that pass. Pure. */
import { BARE, CUT, casesAt, gateway, got, named, type RequestCase } from './request-case.ts';

const at = casesAt('gateway');
const proxy = casesAt('proxy');
const capture = casesAt('capture:80');
const to = (rest: string) => gateway(`GET /tools/{origin}${rest}`);
const proxyGet = (rest: string) => named(`GET http://{origin}.example${rest}`);

const paths: readonly RequestCase[] = [
  ...(
    [
      ['a path as it is', '/a/b.c~d-e_f', '/a/b.c~d-e_f'],
      ['sub-delims in a path', "/a!$&'()*+,=:@b", "/a!$&'()*+,=:@b"],
      ['escapes of plain letters', '/%61%2D%7e', '/a-~'],
      ['escapes in lower case', '/caf%c3%a9', '/caf%C3%A9'],
      ['an escaped space', '/a%20b', '/a%20b'],
      ['an escaped question mark', '/a%3fb', '/a%3Fb'],
      ['an escaped number sign', '/a%23b', '/a%23b'],
      ['an escaped semicolon', '/a%3bb', '/a%3Bb'],
      ['an escaped percent sign', '/100%25', '/100%25'],
      ['an escaped plus', '/a%2bb', '/a%2Bb'],
      ['three dots', '/.../a', '/.../a'],
      ['a name that begins with two dots', '/..a/b..', '/..a/b..'],
      ['a dot at the end of an escaped name', '/a%2e', '/a.'],
      ['a slash at the end', '/a/', '/a/'],
      ['no path behind the tool', '', '/'],
      ['only a query behind the tool', '?a=b', '/?a=b'],
      ['a name of four bytes', '/%f0%9f%93%8e', '/%F0%9F%93%8E'],
    ] as const
  ).map(([name, rest, target]) => at.passed(name, to(rest), { target })),
  ...(
    [
      ['dot segments', '/a/../b'],
      ['dot segments out of the tool', '/../../mcp/{origin}'],
      ['a single dot', '/a/./b'],
      ['a dot segment at the end', '/a/..'],
      ['a dot at the end', '/a/.'],
      ['encoded dot segments', '/%2e%2e/b'],
      ['half encoded dot segments', '/a/.%2E/b'],
      ['an encoded slash', '/a%2fb'],
      ['an encoded backslash', '/a%5Cb'],
      ['a backslash', '/a\\b'],
      ['an encoded NUL', '/a%00'],
      ['an encoded line break', '/a%0d%0aX-A:%20b'],
      ['an encoded DEL', '/a%7f'],
      ['an escape of an escape', '/a%252fb'],
      ['an escape of an escape, itself escaped', '/a%25%32%66b'],
      ['an escape of an escape of dots', '/%252e%252e/'],
      ['a broken escape', '/a%zz'],
      ['an escape that ends early', '/a%2'],
      ['a lone percent sign', '/a%'],
      ['an overlong slash', '/a%c0%afb'],
      ['a surrogate in UTF-8', '/a%ed%a0%80'],
      ['half a character', '/a%c3'],
      ['a Unicode escape of IIS', '/a%u002f'],
      ['a double slash', '//b'],
      ['a double slash inside', '/a//b'],
      ['a path parameter', '/a;b=c/d'],
      ['a path parameter on a dot segment', '/..;/b'],
      ['a bar', '/a|b'],
      ['a caret', '/a^b'],
      ['braces', '/a{b}'],
      ['a quote', '/a"b'],
      ['angle brackets', '/<a>'],
      ['square brackets', '/a[1]'],
      ['a back quote', '/a`b'],
      ['129 segments', '/a'.repeat(129)],
      ['a target of 9,000 characters', `/${'a'.repeat(9_000)}`],
    ] as const
  ).map(([name, rest]) => at.refused(name, to(rest), 'call.bad_path')),
  at.refused('raw UTF-8 in the target', to('/caf\xc3\xa9'), 'call.malformed', BARE),
  at.refused('a target of 17 KiB', to(`/${'a'.repeat(17_000)}`), 'call.too_large', {
    ...BARE,
    status: 431,
  }),
];

const queries: readonly RequestCase[] = [
  ...(
    [
      ['a query as it is', '/a?b=c&d', '/a?b=c&d'],
      ['the same name twice', '/a?b=1&b=2', '/a?b=1&b=2'],
      ['an empty query', '/a?', '/a'],
      ['two question marks', '/a??b=c', '/a??b=c'],
      ['a plus for a space', '/a?b=c+d', '/a?b=c+d'],
      ['an escaped ampersand', '/a?b=c%26d=e', '/a?b=c%26d=e'],
      ['an escaped equals sign', '/a?b%3dc=d', '/a?b%3dc=d'],
      ['a value with equals signs', '/a?b=c==', '/a?b=c=='],
      ['a pair of nothing', '/a?&b=c&&', '/a?&b=c&&'],
      ['a slash and dots in a query', '/a?b=/../c', '/a?b=/../c'],
      ['a name like a property', '/a?__proto__=b', '/a?__proto__=b'],
      ['square brackets in a query', '/a?b[]=c', '/a?b[]=c'],
      ['a credential in a query', '/a?access_token=secret', '/a?access_token=secret'],
      ['UTF-8 in a query', '/a?b=%C3%A9', '/a?b=%C3%A9'],
    ] as const
  ).map(([name, rest, target]) => at.passed(name, to(rest), { target })),
  ...(
    [
      ['an encoded NUL in a query', '/a?b=%00'],
      ['a broken escape in a query', '/a?b=%zz'],
      ['Latin-1 in a query', '/a?b=%e9'],
      ['a semicolon between pairs', '/a?b=c;d=e'],
      ['a quote in a query', '/a?b="c"'],
      ['angle brackets in a query', '/a?<script>'],
      ['a backslash in a query', '/a?b=\\'],
      ['1,001 pairs', `/a?${'b&'.repeat(1001)}`],
    ] as const
  ).map(([name, rest]) => at.refused(name, to(rest), 'call.bad_path')),
  ...['_method=DELETE', '_METHOD=DELETE', 'X-HTTP-Method-Override=PUT', '$httpMethod=PUT'].map(
    (pair) => at.refused(`a method in the query: ${pair}`, to(`/a?${pair}`), 'call.malformed'),
  ),
];

const routes: readonly RequestCase[] = [
  at.refused('a route nobody configured', gateway('GET /tools/none/'), 'call.unknown_route'),
  at.refused(
    'a route named like a property',
    gateway('GET /tools/__proto__/'),
    'call.unknown_route',
  ),
  at.refused('a tool in upper case', gateway('GET /tools/NODE/'), 'call.unknown_route'),
  at.refused('an escaped name of a tool', gateway('GET /tools/%6eode/a'), 'call.unknown_route'),
  at.refused('a route in upper case', gateway('GET /TOOLS/{origin}/a'), 'call.unknown_route'),
  at.refused('the root', gateway('GET /'), 'call.unknown_route'),
  at.refused('an asterisk', gateway('OPTIONS *'), 'call.unknown_route'),
  at.refused('no Host header', 'GET /tools/{origin}/ HTTP/1.1\r\n\r\n', 'call.bad_authority'),
  at.refused(
    'an empty Host',
    'GET /tools/{origin}/ HTTP/1.1\r\nHost:\r\n\r\n',
    'call.bad_authority',
  ),
  ...(
    [
      ['a Host of somebody else, as DNS rebinding sends it', 'attacker.example'],
      ['a name that only begins like loopback', '127.attacker.example'],
      ['a Host with user info', 'a@127.0.0.1'],
      ['a Host with a path', '127.0.0.1/a'],
      ['two Hosts in one field', '127.0.0.1, attacker.example'],
      ['a Host with a space', '127.0.0.1 attacker.example'],
      ['loopback in octal', '0177.0.0.1'],
      ['loopback as one number', '2130706433'],
      ['loopback in short', '127.1'],
      ['a Host without its number', '127.0.0.1:'],
      ['a Host with port 0', '127.0.0.1:0'],
      ['a Host with a port of six digits', '127.0.0.1:080808'],
      ['a Host with an escape', '127.0.0.%31'],
      ['an unspecified address', '0.0.0.0'],
    ] as const
  ).map(([name, host]) =>
    at.refused(
      name,
      `GET /tools/{origin}/a HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
      'call.bad_authority',
    ),
  ),
  at.passed('localhost', 'GET /tools/{origin}/a HTTP/1.1\r\nHost: LOCALHOST\r\n\r\n', {}),
  at.passed('loopback of IPv6', 'GET /tools/{origin}/a HTTP/1.1\r\nHost: [::1]:80\r\n\r\n', {}),
  at.refused('a page of another site', got('Origin: https://attacker.example'), 'call.bad_origin'),
  at.refused('a page without an origin', got('Origin: null'), 'call.bad_origin'),
  at.passed('a page of this host', got('Origin: http://localhost:3000'), {}),
];

const absolute: readonly RequestCase[] = [
  proxy.passed('an absolute target', proxyGet('/a?b=c'), { target: '/a?b=c' }),
  proxy.passed('an absolute target without path', proxyGet(''), { target: '/' }),
  proxy.passed('an absolute target with only a query', proxyGet('?b=c'), { target: '/?b=c' }),
  proxy.passed('the port of the scheme', proxyGet(':80/a'), {}),
  proxy.passed('a scheme in upper case', named('GET HTTP://{origin}.EXAMPLE/a'), {}),
  proxy.passed('a dot behind the host', named('GET http://{origin}.example./a'), {}),
  proxy.passed(
    'a Host in upper case with its port',
    named('GET http://{origin}.example/a', 'Host: {origin}.EXAMPLE:80\r\n'),
    {},
  ),
  proxy.refused('an origin-form target', named('GET /'), 'call.unknown_route'),
  proxy.refused(
    'an https target in the clear',
    named('GET https://{origin}.example/'),
    'call.unknown_route',
  ),
  proxy.refused('another scheme', named('GET ftp://{origin}.example/'), 'call.unknown_route'),
  proxy.refused(
    'a scheme with one slash',
    named('GET http:/{origin}.example/'),
    'call.malformed',
    BARE,
  ),
  proxy.refused(
    'a target without Host',
    named('GET http://{origin}.example/', ''),
    'call.bad_authority',
  ),
  proxy.refused('no host at all', named('GET http:///a'), 'call.bad_authority'),
  ...(
    [
      ['an address in octal', '0177.0.0.1'],
      ['an address as one number', '2130706433'],
      ['an address in hexadecimal', '0x7f.1'],
      ['an address with a zone', '[fe80::1%25eth0]'],
      ['two dots behind the host', '{origin}.example..'],
      ['a port of 65536', '{origin}.example:65536'],
      ['a port with leading zeros', '{origin}.example:080'],
      ['an empty port', '{origin}.example:'],
      ['an escape in the host', '{origin}%2eexample'],
      ['an underscore in the host', 'a_{origin}.example'],
      ['a host that mixes scripts', 'xn--pple-43d.example'],
    ] as const
  ).map(([name, host]) =>
    proxy.refused(name, named(`GET http://${host}/`, `Host: ${host}\r\n`), 'call.bad_authority'),
  ),
  proxy.refused('a double slash at the proxy', proxyGet('//a'), 'call.bad_path'),
  proxy.refused('a dot segment at the proxy', proxyGet('/a/../b'), 'call.bad_path'),
  proxy.refused('an encoded slash at the proxy', proxyGet('/a%2Fb'), 'call.bad_path'),
];

const connect = (fields: string, inner: string) =>
  `CONNECT {origin}.example:80 HTTP/1.1\r\n${fields}\r\n${inner}`;
const CLOSE = 'Host: {origin}.example\r\nConnection: close\r\n';

const bound: readonly RequestCase[] = [
  capture.passed('a captured request', named('GET /a?b=c'), { target: '/a?b=c' }),
  capture.refused(
    'a captured request without Host',
    'GET /a HTTP/1.1\r\n\r\n',
    'call.bad_authority',
  ),
  capture.refused(
    'a captured request to another port',
    named('GET /a', 'Host: {origin}.example:81\r\n'),
    'call.bad_authority',
  ),
  capture.refused('a captured dot segment', named('GET /a/../b'), 'call.bad_path'),
  capture.refused('a captured asterisk', named('OPTIONS *'), 'call.bad_path'),
  capture.refused(
    'CONNECT where it is captured',
    named('CONNECT {origin}.example:80'),
    'call.method_not_allowed',
    BARE,
  ),
  proxy.passed(
    'a request in a tunnel',
    connect('', named('GET /a', CLOSE)),
    {},
    { untilClosed: true },
  ),
  proxy.mixed('two requests in a tunnel', connect('', named('GET /a') + named('GET /b', CLOSE)), {
    seen: [
      { method: 'GET', target: '/a', headers: {}, body: '' },
      { method: 'GET', target: '/b', headers: {}, body: '' },
    ],
  }),
  proxy.mixed(
    'a tunnel behind a request that is not answered yet',
    named('GET http://{origin}.example/a') +
      connect('', named('GET /b') + named('GET /c') + named('GET /d', CLOSE)),
    {
      seen: [{ method: 'GET', target: '/a', headers: {}, body: '' }],
      refused: ['call.malformed'],
    },
    CUT,
  ),
  proxy.mixed(
    'another Host in a tunnel',
    connect('', named('GET /a', CLOSE.replace('{origin}', 'other'))),
    {
      refused: ['call.bad_authority'],
    },
  ),
  proxy.mixed(
    'an absolute target in a tunnel',
    connect('', named('GET http://{origin}.example/a', CLOSE)),
    {
      refused: ['call.bad_path'],
    },
  ),
  proxy.mixed('CONNECT in a tunnel', connect('', named('CONNECT other.example:80', '')), {
    refused: ['call.method_not_allowed'],
  }),
  proxy.mixed('a fragment in a tunnel', connect('', named('GET /a#b', CLOSE)), {
    refused: ['call.bad_path'],
  }),
  proxy.refused('CONNECT to port 0', named('CONNECT {origin}.example:0', ''), 'call.bad_authority'),
  proxy.refused(
    'CONNECT with another Host',
    connect('Host: other.example:80\r\n', ''),
    'call.bad_authority',
  ),
  proxy.refused(
    'CONNECT with two Hosts',
    connect('Host: a.example\r\nHost: a.example\r\n', ''),
    'call.bad_header',
  ),
  proxy.refused(
    'CONNECT in HTTP/2.0',
    'CONNECT {origin}.example:80 HTTP/2.0\r\n\r\n',
    'call.malformed',
  ),
  proxy.refused('CONNECT to a number', named('CONNECT 0x7f000001:80', ''), 'call.bad_authority'),
  proxy.refused(
    'CONNECT to an address with a zone',
    named('CONNECT [fe80::1%25a]:80', ''),
    'call.bad_authority',
  ),
];

export const TARGET_CASES: readonly RequestCase[] = [
  ...paths,
  ...queries,
  ...routes,
  ...absolute,
  ...bound,
];
