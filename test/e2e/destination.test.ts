/**
 * Where a proxied call may go, whatever policy says: not into the private network, not to the sidecar's own listeners,
 * not to cloud metadata; and a tunnel is a call of its own.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from './agent.ts';
import { assertPaired, decisionsOf, outcomeOf, readLeaves } from './audit-log.ts';
import { auditOf, stageRawTool, stageSidecar, stageTool } from './stage.ts';
import { exchange, type WireAnswer } from './wire.ts';

const ask = (port: number, authority: string, path = '/'): Promise<WireAnswer> =>
  exchange(
    port,
    `GET http://${authority}${path} HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`,
    { untilClosed: true },
  );

const tunnel = (port: number, authority: string, first = ''): Promise<WireAnswer> =>
  exchange(port, `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n${first}`, {
    untilClosed: true,
  });

void test('without being told otherwise a proxied call reaches only the public internet', async (t) => {
  const tool = await stageTool(t);
  const sidecar = await stageSidecar(t, { config: { enforcement: 'dryrun' } });
  const places = ['127.0.0.1', 'localhost', '[::1]', '[::ffff:127.0.0.1]', '10.0.0.1', '0.0.0.0'];
  for (const place of [...places, '169.254.169.254', '[fe80::1]', '100.64.0.1']) {
    const plain = await ask(sidecar.ports.proxy, `${place}:${tool.port}`);
    assert.deepEqual(
      [plain.status, plain.headers.get('x-egret-reason')],
      [403, 'upstream.address_denied'],
      place,
    );
    const tunnelled = await tunnel(sidecar.ports.proxy, `${place}:${tool.port}`);
    assert.deepEqual(
      [tunnelled.status, tunnelled.headers.get('x-egret-reason')],
      [403, 'upstream.address_denied'],
      place,
    );
  }
  assert.equal(tool.received.length, 0);
  const unknown = await ask(sidecar.ports.proxy, 'nowhere.invalid');
  assert.deepEqual(
    [unknown.status, unknown.headers.get('x-egret-reason')],
    [502, 'upstream.unresolved'],
  );
});

void test('the own listeners and cloud metadata are no destination even in an open network', async (t) => {
  const tool = await stageTool(t);
  const privateAddresses = ['0.0.0.0/0', '::/0'];
  const sidecar = await stageSidecar(t, {
    config: { enforcement: 'dryrun', upstream: { privateAddresses, ports: [80, tool.port] } },
  });
  const open = await ask(sidecar.ports.proxy, `127.0.0.1:${tool.port}`);
  assert.equal(open.status, 200);
  const own = Object.values(sidecar.ports).flatMap((port) =>
    ['127.0.0.1', '127.0.0.2', 'localhost', '[::1]'].map((host) => `${host}:${port}`),
  );
  for (const place of [...own, '169.254.169.254:80', '0.0.0.0:1']) {
    const plain = await ask(sidecar.ports.proxy, place, '/status');
    assert.equal(plain.headers.get('x-egret-reason'), 'upstream.address_denied', place);
    if (place.endsWith(':80')) continue;
    const tunnelled = await tunnel(sidecar.ports.proxy, place, 'GET /status HTTP/1.1\r\n\r\n');
    assert.equal(tunnelled.headers.get('x-egret-reason'), 'upstream.address_denied', place);
  }
});

void test('a tunnel to a port of plain HTTP is no tunnel: each request in it is a call', async (t) => {
  const tool = await stageTool(t);
  const upstream = { hosts: { 'tool.example:80': `127.0.0.1:${tool.port}` } };
  const sidecar = await stageSidecar(t, { config: { upstream } });
  const inside = (host: string) =>
    `GET /inbox HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
  const denied = await tunnel(sidecar.ports.proxy, 'tool.example:80', inside('tool.example'));
  assert.match(denied.raw, /^HTTP\/1\.1 200 Connection Established\r\n\r\nHTTP\/1\.1 403/);
  assert.match(denied.raw, /x-egret-reason: policy\.no_match/);
  const fronted = await tunnel(sidecar.ports.proxy, 'tool.example:80', inside('other.example'));
  assert.match(fronted.raw, /x-egret-reason: call\.bad_authority/);
  assert.equal(tool.received.length, 0);
});

void test('a tunnel to any other port needs a policy that allows it, and its bytes pass unread', async (t) => {
  const tool = await stageRawTool(t, (socket) => socket.end('bytes from the tool'));
  const config = { upstream: { privateAddresses: ['127.0.0.0/8'], ports: [tool.port] } };
  const closed = await stageSidecar(t, { config });
  const refused = await tunnel(closed.ports.proxy, `127.0.0.1:${tool.port}`, 'hello\r\n\r\n');
  assert.deepEqual(
    [refused.status, refused.headers.get('x-egret-reason')],
    [403, 'policy.no_match'],
  );
  assert.equal(tool.connections(), 0);

  const open = await stageSidecar(t, { config: { ...config, enforcement: 'dryrun' } });
  const answer = await tunnel(open.ports.proxy, `127.0.0.1:${tool.port}`, 'hello\r\n\r\n');
  assert.equal(answer.status, 200);
  assert.equal(answer.body, 'bytes from the tool');
  const [decision] = decisionsOf(readLeaves(auditOf(open)));
  const id = decision?.decision_id ?? '';
  await eventually(() => outcomeOf(readLeaves(auditOf(open)), id) !== undefined);
  assert.equal(outcomeOf(readLeaves(auditOf(open)), id)?.result, 'completed');
  assert.equal(await open.stop(), 0);
  assertPaired(readLeaves(auditOf(open)));
});
