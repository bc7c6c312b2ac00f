/**
 * The decision API from outside: who may ask what, how much, and that a registered upload is what makes an attachment
 * pass.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { startCollector } from '../telemetry/collector.ts';
import { adminText, eventually, mailCall, post, statusOf } from './agent.ts';
import { assertVerifies, decisionsOf, readLeaves } from './audit-log.ts';
import { REVIEW_TOKEN, UPLOAD_TOKEN } from './sidecar-process.ts';
import { auditOf, stageMail } from './stage.ts';
import { exchange } from './wire.ts';

const FILE = 'a receipt that the user has chosen';
const SHA256 = createHash('sha256').update(FILE).digest('hex');
const bearer = (token: string, type = 'application/json') => ({
  authorization: `Bearer ${token}`,
  'content-type': type,
});

const review = (to: string) => ({
  apiVersion: 'egret.dev/v1',
  kind: 'ToolCallReview',
  request: {
    tool: { name: 'gmail.send', operation: 'write', known: true },
    arguments: { to: [to], cc: [], bcc: [], subject: 'receipt', text: 'see above', html: '' },
    // Claims of the caller that are not the caller's to make.
    agent: { id: 'somebody-else' },
    environment: 'none',
    time_ns: 1,
  },
});

/** Whose request the record says it was: a client once its credential was believed, else the peer. */
function requesterOf(headers: Record<string, string>, reason: string): string {
  if (reason === 'identity.unauthenticated' || reason === 'call.unknown_route') return '127.0.0.1';
  return headers['authorization'] === `Bearer ${UPLOAD_TOKEN}` ? 'frontend' : 'agent';
}

interface Reviewed {
  readonly response: {
    readonly uid: string;
    readonly allowed: boolean;
    readonly outcome: string;
    readonly status: { readonly code: number; readonly reason: string };
    readonly policy: { readonly revision: string };
  };
}

