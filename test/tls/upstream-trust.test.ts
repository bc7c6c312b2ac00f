// Upstream certificates are believed for the right roots and the right name only, and a failure says so.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { connect, createServer } from 'node:tls';
import { REASONS } from '../../src/decision/reason.ts';
import { createCertificateAuthority } from '../../src/tls/certificate-authority.ts';
import { RootsError } from '../../src/tls/roots.ts';
import {
  createUpstreamTrust,
  isCertificateError,
  type UpstreamTls,
} from '../../src/tls/upstream-trust.ts';
import { fileWith } from './wire.ts';

const HOUR_MS = 3_600_000;
const authorityAt = (nowMs: number) =>
  createCertificateAuthority({ names: [], validHours: 48, nowMs });
const [TRUSTED, PINNED] = [await authorityAt(Date.now()), await authorityAt(Date.now())];

/** A server with a certificate for `host`. */
async function upstream(
  t: TestContext,
  host: string,
  { authority = TRUSTED, nowMs = Date.now() } = {},
): Promise<number> {
  const { certificatePem, keyPem } = await authority.issue(host, nowMs);
  const server = createServer({ cert: certificatePem, key: keyPem }, (socket) => socket.end('hi'));
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** Null when the connection was believed. */
function dial(port: number, tls: UpstreamTls): Promise<NodeJS.ErrnoException | null> {
  return new Promise((resolve) => {
    const socket = connect({ ...tls, host: '127.0.0.1', port }, () => resolve(null));
    socket.on('error', resolve);
    socket.resume();
  });
}

const rootsFile = (t: TestContext, authority = TRUSTED) =>
  fileWith(t, 'roots.pem', `# the roots\n${authority.certificatePem}`);

test('a certificate from the roots for the host asked for is believed', async (t) => {
  const port = await upstream(t, 'api.example.com');
  const trust = createUpstreamTrust({ rootsFile: rootsFile(t), caFiles: {} });
  assert.equal(await dial(port, trust.tlsFor('api.example.com', 443)), null);
});

test('an address is checked against the addresses of the certificate', async (t) => {
  const port = await upstream(t, '127.0.0.1');
  const trust = createUpstreamTrust({ rootsFile: rootsFile(t), caFiles: {} });
  assert.equal(await dial(port, trust.tlsFor('127.0.0.1', 443)), null);
  const error = await dial(port, trust.tlsFor('127.0.0.2', 443));
  assert.equal(error?.code, 'ERR_TLS_CERT_ALTNAME_INVALID');
});

test('a certificate for another name is upstream.certificate_invalid, whatever name the connection sends', async (t) => {
  const port = await upstream(t, 'other.example.com');
  const trust = createUpstreamTrust({ rootsFile: rootsFile(t), caFiles: {} });
  const tls = { ...trust.tlsFor('api.example.com', 443), servername: 'other.example.com' };
  const error = await dial(port, tls);
  assert.equal(error?.code, 'ERR_TLS_CERT_ALTNAME_INVALID');
  assert.equal(isCertificateError(error), true);
  assert.equal(REASONS['upstream.certificate_invalid'].status, 502);
});

test('a certificate from elsewhere is a certificate error', async (t) => {
  const port = await upstream(t, 'api.example.com', { authority: PINNED });
  const trust = createUpstreamTrust({ rootsFile: rootsFile(t), caFiles: {} });
  assert.equal(isCertificateError(await dial(port, trust.tlsFor('api.example.com', 443))), true);
});

test('an expired certificate is a certificate error', async (t) => {
  const nowMs = Date.now() - 30 * HOUR_MS;
  const port = await upstream(t, 'api.example.com', { authority: await authorityAt(nowMs), nowMs });
  const trust = createUpstreamTrust({ rootsFile: undefined, caFiles: {} });
  assert.equal(isCertificateError(await dial(port, trust.tlsFor('api.example.com', 443))), true);
});

test('a port where nobody listens is no certificate error', async () => {
  const trust = createUpstreamTrust({ rootsFile: undefined, caFiles: {} });
  const error = await dial(1, trust.tlsFor('api.example.com', 443));
  assert.equal(error?.code, 'ECONNREFUSED');
  assert.equal(isCertificateError(error), false);
  for (const other of [null, undefined, 'CERT_HAS_EXPIRED', {}]) {
    assert.equal(isCertificateError(other), false);
  }
});

test('where roots are pinned they alone are believed, there and nowhere else', async (t) => {
  const pin = rootsFile(t, PINNED);
  const trust = createUpstreamTrust({
    rootsFile: rootsFile(t),
    caFiles: { 'api.example.com:443': pin, '*.pinned.test:443': pin, '[2001:db8::1]:443': pin },
  });
  const [roots, pinned] = [trust.tlsFor('a.test', 443), trust.tlsFor('api.example.com', 443)];
  assert.notEqual(roots.secureContext, pinned.secureContext);
  const isPinned = (host: string, port: number) =>
    trust.tlsFor(host, port).secureContext !== roots.secureContext;
  assert.equal(isPinned('api.example.com', 8443), false);
  assert.equal(isPinned('b.api.example.com', 443), false);
  assert.equal(isPinned('pinned.test', 443), false);
  assert.equal(isPinned('a.b.pinned.test', 443), true);
  assert.equal(isPinned('2001:db8::1', 443), true);
  const fromRoots = await upstream(t, 'api.example.com');
  const fromPin = await upstream(t, 'api.example.com', { authority: PINNED });
  assert.equal(isCertificateError(await dial(fromRoots, pinned)), true);
  assert.equal(await dial(fromPin, pinned), null);
});

test('the nearest pattern wins, and the host itself before any', async (t) => {
  const files = [rootsFile(t, PINNED), rootsFile(t), rootsFile(t, PINNED)];
  const [exact = '', near = '', far = ''] = files;
  const caFiles = { '*.test:443': far, '*.b.test:443': near, 'a.b.test:443': exact };
  const trust = createUpstreamTrust({ rootsFile: undefined, caFiles });
  const hosts = ['a.b.test', 'x.b.test', 'x.test'];
  const contexts = hosts.map((host) => trust.tlsFor(host, 443).secureContext);
  assert.equal(new Set(contexts).size, 3);
  const port = await upstream(t, 'x.b.test');
  assert.equal(await dial(port, trust.tlsFor('x.b.test', 443)), null);
});

test('the roots of the machine are many, and their texts are certificates', () => {
  const { roots } = createUpstreamTrust({ rootsFile: undefined, caFiles: {} });
  assert.ok(roots.length > 20);
  assert.ok(roots.every((pem) => pem.startsWith('-----BEGIN CERTIFICATE-----')));
});

for (const [sentence, content] of [
  ['without a certificate', '-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n'],
  ['with a broken certificate', '-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n'],
  ['of nothing', ''],
] as const) {
  test(`a file ${sentence} is refused, and the message names it`, (t) => {
    const file = fileWith(t, 'roots.pem', content);
    for (const options of [
      { rootsFile: file, caFiles: {} },
      { rootsFile: undefined, caFiles: { 'a.test:443': file } },
    ]) {
      assert.throws(
        () => createUpstreamTrust(options),
        (error: Error) => {
          assert.ok(error instanceof RootsError);
          assert.ok(error.message.startsWith(`${file}: `));
          return true;
        },
      );
    }
  });
}

test('a file that is not there is refused, and the message names it', () => {
  const options = { rootsFile: '/nonexistent/roots.pem', caFiles: {} };
  assert.throws(
    () => createUpstreamTrust(options),
    /^RootsError: \/nonexistent\/roots\.pem: .*ENOENT/,
  );
});
