/**
 * The tables of hostile requests: a sentence, the bytes, and the reason they are refused with. Pure.
 */

export interface Places {
  /** Port of a tool that is really there. */
  readonly tool: number;
  /** Port of the listener that gets the bytes. */
  readonly listener: number;
}

export interface HostileRequest {
  readonly sentence: string;
  readonly request: (places: Places) => string | Uint8Array;
  readonly reason: string;
  /** When it is not that of the reason. */
  readonly status?: number;
  /** Refused by the HTTP parser: the answer has neither body nor reason header. */
  readonly bare?: true;
}

type Row = readonly [
  sentence: string,
  request: HostileRequest['request'],
  reason: string,
  more?: Pick<HostileRequest, 'status' | 'bare'>,
];

const rows = (list: readonly Row[]): HostileRequest[] =>
  list.map(([sentence, request, reason, more]) => ({ sentence, request, reason, ...more }));

const BARE = { bare: true } as const;
const CALL = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'tools/call',
  params: { name: 'send_email', arguments: { to: ['accountant@example.com'], body: 'x' } },
});
const META = 'io.modelcontextprotocol/protocolVersion';
const MODERN = CALL.replace('"params":{', `"params":{"_meta":{"${META}":"2026-07-28"},`);

const gateway =
  (line: string, headers = '', body: string | Uint8Array = '') =>
  ({ listener }: Places) => {
    const head = `${line} HTTP/1.1\r\nHost: 127.0.0.1:${listener}\r\n${headers}\r\n`;
    return Buffer.concat([Buffer.from(head, 'latin1'), Buffer.from(body)]);
  };

/** A POST of JSON with its length. */
const rpc = (body: string | Uint8Array, headers = '') => {
  const length = Buffer.from(body).length;
  const type = `Content-Type: application/json\r\nContent-Length: ${length}\r\n${headers}`;
  return gateway('POST /mcp/mail', type, body);
};

const nested = (depth: number) =>
  CALL.replace('"body":"x"', `"body":${'['.repeat(depth)}${']'.repeat(depth)}`);

const chunked = (coding: string, body: string) =>
  gateway(
    'POST /mcp/mail',
    `Content-Type: application/json\r\nTransfer-Encoding: ${coding}\r\n`,
    body,
  );
const WHOLE = `${CALL.length.toString(16)}\r\n${CALL}\r\n0\r\n\r\n`;

