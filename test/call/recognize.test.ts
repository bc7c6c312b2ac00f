/** HTTP requests as tool calls: names, arguments, state, and what is refused before policy. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseAuthority } from '../../src/call/authority.ts';
import { EMPTY_CATALOGUE, parseCatalogue } from '../../src/call/catalogue.ts';
import type { HeaderList } from '../../src/call/headers.ts';
import type { HttpRequestFacts } from '../../src/call/recognize.ts';
import { recognizeConnect, recognizeHttp } from '../../src/call/recognize.ts';

const catalogue = parseCatalogue(
  `apiVersion: egret.dev/v1
kind: ToolCatalogue
tools:
  - name: gmail.send
    operation: write
    risk: high
    sink: mail
    http: {hosts: [gmail.googleapis.com], methods: [POST], path: "/upload/gmail/v1/users/{userId}/messages/send"}
    arguments: {from: [json], mail: {body: true}}
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

void test('unknown traffic is named by its method, is not known, and is high risk', async () => {
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

void test('arguments of all places are merged, and equal values do not clash', async () => {
  const result = await notes({
    target: '/notes/7?id=7&tag=a',
    body: bytes('{"tag":"a","text":"x"}'),
  });
  assert.ok(result.ok);
  assert.deepEqual(result.call.arguments, { id: '7', tag: 'a', text: 'x' });
  assert.equal(result.call.tool.name, 'notes.add');
  assert.equal(result.json, true);
});

void test('different values under one key refuse the call', async () => {
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

void test('a form is read, and its credentials are masked like those of a query', async () => {
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

void test('a body that nobody can read is opaque, for known and unknown tools', async () => {
  for (const [headers, body] of [
    [[], bytes('x')],
    [[['content-type', 'text/plain']], bytes('{"a":1}')],
    [[['content-type', 'multipart/form-data; boundary=x']], bytes('--x--')],
    [[['content-type', 'message/rfc822']], bytes('To: a@example.com\r\n\r\nx')],
  ] as [HeaderList, Uint8Array][]) {
    const known = await notes({ headers, body });
    assert.ok(known.ok);
    assert.equal(known.call.arguments_state, 'opaque');
    assert.deepEqual(known.call.arguments, { id: '1' });
    assert.equal((await call({ host: 'x.example', headers, body })).arguments_state, 'opaque');
  }
});

void test('a body where the catalogue expects none is opaque', async () => {
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

void test('a call without arguments has none, and one that is too large says so', async () => {
  const none = await call({ method: 'GET', host: 'x.example', headers: [] });
  assert.equal(none.arguments_state, 'none');
  const large = await recognizeHttp(request({ body: 'too_large' }), catalogue);
  assert.ok(large.ok);
  assert.equal(large.call.arguments_state, 'too_large');
  assert.equal(large.body, null);
});

void test('what comes back to be sent is the normal target and the very body', async () => {
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
  void test(`refused: ${sentence}`, async () => {
    const result = await notes(changes);
    assert.equal(result.ok ? 'ok' : result.reason, reason);
  });
}

void test('on the forward proxy the Host header must name the target', async () => {
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

void test('a CONNECT is an unknown tunnel to a host and port', () => {
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

void test('no request makes recognition throw or reject', async () => {
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