void test('the decision API', { timeout: 60_000 }, async (t) => {
  const { sidecar, tool } = await stageMail(t, { config: { limits: { bodyBytesMax: 50_000 } } });
  const at = (path: string) => `http://127.0.0.1:${sidecar.ports.decision}${path}`;
  const reviewed = async (to: string) => {
    const answer = await post(at('/v1/review'), JSON.stringify(review(to)), bearer(REVIEW_TOKEN));
    assert.equal(answer.status, 200, answer.text);
    return (JSON.parse(answer.text) as Reviewed).response;
  };

  await t.test('says what would be decided, forwards nothing and records the advice', async () => {
    const allowed = await reviewed('accountant@example.com');
    assert.deepEqual([allowed.allowed, allowed.outcome], [true, 'allow']);
    const denied = await reviewed('somebody@else.example');
    assert.deepEqual([denied.allowed, denied.status.reason], [false, 'policy.denied']);
    assert.equal(tool.received.length, 0);
    const leaves = decisionsOf(readLeaves(auditOf(sidecar)));
    assert.deepEqual(
      leaves.map((leaf) => [leaf.decision_id, leaf.egret.enforcement?.action, leaf.requested_by]),
      [allowed.uid, denied.uid].map((id) => [id, 'advise', 'agent']),
    );
    assert.equal(JSON.stringify(leaves).includes('somebody-else'), false);
  });

  await t.test("answers OPA's data API with the same decision", async () => {
    const body = JSON.stringify({ input: review('accountant@example.com').request });
    const answer = await post(at('/v1/data/egret/decision'), body, bearer(REVIEW_TOKEN));
    assert.equal(answer.status, 200, answer.text);
    const { result } = JSON.parse(answer.text) as { result: { allowed: boolean } };
    assert.equal(result.allowed, true);
  });

  const body = JSON.stringify(review('accountant@example.com'));
  const big = 'x'.repeat(50_001);
  const refusals: readonly [string, string, string, Record<string, string>, string][] = [
    [
      'no credential',
      '/v1/review',
      body,
      { 'content-type': 'application/json' },
      'identity.unauthenticated',
    ],
    ['a wrong credential', '/v1/review', body, bearer('x'.repeat(40)), 'identity.unauthenticated'],
    [
      'an empty credential',
      '/v1/uploads',
      FILE,
      { authorization: 'Bearer ' },
      'identity.unauthenticated',
    ],
    [
      'another scheme',
      '/v1/review',
      body,
      { authorization: `Basic ${REVIEW_TOKEN}` },
      'identity.unauthenticated',
    ],
    [
      'an upload by the agent',
      '/v1/uploads',
      FILE,
      bearer(REVIEW_TOKEN, 'text/plain'),
      'identity.forbidden',
    ],
    ['a review by the front end', '/v1/review', body, bearer(UPLOAD_TOKEN), 'identity.forbidden'],
    ['no path', '/v1/none', body, bearer(REVIEW_TOKEN), 'call.unknown_route'],
    ['another data path', '/v1/data/policies', body, bearer(REVIEW_TOKEN), 'call.unknown_route'],
    ['too large a body', '/v1/review', big, bearer(REVIEW_TOKEN), 'call.too_large'],
    ['too large a file', '/v1/uploads', big, bearer(UPLOAD_TOKEN, 'text/plain'), 'call.too_large'],
    ['no JSON', '/v1/review', '{', bearer(REVIEW_TOKEN), 'call.malformed'],
    [
      'a key that stands twice',
      '/v1/review',
      '{"request":1,"request":2}',
      bearer(REVIEW_TOKEN),
      'call.duplicate_key',
    ],
    ['no tool', '/v1/review', '{"request":{}}', bearer(REVIEW_TOKEN), 'call.malformed'],
    ['an empty file', '/v1/uploads', '', bearer(UPLOAD_TOKEN, 'text/plain'), 'call.malformed'],
    [
      'a hash that is none',
      '/v1/uploads',
      '{"sha256":"ABC"}',
      bearer(UPLOAD_TOKEN),
      'call.malformed',
    ],
  ];
  for (const [sentence, path, content, headers, reason] of refusals) {
    await t.test(`refuses ${sentence}: ${reason}`, async () => {
      const answer = await post(at(path), content, headers);
      const told = JSON.parse(answer.text) as { reason: string; status: number };
      assert.deepEqual([told.reason, told.status], [reason, answer.status]);
      const leaf = decisionsOf(readLeaves(auditOf(sidecar))).at(-1);
      assert.deepEqual(
        [leaf?.decision_id, leaf?.egret.enforcement?.reason, leaf?.egret.enforcement?.action],
        [answer.decisionId, reason, 'refuse'],
      );
      assert.equal(leaf?.requested_by, requesterOf(headers, reason));
    });
  }
  await t.test('refuses a compressed body: call.unsupported_encoding', async () => {
    const headers = { ...bearer(REVIEW_TOKEN), 'content-encoding': 'gzip' };
    const answer = await post(at('/v1/review'), Buffer.from(gzipSync(body)), headers);
    assert.match(answer.text, /call\.unsupported_encoding/);
  });
  await t.test('reads paths letter by letter and takes nothing but POST', async () => {
    const wrong = await post(at('/V1/Uploads/'), FILE, bearer(UPLOAD_TOKEN, 'text/plain'));
    assert.equal(wrong.reason, 'call.unknown_route');
    const got = await fetch(at('/v1/review'), { headers: bearer(REVIEW_TOKEN) });
    assert.deepEqual([got.status, got.headers.get('allow')], [405, 'POST']);
  });
  await t.test(
    'records bytes that are no request, and one that breaks in its body once',
    async () => {
      const reasons = () =>
        decisionsOf(readLeaves(auditOf(sidecar))).map(({ egret }) => egret.enforcement?.reason);
      const before = reasons().length;
      const garbage = await exchange(sidecar.ports.decision, 'no request\r\n\r\n');
      assert.equal(garbage.status, 400);
      await eventually(() => reasons().length === before + 1);
      const head = `POST /v1/review HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${REVIEW_TOKEN}\r\n`;
      const chunk = 'Transfer-Encoding: chunked\r\n\r\n2\r\n{"\r\nno size\r\n';
      await exchange(sidecar.ports.decision, head + chunk);
      await eventually(() => reasons().length > before + 1);
      assert.deepEqual(reasons().slice(before), ['call.malformed', 'call.malformed']);
    },
  );
  await t.test("names the place in OPA's own document when that is wrong", async () => {
    const answer = await post(at('/v1/data/egret/decision'), '{}', bearer(REVIEW_TOKEN));
    assert.match(answer.text, /"detail":"input: /);
  });
  await t.test('shows every refusal in its metrics, and no credential in its log', async () => {
    const metrics = await adminText(sidecar.ports, '/metrics');
    assert.match(metrics, /egret_calls_total\{[^}]*identity\.unauthenticated[^}]*\} 4/);
    const log = sidecar.lines.filter((line) => line.includes('identity.refused'));
    assert.equal(log.length, 6);
    assert.equal(log.join().includes(REVIEW_TOKEN), false);
  });
  await t.test('has registered nothing of all this, and its log verifies', async () => {
    assert.equal((await statusOf(sidecar)).uploads, 0);
    assert.equal(await sidecar.stop(), 0);
    await assertVerifies(auditOf(sidecar));
  });
});

