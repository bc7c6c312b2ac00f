/** An agent that opens all it can: some descriptors are kept, and whoever finds none left is told so. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { adminText, eventually, mailCall, sendMail, statusOf } from './agent.ts';
import { stageMail, stageRawTool } from './stage.ts';

/** Half is kept back; of the other half agents may take three quarters, the rest is for the way to tools. */
const DESCRIPTORS_MAX = 512;
const LIMITS = { connectionsMax: 4096, tunnelsMax: 4096 };
const PLACE = 'tool.example:443';
const CONNECT = `CONNECT ${PLACE} HTTP/1.1\r\nHost: ${PLACE}\r\n\r\n`;

interface Wire {
  readonly socket: Socket;
  readonly text: () => string;
  readonly ended: () => boolean;
}

async function opened(t: TestContext, port: number): Promise<Wire> {
  const socket = connect({ host: '127.0.0.1', port });
  t.after(() => socket.destroy());
  let text = '';
  let ended = false;
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    ended = true;
  });
  await once(socket, 'connect');
  return { socket, text: () => text, ended: () => ended };
}

/** @param silent the tool takes calls and does not answer. */
async function stage(t: TestContext, silent = false) {
  const far = await stageRawTool(t, () => undefined);
  const mcpServers = { mail: { url: `${far.url}/mcp` } };
  const hosts = { [PLACE]: `127.0.0.1:${far.port}` };
  const { sidecar } = await stageMail(t, {
    descriptorsMax: DESCRIPTORS_MAX,
    config: {
      // So that CONNECT is not refused: what is tried here is room.
      enforcement: 'dryrun',
      limits: LIMITS,
      upstream: { hosts, connectionsMax: 4096 },
      ...(silent ? { mcpServers } : {}),
    },
  });
  const open = (listener: 'proxy' | 'gateway', count: number) =>
    Promise.all(Array.from({ length: count }, () => opened(t, sidecar.ports[listener])));
  const metric = async (pattern: RegExp) =>
    Number(pattern.exec(await adminText(sidecar.ports, '/metrics'))?.[1] ?? 0);
  const shed = () => metric(/^egret_shed_total\{cause="descriptors"\} (\d+)$/m);
  const taken = () => metric(/^process_open_fds (\d+)$/m);
  return { sidecar, open, shed, taken };
}

test('connections beyond the descriptors for agents are closed and counted, and the rest goes on', async (t) => {
  const { sidecar, open, shed } = await stage(t);
  const wires = await open('proxy', 400);
  const closed = () => wires.filter((wire) => wire.ended()).length;
  await eventually(async () => closed() > 200 && (await shed()) === closed());
  assert.match(await adminText(sidecar.ports, '/healthz'), /ok/);
  assert.equal((await statusOf(sidecar)).audit.healthy, true);
  for (const { socket } of wires) socket.destroy();
  await eventually(async () => {
    const answer = await sendMail(sidecar.ports).catch(() => null);
    return answer !== null && /sent/.test(answer.text);
  });
});

const body = mailCall();
const POST =
  `POST /mcp/mail HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n` +
  `Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2025-11-25\r\n` +
  `Content-Length: ${body.length}\r\n\r\n${body}`;

for (const [what, listener, bytes] of [
  ['tunnels', 'proxy', CONNECT],
  ['calls', 'gateway', POST],
] as const) {
  test(`${what} that find no descriptor on the way to their tool are refused as overload`, async (t) => {
    const { sidecar, open, shed, taken } = await stage(t, true);
    const before = await taken();
    const wires = await open(listener, 140);
    await eventually(async () => (await taken()) >= before + wires.length);
    assert.equal(await shed(), 0);
    for (const { socket } of wires) socket.write(bytes);
    const refused = () =>
      wires.filter((wire) => wire.text().includes('x-egret-reason: call.overloaded'));
    await eventually(async () => refused().length > 20 && (await shed()) === refused().length);
    assert.ok(refused().length < wires.length - 20);
    assert.equal((await statusOf(sidecar)).audit.healthy, true);
  });
}
