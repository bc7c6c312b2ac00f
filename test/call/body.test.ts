/** Bodies and media types: read as they say, never by guessing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readMcpBody } from '../../src/call/body.ts';
import { parseContentType } from '../../src/call/content-type.ts';
import type { HeaderList } from '../../src/call/headers.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const type = (value: string): HeaderList => [['content-type', value]];

void test('an MCP body is JSON under its own media type', () => {
  const read = (headers: HeaderList, body: Uint8Array | null | 'too_large') => {
    const result = readMcpBody(headers, body);
    return result.ok ? 'ok' : result.reason;
  };
  assert.equal(read(type('application/json; charset=utf-8'), bytes('{}')), 'ok');
  assert.equal(read([], bytes('{}')), 'call.unsupported_encoding');
  assert.equal(read(type('text/plain'), bytes('{}')), 'call.unsupported_encoding');
  assert.equal(read(type('application/x+json'), bytes('{}')), 'call.unsupported_encoding');
  assert.equal(read(type('application/json'), null), 'call.malformed');
  assert.equal(read(type('application/json'), 'too_large'), 'call.too_large');
  assert.equal(read(type('application/json'), bytes('{"a":1,"a":1}')), 'call.duplicate_key');
});

void test('a content type has one reading', () => {
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
