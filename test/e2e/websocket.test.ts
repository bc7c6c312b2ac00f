/**
 * WebSockets through a real sidecar: only where the configuration names the place, decided and recorded like any call,
 * each frame read strictly, and every limit told with its close code.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { ProxyAgent, WebSocket } from 'undici';
import { adminText, eventually } from './agent.ts';
import { assertPaired, assertVerifies, decisionsOf, outcomesOf, readLeaves } from './audit-log.ts';
import { auditOf, stageSidecar } from './stage.ts';
import {
  accept,
  close,
  closeCode,
  frame,
  KEY,
  masked,
  opening,
  openPeer,
  type Peer,
  reasonIn,
  stageWebSocketTool,
  type ToolOptions,
} from './websocket-peer.ts';

const PLACE = 'tool.example:80';
const CAPTURE = { hosts: ['127.0.0.1'], ports: { '80': 0, '443': 0 }, dns: { port: 0 } };

async function stage(
  t: TestContext,
  more: { tool?: ToolOptions; limits?: object; enforcement?: string; places?: string[] } = {},
) {
  const tool = await stageWebSocketTool(t, more.tool);
  const target = `127.0.0.1:${tool.port}`;
  const sidecar = await stageSidecar(t, {
    config: {
      enforcement: more.enforcement ?? 'dryrun',
      capture: CAPTURE,
      limits: more.limits ?? {},
      upstream: {
        hosts: { [PLACE]: target, 'plain.example:80': target },
        webSockets: more.places ?? [PLACE],
      },
    },
  });
  return { tool, sidecar };
}

type Staged = Awaited<ReturnType<typeof stage>>;

/** An open WebSocket: the agent's end and the tool's. */
async function opened(t: TestContext, { tool, sidecar }: Staged, lines: readonly string[] = []) {
  const agent = await openPeer(t, sidecar.ports['capture:80'], opening('tool.example', lines));
  assert.match(agent.head, /^HTTP\/1\.1 101 /, agent.head);
  return { agent, server: tool.peers.at(-1) as Peer };
}

const outcomes = ({ sidecar }: Staged) => outcomesOf(readLeaves(auditOf(sidecar)));

async function outcomeOf(staged: Staged) {
  await eventually(() => outcomes(staged).length > 0);
  return outcomes(staged)[0]?.egret.outcome;
}

void test('frames pass both ways, and the record says what happened', async (t) => {
  const staged = await stage(t);
  const { agent, server } = await opened(t, staged);
  assert.match(agent.head, /\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/);
  assert.match(agent.head, /\r\nx-egret-decision-id: /);
  agent.send(masked('hello'));
  await eventually(() => server.frames.length === 1);
  assert.deepEqual(server.frames[0], { opcode: 1, fin: true, masked: true, text: 'hello' });
  server.send(frame('and back'));
  await eventually(() => agent.frames.length === 1);
  assert.deepEqual(agent.frames[0], { opcode: 1, fin: true, masked: false, text: 'and back' });
  agent.send(close(1000, true));
  await eventually(() => closeCode(server) === 1000);
  server.send(close(1000, false));
  await eventually(() => closeCode(agent) === 1000 && agent.ended && server.ended);
  const outcome = await outcomeOf(staged);
  assert.deepEqual(
    [outcome?.result, outcome?.reason, outcome?.status, outcome?.resp_bytes],
    ['completed', null, 101, 8],
  );
  const leaves = readLeaves(auditOf(staged.sidecar));
  assertPaired(leaves);
  await assertVerifies(auditOf(staged.sidecar));
});

void test('the tool gets a key of the sidecar, a new mask, no extension and no hop-by-hop header', async (t) => {
  const staged = await stage(t);
  const offer = 'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits';
  const lines = [offer, 'Connection: keep-alive, Upgrade, X-Hop', 'X-Hop: 1', 'Cookie: a=b'];
  const { agent, server } = await opened(t, staged, lines);
  assert.doesNotMatch(server.head, /extensions|x-hop|keep-alive/i);
  assert.match(server.head, /\r\ncookie: a=b/i);
  assert.match(server.head, /^GET \/feed HTTP\/1\.1\r\n/);
  assert.match(server.head, /\r\nhost: tool\.example(\r\n|$)/i);
  assert.ok(!server.head.includes(KEY));
  assert.doesNotMatch(agent.head, /extensions/i);
});