export const GATEWAY_REFUSALS: readonly HostileRequest[] = rows([
  ['two Host headers', gateway('GET /tools/gmail/', 'Host: other\r\n'), 'call.bad_header'],
  ['no Host header', () => 'GET /tools/gmail/ HTTP/1.1\r\n\r\n', 'call.bad_authority'],
  ['HTTP/0.9', () => 'GET /tools/gmail/\r\n\r\n', 'call.malformed'],
  [
    'a version of the future',
    () => 'GET /tools/gmail/ HTTP/2.0\r\nHost: a\r\n\r\n',
    'call.malformed',
  ],
  ['bytes that are no HTTP', () => '\u0016\u0003\u0001\u0002\u0000\u0001', 'call.malformed', BARE],
  [
    'a Host of somebody else, as DNS rebinding sends it',
    () => 'GET /tools/gmail/ HTTP/1.1\r\nHost: attacker.example\r\n\r\n',
    'call.bad_authority',
  ],
  [
    'a name that only begins like loopback',
    () => 'GET /tools/gmail/ HTTP/1.1\r\nHost: 127.attacker.example\r\n\r\n',
    'call.bad_authority',
  ],
  [
    'a page of another site in a browser beside the agent',
    rpc(CALL, 'Origin: https://attacker.example\r\n'),
    'call.bad_origin',
  ],
  ['a page without an origin', rpc(CALL, 'Origin: null\r\n'), 'call.bad_origin'],
  ['an absolute target', gateway('GET http://127.0.0.1/tools/gmail/'), 'call.unknown_route'],
  ['a route nobody configured', gateway('GET /tools/none/'), 'call.unknown_route'],
  ['a route named like a property', gateway('GET /tools/__proto__/'), 'call.unknown_route'],
  ['a path below an MCP server', rpcAt('/mcp/mail/other'), 'call.unknown_route'],
  ['a query at an MCP server', rpcAt('/mcp/mail?tool=x'), 'call.unknown_route'],
  ['PUT to an MCP server', gateway('PUT /mcp/mail'), 'call.method_not_allowed'],
  ['TRACE', gateway('TRACE /tools/gmail/'), 'call.method_not_allowed'],
  ['CONNECT at the gateway', gateway('CONNECT 127.0.0.1:443'), 'call.method_not_allowed', BARE],
  ['dot segments', gateway('GET /tools/gmail/a/../b'), 'call.bad_path'],
  ['dot segments out of the tool', gateway('GET /tools/gmail/../../mcp/mail'), 'call.bad_path'],
  ['encoded dot segments', gateway('GET /tools/gmail/%2e%2e/b'), 'call.bad_path'],
  ['an encoded slash', gateway('GET /tools/gmail/a%2fb'), 'call.bad_path'],
  ['an escape of an escape', gateway('GET /tools/gmail/a%252fb'), 'call.bad_path'],
  ['a double slash', gateway('GET /tools/gmail//b'), 'call.bad_path'],
  ['a fragment', gateway('GET /tools/gmail/a#b'), 'call.bad_path'],
  ['a path parameter', gateway('GET /tools/gmail/a;b=c'), 'call.bad_path'],
  [
    'a header that replaces the method',
    gateway('GET /tools/gmail/', 'X-HTTP-Method-Override: DELETE\r\n'),
    'call.bad_header',
  ],
  [
    'an underscore in a name',
    gateway('GET /tools/gmail/', 'Content_Length: 5\r\n'),
    'call.bad_header',
  ],
  [
    'Connection that drops a credential',
    gateway('GET /tools/gmail/', 'Connection: authorization\r\n'),
    'call.bad_header',
  ],
  [
    'an expectation nobody knows',
    gateway('GET /tools/gmail/', 'Expect: the-unexpected\r\n'),
    'call.bad_header',
  ],
  ['101 headers', gateway('GET /tools/gmail/', 'A: b\r\n'.repeat(101)), 'call.bad_header'],
  [
    '17 KiB of headers',
    gateway('GET /tools/gmail/', `A: ${'b'.repeat(17_000)}\r\n`),
    'call.too_large',
    { ...BARE, status: 431 },
  ],
  ['headers that never end', () => 'GET /tools/gmail/ HTTP/1.1\r\nHost: 127', 'call.timeout', BARE],
  [
    'a body that never ends',
    gateway('POST /mcp/mail', 'Content-Type: application/json\r\nContent-Length: 9\r\n', '{'),
    'call.timeout',
  ],
  ['two lengths', rpc(CALL, `Content-Length: ${CALL.length + 1}\r\n`), 'call.malformed', BARE],
  ['a length and chunks', rpc(CALL, 'Transfer-Encoding: chunked\r\n'), 'call.malformed', BARE],
  ['a length with a sign', lengthOf('+9'), 'call.malformed', BARE],
  ['a length with leading zeros', lengthOf(`0${CALL.length}`), 'call.bad_header'],
  ['chunks that are no chunks', chunked('chunked', 'zz\r\nabc\r\n0\r\n\r\n'), 'call.malformed'],
  ['a coding before the chunks', chunked('gzip, chunked', WHOLE), 'call.bad_header'],
  ['an empty coding before the chunks', chunked(',chunked', WHOLE), 'call.bad_header'],
  ['chunked twice', chunked('chunked, chunked', WHOLE), 'call.malformed', BARE],
  ['a body larger than announced in the limits', rpc('x'.repeat(100_001)), 'call.too_large'],
  [
    'chunks larger than the limit',
    chunked('chunked', `20000\r\n${'x'.repeat(0x20000)}\r\n0\r\n\r\n`),
    'call.too_large',
  ],
  ['a compressed body', rpc(CALL, 'Content-Encoding: gzip\r\n'), 'call.unsupported_encoding'],
  ['a body that is not JSON by its type', textPlain(), 'call.unsupported_encoding'],
  ['another charset', charset('utf-16'), 'call.unsupported_encoding'],
  ['an empty body', rpc(''), 'call.malformed'],
  ['text that is not JSON', rpc('{'), 'call.malformed'],
  ['two values', rpc(`${CALL}${CALL}`), 'call.malformed'],
  ['a byte order mark', rpc(`\ufeff${CALL}`), 'call.malformed'],
  [
    'bytes that are not UTF-8',
    rpc(Buffer.from(CALL.replace('"x"', '"\u00ff"'), 'latin1')),
    'call.bad_utf8',
  ],
  [
    'a key that stands twice',
    rpc(CALL.replace('"body"', '"to":["evil@example.com"],"body"')),
    'call.duplicate_key',
  ],
  [
    'a key that stands twice by an escape',
    rpc(CALL.replace('"body"', '"\\u0074o":[],"body"')),
    'call.duplicate_key',
  ],
  ['65 levels', rpc(nested(65)), 'call.too_deep'],
  ['100,000 levels', rpc(nested(45_000)), 'call.too_deep'],
  [
    'a number that loses precision',
    rpc(CALL.replace('"x"', '9007199254740993')),
    'call.imprecise_number',
  ],
  ['a lone surrogate', rpc(CALL.replace('"x"', '"\\ud800"')), 'call.malformed'],
  ['a batch', rpc(`[${CALL}]`), 'call.batch_unsupported'],
  ['an empty batch', rpc('[]'), 'call.batch_unsupported'],
  ['another JSON-RPC version', rpc(CALL.replace('2.0', '1.0')), 'call.malformed'],
  ['a null id', rpc(CALL.replace('"id":1', '"id":null')), 'call.malformed'],
  ['a tool call without id', rpc(CALL.replace('"id":1,', '')), 'call.malformed'],
  [
    'a member nobody knows beside the arguments',
    rpc(CALL.replace('"name"', '"other":1,"name"')),
    'call.malformed',
  ],
  [
    'a tool name that is no text',
    rpc(CALL.replace('"send_email"', '["send_email"]')),
    'call.malformed',
  ],
  [
    'arguments that are no object',
    rpc(CALL.replace(/"arguments":\{.*?\}/, '"arguments":[]')),
    'call.malformed',
  ],
  [
    'an MCP version nobody knows',
    rpc(CALL, 'MCP-Protocol-Version: 2099-01-01\r\n'),
    'mcp.unsupported_version',
  ],
  [
    'two MCP versions',
    rpc(CALL, 'MCP-Protocol-Version: 2025-11-25\r\n'.repeat(2)),
    'call.bad_header',
  ],
  [
    'a header that contradicts the body',
    rpc(CALL, 'MCP-Protocol-Version: 2025-11-25\r\nMcp-Name: read_email\r\n'),
    'mcp.header_mismatch',
  ],
  ['a modern call without its headers', modern(''), 'mcp.header_mismatch'],
  [
    'a modern call with another name in the header',
    modern('Mcp-Method: tools/call\r\nMcp-Name: read_email\r\n'),
    'mcp.header_mismatch',
  ],
  [
    'a modern call with another method in the header',
    modern('Mcp-Method: tools/list\r\nMcp-Name: send_email\r\n'),
    'mcp.header_mismatch',
  ],
  [
    'a modern call whose body says another version',
    rpc(
      MODERN.replace('2026-07-28', '2025-11-25'),
      'MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: send_email\r\n',
    ),
    'mcp.header_mismatch',
  ],
]);

