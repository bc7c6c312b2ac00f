/**
 * MCP messages as tool calls: their names, what policy sees of them, and mail tools with separate
 * fields.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseCatalogue } from '../../src/call/catalogue.ts';
import type { HeaderList } from '../../src/call/headers.ts';
import { recognizeMcp } from '../../src/call/recognize-mcp.ts';
import type { Json, JsonObject } from '../../src/call/tool-call.ts';
import { MODERN_VERSION, parseMcpRequest } from '../../src/mcp/codec.ts';

const rpc = (method: string, params?: Json, id: Json = 1): JsonObject => ({
  jsonrpc: '2.0',
  id,
  method,
  ...(params === undefined ? {} : { params }),
});
const call = (name: Json, args?: Json) =>
  rpc('tools/call', { name, ...(args === undefined ? {} : { arguments: args }) });
const catalogue = parseCatalogue(
  `apiVersion: egret.dev/v1
kind: ToolCatalogue
tools:
  - {name: gmail.send, operation: write, risk: high, sink: mail, mcp: {servers: [mail], tools: [send_email]}, arguments: {from: [mcp], mail: {fields: {to: /to, text: /body, attachments: /files}}}}
  - {name: gmail.raw, operation: write, risk: high, mcp: {tools: [send_raw]}, arguments: {from: [mcp], mail: {raw: /raw}}}
  - {name: notes.add, operation: write, risk: low, mcp: {tools: [add]}}
`,
  'tools.yaml',
);

async function recognized(body: Json, headers: HeaderList = [], server = 'mail') {
  const message = parseMcpRequest({ headers, body });
  assert.ok(message.ok, JSON.stringify(message));
  const result = recognizeMcp(
    {
      method: 'POST',
      scheme: 'http',
      host: 'mail.internal',
      port: 80,
      target: '/mcp',
      headers,
      body: null,
      server,
    },
    message,
    catalogue,
  );
  return Promise.resolve(result);
}

const METHODS: [
  method: string,
  params: JsonObject,
  name: string,
  operation: string,
  known: boolean,
][] = [
  ['tools/list', { cursor: 'x' }, 'mcp.tools.list', 'list', true],
  ['resources/templates/list', {}, 'mcp.resources.templates.list', 'list', true],
  ['server/discover', {}, 'mcp.server.discover', 'list', true],
  ['resources/read', { uri: 'file:///etc/passwd' }, 'mcp.resources.read', 'read', true],
  ['prompts/get', { name: 'p', arguments: {} }, 'mcp.prompts.get', 'read', true],
  ['completion/complete', {}, 'mcp.completion.complete', 'read', true],
  ['initialize', { protocolVersion: '2025-11-25' }, 'mcp.initialize', 'connect', true],
  ['ping', {}, 'mcp.ping', 'connect', true],
  ['logging/setLevel', { level: 'info' }, 'mcp.logging.setLevel', 'connect', true],
  ['secret/backdoor', { a: 1 }, 'mcp.secret.backdoor', 'connect', false],
  ['constructor', {}, 'mcp.constructor', 'connect', false],
];

for (const [method, params, name, operation, known] of METHODS) {
  void test(`${method} is ${name}, ${operation}, ${known ? 'known' : 'unknown'}`, async () => {
    const result = await recognized(rpc(method, { ...params, _meta: { progressToken: 1 } }));
    assert.ok(result.ok);
    const { tool, arguments: args, mcp, attachments } = result.call;
    assert.deepEqual([tool.name, tool.operation, tool.known], [name, operation, known]);
    assert.deepEqual(args, params);
    assert.equal(mcp?.method, method);
    assert.deepEqual(attachments, []);
  });
}

void test('a tool the catalogue does not name is unknown and carries its server', async () => {
  const result = await recognized(call('evil', { a: 1 }));
  assert.ok(result.ok);
  assert.deepEqual(result.call.tool, {
    name: 'mail.evil',
    server: 'mail',
    operation: 'unknown',
    risk: 'high',
    sink: null,
    known: false,
    definition_hash: null,
  });
  assert.deepEqual(result.call.arguments, { a: 1 });
});

void test('a tool of the catalogue keeps arguments that were not mapped in sight', async () => {
  const args = { to: 'A@x.org', body: 'hi\r\n', also_to: 'evil@y.org' };
  const result = await recognized(call('send_email', args));
  assert.ok(result.ok);
  assert.equal(result.call.tool.name, 'gmail.send');
  assert.deepEqual(result.call.arguments, {
    also_to: 'evil@y.org',
    to: ['a@x.org'],
    cc: [],
    bcc: [],
    subject: '',
    text: 'hi',
    html: '',
  });
});

void test('answers to questions of the server are in sight of policy, and cannot clash', async () => {
  const params = { name: 'add', arguments: { a: 1 }, inputResponses: { q: { action: 'accept' } } };
  const result = await recognized(rpc('tools/call', params));
  assert.ok(result.ok);
  assert.deepEqual(result.call.arguments, { a: 1, input_responses: { q: { action: 'accept' } } });
  const clash = { ...params, arguments: { input_responses: 'none' } };
  const refused = await recognized(rpc('tools/call', clash));
  assert.equal(refused.ok ? 'ok' : refused.reason, 'call.ambiguous_tool');
});

void test('a raw mail in a tool argument is read', async () => {
  const raw = Buffer.from('To: a@x.org\r\n\r\nhi').toString('base64url');
  const result = await recognized(call('send_raw', { raw }));
  assert.ok(result.ok);
  assert.deepEqual(result.call.arguments['to'], ['a@x.org']);
});

const BAD_MAIL: [sentence: string, args: JsonObject][] = [
  ['a recipient that is no string', { to: 7 }],
  ['a recipient as an object', { to: [{ address: 'a@x.org' }] }],
  ['a group', { to: 'x: a@x.org;' }],
  ['a header in an address', { to: 'a@x.org\r\nBcc: b@x.org' }],
  ['text that is no string', { body: ['x'] }],
  ['files that are no list', { files: {} }],
  ['a file by its path', { files: ['/etc/passwd'] }],
  ['a file by URL', { files: [{ url: 'http://x.org/' }] }],
  ['a file with content and path', { files: [{ content: 'YQ==', path: '/etc/passwd' }] }],
  ['a file with two contents', { files: [{ content: 'YQ==', data: 'Yg==' }] }],
  ['a file in another encoding', { files: [{ content: 'YQ==', encoding: 'utf-8' }] }],
  ['a file that is no base64', { files: [{ content: 'a b' }] }],
  ['a file with a broken type', { files: [{ content: 'YQ==', mimeType: 'x' }] }],
];

for (const [sentence, args] of BAD_MAIL) {
  void test(`refused in a mail tool: ${sentence}`, async () => {
    const result = await recognized(call('send_email', args));
    assert.equal(result.ok ? 'ok' : result.reason, 'call.bad_mail');
  });
}

void test('no message and no headers make the codec throw', async () => {
  const headers = fc.array(
    fc.tuple(
      fc.constantFrom('mcp-protocol-version', 'mcp-method', 'mcp-name'),
      fc.oneof(
        fc.constantFrom(MODERN_VERSION, '2025-11-25', 'tools/call', '=?base64?YQ?='),
        fc.string(),
      ),
    ),
    { maxLength: 3 },
  );
  const params = fc.oneof(
    fc.jsonValue(),
    fc.record({ name: fc.constantFrom('add', 'send_email', 'a b'), arguments: fc.jsonValue() }),
  );
  const body = fc.oneof(
    fc.jsonValue(),
    fc.record({
      jsonrpc: fc.constant('2.0'),
      id: fc.jsonValue(),
      method: fc.constantFrom('tools/call', 'ping'),
      params,
    }),
  );
  await fc.assert(
    fc.asyncProperty(headers, body, async (list, value) => {
      const parsed = parseMcpRequest({ headers: list, body: value as Json });
      if (parsed.ok) assert.equal(typeof (await recognized(value as Json, list)).ok, 'boolean');
    }),
    { numRuns: 2000 },
  );
});
