/**
 * Connections that the redirect captured: the place is the name in the request, never the address that was dialled.
 * The tests dial the capture listeners as the redirect would lead there.
 */
import assert from 'node:assert/strict';
import { Resolver } from 'node:dns/promises';
import { test } from 'node:test';
import { adminText, eventually } from './agent.ts';
import { decisionsOf, readLeaves } from './audit-log.ts';
import { auditOf, stageSidecar, stageTool } from './stage.ts';
import { exchange } from './wire.ts';

const CAPTURE = { hosts: ['127.0.0.1'], ports: { '80': 0, '443': 0 }, dns: { port: 0 } };

const get = (host: string, path = '/inbox') =>
  `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;

void test('a captured request is decided on the name in its Host header and recorded as captured', async (t) => {
  const tool = await stageTool(t);
  const upstream = { hosts: { 'tool.example:80': `127.0.0.1:${tool.port}` } };
  const sidecar = await stageSidecar(t, {
    config: { upstream, capture: CAPTURE, enforcement: 'dryrun' },
  });
  const port = sidecar.ports['capture:80'];
  const answer = await exchange(port, get('tool.example'));
  assert.equal(answer.status, 200);
  assert.equal(tool.received[0]?.url, '/inbox');
  assert.equal(tool.received[0]?.headers.host, 'tool.example');
  const [decision] = decisionsOf(readLeaves(auditOf(sidecar)));
  assert.equal(decision?.egret.req?.listener, 'capture');
});

void test('a captured request whose Host names another port than was dialled is refused', async (t) => {
  const tool = await stageTool(t);
  const upstream = { hosts: { 'tool.example:8080': `127.0.0.1:${tool.port}` } };
  const config = { upstream, capture: CAPTURE, enforcement: 'dryrun' };
  const sidecar = await stageSidecar(t, { config });
  const port = sidecar.ports['capture:80'];
  const ask = async (bytes: string) => (await exchange(port, bytes)).headers.get('x-egret-reason');
  assert.equal(await ask(get('tool.example:8080')), 'call.bad_authority');
  assert.equal(await ask(get('127.0.0.1')), 'upstream.address_denied');
  assert.equal(await ask('GET / HTTP/1.1\r\n\r\n'), 'call.bad_authority');
  assert.equal(
    await ask('GET http://tool.example/ HTTP/1.1\r\nHost: tool.example\r\n\r\n'),
    'call.bad_path',
  );
  const connect = 'CONNECT tool.example:8080 HTTP/1.1\r\nHost: tool.example:8080\r\n\r\n';
  assert.equal((await exchange(port, connect)).status, 405);
  assert.equal(tool.received.length, 0);
});

void test('a captured client that never finishes its headers is answered 408 and recorded', async (t) => {
  const sidecar = await stageSidecar(t, {
    config: { capture: CAPTURE, limits: { headersTimeoutMs: 1000 } },
  });
  const port = sidecar.ports['capture:80'];
  const answer = await exchange(port, 'GET / HTTP/1.1\r\nHost: tool');
  assert.equal(answer.status, 408);
  const silent = await exchange(port, '');
  assert.equal(silent.raw, '');
  const timedOut = () =>
    decisionsOf(readLeaves(auditOf(sidecar))).filter(
      ({ egret }) => egret.enforcement?.reason === 'call.timeout',
    );
  await eventually(() => timedOut().length === 2);
  assert.match(await adminText(sidecar.ports, '/metrics'), /listener="capture"/);
});

void test('the name server of a capture answers names of the catalogue and of the configuration only', async (t) => {
  const upstream = { hosts: { 'tool.example:80': '127.0.0.1:1' } };
  const capture = { ...CAPTURE, dns: { port: 0, names: ['*.more.example'], ipv4: '198.18.7.7' } };
  const sidecar = await stageSidecar(t, { config: { upstream, capture } });
  const resolver = new Resolver({ timeout: 2000, tries: 1 });
  resolver.setServers([`127.0.0.1:${sidecar.ports.dns}`]);
  for (const name of ['gmail.googleapis.com', 'tool.example', 'a.more.example']) {
    assert.deepEqual(await resolver.resolve4(name), ['198.18.7.7'], name);
  }
  await assert.rejects(resolver.resolve4('evil.example'), { code: 'ENOTFOUND' });
  await assert.rejects(resolver.resolveTxt('gmail.googleapis.com'), { code: 'EREFUSED' });
  const metrics = await adminText(sidecar.ports, '/metrics');
  assert.match(metrics, /egret_dns_queries_total\{result="[a-z_]+"\} 3/);
});
