/**
 * MCP messages of both eras: how they are classified, which are refused, and what they become for
 * policy.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HeaderList } from '../../src/call/headers.ts';
import type { Json, JsonObject } from '../../src/call/tool-call.ts';
import {
  MODERN_VERSION,
  mcpError,
  mcpToolError,
  parseMcpRequest,
  parseMcpStream,
} from '../../src/mcp/codec.ts';

const rpc = (method: string, params?: Json, id: Json = 1): JsonObject => ({
  jsonrpc: '2.0',
  id,
  method,
  ...(params === undefined ? {} : { params }),
});
const call = (name: Json, args?: Json) =>
  rpc('tools/call', { name, ...(args === undefined ? {} : { arguments: args }) });
const legacy = (version: string): HeaderList => [['MCP-Protocol-Version', version]];
const meta = { _meta: { 'io.modelcontextprotocol/protocolVersion': MODERN_VERSION } };
const modern = (method: string, name?: string): HeaderList => [
  ['MCP-Protocol-Version', MODERN_VERSION],
  ['Mcp-Method', method],
  ...(name === undefined ? [] : [['Mcp-Name', name] as const]),
];
const modernCall = (name: string) => rpc('tools/call', { name, arguments: { a: 1 }, ...meta });

function outcome(body: Json, headers: HeaderList = []): string {
  const parsed = parseMcpRequest({ headers, body });
  return parsed.ok
    ? `${parsed.era} ${parsed.version} ${parsed.kind} ${parsed.method}`
    : parsed.reason;
}

const notified: Json = { jsonrpc: '2.0', method: 'notifications/initialized' };

const TABLE: [sentence: string, body: Json, headers: HeaderList, expected: string][] = [
  [
    'no version header means the first streamable revision',
    rpc('ping'),
    [],
    'legacy 2025-03-26 request ping',
  ],
  [
    'the header names the revision',
    rpc('ping'),
    legacy('2025-11-25'),
    'legacy 2025-11-25 request ping',
  ],
  [
    'initialize names the revision itself',
    rpc('initialize', { protocolVersion: '2025-06-18' }),
    [],
    'legacy 2025-06-18 request initialize',
  ],
  [
    'a notification has no id',
    notified,
    legacy('2025-06-18'),
    'legacy 2025-06-18 notification notifications/initialized',
  ],
  [
    'a legacy client may answer the server',
    { jsonrpc: '2.0', id: 3, result: {} },
    [],
    'legacy 2025-03-26 response response',
  ],
  [
    'a legacy client may answer with an error',
    { jsonrpc: '2.0', id: 3, error: { code: 1 } },
    [],
    'legacy 2025-03-26 response response',
  ],
  [
    'a modern request says everything twice',
    modernCall('t'),
    modern('tools/call', 't'),
    'modern 2026-07-28 request tools/call',
  ],
  [
    'a modern name may be encoded',
    modernCall('t'),
    modern('tools/call', '=?base64?dA==?='),
    'modern 2026-07-28 request tools/call',
  ],
  [
    'a modern list needs no name',
    rpc('tools/list', meta),
    modern('tools/list'),
    'modern 2026-07-28 request tools/list',
  ],
  [
    'a modern resource is named by its URI',
    rpc('resources/read', { uri: 'f:\u00fc', ...meta }),
    modern('resources/read', '=?base64?ZjrDvA==?='),
    'modern 2026-07-28 request resources/read',
  ],
  [
    'a legacy body may carry its own version',
    rpc('ping', { _meta: { 'io.modelcontextprotocol/protocolVersion': '2025-11-25' } }),
    legacy('2025-11-25'),
    'legacy 2025-11-25 request ping',
  ],
  ['a batch is refused', [rpc('ping')], legacy('2025-03-26'), 'call.batch_unsupported'],
  ['an empty batch is refused', [], [], 'call.batch_unsupported'],
  ['a scalar is refused', 'ping', [], 'call.malformed'],
  ['another JSON-RPC version is refused', { ...rpc('ping'), jsonrpc: '1.0' }, [], 'call.malformed'],
  ['no JSON-RPC version is refused', { id: 1, method: 'ping' }, [], 'call.malformed'],
  ['a null id is refused', rpc('ping', {}, null), [], 'call.malformed'],
  ['a fractional id is refused', rpc('ping', {}, 1.5), [], 'call.malformed'],
  ['an endless id is refused', rpc('ping', {}, 'a'.repeat(2000)), [], 'call.malformed'],
  ['parameters by position are refused', rpc('ping', []), [], 'call.malformed'],
  ['an unknown member is refused', { ...rpc('ping'), extra: 1 }, [], 'call.malformed'],
  ['a method and a result are refused', { ...rpc('ping'), result: {} }, [], 'call.malformed'],
  [
    'a result and an error are refused',
    { jsonrpc: '2.0', id: 1, result: {}, error: {} },
    [],
    'call.malformed',
  ],
  ['a response without id is refused', { jsonrpc: '2.0', result: {} }, [], 'call.malformed'],
  ['a method with a space is refused', rpc('tools/call x'), [], 'call.malformed'],
  ['an empty method is refused', rpc(''), [], 'call.malformed'],
  [
    'a request without id is refused',
    { jsonrpc: '2.0', method: 'tools/call', params: { name: 't' } },
    [],
    'call.malformed',
  ],
  ['a notification with id is refused', rpc('notifications/initialized'), [], 'call.malformed'],
  ['a tool name with a space is refused', call('a b'), [], 'call.malformed'],
  ['a tool name that is no string is refused', call(['t']), [], 'call.malformed'],
  ['a tool name over 128 characters is refused', call('a'.repeat(129)), [], 'call.malformed'],
  ['tool arguments as a list are refused', call('t', []), [], 'call.malformed'],
  ['tool arguments as null are refused', call('t', null), [], 'call.malformed'],
  [
    'a tool call with an unknown member is refused',
    rpc('tools/call', { name: 't', args: {} }),
    [],
    'call.malformed',
  ],
  ['a broken _meta is refused', rpc('ping', { _meta: 1 }), [], 'call.malformed'],
  [
    'a modern response is refused',
    { jsonrpc: '2.0', id: 1, result: {} },
    modern('x'),
    'call.malformed',
  ],
  ['an old revision is refused', rpc('ping'), legacy('2024-11-05'), 'mcp.unsupported_version'],
  ['a future revision is refused', rpc('ping'), legacy('2027-01-01'), 'mcp.unsupported_version'],
  [
    'an unknown revision in the body is refused',
    rpc('ping', { _meta: { 'io.modelcontextprotocol/protocolVersion': '2027-01-01' } }),
    [],
    'mcp.unsupported_version',
  ],
  [
    'initialize with an unknown revision is refused',
    rpc('initialize', { protocolVersion: '2024-11-05' }),
    [],
    'mcp.unsupported_version',
  ],
  [
    'initialize with the modern revision is refused',
    rpc('initialize', { protocolVersion: MODERN_VERSION }),
    [],
    'mcp.unsupported_version',
  ],
  [
    'initialize without a revision is refused',
    rpc('initialize', {}),
    [],
    'mcp.unsupported_version',
  ],
  [
    'a modern body under a legacy header is refused',
    modernCall('t'),
    legacy('2025-11-25'),
    'mcp.header_mismatch',
  ],
  ['a modern body without header is refused', modernCall('t'), [], 'mcp.header_mismatch'],
  [
    'a modern header over a legacy body is refused',
    call('t'),
    modern('tools/call', 't'),
    'mcp.header_mismatch',
  ],
  [
    'a modern request without Mcp-Method is refused',
    modernCall('t'),
    legacy(MODERN_VERSION),
    'mcp.header_mismatch',
  ],
  [
    'another Mcp-Method is refused',
    modernCall('t'),
    modern('tools/list', 't'),
    'mcp.header_mismatch',
  ],
  [
    'Mcp-Method in other case is refused',
    modernCall('t'),
    modern('Tools/Call', 't'),
    'mcp.header_mismatch',
  ],
  [
    'a modern call without Mcp-Name is refused',
    modernCall('t'),
    modern('tools/call'),
    'mcp.header_mismatch',
  ],
  [
    'another Mcp-Name is refused',
    modernCall('t'),
    modern('tools/call', 'u'),
    'mcp.header_mismatch',
  ],
  [
    'a broken encoded name is refused',
    modernCall('t'),
    modern('tools/call', '=?base64?dA?x?='),
    'mcp.header_mismatch',
  ],
  [
    'an encoded name in capitals is not decoded',
    modernCall('t'),
    modern('tools/call', '=?BASE64?dA==?='),
    'mcp.header_mismatch',
  ],
  [
    'two version headers are refused',
    rpc('ping'),
    [...legacy('2025-11-25'), ...legacy('2025-11-25')],
    'mcp.header_mismatch',
  ],
  [
    'two Mcp-Names are refused',
    modernCall('t'),
    [...modern('tools/call', 't'), ['mcp-name', 't']],
    'mcp.header_mismatch',
  ],
  [
    'a legacy call with a contradicting Mcp-Name is refused',
    call('t'),
    [['mcp-name', 'u']],
    'mcp.header_mismatch',
  ],
  [
    'a legacy call with a contradicting Mcp-Method is refused',
    call('t'),
    [['mcp-method', 'tools/list']],
    'mcp.header_mismatch',
  ],
  [
    'a task under another name is refused',
    rpc('tasks/get', { taskId: 'a', ...meta }),
    modern('tasks/get', 'b'),
    'mcp.header_mismatch',
  ],
];

for (const [sentence, body, headers, expected] of TABLE) {
  void test(sentence, () => assert.equal(outcome(body, headers), expected));
}

void test('GET opens a stream and DELETE ends a session, in the legacy era only', () => {
  const stream = (method: 'GET' | 'DELETE', headers: HeaderList) => {
    const parsed = parseMcpStream({ method, headers });
    return parsed.ok ? `${parsed.version} ${parsed.method}` : parsed.reason;
  };
  assert.equal(stream('GET', legacy('2025-11-25')), '2025-11-25 stream/open');
  assert.equal(stream('DELETE', []), '2025-03-26 session/delete');
  assert.equal(stream('GET', legacy(MODERN_VERSION)), 'call.method_not_allowed');
  assert.equal(stream('GET', legacy('1')), 'mcp.unsupported_version');
});

void test('a tool error is a result that models read, complete in the modern era', () => {
  const _meta = { reason: 'policy.denied' };
  const result = {
    content: [{ type: 'text', text: 'no' }],
    isError: true,
    _meta,
  };
  assert.deepEqual(mcpToolError(7, 'legacy', 'no', _meta), { jsonrpc: '2.0', id: 7, result });
  assert.deepEqual(mcpToolError('a', 'modern', 'no', _meta), {
    jsonrpc: '2.0',
    id: 'a',
    result: { resultType: 'complete', ...result },
  });
  assert.deepEqual(mcpError(null, -32_020, 'no'), {
    jsonrpc: '2.0',
    id: null,
    error: { code: -32_020, message: 'no' },
  });
  assert.deepEqual(mcpError(1, 1001, 'no', { a: 1 })['error'], {
    code: 1001,
    message: 'no',
    data: { a: 1 },
  });
});
