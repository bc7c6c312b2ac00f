/**
 * Tools that are down, slow, broken or hostile: the agent gets a reason or a cut connection, never a clean end of half
 * an answer, and the outcome in the audit log says what happened.
 */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { eventually, statusOf } from './agent.ts';
import { assertVerifies, outcomeOf, readLeaves } from './audit-log.ts';
import type { SidecarProcess } from './sidecar-process.ts';
import { auditOf, stageRawTool, stageSidecar, stageTool } from './stage.ts';
import { exchange } from './wire.ts';

/** Mode dryrun lets every call through, so that only the way out is tested. */
async function stageTools(
  t: TestContext,
  tools: Readonly<Record<string, string>>,
  config: Readonly<Record<string, unknown>> = {},
): Promise<SidecarProcess> {
  const configured = Object.fromEntries(
    Object.entries(tools).map(([name, url]) => [name, { url }]),
  );
  const upstream = { headersTimeoutMs: 1000, bodyTimeoutMs: 1000, connectTimeoutMs: 1000 };
  return stageSidecar(t, {
    config: { tools: configured, enforcement: 'dryrun', upstream, ...config },
  });
}

const get = (tool: string, more = '') =>
  `GET /tools/${tool}/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n${more}\r\n`;

interface BadTool {
  readonly name: string;
  readonly sentence: string;
  readonly answer: (socket: Socket) => void;
  /** What the agent gets: a status and its reason, or the beginning of an answer that breaks off. */
  readonly status: number;
  readonly reason: string;
  readonly cut?: true;
}

const OK = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n';

const BAD_TOOLS: readonly BadTool[] = [
  {
    name: 'silent',
    sentence: 'never answers',
    answer: () => undefined,
    status: 504,
    reason: 'upstream.timeout',
  },
  {
    name: 'reset',
    sentence: 'resets instead of answering',
    answer: (socket) => socket.resetAndDestroy(),
    status: 502,
    reason: 'upstream.reset',
  },
  {
    name: 'gone',
    sentence: 'closes instead of answering',
    answer: (socket) => socket.end(),
    status: 502,
    reason: 'upstream.reset',
  },
  {
    name: 'garbage',
    sentence: 'says what is no HTTP',
    answer: (socket) => socket.end('hello agent\r\n\r\n'),
    status: 502,
    reason: 'upstream.bad_response',
  },
  {
    name: 'upgrade',
    sentence: 'switches protocols unasked',
    answer: (socket) =>
      socket.write('HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nfree'),
    status: 502,
    reason: 'upstream.bad_response',
  },
  {
    name: 'flood',
    sentence: 'sends headers without end',
    answer: (socket) =>
      socket.write(`${OK}${'X-Flood: aaaaaaaaaaaaaaaaaaaaaaaa\r\n'.repeat(4000)}`),
    status: 502,
    reason: 'upstream.bad_response',
  },
  {
    name: 'many',
    sentence: 'sends 101 headers',
    answer: (socket) => socket.end(`${OK}${'A: b\r\n'.repeat(101)}Content-Length: 0\r\n\r\n`),
    status: 502,
    reason: 'upstream.bad_response',
  },
  {
    name: 'hints',
    sentence: 'sends early hints without end',
    answer: (socket) => {
      const timer = setInterval(
        () => socket.write('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'),
        2,
      );
      socket.once('close', () => clearInterval(timer));
    },
    status: 502,
    reason: 'upstream.bad_response',
  },
  {
    name: 'lengths',
    sentence: 'announces two lengths',
    answer: (socket) => socket.end(`${OK}Content-Length: 2\r\nContent-Length: 4\r\n\r\nabcd`),
    status: 502,
    reason: 'upstream.bad_response',
  },
  {
    name: 'short',
    sentence: 'announces more than it sends',
    answer: (socket) => socket.end(`${OK}Content-Length: 10\r\n\r\nhalf`),
    status: 200,
    reason: 'upstream.reset',
    cut: true,
  },
  {
    name: 'half',
    sentence: 'resets in the middle of its answer',
    answer: (socket) => {
      socket.write(`${OK}Content-Length: 10\r\n\r\nhalf`, () =>
        setTimeout(() => socket.resetAndDestroy(), 50),
      );
    },
    status: 200,
    reason: 'upstream.reset',
    cut: true,
  },
  {
    name: 'chunks',
    sentence: 'breaks off in the middle of its chunks',
    answer: (socket) => socket.end(`${OK}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n`),
    status: 200,
    reason: 'upstream.reset',
    cut: true,
  },
  {
    name: 'stall',
    sentence: 'stops in the middle of its answer',
    answer: (socket) => socket.write(`${OK}Content-Length: 10\r\n\r\nhalf`),
    status: 200,
    reason: 'upstream.timeout',
    cut: true,
  },
];