function rpcAt(path: string) {
  const type = `Content-Type: application/json\r\nContent-Length: ${CALL.length}\r\n`;
  return gateway(`POST ${path}`, type, CALL);
}

function lengthOf(length: string) {
  return gateway(
    'POST /mcp/mail',
    `Content-Type: application/json\r\nContent-Length: ${length}\r\n`,
    CALL,
  );
}

function textPlain() {
  return gateway(
    'POST /mcp/mail',
    `Content-Type: text/plain\r\nContent-Length: ${CALL.length}\r\n`,
    CALL,
  );
}

function charset(name: string) {
  const type = `Content-Type: application/json; charset=${name}\r\nContent-Length: ${CALL.length}\r\n`;
  return gateway('POST /mcp/mail', type, CALL);
}

function modern(headers: string) {
  return rpc(MODERN, `MCP-Protocol-Version: 2026-07-28\r\n${headers}`);
}

/** A request as a proxy gets it; `@` in the target and the headers stands for the tool's host and port. */
const proxied =
  (line: string, headers = 'Host: @\r\n', body = '') =>
  ({ tool }: Places) => {
    const at = `127.0.0.1:${tool}`;
    return `${line} HTTP/1.1\r\n${headers}\r\n`.replaceAll('@', at) + body;
  };