void test('a subprotocol passes when it was offered, and the tool may not choose another', async (t) => {
  const more = ['Sec-WebSocket-Protocol: chat.v2'];
  const staged = await stage(t, { tool: { answer: (request) => accept(request, more) } });
  const { agent, server } = await opened(t, staged, ['Sec-WebSocket-Protocol: chat.v1, chat.v2']);
  assert.match(server.head, /\r\nsec-websocket-protocol: chat\.v1, chat\.v2/i);
  assert.match(agent.head, /\r\nsec-websocket-protocol: chat\.v2/);
  const port = staged.sidecar.ports['capture:80'];
  const other = await openPeer(
    t,
    port,
    opening('tool.example', ['Sec-WebSocket-Protocol: chat.v1']),
  );
  assert.equal(reasonIn(other), 'upstream.bad_response');
});

const ANSWERS: readonly [sentence: string, answer: (request: string) => string, reason: string][] =
  [
    ['a wrong accept', () => accept('\r\nsec-websocket-key: other'), 'upstream.bad_response'],
    [
      'an extension nobody offered',
      (request) => accept(request, ['Sec-WebSocket-Extensions: permessage-deflate']),
      'upstream.bad_response',
    ],
    [
      'another protocol',
      (request) => accept(request).replace('Upgrade: websocket', 'Upgrade: h2c'),
      'upstream.bad_response',
    ],
    [
      'two accepts',
      (request) => accept(request, ['Sec-WebSocket-Accept: x']),
      'upstream.bad_response',
    ],
    ['403', () => 'HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n', 'upstream.bad_response'],
    ['200', () => 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi', 'upstream.bad_response'],
    ['no HTTP', () => 'SSH-2.0-OpenSSH\r\n\r\n', 'upstream.bad_response'],
  ];
void test('a tool that answers the handshake with anything but a sound 101 opens nothing', async (t) => {
  let current: (request: string) => string = accept;
  const staged = await stage(t, { tool: { answer: (request) => current(request) } });
  for (const [sentence, answer, reason] of ANSWERS) {
    current = answer;
    const before = outcomes(staged).length;
    const agent = await openPeer(t, staged.sidecar.ports['capture:80'], opening('tool.example'));
    assert.match(agent.head, /^HTTP\/1\.1 502 /, sentence);
    assert.equal(reasonIn(agent), reason, sentence);
    await eventually(() => outcomes(staged).length > before);
    assert.equal(outcomes(staged).at(-1)?.egret.outcome?.reason, reason, sentence);
  }
});

void test('what is no sound opening, or has no place in the configuration, is refused and recorded', async (t) => {
  const { tool, sidecar } = await stage(t);
  const { 'capture:80': port, proxy, gateway } = sidecar.ports;
  const ask = async (bytes: string, at = port) => reasonIn(await openPeer(t, at, bytes));
  const here = 'tool.example';
  assert.equal(await ask(opening('plain.example')), 'call.upgrade_denied');
  assert.equal(await ask(opening(here, ['Upgrade: websocket, h2c'])), 'call.upgrade_denied');
  assert.equal(await ask(opening(here, ['Upgrade: tls/1.2'])), 'call.upgrade_denied');
  assert.equal(await ask(opening(here).replace('GET', 'POST')), 'call.upgrade_denied');
  assert.equal(await ask(opening(here, ['Content-Length: 0'])), 'call.upgrade_denied');
  assert.equal(await ask(opening(here).replace('HTTP/1.1', 'HTTP/1.0')), 'call.malformed');
  assert.equal(await ask(opening(here, ['Sec-WebSocket-Version: 12'])), 'call.bad_header');
  assert.equal(await ask(opening(here, ['Sec-WebSocket-Key: c2hvcnQ='])), 'call.bad_header');
  assert.equal(await ask(opening(here, ['Sec-WebSocket-Key: -'])), 'call.bad_header');
  assert.equal(await ask(opening(here, ['Sec-WebSocket-Protocol: a, a'])), 'call.bad_header');
  assert.equal(await ask(opening(here, ['Sec-WebSocket-Protocol: a b'])), 'call.bad_header');
  assert.equal(await ask(opening(here, ['Host: tool.example:81'])), 'call.bad_authority');
  assert.equal(await ask(`${opening(here)}early`), 'call.malformed');
  assert.equal(await ask(opening(PLACE, [], `http://${here}/feed`), gateway), 'call.unknown_route');
  assert.equal(await ask(opening(here), proxy), 'call.unknown_route');
  assert.equal(tool.peers.length, 0);
  assert.equal(decisionsOf(readLeaves(auditOf(sidecar))).length, 15);
});

void test('an opening is refused while an answer is under way on its connection', async (t) => {
  const { tool, sidecar } = await stage(t, { enforcement: 'deny' });
  const first = 'GET /slow HTTP/1.1\r\nHost: tool.example\r\n\r\n';
  const agent = await openPeer(t, sidecar.ports['capture:80'], first + opening('tool.example'));
  await eventually(() => decisionsOf(readLeaves(auditOf(sidecar))).length === 2);
  const reasons = decisionsOf(readLeaves(auditOf(sidecar))).map(
    ({ egret }) => egret.enforcement?.reason,
  );
  assert.deepEqual(reasons.toSorted(), ['call.upgrade_denied', 'policy.no_match']);
  assert.match(agent.head, /^HTTP\/1\.1 403 /);
  assert.equal(tool.peers.length, 0);
});

void test('h2c is ignored and not sent on', async (t) => {
  const answer = () => 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi';
  const { tool, sidecar } = await stage(t, { tool: { answer } });
  const lines = ['Upgrade: h2c', 'HTTP2-Settings: AAMAAABk', 'Connection: Upgrade, HTTP2-Settings'];
  const agent = await openPeer(t, sidecar.ports['capture:80'], opening('tool.example', lines));
  assert.match(agent.head, /^HTTP\/1\.1 200 /);
  assert.doesNotMatch(tool.peers[0]?.head ?? 'none', /h2c|settings/i);
});

void test('policy refuses a WebSocket before the tool hears of it', async (t) => {
  const { tool, sidecar } = await stage(t, { enforcement: 'deny' });
  const agent = await openPeer(t, sidecar.ports['capture:80'], opening('tool.example'));
  assert.match(agent.head, /^HTTP\/1\.1 403 /);
  assert.equal(reasonIn(agent), 'policy.no_match');
  assert.equal(tool.peers.length, 0);
});

const FAULTS: readonly [sentence: string, bytes: Buffer, code: number][] = [
  ['an unmasked frame', frame('hello'), 1002],
  ['a reserved bit', frame('hello', { masked: true, rsv: 4 }), 1002],
  ['a reserved opcode', masked('hello', 3), 1002],
  ['text that is not UTF-8', masked(Uint8Array.of(0xff)), 1007],
  ['a message over the maximum', masked('x'.repeat(1001)), 1009],
  ['too many frames', Buffer.concat(Array.from({ length: 60 }, () => masked('', 9))), 1008],
];
void test('a fault of the agent is closed with its code, and the tool is told 1001', async (t) => {
  const limits = { webSocketMessageBytesMax: 1000, webSocketFramesPerSecond: 50 };
  const staged = await stage(t, { limits });
  for (const [sentence, bytes, code] of FAULTS) {
    const before = outcomes(staged).length;
    const { agent, server } = await opened(t, staged);
    agent.send(bytes);
    await eventually(() => agent.ended && server.ended);
    assert.equal(closeCode(agent), code, sentence);
    assert.equal(closeCode(server), 1001, sentence);
    assert.ok(!server.frames.some(({ opcode }) => opcode < 8), sentence);
    await eventually(() => outcomes(staged).length > before);
    const outcome = outcomes(staged).at(-1)?.egret.outcome;
    assert.deepEqual([outcome?.result, outcome?.reason], ['client_aborted', 'call.bad_frame']);
  }
});

void test('a tool that masks its frames is closed with 1002, and the agent is told 1001', async (t) => {
  const staged = await stage(t);
  const { agent, server } = await opened(t, staged);
  server.send(masked('hello'));
  await eventually(() => agent.ended && server.ended);
  assert.deepEqual([closeCode(server), closeCode(agent)], [1002, 1001]);
  assert.equal((await outcomeOf(staged))?.reason, 'upstream.bad_response');
});

void test('a connection that breaks off ends the other side without a close frame', async (t) => {
  const staged = await stage(t);
  const { agent, server } = await opened(t, staged);
  server.send(frame('last words'));
  server.socket.end();
  await eventually(() => agent.ended);
  assert.equal(agent.frames[0]?.text, 'last words');
  assert.equal(closeCode(agent), 0);
  assert.equal((await outcomeOf(staged))?.reason, 'upstream.reset');
});

void test('a WebSocket without frames is closed after the idle time', async (t) => {
  const staged = await stage(t, { limits: { tunnelIdleMs: 200 } });
  const { agent, server } = await opened(t, staged);
  await eventually(() => closeCode(agent) === 1001 && closeCode(server) === 1001);
  agent.send(close(1001, true));
  server.send(close(1001, false));
  assert.equal((await outcomeOf(staged))?.result, 'completed');
});

void test('an agent that stops reading is cut after the stall time', async (t) => {
  const staged = await stage(t, {
    limits: { writeStallMs: 200, webSocketFramesPerSecond: 1_000_000 },
  });
  const { agent, server } = await opened(t, staged);
  agent.socket.pause();
  const big = frame(Buffer.alloc(1_000_000), { opcode: 2 });
  for (let count = 0; count < 40; count += 1) server.send(big);
  await eventually(() => server.ended);
  assert.equal((await outcomeOf(staged))?.result, 'client_aborted');
});

void test('shutting down tells both sides 1001, and WebSockets count as tunnels', async (t) => {
  const staged = await stage(t, { limits: { tunnelsMax: 1, drainMs: 5000 } });
  const { agent, server } = await opened(t, staged);
  const port = staged.sidecar.ports['capture:80'];
  assert.equal(reasonIn(await openPeer(t, port, opening('tool.example'))), 'call.overloaded');
  assert.match(await adminText(staged.sidecar.ports, '/status'), /"tunnels": ?1/);
  const stopped = staged.sidecar.stop();
  await eventually(() => closeCode(agent) === 1001 && closeCode(server) === 1001);
  agent.send(close(1001, true));
  server.send(close(1001, false));
  assert.equal(await stopped, 0);
  assert.equal((await outcomeOf(staged))?.reason, 'proxy.draining');
});

void test('a client library talks through a CONNECT tunnel, long messages and pings included', async (t) => {
  const staged = await stage(t);
  const dispatcher = new ProxyAgent({
    uri: `http://127.0.0.1:${staged.sidecar.ports.proxy}`,
    proxyTunnel: true,
  });
  const socket = new WebSocket('ws://tool.example/feed', { dispatcher, protocols: [] });
  t.after(() => dispatcher.close());
  await once(socket, 'open');
  const [server] = staged.tool.peers as [Peer];
  const long = 'grüße '.repeat(20_000);
  socket.send(long);
  const textOf = () =>
    Buffer.from(server.frames.map(({ text }) => text).join(''), 'latin1').toString();
  await eventually(() => textOf() === long);
  assert.deepEqual(
    server.frames.map(({ opcode, fin }) => [opcode, fin]),
    [
      [1, false],
      [0, false],
      [0, true],
    ],
  );
  server.send(frame('', { opcode: 9 }));
  await eventually(() => server.frames.some(({ opcode }) => opcode === 10));
  const message = once(socket, 'message') as Promise<[{ data: string }]>;
  server.send(Buffer.concat([frame('in ', { fin: false }), frame('parts', { opcode: 0 })]));
  assert.equal((await message)[0].data, 'in parts');
  socket.close(1000, 'done');
  await eventually(() => closeCode(server) === 1000);
  const ended = once(socket, 'close') as Promise<[{ code: number }]>;
  server.send(close(1000, false));
  assert.equal((await ended)[0].code, 1000);
});

void test('a tool of the gateway may have a WebSocket where its place is named', async (t) => {
  const tool = await stageWebSocketTool(t);
  const url = `http://127.0.0.1:${tool.port}`;
  const sidecar = await stageSidecar(t, {
    config: {
      enforcement: 'dryrun',
      tools: { feed: { url }, other: { url: url.replace('127.0.0.1', 'localhost') } },
      upstream: { webSockets: [`127.0.0.1:${tool.port}`] },
    },
  });
  const { gateway } = sidecar.ports;
  const ask = (name: string) =>
    openPeer(t, gateway, opening(`127.0.0.1:${gateway}`, [], `/tools/${name}/prices`));
  const agent = await ask('feed');
  assert.match(agent.head, /^HTTP\/1\.1 101 /, agent.head);
  assert.match(tool.peers[0]?.head ?? '', /^GET \/prices /);
  agent.send(masked('hello'));
  await eventually(() => tool.peers[0]?.frames[0]?.text === 'hello');
  assert.equal(reasonIn(await ask('other')), 'call.upgrade_denied');
});
