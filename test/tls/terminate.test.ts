// Real clients shake hands with a certificate made for the name they asked for, or are told why not.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { type ConnectionOptions, connect } from 'node:tls';
import { peekClientHello } from '../../src/tls/peek.ts';
import { terminateTls } from '../../src/tls/terminate.ts';
import { fileWith, listener, type Minted, minted, pair, run } from './wire.ts';

const LONG_MS = 10_000;
const HOST = 'api.example.com';

interface Intercepted {
  readonly port: number;
  /** What became of each handshake, in order. */
  readonly ends: string[];
}

/** Opens every TLS connection as `host`, and serves HTTP inside. */
async function intercept(
  t: TestContext,
  { cache }: Minted,
  { host = HOST, alpn = ['http/1.1'] as readonly string[] } = {},
): Promise<Intercepted> {
  const inner = createServer((request, response) => response.end(`inside ${request.url}`));
  t.after(() => inner.close());
  const ends: string[] = [];
  const serve = async (socket: Duplex) => {
    const hello = await peekClientHello(socket, { timeoutMs: LONG_MS });
    assert.ok(hello.ok);
    const context = await cache.contextFor(host);
    const ended = await terminateTls(socket, { host, alpn, context, timeoutMs: LONG_MS });
    ends.push(ended.ok ? ended.protocol : `${ended.reason}: ${ended.detail}`);
    if (ended.ok) inner.emit('connection', ended.socket);
  };
  const port = await listener(t, (socket) => void serve(socket));
  return { port, ends };
}

const curl = (port: number, ca: string, args: readonly string[], host = HOST) =>
  run('curl', ['-sS', '--cacert', ca, '--connect-to', `${host}:443:127.0.0.1:${port}`, ...args]);

test('curl trusts the leaf and gets the answers of both requests', async (t) => {
  const made = await minted();
  const { port, ends } = await intercept(t, made);
  const ca = fileWith(t, 'ca.crt', made.authority.certificatePem);
  const { out, error } = await curl(port, ca, [`https://${HOST}/a`, `https://${HOST}/b`]);
  assert.equal(out, 'inside /ainside /b', error);
  assert.deepEqual(ends, ['http/1.1']);
});

test('curl over TLS 1.2 is served, too', async (t) => {
  const made = await minted();
  const { port } = await intercept(t, made);
  const ca = fileWith(t, 'ca.crt', made.authority.certificatePem);
  const { out } = await curl(port, ca, ['--tls-max', '1.2', `https://${HOST}/a`]);
  assert.equal(out, 'inside /a');
});

test('curl to an address trusts a leaf for that address', async (t) => {
  const made = await minted();
  const { port, ends } = await intercept(t, made, { host: '127.0.0.1' });
  const ca = fileWith(t, 'ca.crt', made.authority.certificatePem);
  const { out, error } = await run('curl', ['-sS', '--cacert', ca, `https://127.0.0.1:${port}/a`]);
  assert.equal(out, 'inside /a', error);
  assert.deepEqual(ends, ['http/1.1']);
});

test('Python verifies the leaf for its name', async (t) => {
  const made = await minted();
  const { port } = await intercept(t, made);
  const ca = fileWith(t, 'ca.crt', made.authority.certificatePem);
  const script = `
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
context.verify_flags |= ssl.VERIFY_X509_STRICT
with context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[2]))), server_hostname="${HOST}") as s:
    s.sendall(b"GET /py HTTP/1.1\\r\\nHost: ${HOST}\\r\\nConnection: close\\r\\n\\r\\n")
    print(s.version(), s.makefile("rb").read().split(b"\\r\\n\\r\\n")[1].decode())
`;
  const { out, error } = await run('python3', ['-c', script, ca, String(port)]);
  assert.equal(out.trim(), 'TLSv1.3 inside /py', error);
});

test('a client that does not trust the authority is call.tls_failed, and the reason says so', async (t) => {
  const made = await minted();
  const { port, ends } = await intercept(t, made);
  const stranger = fileWith(t, 'ca.crt', (await minted()).authority.certificatePem);
  const { code } = await curl(port, stranger, [`https://${HOST}/a`]);
  assert.equal(code, 60);
  assert.match(ends[0] ?? '', /^call\.tls_failed: the client pins another certificate or does not/);
});

test('a client that pins another certificate is call.tls_failed or gone without a request', async (t) => {
  const made = await minted();
  const { port, ends } = await intercept(t, made);
  const ca = fileWith(t, 'ca.crt', made.authority.certificatePem);
  const pin = `sha256//${Buffer.alloc(32, 1).toString('base64')}`;
  const { code, out } = await curl(port, ca, ['--pinnedpubkey', pin, `https://${HOST}/a`]);
  assert.deepEqual([code, out, ends.length], [90, '', 1]);
});

test('a handshake for another name than the one decided on is call.bad_server_name', async (t) => {
  const made = await minted();
  const { port, ends } = await intercept(t, made);
  const { code } = await curl(port, '/dev/null', ['-k', 'https://other.test/'], 'other.test');
  assert.notEqual(code, 0);
  assert.deepEqual(ends, ['call.bad_server_name: the handshake is for another server name']);
});