export const PROXY_REFUSALS: readonly HostileRequest[] = rows([
  ['an origin-form target', proxied('GET /'), 'call.unknown_route'],
  ['an https target in the clear', proxied('GET https://@/'), 'call.unknown_route'],
  ['another scheme', proxied('GET ftp://@/'), 'call.unknown_route'],
  [
    'a Host other than the target',
    proxied('GET http://@/', 'Host: gmail.googleapis.com\r\n'),
    'call.bad_authority',
  ],
  [
    'a Host with another port',
    proxied('GET http://@/', 'Host: 127.0.0.1:1\r\n'),
    'call.bad_authority',
  ],
  ['a target without Host', proxied('GET http://@/', ''), 'call.bad_authority'],
  ['two Hosts', proxied('GET http://@/', 'Host: @\r\nHost: other\r\n'), 'call.bad_header'],
  [
    'user info',
    ({ tool }) => `GET http://a:b@127.0.0.1:${tool}/ HTTP/1.1\r\nHost: 127.0.0.1:${tool}\r\n\r\n`,
    'call.bad_authority',
  ],
  [
    'an address in octal',
    ({ tool }) => `GET http://0177.0.0.1:${tool}/ HTTP/1.1\r\nHost: 0177.0.0.1:${tool}\r\n\r\n`,
    'call.bad_authority',
  ],
  [
    'an address as one number',
    ({ tool }) => `GET http://2130706433:${tool}/ HTTP/1.1\r\nHost: 2130706433:${tool}\r\n\r\n`,
    'call.bad_authority',
  ],
  [
    'an address with a zone',
    () => 'GET http://[fe80::1%25eth0]/ HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n',
    'call.bad_authority',
  ],
  ['a double slash', proxied('GET http://@//a'), 'call.bad_path'],
  ['a dot segment', proxied('GET http://@/a/../b'), 'call.bad_path'],
  ['an encoded slash', proxied('GET http://@/a%2Fb'), 'call.bad_path'],
  ['a fragment', proxied('GET http://@/a#b'), 'call.bad_path'],
  [
    'a GET with a body',
    proxied('GET http://@/', 'Host: @\r\nContent-Length: 1\r\n', 'x'),
    'call.malformed',
  ],
  [
    'a method in the query',
    proxied('POST http://@/?_method=DELETE', 'Host: @\r\nContent-Length: 0\r\n'),
    'call.malformed',
  ],
  [
    'a compressed body',
    proxied('POST http://@/', 'Host: @\r\nContent-Encoding: br\r\nContent-Length: 1\r\n', 'x'),
    'call.unsupported_encoding',
  ],
  [
    'chunks in HTTP/1.0',
    ({ tool }) =>
      `POST http://127.0.0.1:${tool}/ HTTP/1.0\r\nHost: 127.0.0.1:${tool}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    'call.bad_header',
  ],
]);

export const CONNECT_REFUSALS: readonly HostileRequest[] = rows([
  ['CONNECT to a path', proxied('CONNECT /x'), 'call.bad_authority'],
  ['CONNECT to a URL', proxied('CONNECT http://@/'), 'call.bad_authority'],
  [
    'CONNECT without a port',
    proxied('CONNECT 127.0.0.1', 'Host: 127.0.0.1\r\n'),
    'call.bad_authority',
  ],
  [
    'CONNECT with user info',
    ({ tool }) => `CONNECT a@127.0.0.1:${tool} HTTP/1.1\r\nHost: 127.0.0.1:${tool}\r\n\r\n`,
    'call.bad_authority',
  ],
  [
    'CONNECT to port 0',
    proxied('CONNECT 127.0.0.1:0', 'Host: 127.0.0.1:0\r\n'),
    'call.bad_authority',
  ],
  [
    'CONNECT with another Host',
    proxied('CONNECT @', 'Host: gmail.googleapis.com:443\r\n'),
    'call.bad_authority',
  ],
  ['CONNECT with two Hosts', proxied('CONNECT @', 'Host: @\r\nHost: other\r\n'), 'call.bad_header'],
  [
    'CONNECT with a body',
    proxied('CONNECT @', 'Host: @\r\nContent-Length: 5\r\n', 'hello'),
    'call.bad_header',
  ],
  [
    'CONNECT with a version of the future',
    ({ tool }) => `CONNECT 127.0.0.1:${tool} HTTP/2.0\r\nHost: 127.0.0.1:${tool}\r\n\r\n`,
    'call.malformed',
  ],
  [
    'CONNECT to an address in hexadecimal',
    ({ tool }) => `CONNECT 0x7f000001:${tool} HTTP/1.1\r\n\r\n`,
    'call.bad_authority',
  ],
]);