void test('a tool that misbehaves', { timeout: 60_000 }, async (t) => {
  const tools: Record<string, string> = { down: 'http://127.0.0.1:1' };
  for (const { name, answer } of BAD_TOOLS) tools[name] = (await stageRawTool(t, answer)).url;
  const sidecar = await stageTools(t, tools);
  for (const { name, sentence, status, reason, cut } of BAD_TOOLS) {
    await t.test(`${sentence}: ${reason}`, async () => {
      const answer = await exchange(sidecar.ports.gateway, get(name), { untilClosed: true });
      assert.equal(answer.status, status, answer.raw);
      const id = answer.headers.get('x-egret-decision-id') ?? '';
      if (cut === true) assertCut(answer.raw, answer.body);
      else assert.equal(answer.headers.get('x-egret-reason'), reason);
      assert.equal(answer.body.includes('free'), false);
      await eventually(() => outcomeOf(readLeaves(auditOf(sidecar)), id) !== undefined);
      const outcome = outcomeOf(readLeaves(auditOf(sidecar)), id);
      assert.deepEqual([outcome?.result, outcome?.reason], ['upstream_error', reason]);
      if (cut === true) assert.equal(outcome?.status, 200);
    });
  }
  await t.test('is down: upstream.connect_failed', async () => {
    const answer = await exchange(sidecar.ports.gateway, get('down'));
    assert.equal(answer.status, 502);
    assert.equal(answer.headers.get('x-egret-reason'), 'upstream.connect_failed');
    assert.equal(answer.headers.get('retry-after'), '1');
  });
  await t.test('and no connection or call stays behind', async () => {
    assert.equal((await statusOf(sidecar)).calls.under_way, 0);
    assert.equal(await sidecar.stop(), 0);
    await assertVerifies(auditOf(sidecar));
  });
});

/** Fewer bytes than announced, or chunks without the last one. */
function assertCut(raw: string, body: string): void {
  assert.match(body, /half/);
  assert.match(raw, /content-length: 10|transfer-encoding: chunked/i);
  assert.ok(!body.endsWith('0\r\n\r\n'), 'a broken answer must not look complete');
  if (/content-length: 10/i.test(raw)) assert.equal(body, 'half');
}

void test('an answer longer than announced ends where it was announced to end', async (t) => {
  const tool = await stageRawTool(t, (socket) =>
    socket.end(`${OK}Content-Length: 4\r\n\r\nhalfHTTP/1.1 200 OK\r\n\r\nsmuggled`),
  );
  const sidecar = await stageTools(t, { long: tool.url });
  for (let call = 0; call < 3; call += 1) {
    const answer = await exchange(sidecar.ports.gateway, get('long'), { untilClosed: true });
    assert.deepEqual([answer.status, answer.body], [200, 'half']);
  }
  assert.equal(tool.connections(), 3, 'such a connection is not used again');
});

void test('redirects, HEAD, 204 and 304 pass as they are', async (t) => {
  const elsewhere = await stageTool(t);
  const tool = await stageTool(t, ({ method, url }, response) => {
    if (url === '/redirect') response.writeHead(302, { location: elsewhere.url }).end();
    else if (url === '/none') response.writeHead(204).end();
    else if (url === '/same') response.writeHead(304, { etag: '"a"' }).end();
    else
      response
        .writeHead(200, { 'content-length': '5', 'x-egret-reason': 'forged', 'alt-svc': 'h3=":1"' })
        .end(method === 'HEAD' ? undefined : 'hello');
  });
  const sidecar = await stageTools(t, { odd: tool.url });
  const ask = (line: string) =>
    exchange(
      sidecar.ports.gateway,
      `${line} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`,
      { untilClosed: true },
    );
  const redirect = await ask('GET /tools/odd/redirect');
  assert.deepEqual([redirect.status, redirect.headers.get('location')], [302, elsewhere.url]);
  assert.equal(elsewhere.received.length, 0);
  const head = await ask('HEAD /tools/odd/');
  assert.deepEqual([head.status, head.headers.get('content-length'), head.body], [200, '5', '']);
  assert.equal(head.headers.has('x-egret-reason'), false, 'a tool cannot speak for the sidecar');
  assert.equal(head.headers.has('alt-svc'), false);
  const none = await ask('GET /tools/odd/none');
  assert.deepEqual([none.status, none.body], [204, '']);
  const same = await ask('GET /tools/odd/same');
  assert.deepEqual([same.status, same.headers.get('etag'), same.body], [304, '"a"', '']);
});
