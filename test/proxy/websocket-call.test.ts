/** What policy is asked about a WebSocket, and the handshakes as pure functions. */
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { type Catalogue, EMPTY_CATALOGUE, parseCatalogue } from '../../src/call/catalogue.ts';
import type { ToolCall } from '../../src/call/tool-call.ts';
import { createAdmission } from '../../src/proxy/admission.ts';
import type { Incoming } from '../../src/proxy/exchange.ts';
import { captureRoute } from '../../src/proxy/forward-route.ts';
import { placeMatcher } from '../../src/proxy/place-matcher.ts';
import type { Parts, PolicyState, Watched } from '../../src/proxy/ports.ts';
import { createWebSockets, type WebSocketParts } from '../../src/proxy/websocket-call.ts';
import { acceptFor, checkNoUpgrade, checkSwitch } from '../../src/proxy/websocket-handshake.ts';

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

const incoming: Incoming = {
  method: 'GET',
  target: '/feed',
  httpVersion: '1.1',
  headers: [
    ['Host', 'tool.example'],
    ['Connection', 'Upgrade'],
    ['Upgrade', 'websocket'],
    ['Sec-WebSocket-Version', '13'],
    ['Sec-WebSocket-Key', KEY],
    ['Sec-WebSocket-Extensions', 'permessage-deflate'],
    ['Sec-WebSocket-Protocol', 'chat.v1, chat.v2'],
    ['X-Team', 'blue'],
  ],
  connection: { id: 'c', remoteAddress: '', calls: 0 },
  bound: { scheme: 'http', host: null, port: 80 },
  readBody: () => Promise.resolve({ ok: true, bytes: null }),
};

/** The call as policy would be asked about it. */
async function asked(catalogue: Catalogue): Promise<ToolCall> {
  const seen: Watched[] = [];
  const state = { ok: false, reason: 'bundle.stale', policy: { catalogue } };
  const parts: Partial<Parts> = {
    policy: () => state as unknown as PolicyState,
    observe: (watched) => {
      seen.push(watched);
      throw new Error('seen enough');
    },
    failed: () => undefined,
    clock: { wallNs: () => 0n, monotonicMs: () => 0, uuid: () => 'id' },
  };
  const admission = createAdmission({ callsMax: 1, bufferedBytesMax: 1, tunnelsMax: 1 });
  const webSockets = createWebSockets({
    parts: parts as Parts,
    admission,
    allows: placeMatcher(['tool.example:80']),
    upstream: {} as WebSocketParts['upstream'],
    bounds: {} as WebSocketParts['bounds'],
  });
  await webSockets.handle(captureRoute, incoming, new PassThrough(), new Uint8Array());
  assert.equal(admission.tunnels(), 0);
  const recognition = seen[0]?.recognition;
  assert.ok(recognition?.ok);
  return recognition.call;
}

void test('policy sees a GET with the upgrade and the offered subprotocols, and nothing else of the handshake', async () => {
  const { http, destination } = await asked(EMPTY_CATALOGUE);
  assert.equal(http.method, 'GET');
  assert.equal(destination.path, '/feed');
  assert.deepEqual(
    { ...http.headers },
    {
      host: ['tool.example'],
      'x-team': ['blue'],
      upgrade: ['websocket'],
      'sec-websocket-protocol': ['chat.v1', 'chat.v2'],
    },
  );
});

void test('a WebSocket the catalogue does not name is a connection, not a reading', async () => {
  const { tool } = await asked(EMPTY_CATALOGUE);
  assert.deepEqual([tool.name, tool.operation, tool.known], ['http.get', 'connect', false]);
});

void test('a WebSocket the catalogue names is of the operation it says', async () => {
  const text = [
    'apiVersion: egret.dev/v1',
    'kind: ToolCatalogue',
    'tools:',
    '  - name: feed.listen',
    '    http: {hosts: [tool.example], methods: [GET], path: /feed}',
    '    operation: read',
    '    risk: low',
  ].join('\n');
  const { tool } = await asked(parseCatalogue(text, 'tools.yaml'));
  assert.deepEqual([tool.name, tool.operation, tool.known], ['feed.listen', 'read', true]);
});

void test('only h2c may be asked for and ignored', () => {
  const verdict = (value: string) => checkNoUpgrade([['UPGRADE', value]])?.reason ?? null;
  assert.equal(verdict('h2c'), null);
  assert.equal(verdict('H2C'), null);
  for (const value of ['websocket', 'h2c, websocket', 'TLS/1.2', '', 'h2']) {
    assert.equal(verdict(value), 'call.upgrade_denied', value);
  }
});

void test('the accept of RFC 6455 section 1.3 is what it says', () => {
  assert.equal(acceptFor(KEY), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
});

void test('a 101 is sound only with one upgrade, one accept, no extension and an offered subprotocol', () => {
  const sound: [string, string][] = [
    ['Upgrade', 'WebSocket'],
    ['Connection', 'keep-alive, upgrade'],
    ['Sec-WebSocket-Accept', acceptFor(KEY)],
  ];
  const check = (...more: [string, string][]) => {
    const names = new Set(more.map(([name]) => name));
    const headers = [...sound.filter(([name]) => !names.has(name)), ...more];
    const result = checkSwitch(headers, { key: KEY, protocols: ['a'] });
    return result.ok ? result.protocol : result.reason;
  };
  assert.equal(check(), null);
  assert.equal(check(['Sec-WebSocket-Protocol', 'a']), 'a');
  assert.equal(check(['Sec-WebSocket-Protocol', 'b']), 'upstream.bad_response');
  assert.equal(check(['Sec-WebSocket-Protocol', 'a, a']), 'upstream.bad_response');
  assert.equal(check(['Sec-WebSocket-Extensions', '']), 'upstream.bad_response');
  assert.equal(check(['Upgrade', 'h2c']), 'upstream.bad_response');
  assert.equal(check(['Connection', 'close']), 'upstream.bad_response');
  assert.equal(check(['Sec-WebSocket-Accept', acceptFor('other')]), 'upstream.bad_response');
});

void test('places are a host and a port, below a wildcard any name', () => {
  const fits = placeMatcher(['a.example:80', '*.b.example:443', '[2001:db8::1]:80']);
  assert.ok(fits('a.example', 80));
  assert.ok(!fits('a.example', 443));
  assert.ok(fits('x.y.b.example', 443));
  assert.ok(!fits('b.example', 443));
  assert.ok(fits('2001:db8::1', 80));
  assert.ok(!placeMatcher([])('a.example', 80));
});
