/**
 * Clients and tools that take nothing of what waits for them: cut after `limits.writeStallMs`, so that an answer nobody
 * reads holds no tool, no memory and no place. Slow readers and idle streams stay.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createHttpsServer } from 'node:https';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { eventually, MCP_HEADERS, mailCall, statusOf } from './agent.ts';
import { outcomesOf, readLeaves } from './audit-log.ts';
import { newDirectory, type SidecarProcess } from './sidecar-process.ts';
import { auditOf, removeAfter, stageRawTool, stageSidecar } from './stage.ts';
import { stageTlsServer, tlsTo } from './tls-stage.ts';

const STALL_MS = 400;
const LIMITS = { writeStallMs: STALL_MS };
const CHUNK = Buffer.alloc(64 * 1024, 'x');

/** Writes without end, as fast as it is read. */
function flood(socket: Socket, frame: (chunk: Buffer) => Buffer = (chunk) => chunk): void {
  const more = () => {
    while (!socket.destroyed && socket.write(frame(CHUNK)));
  };
  socket.on('drain', more);
  more();
}

const chunked = (chunk: Buffer) =>
  Buffer.concat([Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n')]);

const endless = (contentType: string) => (socket: Socket) => {
  socket.write(
    `HTTP/1.1 200 OK\r\ncontent-type: ${contentType}\r\ntransfer-encoding: chunked\r\n\r\n`,
  );
  flood(socket, chunked);
};

async function dial(t: TestContext, port: number, bytes: string): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' });
  t.after(() => socket.destroy());
  socket.on('error', () => socket.destroy());
  await once(socket, 'connect');
  socket.pause();
  socket.write(bytes);
  return socket;
}

/** The status line has to be read, or the kernel's own buffers would hold all. */
async function readOnce(socket: Socket): Promise<void> {
  socket.resume();
  await once(socket, 'data');
  socket.pause();
}

const closed = (socket: Socket) =>
  new Promise<void>((resolve) => {
    socket.once('close', () => resolve());
  });

const isIdle = async (sidecar: SidecarProcess) => {
  const { calls } = await statusOf(sidecar);
  return calls.under_way === 0 && calls.tunnels === 0;
};

/** How the one call of a sidecar ended, as soon as the log says so. */
async function onlyOutcome(sidecar: SidecarProcess) {
  const outcomes = () => outcomesOf(readLeaves(auditOf(sidecar)));
  await eventually(() => outcomes().length === 1);
  return outcomes()[0]?.egret.outcome;
}

void test('a call whose answer nobody reads is cut, and its outcome says that the client went', async (t) => {
  const tool = await stageRawTool(t, endless('text/plain'));
  const upstream = { hosts: { 'tool.example:80': `127.0.0.1:${tool.port}` } };
  const config = { upstream, limits: LIMITS, enforcement: 'dryrun' };
  const sidecar = await stageSidecar(t, { config });
  const request = 'GET http://tool.example/ HTTP/1.1\r\nHost: tool.example\r\n\r\n';
  await readOnce(await dial(t, sidecar.ports.proxy, request));
  await eventually(() => isIdle(sidecar));
  assert.equal((await onlyOutcome(sidecar))?.result, 'client_aborted');
});

void test('an event stream that nobody reads is cut', async (t) => {
  const tool = await stageRawTool(t, endless('text/event-stream'));
  const mcpServers = { mail: { url: `${tool.url}/mcp` } };
  const sidecar = await stageSidecar(t, { config: { mcpServers, limits: LIMITS } });
  const body = mailCall();
  const headers = Object.entries({
    ...MCP_HEADERS,
    host: '127.0.0.1',
    'content-length': body.length,
  })
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');
  const request = `POST /mcp/mail HTTP/1.1\r\n${headers}\r\n${body}`;
  await readOnce(await dial(t, sidecar.ports.gateway, request));
  await eventually(() => isIdle(sidecar));
});

void test('a reader that is slow but reads is not cut, nor is a stream that is silent', async (t) => {
  const flooding = await stageRawTool(t, endless('text/plain'));
  const silent = await stageRawTool(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n');
  });
  const hosts = {
    'flood.example:80': `127.0.0.1:${flooding.port}`,
    'silent.example:80': `127.0.0.1:${silent.port}`,
  };
  const config = { upstream: { hosts }, limits: LIMITS, enforcement: 'dryrun' };
  const sidecar = await stageSidecar(t, { config });
  const get = (host: string) => `GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
  const slow = await dial(t, sidecar.ports.proxy, get('flood.example'));
  const idle = await dial(t, sidecar.ports.proxy, get('silent.example'));
  await readOnce(idle);
  let received = 0;
  slow.on('data', (chunk: Buffer) => {
    received += chunk.length;
  });
  // Far more than any buffer of the kernel, over several times the bound.
  for (let step = 0; step < 40; step += 1) {
    const wanted = received + 512 * 1024;
    slow.resume();
    await eventually(() => received >= wanted);
    slow.pause();
    await new Promise((resolve) => setTimeout(resolve, STALL_MS / 8));
  }
  assert.equal(slow.destroyed, false);
  assert.equal(idle.destroyed, false);
  assert.equal((await statusOf(sidecar)).calls.under_way, 2);
});

void test('a tunnel is cut when its agent reads nothing, and when its tool reads nothing', async (t) => {
  const tool = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.pause();
    flood(socket);
  });
  tool.listen(0, '127.0.0.1');
  await once(tool, 'listening');
  t.after(() => tool.close());
  const { port } = tool.address() as { port: number };
  const upstream = { hosts: { 'tool.example:5000': `127.0.0.1:${port}` } };
  const config = { upstream, limits: LIMITS, enforcement: 'dryrun' };
  const sidecar = await stageSidecar(t, { config });
  const open = 'CONNECT tool.example:5000 HTTP/1.1\r\nHost: tool.example:5000\r\n\r\n';
  await readOnce(await dial(t, sidecar.ports.proxy, open));
  await eventually(() => isIdle(sidecar));
  const reading = await dial(t, sidecar.ports.proxy, open);
  reading.resume();
  flood(reading);
  await closed(reading);
  await eventually(() => isIdle(sidecar));
  const leaves = () => outcomesOf(readLeaves(auditOf(sidecar)));
  await eventually(() => leaves().length === 2);
  const outcomes = leaves().map(({ egret }) => egret.outcome);
  assert.deepEqual(
    outcomes.map((outcome) => [outcome?.result, outcome?.reason, outcome?.peer]),
    [
      ['client_aborted', null, `127.0.0.1:${port}`],
      ['upstream_error', 'upstream.timeout', `127.0.0.1:${port}`],
    ],
  );
});

void test('inside TLS that ends here it is the same', async (t) => {
  const { port, caFile } = await stageTlsServer(t, 'tool.example', (credentials) =>
    createHttpsServer(credentials, (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/plain' });
      const more = () => {
        while (response.write(CHUNK));
      };
      response.on('drain', more);
      more();
    }),
  );
  const place = 'tool.example:443';
  const directory = removeAfter(t, newDirectory());
  const config = {
    upstream: { hosts: { [place]: `127.0.0.1:${port}` }, caFiles: { [place]: caFile } },
    tls: { trustDirectory: join(directory, 'trust') },
    limits: LIMITS,
    enforcement: 'dryrun',
  };
  const sidecar = await stageSidecar(t, { config });
  const ca = readFileSync(join(directory, 'trust', 'bundle.pem'), 'utf8');
  const client = { port: sidecar.ports.proxy, servername: 'tool.example', connect: place, ca };
  const tls = await tlsTo(client);
  t.after(() => tls.destroy());
  tls.write('GET / HTTP/1.1\r\nHost: tool.example\r\n\r\n');
  await once(tls, 'data');
  tls.pause();
  await eventually(() => isIdle(sidecar));
  const outcome = await onlyOutcome(sidecar);
  assert.deepEqual([outcome?.result, outcome?.peer], ['client_aborted', `127.0.0.1:${port}`]);
});

void test('a client of the decision API that asks on and on and reads nothing is cut', async (t) => {
  const sidecar = await stageSidecar(t, { config: { limits: LIMITS } });
  const ask = 'GET /v1/nothing HTTP/1.1\r\nHost: localhost\r\n\r\n';
  const greedy = await dial(t, sidecar.ports.decision, ask);
  flood(greedy, () => Buffer.from(ask.repeat(500)));
  await closed(greedy);
  assert.equal((await statusOf(sidecar)).audit.healthy, true);
});

void test('an admin client that asks on and on and reads nothing is cut', async (t) => {
  const sidecar = await stageSidecar(t, { config: { limits: LIMITS } });
  const ask = 'GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n';
  const greedy = await dial(t, sidecar.ports.admin, ask);
  flood(greedy, () => Buffer.from(ask.repeat(100)));
  await closed(greedy);
  assert.equal((await statusOf(sidecar)).audit.healthy, true);
});
