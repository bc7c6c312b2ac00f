/** The admin listener under connections that ask nothing. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { adminApp, serveControl } from '../../src/control/admin.ts';

/** The bound of the listener. */
const CONNECTIONS_MAX = 64;

async function stage(t: TestContext): Promise<number> {
  const view = {
    started: () => true,
    notReady: () => [],
    unhealthy: () => [],
    metrics: () => Promise.resolve({ contentType: 'text/plain', text: '' }),
    status: () => ({}),
  };
  const at = { host: '127.0.0.1', port: 0 };
  const server = await serveControl(adminApp(view, at.host), at, { connected: () => undefined });
  t.after(() => server.close());
  return server.address.port;
}

async function opened(t: TestContext, port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port });
  t.after(() => socket.destroy());
  socket.on('error', () => socket.destroy());
  await once(socket, 'connect');
  return socket.resume();
}

test('connections that ask nothing make room for one that asks, the oldest first', async (t) => {
  const port = await stage(t);
  const oldest = await opened(t, port);
  const gone = once(oldest, 'close');
  const others: Socket[] = [];
  while (others.length < CONNECTIONS_MAX - 1) others.push(await opened(t, port));
  const answer = await fetch(`http://127.0.0.1:${port}/healthz`);
  assert.equal(answer.status, 200);
  await gone;
  assert.deepEqual(
    others.filter((socket) => socket.destroyed),
    [],
  );
});

test('a connection that asked lately outlasts ones that never did', async (t) => {
  const port = await stage(t);
  const asking = await opened(t, port);
  const mute = await opened(t, port);
  const gone = once(mute, 'close');
  asking.write('GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
  await once(asking, 'data');
  for (let more = 0; more < CONNECTIONS_MAX - 1; more += 1) await opened(t, port);
  await gone;
  assert.equal(asking.destroyed, false);
  asking.write('GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
  const [second] = (await once(asking, 'data')) as [Buffer];
  assert.match(second.toString(), /^HTTP\/1\.1 200 /);
});
