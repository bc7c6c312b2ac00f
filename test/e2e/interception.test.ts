/**
 * TLS opened by the sidecar, captured and inside CONNECT: CONNECT authority, server name and Host are one place or the
 * call dies, and names that pass are decided on the name alone.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { hello, hostName, serverName } from '../tls/hello.ts';
import { eventually } from './agent.ts';
import { decisionsOf, type Leaf, readLeaves } from './audit-log.ts';
import { newDirectory } from './sidecar-process.ts';
import { auditOf, removeAfter, stageSidecar } from './stage.ts';
import { ask, publishedBundle, stageTlsTool, tlsTo } from './tls-stage.ts';
import { exchange } from './wire.ts';

const HOST = 'tool.example';
const CAPTURE = { hosts: ['127.0.0.1'], ports: { '80': 0, '443': 0 }, dns: { port: 0 } };

const get = (host: string, path = '/inbox') =>
  `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;

async function stage(t: TestContext, more: Record<string, unknown> = {}, tls = {}) {
  const tool = await stageTlsTool(t, HOST);
  const directory = removeAfter(t, newDirectory());
  const place = `${HOST}:443`;
  const sidecar = await stageSidecar(t, {
    config: {
      enforcement: 'dryrun',
      capture: CAPTURE,
      tls: { trustDirectory: join(directory, 'trust'), ...tls },
      upstream: {
        hosts: { [place]: `127.0.0.1:${tool.port}` },
        caFiles: { [place]: tool.caFile },
      },
      ...more,
    },
  });
  const ca = publishedBundle({ directory });
  return { tool, sidecar, ca, directory };
}

const reasonsOf = (leaves: readonly Leaf[]) =>
  decisionsOf(leaves).map(({ egret }) => egret.enforcement?.reason);

void test('a request inside captured TLS is a call of its own, and the tool is verified', async (t) => {
  const { tool, sidecar, ca } = await stage(t);
  const tls = await tlsTo({ port: sidecar.ports['capture:443'], servername: HOST, ca });
  assert.equal(tls.alpnProtocol, 'http/1.1');
  const answer = await ask(tls, get(HOST));
  assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
  assert.match(answer, /from the tool/);
  assert.deepEqual(tool.received, [`${HOST} GET /inbox`]);
  const [decision] = decisionsOf(readLeaves(auditOf(sidecar)));
  assert.equal(decision?.egret.req?.listener, 'capture');
});

void test('a request inside TLS inside CONNECT is a call of its own', async (t) => {
  const { tool, sidecar, ca } = await stage(t);
  const { proxy: port } = sidecar.ports;
  const tls = await tlsTo({ port, connect: `${HOST}:443`, servername: HOST, ca });
  assert.match(await ask(tls, get(HOST, '/a')), /from the tool/);
  assert.deepEqual(tool.received, [`${HOST} GET /a`]);
});

void test('policy decides each request inside TLS, and the agent reads the refusal', async (t) => {
  const { tool, sidecar, ca } = await stage(t, { enforcement: 'deny' });
  const { proxy: port } = sidecar.ports;
  const tls = await tlsTo({ port, connect: `${HOST}:443`, servername: HOST, ca });
  const answer = await ask(tls, get(HOST));
  assert.match(answer, /^HTTP\/1\.1 403 /);
  assert.match(answer, /x-egret-reason: policy\.no_match/);
  assert.deepEqual(tool.received, []);
});

void test('CONNECT authority, server name and Host must be one place', async (t) => {
  const { tool, sidecar, ca } = await stage(t);
  const { proxy: port } = sidecar.ports;
  const wrongName = { port, connect: `${HOST}:443`, servername: 'other.example', ca };
  await assert.rejects(tlsTo(wrongName), /alert|closed/);
  const nameless = { port, connect: `${HOST}:443`, servername: '', ca };
  await assert.rejects(tlsTo(nameless), /alert|closed/);
  const captured = { port: sidecar.ports['capture:443'], servername: '', ca };
  await assert.rejects(tlsTo(captured), /alert|closed/);
  for (const host of ['other.example', `${HOST}:8443`, `${HOST}:80`]) {
    const tls = await tlsTo({ port, connect: `${HOST}:443`, servername: HOST, ca });
    assert.match(await ask(tls, get(host)), /x-egret-reason: call\.bad_authority/, host);
  }
  assert.deepEqual(tool.received, []);
  const reasons = reasonsOf(readLeaves(auditOf(sidecar)));
  assert.deepEqual(reasons.slice(0, 3), Array(3).fill('call.bad_server_name'));
  assert.deepEqual(reasons.slice(3), Array(3).fill('call.bad_authority'));
});

void test('a name that passes is decided on the name alone and its TLS is the tool’s own', async (t) => {
  const { tool, sidecar, ca } = await stage(t, {}, { passthrough: [HOST] });
  const toolCa = readFileSync(tool.caFile, 'utf8');
  const captured = { port: sidecar.ports['capture:443'], servername: HOST };
  assert.match(await ask(await tlsTo({ ...captured, ca: toolCa }), get(HOST)), /from the tool/);
  await assert.rejects(tlsTo({ ...captured, ca }), /certificate/);
  const connected = { port: sidecar.ports.proxy, connect: `${HOST}:443`, ca: toolCa };
  assert.match(
    await ask(await tlsTo({ ...connected, servername: HOST }), get(HOST)),
    /from the tool/,
  );
  // The policy saw the name of the tunnel; the TLS inside may name no other.
  await assert.rejects(tlsTo({ ...connected, servername: 'other.example' }));
  const leaves = readLeaves(auditOf(sidecar));
  const seen = decisionsOf(leaves).map(({ input }) => input?.destination?.tls_intercepted);
  assert.deepEqual(seen, [false, false, false, false]);
});

void test('policy that says no to the name closes a captured connection before any byte leaves', async (t) => {
  const more = { enforcement: 'deny' };
  const { tool, sidecar, ca } = await stage(t, more, { passthrough: [HOST] });
  const captured = { port: sidecar.ports['capture:443'], servername: HOST, ca };
  await assert.rejects(tlsTo(captured), /alert|closed/);
  assert.deepEqual(tool.received, []);
  assert.deepEqual(reasonsOf(readLeaves(auditOf(sidecar))), ['policy.no_match']);
});

void test('a tool whose certificate nobody vouches for is not called', async (t) => {
  const stranger = await stageTlsTool(t, HOST);
  const other = await stage(t, {
    upstream: { hosts: { [`${HOST}:443`]: `127.0.0.1:${stranger.port}` } },
  });
  const answer = await ask(
    await tlsTo({ port: other.sidecar.ports['capture:443'], servername: HOST, ca: other.ca }),
    get(HOST),
  );
  assert.match(answer, /x-egret-reason: upstream\.certificate_invalid/);
  assert.deepEqual(stranger.received, []);
});

void test('a client that does not trust the authority is recorded as such', async (t) => {
  const { tool, sidecar } = await stage(t);
  const ca = readFileSync(tool.caFile, 'utf8');
  await assert.rejects(
    tlsTo({ port: sidecar.ports['capture:443'], servername: HOST, ca }),
    /certificate/,
  );
  await eventually(() => reasonsOf(readLeaves(auditOf(sidecar))).includes('call.tls_failed'));
});

void test('no key stands in the trust directory, and what is not TLS on a TLS port is refused', async (t) => {
  const { directory, sidecar } = await stage(t);
  const trust = join(directory, 'trust');
  assert.ok(existsSync(join(trust, 'ca.crt')));
  for (const name of readdirSync(trust)) {
    assert.doesNotMatch(readFileSync(join(trust, name), 'latin1'), /PRIVATE KEY/);
  }
  assert.ok(sidecar.lines.some((line) => line.includes('"tls.intercepting"')));
});

void test('a hello that may hide another name does not pass', async (t) => {
  const { tool, sidecar } = await stage(t, {}, { passthrough: [HOST] });
  const encrypted = { type: 0xfe0d, data: Buffer.alloc(64, 1) };
  const bytes = hello(serverName(hostName(HOST)), encrypted);
  const answer = await exchange(sidecar.ports['capture:443'], bytes, { untilClosed: true });
  assert.equal(answer.raw.charCodeAt(0), 21, 'a TLS alert');
  assert.deepEqual(reasonsOf(readLeaves(auditOf(sidecar))), ['call.bad_server_name']);
  assert.deepEqual(tool.received, []);
});
