/** Who may read the admin surface: people and programs that ask by address, and no web page under a name of its own. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { adminApp, type ControlServer, serveControl } from '../../src/control/admin.ts';

const VIEW = {
  started: () => true,
  notReady: () => [],
  unhealthy: () => [],
  metrics: () => Promise.resolve({ contentType: 'text/plain', text: 'a_total 1' }),
  status: () => ({ agent: 'receipts-bot' }),
};

let server: ControlServer;
before(async () => {
  const at = { host: '127.0.0.1', port: 0 };
  server = await serveControl(adminApp(VIEW, 'egret-admin.example'), at, {
    connected: () => undefined,
  });
});
after(() => server.close());

async function answerTo(request: string): Promise<string> {
  const socket = connect(server.address.port, server.address.host);
  socket.setEncoding('utf8').write(request);
  let text = '';
  socket.on('data', (chunk: string) => {
    text += chunk;
  });
  await once(socket, 'close');
  return text;
}

const asked = (host: string, path: string) =>
  answerTo(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);

for (const host of [
  '127.0.0.1',
  '127.0.0.1:15090',
  '10.1.2.3:15090',
  '[::1]:15090',
  '[fd00::7]',
  'localhost',
  'LOCALHOST:15090',
  'egret-admin.example:15090',
]) {
  test(`asked as ${host} it answers`, async () => {
    assert.match(await asked(host, '/status'), /^HTTP\/1\.1 200 [\s\S]*receipts-bot/);
  });
}

for (const host of [
  'page.attacker.example',
  'page.attacker.example:15090',
  '127.0.0.1.attacker.example',
  'localhost.attacker.example',
  'attacker-localhost',
  '2130706433',
  '0x7f.1',
  'user@127.0.0.1',
  '',
  'a b',
]) {
  test(`asked as "${host}" it says nothing, on any path`, async () => {
    for (const path of ['/status', '/metrics', '/readyz', '/healthz', '/none']) {
      const answer = await asked(host, path);
      assert.match(answer, /^HTTP\/1\.1 421 /);
      assert.doesNotMatch(answer, /receipts-bot|a_total|paths/);
    }
  });
}

test('a probe of HTTP/1.0 without a Host is answered', async () => {
  assert.match(await answerTo('GET /readyz HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 200 /);
});
