/** Calls of MCP servers whose path, method, headers and message do not agree, and those that pass. Pure. */
import { CALL, casesAt, gateway, type RequestCase, rpc } from './request-case.ts';

const at = casesAt('gateway');
const META = 'io.modelcontextprotocol/protocolVersion';
const MODERN = CALL.replace('"params":{', `"params":{"_meta":{"${META}":"2026-07-28"},`);
const modern = (fields: string, body = MODERN) =>
  rpc(body, `MCP-Protocol-Version: 2026-07-28\r\n${fields}`);
const typed = (type: string) =>
  gateway(
    'POST /mcp/{origin}',
    `Content-Type: ${type}\r\nContent-Length: ${CALL.length}\r\n`,
    CALL,
  );
const seen = (body: string) => ({ method: 'POST', target: '/mcp', body });
const malformed = (name: string, body: string) => at.refused(name, rpc(body), 'call.malformed');

const roads: readonly RequestCase[] = [
  at.passed('an MCP call', rpc(CALL), seen(CALL)),
  at.passed('an MCP call with a slash behind', rpc(CALL, '', '/mcp/{origin}/'), seen(CALL)),
  at.passed(
    'an MCP call in chunks',
    gateway(
      'POST /mcp/{origin}',
      'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n',
      `${CALL.length.toString(16)};a\r\n${CALL}\r\n0\r\nMcp-Name: late\r\n\r\n`,
    ),
    { ...seen(CALL), headers: { 'mcp-name': null } },
  ),
  at.passed('an MCP call with white space', rpc(` ${CALL}\n`), seen(` ${CALL}\n`)),
  at.passed('an MCP call that accepts gzip', rpc(CALL, 'Accept-Encoding: gzip\r\n'), {
    ...seen(CALL),
    headers: { 'accept-encoding': null },
  }),
  at.passed('a modern MCP call', modern('Mcp-Method: tools/call\r\nMcp-Name: send_email\r\n'), {
    ...seen(MODERN),
    headers: { 'mcp-method': 'tools/call', 'mcp-name': 'send_email' },
  }),
  at.refused(
    'a path below an MCP server',
    rpc(CALL, '', '/mcp/{origin}/other'),
    'call.unknown_route',
  ),
  at.refused(
    'a query at an MCP server',
    rpc(CALL, '', '/mcp/{origin}?tool=x'),
    'call.unknown_route',
  ),
  at.refused(
    'dot segments at an MCP server',
    rpc(CALL, '', '/mcp/{origin}/../{origin}'),
    'call.unknown_route',
  ),
  at.refused('PUT to an MCP server', gateway('PUT /mcp/{origin}'), 'call.method_not_allowed'),
  at.refused(
    'GET with a body to an MCP server',
    gateway('GET /mcp/{origin}', 'Content-Length: 2\r\n', '{}'),
    'call.malformed',
  ),
  at.refused(
    'a page of another site at an MCP server',
    rpc(CALL, 'Origin: https://attacker.example\r\n'),
    'call.bad_origin',
  ),
];

const types: readonly RequestCase[] = [
  at.refused('an MCP call as text', typed('text/plain'), 'call.unsupported_encoding'),
  at.refused(
    'an MCP call in UTF-16',
    typed('application/json; charset=utf-16'),
    'call.unsupported_encoding',
  ),
  at.refused(
    'an MCP call of two types',
    typed('application/json, text/plain'),
    'call.unsupported_encoding',
  ),
  at.refused(
    'an MCP call in gzip',
    rpc(CALL, 'Content-Encoding: gzip\r\n'),
    'call.unsupported_encoding',
  ),
];

const messages: readonly RequestCase[] = [
  malformed('an empty message', ''),
  malformed('half a message', '{'),
  malformed('two messages', `${CALL}${CALL}`),
  malformed('a message behind a byte order mark', `\ufeff${CALL}`),
  malformed('another JSON-RPC version', CALL.replace('2.0', '1.0')),
  malformed('a null id', CALL.replace('"id":1', '"id":null')),
  malformed('a tool call without id', CALL.replace('"id":1,', '')),
  malformed(
    'a member nobody knows beside the arguments',
    CALL.replace('"name"', '"other":1,"name"'),
  ),
  malformed('a tool name that is no text', CALL.replace('"send_email"', '["send_email"]')),
  malformed('arguments that are no object', CALL.replace(/"arguments":\{.*?\}/, '"arguments":[]')),
  malformed('a lone surrogate in a message', CALL.replace('"x"', '"\\ud800"')),
  at.refused(
    'an argument that stands twice',
    rpc(CALL.replace('"body"', '"to":["evil@example.com"],"body"')),
    'call.duplicate_key',
  ),
  at.refused(
    'an argument that stands twice by an escape',
    rpc(CALL.replace('"body"', '"\\u0074o":[],"body"')),
    'call.duplicate_key',
  ),
  at.refused(
    'an argument that loses precision',
    rpc(CALL.replace('"x"', '9007199254740993')),
    'call.imprecise_number',
  ),
  at.refused(
    'an argument of 65 levels',
    rpc(CALL.replace('"x"', `${'['.repeat(65)}${']'.repeat(65)}`)),
    'call.too_deep',
  ),
  at.refused(
    'a message that is not UTF-8',
    rpc(Buffer.from(CALL.replace('"x"', '"\xff"'), 'latin1')),
    'call.bad_utf8',
  ),
  at.refused('a message over the limit', rpc('x'.repeat(100_001)), 'call.too_large'),
  at.refused('a batch', rpc(`[${CALL}]`), 'call.batch_unsupported'),
  at.refused('an empty batch', rpc('[]'), 'call.batch_unsupported'),
];

const headers: readonly RequestCase[] = [
  at.refused(
    'an MCP version nobody knows',
    rpc(CALL, 'MCP-Protocol-Version: 2099-01-01\r\n'),
    'mcp.unsupported_version',
  ),
  at.refused(
    'two MCP versions',
    rpc(CALL, 'MCP-Protocol-Version: 2025-11-25\r\n'.repeat(2)),
    'call.bad_header',
  ),
  at.refused(
    'a header that contradicts the body',
    rpc(CALL, 'MCP-Protocol-Version: 2025-11-25\r\nMcp-Name: read_email\r\n'),
    'mcp.header_mismatch',
  ),
  at.refused('a modern call without its headers', modern(''), 'mcp.header_mismatch'),
  at.refused(
    'a modern call with another name in the header',
    modern('Mcp-Method: tools/call\r\nMcp-Name: read_email\r\n'),
    'mcp.header_mismatch',
  ),
  at.refused(
    'a modern call with another method in the header',
    modern('Mcp-Method: tools/list\r\nMcp-Name: send_email\r\n'),
    'mcp.header_mismatch',
  ),
  at.refused(
    'a modern call whose body says another version',
    modern(
      'Mcp-Method: tools/call\r\nMcp-Name: send_email\r\n',
      MODERN.replace('2026-07-28', '2025-11-25'),
    ),
    'mcp.header_mismatch',
  ),
];

export const MCP_CASES: readonly RequestCase[] = [...roads, ...types, ...messages, ...headers];