for (const [sentence, args] of [
  ['a client of TLS 1.1 is call.tls_failed', ['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0']],
  ['a client without forward secrecy is call.tls_failed', ['-tls1_2', '-cipher', 'AES128-SHA']],
  ['a client with no protocol in common is call.tls_failed', ['-alpn', 'h2']],
] as const) {
  test(sentence, async (t) => {
    const { port, ends } = await intercept(t, await minted());
    const address = ['s_client', '-connect', `127.0.0.1:${port}`, '-servername', HOST];
    const { code } = await run('openssl', [...address, ...args]);
    assert.notEqual(code, 0);
    assert.match(ends[0] ?? '', /^call\.tls_failed: the handshake failed \([a-z0-9_]+\)$/);
  });
}

/** The protocol and session state of one handshake from Node. */
function shake(port: number, options: ConnectionOptions) {
  return new Promise<{ protocol: string | false | null; reused: boolean; session: Buffer | null }>(
    (resolve, reject) => {
      let session: Buffer | null = null;
      let reused = false;
      const socket = connect({ port, host: '127.0.0.1', servername: HOST, ...options }, () => {
        reused = socket.isSessionReused();
        socket.end('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
        socket.resume();
      });
      socket.on('session', (found) => {
        session = found;
      });
      socket.on('error', reject);
      socket.on('close', () => {
        resolve({ protocol: socket.alpnProtocol, reused, session });
      });
    },
  );
}

test('the best protocol of ours that the client offers is agreed on', async (t) => {
  const made = await minted();
  const ca = made.authority.certificatePem;
  const { port, ends } = await intercept(t, made, { alpn: ['h2', 'http/1.1'] });
  for (const offered of [['http/1.1', 'h2'], ['http/1.1'], undefined]) {
    await shake(port, { ca, ...(offered === undefined ? {} : { ALPNProtocols: offered }) }).catch(
      () => undefined,
    );
  }
  assert.deepEqual(ends, ['h2', 'http/1.1', 'http/1.1']);
});

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`no session is resumed over ${maxVersion}, whatever the client kept`, async (t) => {
    const made = await minted();
    const ca = made.authority.certificatePem;
    const { port } = await intercept(t, made);
    const first = await shake(port, { ca, maxVersion });
    const again = first.session === null ? {} : { session: first.session };
    const second = await shake(port, { ca, maxVersion, ...again });
    assert.deepEqual([first.reused, second.reused], [false, false]);
  });
}

test('renegotiation is refused', async (t) => {
  const made = await minted();
  const { port } = await intercept(t, made);
  const address = ['s_client', '-tls1_2', '-connect', `127.0.0.1:${port}`, '-servername', HOST];
  const { error } = await run('openssl', address, { input: 'R\n' });
  assert.match(error, /no renegotiation/);
});

test('a client that breaks off amid the handshake is call.tls_failed', async (t) => {
  const { cache } = await minted();
  const { client, server } = await pair(t);
  const context = await cache.contextFor(HOST);
  const ending = terminateTls(server, { host: HOST, alpn: [], context, timeoutMs: LONG_MS });
  client.end();
  const ended = await ending;
  assert.equal(!ended.ok && ended.reason, 'call.tls_failed');
});

test('a client that stays silent is call.tls_failed, and its socket is destroyed', async (t) => {
  const { cache } = await minted();
  const { server } = await pair(t);
  const context = await cache.contextFor(HOST);
  const ended = await terminateTls(server, { host: HOST, alpn: [], context, timeoutMs: 30 });
  assert.deepEqual(ended, {
    ok: false,
    reason: 'call.tls_failed',
    detail: 'the handshake took too long',
  });
  assert.equal(server.destroyed, true);
});

test('a socket that is gone before the handshake is call.tls_failed', async (t) => {
  const { cache } = await minted();
  const { server } = await pair(t);
  server.destroy();
  const context = await cache.contextFor(HOST);
  const ended = await terminateTls(server, { host: HOST, alpn: [], context, timeoutMs: LONG_MS });
  assert.equal(!ended.ok && ended.reason, 'call.tls_failed');
});

test('TLS inside a tunnel that HTTP opened is ended like any other', async (t) => {
  const made = await minted();
  const outer = createServer();
  t.after(() => outer.close());
  const inner = createServer((request, response) => response.end(`inside ${request.url}`));
  t.after(() => inner.close());
  const ends: boolean[] = [];
  outer.on('connect', (_request, socket: Duplex, head: Buffer) => {
    void (async () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      if (head.length > 0) socket.unshift(head);
      const hello = await peekClientHello(socket, { timeoutMs: LONG_MS });
      const context = await made.cache.contextFor(HOST);
      const ended = await terminateTls(socket, {
        host: HOST,
        alpn: ['http/1.1'],
        context,
        timeoutMs: LONG_MS,
      });
      ends.push(hello.ok && ended.ok);
      if (ended.ok) inner.emit('connection', ended.socket);
    })();
  });
  await new Promise<void>((resolve) => {
    outer.listen(0, '127.0.0.1', resolve);
  });
  const { port } = outer.address() as AddressInfo;
  const ca = fileWith(t, 'ca.crt', made.authority.certificatePem);
  const args = ['-sS', '--cacert', ca, '-x', `http://127.0.0.1:${port}`, `https://${HOST}/deep`];
  const { out, error } = await run('curl', args);
  assert.equal(out, 'inside /deep', error);
  assert.deepEqual(ends, [true]);
});
