// Whoever peeks takes nothing: the next reader gets every byte, whatever it is.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { peekClientHello, peekFirstByte } from '../../src/tls/peek.ts';
import { handshake, hello, helloBody, hostName, records, serverName } from './hello.ts';
import { listener, pair, run } from './wire.ts';

const LONG_MS = 10_000;
const helloOf = (name: string) => hello(serverName(hostName(name)));

test('the first byte is told and still there', async (t) => {
  const { client, server } = await pair(t);
  client.end('GET / HTTP/1.1\r\n\r\n');
  assert.deepEqual(await peekFirstByte(server, LONG_MS), { ok: true, byte: 71 });
  assert.equal(server.readableFlowing, null);
  assert.equal(String(await buffer(server)), 'GET / HTTP/1.1\r\n\r\n');
});

test('after the first byte the hello can be looked at, and after it the bytes be read', async (t) => {
  const { client, server } = await pair(t);
  const bytes = Buffer.concat([helloOf('api.example.com'), Buffer.from('and more')]);
  client.end(bytes);
  assert.deepEqual(await peekFirstByte(server, LONG_MS), { ok: true, byte: 22 });
  const found = await peekClientHello(server, { timeoutMs: LONG_MS });
  assert.equal(found.ok && found.serverName, 'api.example.com');
  assert.deepEqual(await buffer(server), bytes);
});

test('an HTTP server serves a connection that was peeked at', async (t) => {
  const inner = createServer((request, response) => response.end(`served ${request.url}`));
  t.after(() => inner.close());
  const port = await listener(t, (socket) => {
    void peekFirstByte(socket, LONG_MS).then(() => inner.emit('connection', socket));
  });
  const { out } = await run('curl', [
    '-sS',
    `http://127.0.0.1:${port}/a`,
    `http://127.0.0.1:${port}/b`,
  ]);
  assert.equal(out, 'served /aserved /b');
});

test('a client that sends nothing and goes is closed', async (t) => {
  const { client, server } = await pair(t);
  client.end();
  assert.deepEqual(await peekFirstByte(server, LONG_MS), { ok: false, reason: 'closed' });
});

test('a client that breaks off is closed', async (t) => {
  const { client, server } = await pair(t);
  client.resetAndDestroy();
  assert.deepEqual(await peekFirstByte(server, LONG_MS), { ok: false, reason: 'closed' });
});

test('a socket that is gone already is closed', async (t) => {
  const { server } = await pair(t);
  server.destroy();
  await once(server, 'close');
  assert.deepEqual(await peekFirstByte(server, LONG_MS), { ok: false, reason: 'closed' });
});

test('a client that sends nothing times out', async (t) => {
  const { server } = await pair(t);
  assert.deepEqual(await peekFirstByte(server, 20), { ok: false, reason: 'timeout' });
});

test('a hello that never becomes whole is call.timeout, its bytes unread', async (t) => {
  const { client, server } = await pair(t);
  client.write(helloOf('api.example.com').subarray(0, 30));
  const found = await peekClientHello(server, { timeoutMs: 50 });
  assert.equal(!found.ok && found.reason, 'call.timeout');
  client.end();
  assert.deepEqual(await buffer(server), helloOf('api.example.com').subarray(0, 30));
});

test('a connection that ends within the hello is call.not_tls', async (t) => {
  const { client, server } = await pair(t);
  client.end(helloOf('api.example.com').subarray(0, 30));
  const found = await peekClientHello(server, { timeoutMs: LONG_MS });
  assert.equal(!found.ok && found.reason, 'call.not_tls');
});

test('a hello with the end right behind it is read', async (t) => {
  const { client, server } = await pair(t);
  client.end(helloOf('api.example.com'));
  await turn();
  const found = await peekClientHello(server, { timeoutMs: LONG_MS });
  assert.equal(found.ok && found.serverName, 'api.example.com');
  assert.deepEqual(await buffer(server), helloOf('api.example.com'));
});

test('a refused hello is put back, so that it can still be recorded or answered', async (t) => {
  const { client, server } = await pair(t);
  client.end('SSH-2.0-x\r\n');
  const found = await peekClientHello(server, { timeoutMs: LONG_MS });
  assert.equal(!found.ok && found.reason, 'call.not_tls');
  assert.equal(String(await buffer(server)), 'SSH-2.0-x\r\n');
});

test('no listener of the peek stays on the socket', async (t) => {
  const { client, server } = await pair(t);
  const counts = (socket: Socket) =>
    ['readable', 'end', 'close', 'error', 'data'].map((event) => socket.listenerCount(event));
  const before = counts(server);
  client.write(helloOf('api.example.com'));
  await peekFirstByte(server, LONG_MS);
  await peekClientHello(server, { timeoutMs: LONG_MS });
  assert.deepEqual(counts(server), before);
});

test('in whatever pieces a hello arrives, it is found and no byte is lost', async () => {
  const pieces = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 200 });
  await fc.assert(
    fc.asyncProperty(pieces, fc.array(fc.nat(100), { maxLength: 9 }), async (sizes, cuts) => {
      const message = handshake(helloBody([serverName(hostName('api.example.com'))]));
      const bytes = Buffer.concat([records(message, cuts), Buffer.from('rest')]);
      const socket = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
      const peeked = peekClientHello(socket, { timeoutMs: LONG_MS });
      for (let at = 0, turnNumber = 0; at < bytes.length; turnNumber += 1) {
        const size = sizes[turnNumber % sizes.length] ?? 1;
        socket.push(bytes.subarray(at, at + size));
        at += size;
        await turn();
      }
      socket.push(null);
      const found = await peeked;
      assert.equal(found.ok && found.serverName, 'api.example.com');
      assert.deepEqual(await buffer(socket), bytes);
    }),
    { numRuns: 60 },
  );
});

test('whatever bytes arrive, they are answered or wait, and none is lost', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 40_000 }), async (bytes) => {
      const socket = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
      const peeked = peekClientHello(socket, { timeoutMs: LONG_MS });
      socket.push(Buffer.concat([Buffer.of(22, 3, 1), bytes]));
      await turn();
      socket.push(null);
      const found = await peeked;
      if (found.ok) return;
      assert.ok(['call.not_tls', 'call.bad_server_name'].includes(found.reason));
      if (!socket.readableEnded) assert.equal((await buffer(socket)).length, bytes.length + 3);
    }),
    { numRuns: 200 },
  );
});
