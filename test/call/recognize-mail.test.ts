/**
 * Mail tools: one call for policy, whether the mail comes as REST, as an upload or as an MCP tool.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { parseCatalogue } from '../../src/call/catalogue.ts';
import type { HeaderList } from '../../src/call/headers.ts';
import type { HttpRequestFacts } from '../../src/call/recognize.ts';
import { recognizeHttp } from '../../src/call/recognize.ts';
import { recognizeMcp } from '../../src/call/recognize-mcp.ts';
import type { Json } from '../../src/call/tool-call.ts';
import { parseMcpRequest } from '../../src/mcp/codec.ts';

const catalogue = parseCatalogue(
  `apiVersion: egret.dev/v1
kind: ToolCatalogue
tools:
  - name: gmail.send
    operation: write
    risk: high
    sink: mail
    http: {hosts: [gmail.googleapis.com], methods: [POST], path: "/gmail/v1/users/{userId}/messages/send", content_types: [application/json]}
    arguments: {from: [json], mail: {raw: /raw}}
  - name: gmail.send
    operation: write
    risk: high
    sink: mail
    http: {hosts: [gmail.googleapis.com], methods: [POST], path: "/upload/gmail/v1/users/{userId}/messages/send"}
    arguments: {from: [json], mail: {body: true}}
  - name: gmail.drafts.create
    operation: write
    risk: low
    sink: mail
    http: {hosts: [gmail.googleapis.com], methods: [POST], path: "/gmail/v1/users/{userId}/drafts"}
    arguments: {from: [json], mail: {raw: /message/raw}}
  - name: gmail.send
    operation: write
    risk: high
    sink: mail
    mcp: {servers: [mail], tools: [send_email]}
    arguments: {from: [mcp], mail: {fields: {to: /to, cc: /cc, bcc: /bcc, subject: /subject, text: /body, html: /htmlBody, attachments: /attachments}}}
`,
  'tools.yaml',
);

const json: HeaderList = [['Content-Type', 'application/json']];
const bytes = (text: string) => new TextEncoder().encode(text);

function request(changes: Partial<HttpRequestFacts>): HttpRequestFacts {
  return {
    method: 'POST',
    scheme: 'https',
    host: 'gmail.googleapis.com',
    port: 443,
    target: '/gmail/v1/users/me/messages/send',
    headers: json,
    body: null,
    server: null,
    ...changes,
  };
}
async function call(changes: Partial<HttpRequestFacts>) {
  const result = await recognizeHttp(request(changes), catalogue);
  assert.ok(result.ok, JSON.stringify(result));
  return result.call;
}

const pdf = Buffer.from('%PDF-1.4 receipt');
const mail = Buffer.from(
  [
    'To: Accountant <Accountant@Example.com>',
    'Bcc: hidden@example.com',
    'Subject: Receipt',
    'MIME-Version: 1.0',
    'Content-Type: multipart/mixed; boundary="b"',
    '',
    '--b',
    'Content-Type: text/plain; charset=utf-8',
    '',
    'Here it is.',
    '--b',
    'Content-Type: application/pdf; name=r.pdf',
    'Content-Disposition: attachment; filename=r.pdf',
    'Content-Transfer-Encoding: base64',
    '',
    pdf.toString('base64'),
    '--b--',
    '',
  ].join('\r\n'),
);

void test('gmail.send is the same call as REST, as upload and as MCP tool', async () => {
  const rest = await call({ body: bytes(JSON.stringify({ raw: mail.toString('base64url') })) });
  const upload = await call({
    target: '/upload/gmail/v1/users/me/messages/send?uploadType=media',
    headers: [['Content-Type', 'message/rfc822']],
    body: mail,
  });
  const body: Json = {
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: {
      name: 'send_email',
      arguments: {
        to: 'Accountant <Accountant@Example.com>',
        bcc: ['hidden@example.com'],
        subject: 'Receipt',
        body: 'Here it is.',
        attachments: [
          { filename: 'r.pdf', mimeType: 'application/pdf', content: pdf.toString('base64') },
        ],
      },
    },
  };
  const message = parseMcpRequest({ headers: json, body });
  assert.ok(message.ok);
  const facts = { ...request({ host: 'mail.internal', target: '/mcp' }), server: 'mail' };
  const mcp = recognizeMcp(facts, message, catalogue);
  assert.ok(!(mcp instanceof Promise) && mcp.ok, 'the MCP path is synchronous');

  assert.deepEqual(rest.arguments, {
    to: ['accountant@example.com'],
    cc: [],
    bcc: ['hidden@example.com'],
    subject: 'Receipt',
    text: 'Here it is.',
    html: '',
  });
  assert.deepEqual(rest.attachments, [
    {
      name: 'r.pdf',
      media_type: 'application/pdf',
      bytes: pdf.length,
      sha256: createHash('sha256').update(pdf).digest('hex'),
    },
  ]);
  for (const other of [upload, mcp.call]) {
    assert.deepEqual(other.arguments, rest.arguments);
    assert.deepEqual(other.attachments, rest.attachments);
    const { server: _, ...tool } = other.tool;
    const { server: __, ...expected } = rest.tool;
    assert.deepEqual(tool, expected);
    assert.equal(other.arguments_state, 'parsed');
  }
});

void test('what is not the message stays visible, and a nested message is found', async () => {
  const raw = mail.toString('base64url');
  const sent = await call({ body: bytes(JSON.stringify({ raw, threadId: 't1' })) });
  assert.equal(sent.arguments['threadId'], 't1');
  const draft = await call({
    target: '/gmail/v1/users/me/drafts',
    body: bytes(JSON.stringify({ message: { raw } })),
  });
  assert.equal(draft.tool.name, 'gmail.drafts.create');
  assert.deepEqual(draft.arguments['bcc'], ['hidden@example.com']);
  assert.equal('message' in draft.arguments, false);
});

for (const [sentence, body] of [
  ['no raw', {}],
  ['a raw that is no string', { raw: 1 }],
  ['a raw that is no base64', { raw: 'a b' }],
  ['a raw that is no mail', { raw: Buffer.from('nonsense').toString('base64url') }],
] as const) {
  void test(`gmail.send with ${sentence} is refused`, async () => {
    const result = await recognizeHttp(request({ body: bytes(JSON.stringify(body)) }), catalogue);
    assert.equal(result.ok ? 'ok' : result.reason, 'call.bad_mail');
  });
}

void test('a recipient beside the message that clashes with it is refused', async () => {
  const raw = mail.toString('base64url');
  const body = bytes(JSON.stringify({ raw, to: 'x@example.com' }));
  const result = await recognizeHttp(request({ body }), catalogue);
  assert.equal(result.ok ? 'ok' : result.reason, 'call.ambiguous_tool');
});
