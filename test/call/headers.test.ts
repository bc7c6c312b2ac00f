/** Header lists: what is refused, what policy sees, what travels on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { HeaderList } from '../../src/call/headers.ts';
import {
  checkHeaders,
  forwardHeaders,
  responseHeaders,
  visibleHeaders,
} from '../../src/call/headers.ts';

const REFUSED: [sentence: string, headers: HeaderList][] = [
  [
    'two Host headers',
    [
      ['Host', 'a'],
      ['host', 'a'],
    ],
  ],
  [
    'two Content-Types',
    [
      ['content-type', 'a/b'],
      ['Content-Type', 'a/b'],
    ],
  ],
  [
    'two Content-Lengths',
    [
      ['content-length', '1'],
      ['content-length', '1'],
    ],
  ],
  [
    'two Authorizations',
    [
      ['authorization', 'a'],
      ['authorization', 'b'],
    ],
  ],
  [
    'two MCP version headers',
    [
      ['mcp-protocol-version', 'a'],
      ['MCP-Protocol-Version', 'a'],
    ],
  ],
  ['an underscore in a name', [['content_length', '1']]],
  ['__proto__ as a name', [['__proto__', 'x']]],
  ['an empty name', [['', 'x']]],
  ['a colon in a name', [['a:b', 'x']]],
  ['a non-ASCII name', [['\u00fc', 'x']]],
  ['a line feed in a value', [['x', 'a\nb']]],
  ['a NUL in a value', [['x', 'a\0b']]],
  ['a Latin-1 byte in a value', [['x', '\u00fc']]],
  ['a method override', [['X-HTTP-Method-Override', 'DELETE']]],
  ['a method override in another spelling', [['x-method-override', 'DELETE']]],
  ['a third method override', [['X-HTTP-Method', 'DELETE']]],
  ['Connection naming Host', [['connection', 'close, Host']]],
  ['Connection naming Authorization', [['connection', 'authorization']]],
  ['Connection naming Mcp-Method', [['connection', 'Mcp-Method']]],
  ['Connection naming Content-Type', [['connection', 'content-type']]],
  ['Connection naming traceparent', [['connection', 'traceparent']]],
  ['a broken Connection item', [['connection', 'a b']]],
  [
    'two framings',
    [
      ['content-length', '1'],
      ['transfer-encoding', 'chunked'],
    ],
  ],
  ['a compressed transfer encoding', [['transfer-encoding', 'gzip, chunked']]],
  ['a list with an empty transfer encoding', [['transfer-encoding', ',chunked']]],
  ['a leading zero in Content-Length', [['content-length', '01']]],
  ['a signed Content-Length', [['content-length', '+1']]],
  ['101 headers', Array.from({ length: 101 }, (_, index) => [`x-${index}`, ''] as const)],
  ['more than 64 KiB', [['x', 'a'.repeat(65_536)]]],
];

for (const [sentence, headers] of REFUSED) {
  void test(`refused: ${sentence}`, () => {
    assert.equal(checkHeaders(headers)?.reason, 'call.bad_header');
  });
}

void test('ordinary headers pass', () => {
  const headers: HeaderList = [
    ['Host', 'a'],
    ['Content-Length', '0'],
    ['Connection', 'keep-alive, X-Hop'],
    ['Accept', 'a/b'],
    ['Accept', 'c/d'],
  ];
  assert.equal(checkHeaders(headers), null);
});

void test('policy sees every value under a lower-case name, and no credential', () => {
  const secret = 'hunter2';
  const credentials = (
    'Authorization Proxy-Authorization Cookie Set-Cookie X-Api-Key Api-Key Apikey X-Goog-Api-Key X-Auth-Token ' +
    'X-Amz-Security-Token Client-Secret X-Vault-Token Private-Token APCA-API-SECRET-KEY APCA-API-KEY-ID ' +
    'Ocp-Apim-Subscription-Key X-Functions-Key X-Access-Key X-Password DPoP Mcp-Session-Id X-CSRF-Token X-Jwt'
  ).split(' ');
  const seen = visibleHeaders([
    ['Accept', 'a/b'],
    ['accept', 'c/d'],
    ['Idempotency-Key', 'k1'],
    ...credentials.map((name) => [name, secret] as const),
    ['X-Forwarded-Foo', `Bearer ${secret}`],
    ['X-Other', `basic ${secret}`],
  ]);
  assert.deepEqual({ ...seen }, { accept: ['a/b', 'c/d'], 'idempotency-key': ['k1'] });
  assert.equal(Object.getPrototypeOf(seen), null);
});

void test('what is forwarded has no hop-by-hop field and nothing that the sidecar says itself', () => {
  const kept: HeaderList = [
    ['Host', 'a'],
    ['Accept', 'a/b'],
    ['Authorization', 'Bearer x'],
    ['Content-Type', 'a/b'],
    ['Mcp-Method', 'ping'],
    ['X-B', '1'],
    ['x-b', '2'],
  ];
  const dropped = (
    'Connection Keep-Alive Proxy-Connection Proxy-Authorization TE Trailer Transfer-Encoding Upgrade Expect X-Egret-Run ' +
    'Forwarded X-Forwarded-For X-Forwarded-Host Via traceparent tracestate baggage Content-Length HTTP2-Settings'
  ).split(' ');
  const all: HeaderList = [...dropped.map((name) => [name, 'x'] as const), ...kept];
  assert.deepEqual(forwardHeaders(all), kept);
  assert.deepEqual(forwardHeaders(all, { drop: ['HOST', 'x-b', 'accept'] }), [
    ['Authorization', 'Bearer x'],
    ['Content-Type', 'a/b'],
    ['Mcp-Method', 'ping'],
  ]);
});

void test('a field that Connection names is neither seen by policy nor sent', () => {
  const headers: HeaderList = [
    ['Connection', 'X-Hop'],
    ['X-Hop', '1'],
    ['X-Stay', '2'],
  ];
  assert.deepEqual({ ...visibleHeaders(headers) }, { 'x-stay': ['2'] });
  assert.deepEqual(forwardHeaders(headers), [['X-Stay', '2']]);
});

void test('the way back drops hop-by-hop fields, Alt-Svc and what only the sidecar may say', () => {
  const result = responseHeaders([
    ['Content-Type', 'a/b'],
    ['Alt-Svc', 'h3=":443"'],
    ['Connection', 'X-Hop'],
    ['X-Hop', '1'],
    ['Proxy-Authenticate', 'x'],
    ['X-Egret-Reason', 'forged'],
    ['Set-Cookie', 'a=1'],
    ['Set-Cookie', 'b=2'],
    ['Transfer-Encoding', 'chunked'],
    ['X_Odd', 'gr\u00fcn'],
  ]);
  assert.ok(result.ok);
  assert.deepEqual(result.headers, [
    ['Content-Type', 'a/b'],
    ['Set-Cookie', 'a=1'],
    ['Set-Cookie', 'b=2'],
    ['X_Odd', 'gr\u00fcn'],
  ]);
});

for (const [sentence, headers] of [
  [
    'two Content-Types',
    [
      ['content-type', 'a/b'],
      ['content-type', 'text/html'],
    ],
  ],
  [
    'two Content-Lengths',
    [
      ['content-length', '1'],
      ['content-length', '2'],
    ],
  ],
  ['a line feed', [['x', 'a\nb']]],
] as [string, HeaderList][]) {
  void test(`a response with ${sentence} is not relayed`, () => {
    const result = responseHeaders(headers);
    assert.equal(result.ok ? 'ok' : result.reason, 'upstream.bad_response');
  });
}

void test('no header list makes the rules throw, and a checked list forwards to a checked list', () => {
  const name = fc.oneof(
    fc.constantFrom(
      'Host',
      'connection',
      '__proto__',
      'constructor',
      'te',
      'X-A',
      'content-length',
    ),
    fc.string({ maxLength: 8 }),
  );
  const value = fc.oneof(
    fc.constantFrom('x-a', 'chunked', '1', 'close'),
    fc.string({ maxLength: 8 }),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 8 }), (headers) => {
      responseHeaders(headers);
      visibleHeaders(headers);
      if (checkHeaders(headers) !== null) return;
      const forwarded = forwardHeaders(headers);
      assert.equal(checkHeaders(forwarded), null);
      assert.deepEqual(forwardHeaders(forwarded), forwarded);
    }),
  );
});
