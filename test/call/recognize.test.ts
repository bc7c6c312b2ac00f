/** HTTP requests as tool calls: names, arguments, state, and what is refused before policy. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseAuthority } from '../../src/call/authority.ts';
import { readMcpBody } from '../../src/call/body.ts';
import { EMPTY_CATALOGUE, parseCatalogue } from '../../src/call/catalogue.ts';
import { parseContentType } from '../../src/call/content-type.ts';
import type { HeaderList } from '../../src/call/headers.ts';
import type { HttpRequestFacts } from '../../src/call/recognize.ts';
import { recognizeConnect, recognizeHttp } from '../../src/call/recognize.ts';
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
  - name: notes.add
    operation: write
    risk: low
    http: {servers: [notes], methods: [POST, GET, DELETE], path: "/notes/{id}"}
    arguments: {from: [path, query, json, form]}
  - name: notes.count
    operation: read
    risk: low
    http: {servers: [notes], methods: [POST], path: /count}
    arguments: {from: [query]}
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
const notes = (changes: Partial<HttpRequestFacts>) =>
  recognizeHttp(
    request({ server: 'notes', host: 'notes.internal', target: '/notes/1', ...changes }),
    catalogue,
  );

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

test('gmail.send is the same call as REST, as upload and as MCP tool', async () => {
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

test('what is not the message stays visible, and a nested message is found', async () => {
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
  test(`gmail.send with ${sentence} is refused`, async () => {
    const result = await recognizeHttp(request({ body: bytes(JSON.stringify(body)) }), catalogue);
    assert.equal(result.ok ? 'ok' : result.reason, 'call.bad_mail');
  });
}

test('a recipient beside the message that clashes with it is refused', async () => {
  const raw = mail.toString('base64url');
  const body = bytes(JSON.stringify({ raw, to: 'x@example.com' }));
  const result = await recognizeHttp(request({ body }), catalogue);
  assert.equal(result.ok ? 'ok' : result.reason, 'call.ambiguous_tool');
});

test('unknown traffic is named by its method, is not known, and is high risk', async () => {
  const got = await call({ method: 'GET', host: 'evil.example', target: '/?q=1&q=2', headers: [] });
  assert.deepEqual(got.tool, {
    name: 'http.get',
    server: null,
    operation: 'read',
    risk: 'high',
    sink: null,
    known: false,
    definition_hash: null,
  });
  assert.deepEqual(got.arguments, { q: ['1', '2'] });
  const posted = await call({ host: 'evil.example', body: bytes('[1]') });
  assert.equal(posted.tool.name, 'http.post');
  assert.equal(posted.tool.operation, 'write');
  assert.deepEqual(posted.arguments, { body: [1] });
});

test('arguments of all places are merged, and equal values do not clash', async () => {
  const result = await notes({
    target: '/notes/7?id=7&tag=a',
    body: bytes('{"tag":"a","text":"x"}'),
  });
  assert.ok(result.ok);
  assert.deepEqual(result.call.arguments, { id: '7', tag: 'a', text: 'x' });
  assert.equal(result.call.tool.name, 'notes.add');
  assert.equal(result.json, true);
});

test('different values under one key refuse the call', async () => {
  for (const [target, body] of [
    ['/notes/7?id=8', '{}'],
    ['/notes/7', '{"id":"8"}'],
    ['/notes/7', '{"id":7}'],
    ['/notes/7?tag=a&tag=b', '{"tag":"a"}'],
    ['/notes/7?toString=a', '{"toString":"b"}'],
    ['/notes/7?__proto__=a', '{"__proto__":"b"}'],
  ] as const) {
    const result = await notes({ target, body: bytes(body) });
    assert.equal(result.ok ? 'ok' : result.reason, 'call.ambiguous_tool', `${target} ${body}`);
  }
});

test('a form is read, and its credentials are masked like those of a query', async () => {
  const result = await notes({
    target: '/notes/1?access_token=hunter2',
    headers: [['content-type', 'application/x-www-form-urlencoded; charset=UTF-8']],
    body: bytes('text=a+b&tag=1&tag=2&client_secret=hunter2'),
  });
  assert.ok(result.ok);
  assert.deepEqual(result.call.arguments, {
    id: '1',
    access_token: '[credential]',
    text: 'a b',
    tag: ['1', '2'],
    client_secret: '[credential]',
  });
  assert.ok(!JSON.stringify(result.call).includes('hunter2'));
  assert.equal(result.target, '/notes/1?access_token=hunter2');
  assert.equal(result.json, false);
});

test('a body that nobody can read is opaque, for known and unknown tools', async () => {
  for (const [headers, body] of [
    [[], bytes('x')],
    [[['content-type', 'text/plain']], bytes('{"a":1}')],
    [[['content-type', 'multipart/form-data; boundary=x']], bytes('--x--')],
    [[['content-type', 'message/rfc822']], mail],
  ] as [HeaderList, Uint8Array][]) {
    const known = await notes({ headers, body });
    assert.ok(known.ok);
    assert.equal(known.call.arguments_state, 'opaque');
    assert.deepEqual(known.call.arguments, { id: '1' });
    assert.equal((await call({ host: 'x.example', headers, body })).arguments_state, 'opaque');
  }
});

test('a body where the catalogue expects none is opaque', async () => {
  const result = await notes({ target: '/count?a=1', body: bytes('{"b":2}') });
  assert.ok(result.ok);
  assert.equal(result.call.arguments_state, 'opaque');
  assert.deepEqual(result.call.arguments, { a: '1' });
  const upload = await call({
    target: '/upload/gmail/v1/users/me/messages/send',
    body: bytes('{"raw":"x"}'),
  });
  assert.equal(upload.arguments_state, 'opaque');
});

test('a call without arguments has none, and one that is too large says so', async () => {
  const none = await call({ method: 'GET', host: 'x.example', headers: [] });
  assert.equal(none.arguments_state, 'none');
  const large = await recognizeHttp(request({ body: 'too_large' }), catalogue);
  assert.ok(large.ok);
  assert.equal(large.call.arguments_state, 'too_large');
  assert.equal(large.body, null);
});

test('what comes back to be sent is the normal target and the very body', async () => {
  const body = bytes('{"text":  "x"}');
  const result = await notes({ target: '/notes/%41?a=%41', body });
  assert.ok(result.ok);
  assert.equal(result.target, '/notes/A?a=%41');
  assert.equal(result.body, body);
  assert.equal(result.call.destination.path, '/notes/A');
  assert.deepEqual(result.call.destination.segments, ['notes', 'A']);
});

const type = (value: string): HeaderList => [['content-type', value]];
const REFUSED: [sentence: string, changes: Partial<HttpRequestFacts>, reason: string][] = [
  ['an unknown method', { method: 'TRACE' }, 'call.method_not_allowed'],
  ['a lower-case method', { method: 'post' }, 'call.method_not_allowed'],
  ['a GET with a body', { method: 'GET', body: bytes('{}') }, 'call.malformed'],
  ['a DELETE with a body', { method: 'DELETE', body: bytes('{}') }, 'call.malformed'],
  ['a bad path', { target: '/notes/../admin' }, 'call.bad_path'],
  ['a bad header', { headers: [['a_b', 'x']] }, 'call.bad_header'],
  ['a method override', { headers: [['x-http-method-override', 'DELETE']] }, 'call.bad_header'],
  ['a method in the query', { target: '/notes/1?_method=DELETE' }, 'call.malformed'],
  ['a method in the query of some APIs', { target: '/notes/1?$httpMethod=PUT' }, 'call.malformed'],
  [
    'a method in the form',
    { headers: type('application/x-www-form-urlencoded'), body: bytes('_METHOD=PUT') },
    'call.malformed',
  ],
  ['two content types', { headers: [...json, ...json] }, 'call.bad_header'],
  ['a list of content types', { headers: type('application/json, text/plain') }, 'call.bad_header'],
  ['a content type without subtype', { headers: type('json') }, 'call.bad_header'],
  [
    'a charset twice',
    { headers: type('application/json; charset=utf-8; charset=utf-16') },
    'call.bad_header',
  ],
  [
    'UTF-16',
    { headers: type('application/json; charset=utf-16'), body: bytes('{}') },
    'call.unsupported_encoding',
  ],
  [
    'a compressed body',
    { headers: [...json, ['content-encoding', 'gzip']], body: bytes('x') },
    'call.unsupported_encoding',
  ],
  ['a duplicate key', { body: bytes('{"a":1,"a":2}') }, 'call.duplicate_key'],
  [
    'broken JSON under a +json type',
    { headers: type('application/x+json'), body: bytes('{') },
    'call.malformed',
  ],
  [
    'a broken form',
    { headers: type('application/x-www-form-urlencoded'), body: bytes('a=%zz') },
    'call.malformed',
  ],
];

for (const [sentence, changes, reason] of REFUSED) {
  test(`refused: ${sentence}`, async () => {
    const result = await notes(changes);
    assert.equal(result.ok ? 'ok' : result.reason, reason);
  });
}

test('on the forward proxy the Host header must name the target', async () => {
  const at = async (host: string) => {
    const facts = request({ method: 'GET', headers: [['Host', host]], target: '/' });
    const result = await recognizeHttp(facts, catalogue);
    return result.ok ? 'ok' : result.reason;
  };
  assert.equal(await at('gmail.googleapis.com'), 'ok');
  assert.equal(await at('GMAIL.googleapis.com.:443'), 'ok');
  assert.equal(await at('evil.example'), 'call.bad_authority');
  assert.equal(await at('gmail.googleapis.com:80'), 'call.bad_authority');
  assert.equal(await at('a@gmail.googleapis.com'), 'call.bad_authority');
});

test('a CONNECT is an unknown tunnel to a host and port', () => {
  const authority = parseAuthority('Example.com:443', null);
  assert.ok(authority.ok);
  const { tool, destination, http } = recognizeConnect(authority, { 'user-agent': ['x'] });
  assert.equal(tool.name, 'http.connect');
  assert.equal(tool.known, false);
  assert.equal(tool.operation, 'connect');
  assert.deepEqual(
    [destination.host, destination.port, destination.path],
    ['example.com', 443, ''],
  );
  assert.equal(http.method, 'CONNECT');
});

test('an MCP body is JSON under its own media type', () => {
  const read = (headers: HeaderList, body: Uint8Array | null | 'too_large') => {
    const result = readMcpBody(headers, body);
    return result.ok ? 'ok' : result.reason;
  };
  assert.equal(read(type('application/json; charset=utf-8'), bytes('{}')), 'ok');
  assert.equal(read([], bytes('{}')), 'call.unsupported_encoding');
  assert.equal(read(type('text/plain'), bytes('{}')), 'call.unsupported_encoding');
  assert.equal(read(type('application/x+json'), bytes('{}')), 'call.unsupported_encoding');
  assert.equal(read(json, null), 'call.malformed');
  assert.equal(read(json, 'too_large'), 'call.too_large');
  assert.equal(read(json, bytes('{"a":1,"a":1}')), 'call.duplicate_key');
});

test('a content type has one reading', () => {
  const read = (text: string) => {
    const parsed = parseContentType(text);
    return parsed === null ? null : [parsed.value, { ...parsed.parameters }];
  };
  assert.deepEqual(read('Text/HTML; Charset="utf-8"'), ['text/html', { charset: 'utf-8' }]);
  assert.deepEqual(read('a/b;'), ['a/b', {}]);
  assert.deepEqual(read('attachment; filename="a \\"b\\".pdf"'), [
    'attachment',
    { filename: 'a "b".pdf' },
  ]);
  for (const text of [
    '',
    ' a/b',
    'a/b; x',
    'a/b; x=1; X=2',
    'a/b; x="1"y',
    'a/b (c)',
    'a/b; x="1',
    'a/b;;',
    'a/b/c',
  ]) {
    assert.equal(read(text), null, text);
  }
});

test('no request makes recognition throw or reject', async () => {
  const text = fc.oneof(
    fc.string({ maxLength: 10 }),
    fc.constantFrom('/notes/1', '/a?b=c', '{}', '{"a":[1]}'),
  );
  const facts = fc.record({
    method: fc.constantFrom('GET', 'POST', 'DELETE', 'CONNECT', '__proto__'),
    target: text.map((value) => `/${value}`),
    headers: fc.array(
      fc.tuple(
        fc.constantFrom('content-type', 'host', 'x', 'content-encoding'),
        fc.oneof(text, fc.constantFrom('application/json', 'application/x-www-form-urlencoded')),
      ),
      { maxLength: 3 },
    ),
    body: fc.option(text.map(bytes)),
    server: fc.constantFrom(null, 'notes', '__proto__'),
  });
  await fc.assert(
    fc.asyncProperty(facts, async (changes) => {
      const result = await recognizeHttp(request(changes), catalogue);
      if (result.ok) assert.equal(await again(result.target, changes), true);
      await recognizeHttp(request(changes), EMPTY_CATALOGUE);
    }),
    { numRuns: 2000 },
  );
});

/** What is sent, when it comes in again, is the same call. */
async function again(target: string, changes: Partial<HttpRequestFacts>): Promise<boolean> {
  const [first, second] = await Promise.all([
    recognizeHttp(request(changes), catalogue),
    recognizeHttp(request({ ...changes, target }), catalogue),
  ]);
  assert.deepEqual(second, first);
  return first.ok;
}
