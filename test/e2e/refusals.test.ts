/**
 * Requests that no honest client sends, as bytes on the socket: each is refused with its reason, leaves exactly one
 * leaf in the audit log, reaches no tool, and harms nobody after it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { REASONS, type ReasonCode } from '../../src/decision/reason.ts';
import { eventually, mailCall, sendMail } from './agent.ts';
import { assertVerifies, decisionsOf, readLeaves } from './audit-log.ts';
import {
  CONNECT_REFUSALS,
  GATEWAY_REFUSALS,
  type HostileRequest,
  PROXY_REFUSALS,
} from './hostile-requests.ts';
import { auditOf, stageMail } from './stage.ts';
import { exchange, type WireAnswer } from './wire.ts';

const TABLES = [
  ['gateway', GATEWAY_REFUSALS],
  ['proxy', PROXY_REFUSALS],
  ['proxy', CONNECT_REFUSALS],
] as const;

void test('hostile requests are refused', { timeout: 120_000 }, async (t) => {
  const limits = { headersTimeoutMs: 1000, requestTimeoutMs: 1000, bodyBytesMax: 100_000 };
  // Every port and address that a request could name is open, so that only the refusal stands in its way.
  const upstream = { privateAddresses: ['127.0.0.0/8', '::1/128'] };
  const { sidecar, tool } = await stageMail(t, {
    config: { limits, upstream, enforcement: 'dryrun' },
  });
  for (const [listener, table] of TABLES) {
    for (const row of table) {
      await t.test(`${listener}: ${row.sentence}`, async () => {
        const before = decisionsOf(readLeaves(auditOf(sidecar))).length;
        const forwarded = tool.received.length;
        const request = row.request({ tool: tool.port, listener: sidecar.ports[listener] });
        const answer = await exchange(sidecar.ports[listener], request);
        assertRefused(row, answer);
        // What the parser refused is recorded after it is answered.
        await eventually(() => decisionsOf(readLeaves(auditOf(sidecar))).length > before);
        const after = decisionsOf(readLeaves(auditOf(sidecar)));
        assert.equal(after.length, before + 1, 'one decision leaf');
        assert.equal(after.at(-1)?.egret.enforcement?.action, 'refuse');
        assert.equal(after.at(-1)?.egret.enforcement?.reason, row.reason);
        assert.equal(tool.received.length, forwarded, 'nothing is forwarded');
      });
    }
  }
  await t.test('after all of them the sidecar serves, and its log verifies', async () => {
    const forwarded = tool.received.length;
    const sent = await sendMail(sidecar.ports);
    assert.deepEqual([sent.status, sent.reason], [200, '']);
    assert.equal(tool.received.length, forwarded + 1);
    assert.equal(await sidecar.stop(), 0);
    const rows = TABLES.flatMap(([, table]) => table).length;
    assert.equal(decisionsOf(readLeaves(auditOf(sidecar))).length, rows + 1);
    await assertVerifies(auditOf(sidecar));
  });
});

function assertRefused(row: HostileRequest, answer: WireAnswer): void {
  const { status } = REASONS[row.reason as ReasonCode];
  assert.equal(answer.status, row.status ?? status, answer.raw);
  // What the parser itself refuses is answered without a body, so that nothing is echoed.
  if (row.bare === true) assert.equal(answer.body, '');
  else assert.equal(answer.headers.get('x-egret-reason'), row.reason, answer.raw);
}

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
