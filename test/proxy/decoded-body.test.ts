/** Content behind its coding: unpacked for a look, never beyond the cap, never with a crash. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { decodedBody } from '../../src/proxy/decoded-body.ts';
import { isToolError } from '../../src/proxy/result.ts';

const KiB = 1024;
const CODERS = {
  gzip: gzipSync,
  'x-gzip': gzipSync,
  deflate: deflateSync,
  br: brotliCompressSync,
  zstd: zstdCompressSync,
} as const;

for (const [coding, code] of Object.entries(CODERS)) {
  void test(`${coding}: the content comes back, and a bomb does not`, () => {
    const content = Buffer.from('{"result":{"isError":true}}');
    assert.deepEqual(Buffer.from(decodedBody(code(content), coding, KiB) ?? []), content);
    const bomb = code(Buffer.alloc(64 * KiB * KiB));
    assert.ok(bomb.length < 128 * KiB, 'small on the wire');
    const before = process.memoryUsage().arrayBuffers;
    assert.equal(decodedBody(bomb, coding, 1024 * KiB), null);
    assert.ok(process.memoryUsage().arrayBuffers - before < 16 * KiB * KiB);
  });

  void test(`${coding}: a tool cannot hide behind it that it failed`, () => {
    const body = code(Buffer.from('{"result":{"isError":true}}'));
    const forwarded = {
      result: 'completed',
      reason: null,
      status: 200,
      contentType: 'application/json',
      contentEncoding: coding,
      bytes: body.length,
      sha256: '',
      ttfbMs: 1,
      totalMs: 1,
      body,
      peer: null,
    } as const;
    assert.equal(isToolError(forwarded, true), true);
  });
}

void test('an unknown coding, a broken body and a content that is too long are not looked at', () => {
  assert.equal(decodedBody(Buffer.from('x'), 'compress', KiB), null);
  assert.equal(decodedBody(Buffer.from('not gzip'), 'gzip', KiB), null);
  assert.equal(decodedBody(Buffer.alloc(2), null, 1), null);
  assert.deepEqual(decodedBody(Buffer.from('ab'), null, 2), Buffer.from('ab'));
});

void test('no bytes make it throw or exceed the cap', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.constantFrom(...Object.keys(CODERS), 'other'),
      fc.boolean(),
      (bytes, coding, coded) => {
        const code = CODERS[coding as keyof typeof CODERS] as typeof gzipSync | undefined;
        const given = coded && code !== undefined ? code(bytes) : bytes;
        const content = decodedBody(given, coding, 100);
        assert.ok(content === null || content.length <= 100);
        if (given !== bytes && bytes.length <= 100)
          assert.deepEqual([...(content ?? [1])], [...bytes]);
      },
    ),
  );
});