void test('a review is a span in the trace of who asks, with deciding and recording below it', async (t) => {
  const collector = await startCollector();
  t.after(() => collector.close());
  const telemetry = { traces: { endpoint: collector.url } };
  const { sidecar } = await stageMail(t, { config: { telemetry } });
  const trace = '0af7651916cd43dd8448eb211c80319c';
  const headers = { ...bearer(REVIEW_TOKEN), traceparent: `00-${trace}-b7ad6b7169203331-01` };
  const url = `http://127.0.0.1:${sidecar.ports.decision}/v1/review`;
  await post(url, JSON.stringify(review('accountant@example.com')), headers);
  await eventually(() => collector.spans.length === 3);
  const names = collector.spans.map(({ name }) => name).toSorted();
  assert.deepEqual(names, ['POST /v1/review', 'audit.commit', 'policy.evaluate']);
  assert.ok(collector.spans.every(({ traceId }) => traceId === trace));
  assert.equal(decisionsOf(readLeaves(auditOf(sidecar)))[0]?.trace_id, trace);
});

void test('an attachment passes when its bytes were registered, and not otherwise', async (t) => {
  const { sidecar, tool } = await stageMail(t);
  const upload = (content: string, type: string) =>
    post(
      `http://127.0.0.1:${sidecar.ports.decision}/v1/uploads`,
      content,
      bearer(UPLOAD_TOKEN, type),
    );
  const send = (content: string, claims: object = {}) => {
    const attachment = {
      filename: 'receipt.txt',
      content: Buffer.from(content).toString('base64'),
      ...claims,
    };
    const mail = { attachments: [attachment] } as object;
    return post(`http://127.0.0.1:${sidecar.ports.gateway}/mcp/mail`, mailCall(mail));
  };
  assert.equal((await send(FILE)).reason, 'policy.denied', 'nobody has registered it');
  assert.equal(
    (await send(FILE, { source: 'explicit_user_upload' })).reason === '',
    false,
    'a claim is no fact',
  );
  assert.equal(tool.received.length, 0);
  assert.equal((await upload(FILE, 'application/octet-stream')).status, 201);
  const sent = await send(FILE);
  assert.equal(sent.reason, '', sent.text);
  assert.equal((await send(`${FILE} and more`)).reason, 'policy.denied', 'other bytes');
  const announced = createHash('sha256').update('another file').digest('hex');
  assert.equal((await send('another file')).reason, 'policy.denied');
  assert.equal(
    (await upload(JSON.stringify({ sha256: announced }), 'application/json')).status,
    201,
  );
  assert.equal((await send('another file')).reason, '');
  assert.equal((await statusOf(sidecar)).uploads, 2);
  const registered = readLeaves(auditOf(sidecar))
    .map(({ egret }) => egret.lifecycle)
    .filter((lifecycle) => lifecycle?.event === 'upload_registered');
  assert.equal(JSON.stringify(registered[0]?.detail).includes(SHA256), true);
});

void test('a review that is under way at SIGTERM is answered before the process ends', async (t) => {
  const { sidecar } = await stageMail(t);
  const body = JSON.stringify({ request: { tool: { name: 'gmail.send' }, arguments: {} } });
  const socket = connect(sidecar.ports.decision, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.write(
    `POST /v1/review HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${REVIEW_TOKEN}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 9)}`,
  );
  await once(socket, 'connect');
  const stopped = sidecar.stop();
  const refusesCalls = () =>
    new Promise<boolean>((resolve) => {
      const call = connect(sidecar.ports.gateway, '127.0.0.1', () => resolve(false));
      call.on('error', () => resolve(true)).on('connect', () => call.destroy());
    });
  await eventually(refusesCalls);
  socket.write(body.slice(9));
  const [answer] = (await once(socket, 'data')) as [Buffer];
  assert.match(answer.toString(), /^HTTP\/1\.1 200 /);
  assert.equal(await stopped, 0);
});
