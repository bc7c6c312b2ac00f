/** HTTP messages that could be read in two ways. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Incoming } from '../../src/proxy/exchange.ts';
import { checkMessage } from '../../src/proxy/message-rules.ts';

const incoming = (change: Partial<Incoming>): Incoming => ({
  method: 'POST',
  target: '/mcp/mail',
  httpVersion: '1.1',
  headers: [['Host', 'localhost']],
  connection: { id: 'c', remoteAddress: '127.0.0.1', calls: 0 },
  bound: null,
  readBody: () => Promise.resolve({ ok: true, bytes: null }),
  ...change,
});
const withHeader = (name: string, value: string) =>
  incoming({
    headers: [
      ['Host', 'localhost'],
      [name, value],
    ],
  });

const TABLE: readonly (readonly [string, Incoming, string | null])[] = [
  ['a plain request', incoming({}), null],
  ['HTTP/0.9', incoming({ httpVersion: '0.9' }), 'call.malformed'],
  ['a request line that says HTTP/2.0', incoming({ httpVersion: '2.0' }), 'call.malformed'],
  ['TRACE', incoming({ method: 'TRACE' }), 'call.method_not_allowed'],
  ['QUERY', incoming({ method: 'QUERY' }), 'call.method_not_allowed'],
  ['PROPFIND', incoming({ method: 'PROPFIND' }), 'call.method_not_allowed'],
  ['a fragment in the target', incoming({ target: '/a#b' }), 'call.bad_path'],
  ['two Host headers', withHeader('host', 'evil'), 'call.bad_header'],
  [
    'transfer-encoding gzip, chunked',
    withHeader('Transfer-Encoding', 'gzip, chunked'),
    'call.bad_header',
  ],
  ['transfer-encoding ,chunked', withHeader('Transfer-Encoding', ',chunked'), 'call.bad_header'],
  ['plain chunked', withHeader('Transfer-Encoding', 'chunked'), null],
  [
    'chunked in HTTP/1.0',
    incoming({
      httpVersion: '1.0',
      headers: [
        ['Host', 'a'],
        ['transfer-encoding', 'chunked'],
      ],
    }),
    'call.bad_header',
  ],
  ['leading zeros in content-length', withHeader('Content-Length', '007'), 'call.bad_header'],
  ['a header name with an underscore', withHeader('mcp_method', 'x'), 'call.bad_header'],
  ['a header named __proto__', withHeader('__proto__', 'x'), 'call.bad_header'],
  ['a Latin-1 byte in a value', withHeader('x-a', 'caf\xe9'), 'call.bad_header'],
  ['Connection that nominates Host', withHeader('Connection', 'close, Host'), 'call.bad_header'],
  [
    'Connection that nominates an MCP header',
    withHeader('Connection', 'Mcp-Method'),
    'call.bad_header',
  ],
  ['a method override', withHeader('X-HTTP-Method-Override', 'DELETE'), 'call.bad_header'],
];

for (const [sentence, message, reason] of TABLE) {
  test(`${sentence} is ${reason === null ? 'accepted' : `refused as ${reason}`}`, () => {
    assert.equal(checkMessage(message)?.reason ?? null, reason);
  });
}
