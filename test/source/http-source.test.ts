/** A bundle over HTTP: from a real server that is slow, wrong, gone and back. */
import assert from 'node:assert/strict';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { openHttpSource } from '../../src/source/http-source.ts';
import { openHttpsClient } from '../../src/source/https-client.ts';
import { archiveOf, digestOf, Remembering } from './directives.ts';

async function served(t: TestContext, listener: RequestListener) {
  const server: Server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const client = await openHttpsClient({
    url: `http://127.0.0.1:${port}/bundle`,
    tokenFile: null,
    caFile: null,
  });
  const remembering = new Remembering(['a', 'b']);
  const source = openHttpSource({ client, listener: remembering, pollMs: 2, random: () => 0.5 });
  t.after(async () => {
    await source.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { source, heard: remembering };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** Answers with the bundle of that name, or with what it is told. */
function bundleServer() {
  const state = { word: 'a', status: 200, asked: 0, sent: 0, body: null as Buffer | null };
  const listener: RequestListener = (request, response) => {
    state.asked += 1;
    const body = state.body ?? archiveOf(state.word);
    const etag = `"${digestOf(body)}"`;
    if (state.status !== 200) response.writeHead(state.status).end();
    else if (request.headers['if-none-match'] === etag) response.writeHead(304).end();
    else {
      state.sent += 1;
      response.writeHead(200, { etag }).end(body);
    }
  };
  return { state, listener };
}

test('a bundle is fetched once, confirmed by 304, and replaced when it changes', async (t) => {
  const { state, listener } = bundleServer();
  const { source, heard } = await served(t, listener);
  await source.start();
  assert.deepEqual(heard.words, ['a']);
  await until(() => heard.unchanged >= 3);
  assert.equal(state.sent, 1);
  state.word = 'b';
  await until(() => heard.stable === 'b');
  assert.deepEqual([heard.words, state.sent], [['a', 'b'], 2]);
});

test('a server that is wrong for a while is said once, and after it everything is said in full', async (t) => {
  const { state, listener } = bundleServer();
  const { source, heard } = await served(t, listener);
  await source.start();
  state.status = 503;
  const before = state.asked;
  await until(() => state.asked > before + 4);
  assert.deepEqual([heard.errors, heard.stable], [['source_unreadable'], 'a']);
  state.status = 200;
  // An unchanged bundle would otherwise never count as confirmed again.
  await until(() => heard.words.length === 2);
  assert.deepEqual(heard.words, ['a', 'a']);
  await until(() => heard.unchanged > 0);
});

test('an archive that is none is said, and the next good one counts', async (t) => {
  const { state, listener } = bundleServer();
  state.body = Buffer.from('not a bundle');
  const { source, heard } = await served(t, listener);
  await source.start();
  assert.deepEqual([heard.errors, heard.words], [['archive_invalid'], []]);
  state.body = null;
  await until(() => heard.stable === 'a');
});

test('a bundle that the gate refused is not downloaded again and again', async (t) => {
  const { state, listener } = bundleServer();
  const { source, heard } = await served(t, listener);
  heard.refuses.add('a');
  await source.start();
  await until(() => state.asked > 5);
  assert.deepEqual([state.sent, heard.words], [1, ['a refused']]);
});

test('closing ends a request under way', async (t) => {
  const { source, heard } = await served(t, () => undefined);
  void source.start();
  await source.close();
  assert.deepEqual(heard.words, []);
});
