/** Which answers count as errors of the tool. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isToolError } from '../../src/proxy/result.ts';
import type { Forwarded } from '../../src/proxy/upstream.ts';

const answer = (body: string, change: Partial<Forwarded> = {}): Forwarded => ({
  result: 'completed',
  reason: null,
  status: 200,
  contentType: 'application/json',
  bytes: body.length,
  sha256: '',
  ttfbMs: 1,
  totalMs: 1,
  body: Buffer.from(body),
  peer: null,
  ...change,
});
const sse = { contentType: 'text/event-stream' };

const TABLE: readonly (readonly [string, Forwarded, boolean, boolean])[] = [
  ['a result', answer('{"result":{"content":[]}}'), true, false],
  ['a result with isError', answer('{"result":{"isError":true}}'), true, true],
  ['a result with isError false', answer('{"result":{"isError":false}}'), true, false],
  [
    'a text that only mentions isError',
    answer('{"result":{"t":"\\"isError\\":true"}}'),
    true,
    false,
  ],
  ['a JSON-RPC error', answer('{"error":{"code":-32601}}'), true, true],
  [
    'an error event in a stream',
    answer('event: message\ndata: {"result":{"isError":true}}\n\n', sse),
    true,
    true,
  ],
  [
    'a stream of notifications and a result',
    answer('data: {"method":"x"}\n\ndata: {"result":{}}\n\n', sse),
    true,
    false,
  ],
  ['status 500', answer('', { status: 500 }), true, true],
  ['status 404 outside MCP', answer('', { status: 404 }), false, true],
  ['an error body outside MCP', answer('{"error":{}}'), false, false],
  ['an answer too long to look at', answer('', { body: null }), true, false],
  ['an answer that is not JSON', answer('"isError"'), true, false],
];

for (const [sentence, forwarded, mcp, expected] of TABLE) {
  test(`${sentence} is ${expected ? 'an' : 'no'} error of the tool`, () => {
    assert.equal(isToolError(forwarded, mcp), expected);
  });
}
