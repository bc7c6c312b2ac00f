/**
 * What a refusal does to its connection and to the other calls on it. The requests that are refused are in test/wire.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, mailCall } from './agent.ts';
import { decisionsOf, readLeaves } from './audit-log.ts';
import { auditOf, stageMail } from './stage.ts';
import { exchange } from './wire.ts';

void test('a refusal inside a pipeline says nothing about the calls behind it', async (t) => {
  const { sidecar, tool } = await stageMail(t);
  const host = `127.0.0.1:${sidecar.ports.gateway}`;
  const body = mailCall();
  const head = (path: string) =>
    `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\n`;
  const bad = `${head('/mcp/none')}Content-Length: ${body.length}\r\n\r\n${body}`;
  const good = `${head('/mcp/mail')}Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`;
  const answer = await exchange(sidecar.ports.gateway, bad + good, { untilClosed: true });
  const statuses = [...answer.raw.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => status);
  assert.deepEqual(statuses[0], '404');
  assert.equal(tool.received.length, statuses.length - 1, 'what was answered was forwarded once');
});

void test('garbage behind a call never stands in the answer to that call', async (t) => {
  const { sidecar } = await stageMail(t);
  const body = mailCall();
  const good =
    `POST /mcp/mail HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${body.length}\r\n\r\n${body}`;
  const { raw } = await exchange(sidecar.ports.gateway, `${good}no request\r\n\r\n`, {
    untilClosed: true,
  });
  assert.equal(raw, '', 'the connection is cut');
  const reasons = () =>
    decisionsOf(readLeaves(auditOf(sidecar))).map(({ egret }) => egret.enforcement?.reason);
  await eventually(() => reasons().length === 2);
  assert.deepEqual(reasons().toSorted(), ['call.malformed', 'policy.allowed']);
});

void test('a refused HEAD gets the head of its refusal and no content, and the connection goes on', async (t) => {
  const { sidecar } = await stageMail(t);
  const request = (path: string, more = '') =>
    `HEAD ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${more}\r\n`;
  const { raw } = await exchange(
    sidecar.ports.gateway,
    request('/none') + request('/tools/gmail/none', 'Connection: close\r\n'),
    { untilClosed: true },
  );
  const reasons = [...raw.matchAll(/\r\nx-egret-reason: ([^\r]*)\r\n/g)].map(
    ([, reason]) => reason,
  );
  assert.deepEqual(reasons, ['call.unknown_route', 'policy.no_match']);
  assert.match(raw, /\r\ncontent-length: [1-9]/);
  assert.match(raw, /^(HTTP\/1\.1 40[34][^\r]*\r\n([^\r]+\r\n)+\r\n){2}$/);
});

void test('a client that waits for 100 is asked for its body once its head is found sound, and not before', async (t) => {
  const { sidecar, tool } = await stageMail(t);
  const body = mailCall();
  const head = (path: string) =>
    `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n` +
    `Expect: 100-continue\r\nContent-Length: ${body.length}\r\n\r\n`;
  const asked = await exchange(sidecar.ports.gateway, head('/mcp/mail'), {
    untilClosed: true,
    onWritten: (socket) => socket.once('data', () => socket.write(body)),
  });
  assert.match(asked.raw, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
  assert.equal(tool.received.length, 1);
  assert.equal(tool.received[0]?.headers.expect, undefined);
  const refused = await exchange(sidecar.ports.gateway, head('/mcp/none'), { untilClosed: true });
  assert.equal(refused.status, 404);
  assert.equal(refused.ending, 'closed', 'the body that may still come is no request');
});

void test('a 405 names what is allowed, and the refusal of a bad message carries its id', async (t) => {
  const { sidecar } = await stageMail(t);
  const gateway = `http://127.0.0.1:${sidecar.ports.gateway}`;
  const put = await fetch(`${gateway}/mcp/mail`, { method: 'PUT' });
  assert.deepEqual([put.status, put.headers.get('allow')], [405, 'POST']);
  const traced = await exchange(
    sidecar.ports.gateway,
    'TRACE /tools/gmail/a HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n',
  );
  assert.match(
    traced.raw,
    /^HTTP\/1\.1 405 [\s\S]*\r\nallow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n/,
  );
  const body = { jsonrpc: '2.0', id: 'seven', method: 'tools/list', params: [] };
  const bad = await fetch(`${gateway}/mcp/mail`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const { id, error } = (await bad.json()) as { id: unknown; error: { data: { reason: string } } };
  assert.deepEqual([id, error.data.reason], ['seven', 'call.malformed']);
});
