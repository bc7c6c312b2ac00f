/**
 * Where an answer ends, however the bytes arrive: the load generator and the probe stand on it. Shell: owns one
 * upstream process in the last test.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { findAnswer } from '../../bench/answer.ts';
import { freePorts } from '../../bench/children.ts';
import { post } from '../../bench/probe.ts';
import { ALLOWED_BODY, UPSTREAM_MARK } from '../../bench/request.ts';

const plain = (body: string) =>
  `HTTP/1.1 200 OK\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const chunked = (parts: readonly string[]) =>
  `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${parts
    .filter((part) => part !== '')
    .map((part) => `${Buffer.byteLength(part).toString(16)}\r\n${part}\r\n`)
    .join('')}0\r\n\r\n`;

test('an answer is found exactly when its last byte has arrived, and bytes behind it are left', () => {
  const answers = fc.oneof(fc.string().map(plain), fc.array(fc.string()).map(chunked));
  fc.assert(
    fc.property(answers, fc.nat(), (text, cut) => {
      const whole = Buffer.from(text);
      const part = whole.subarray(0, cut % whole.length);
      assert.equal(findAnswer(part), null);
      const found = findAnswer(Buffer.concat([whole, Buffer.from('HTTP/1.1 200')]));
      assert.deepEqual(found, { status: 200, end: whole.length });
    }),
  );
});

test('the status is the one of the answer', () => {
  const bytes = Buffer.from('HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n');
  assert.equal(findAnswer(bytes)?.status, 503);
});

test('bytes that are no answer with a length have status 0, so they count as errors', () => {
  assert.equal(findAnswer(Buffer.from('SSH-2.0\r\n\r\n'))?.status, 0);
  assert.equal(findAnswer(Buffer.from('HTTP/1.1 200 OK\r\n\r\n'))?.status, 0);
});

test('the upstream of its own answers the request of the benchmark', async () => {
  const [port] = (await freePorts(1)) as [number];
  const script = join(import.meta.dirname, '../../bench/upstream.ts');
  const child = spawn(process.execPath, [script, String(port)], { stdio: 'inherit' });
  try {
    const url = `http://127.0.0.1:${port}/mcp/mail`;
    let text = '';
    for (let attempt = 0; attempt < 200 && text === ''; attempt += 1) {
      text = await post(url, ALLOWED_BODY).then(
        (reply) => reply.text,
        () => '', // Not listening yet.
      );
      if (text === '') await sleep(25);
    }
    assert.match(text, new RegExp(UPSTREAM_MARK));
  } finally {
    child.kill();
  }
});
