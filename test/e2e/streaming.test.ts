/**
 * Answers as they arrive: events one by one, large bodies both ways at the pace of the slower side, and an agent that
 * leaves takes its call with it.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { get, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, MCP_HEADERS, mailCall, statusOf } from './agent.ts';
import { outcomeOf, readLeaves } from './audit-log.ts';
import { auditOf, stageSidecar, stageTool } from './stage.ts';

const MiB = 1024 * 1024;
const dryrun = (url: string, more: object = {}) => ({
  config: { tools: { stream: { url } }, enforcement: 'dryrun', ...more },
});

async function answered(request: ReturnType<typeof get>): Promise<IncomingMessage> {
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return response;
}

for (const [way, path, body] of [
  ['a tool', '/tools/stream/events', null],
  ['an MCP server', '/mcp/stream', mailCall()],
] as const) {
  void test(`an event of ${way} reaches the agent before the next one is sent`, async (t) => {
    const responses: ServerResponse[] = [];
    const tool = await stageTool(t, (_call, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: first\n\n');
      responses.push(response);
    });
    const mcpServers = { stream: { url: tool.url } };
    const sidecar = await stageSidecar(t, dryrun(tool.url, { mcpServers }));
    const request = httpRequest({
      port: sidecar.ports.gateway,
      path,
      method: body === null ? 'GET' : 'POST',
      headers: body === null ? {} : MCP_HEADERS,
    });
    request.end(body ?? undefined);
    const events = await answered(request);
    const chunks: string[] = [];
    events.setEncoding('utf8').on('data', (chunk: string) => chunks.push(chunk));
    await eventually(() => chunks.join('') === 'data: first\n\n');
    responses[0]?.write('data: second\n\n');
    await eventually(() => chunks.join('') === 'data: first\n\ndata: second\n\n');
    responses[0]?.end();
    await once(events, 'end');
  });
}

void test('an agent that leaves takes its call with it', async (t) => {
  const gone: number[] = [];
  const tool = await stageTool(t, (_call, response) => {
    response.on('close', () => gone.push(1));
    response.write('one');
  });
  const sidecar = await stageSidecar(t, dryrun(tool.url));
  const request = get(`http://127.0.0.1:${sidecar.ports.gateway}/tools/stream/`);
  const response = await answered(request);
  const id = String(response.headers['x-egret-decision-id']);
  response.on('error', () => undefined);
  await once(response, 'data');
  request.destroy();
  await eventually(() => gone.length === 1);
  await eventually(() => outcomeOf(readLeaves(auditOf(sidecar)), id) !== undefined);
  assert.equal(outcomeOf(readLeaves(auditOf(sidecar)), id)?.result, 'client_aborted');
  assert.equal((await statusOf(sidecar)).calls.under_way, 0);
});

void test('an agent that leaves before the tool answers takes its call with it', async (t) => {
  const gone: number[] = [];
  const tool = await stageTool(t, (_call, response) => {
    response.on('close', () => gone.push(1));
  });
  const sidecar = await stageSidecar(t, dryrun(tool.url));
  const request = get(`http://127.0.0.1:${sidecar.ports.gateway}/tools/stream/`);
  request.on('error', () => undefined);
  await eventually(() => tool.received.length === 1);
  request.destroy();
  await eventually(() => gone.length === 1);
  await eventually(async () => (await statusOf(sidecar)).calls.under_way === 0);
});

void test('a large body arrives byte for byte in both directions', async (t) => {
  const sent = Buffer.alloc(9 * MiB, 'egret ');
  const tool = await stageTool(t, ({ body }, response) => response.end(body));
  const sidecar = await stageSidecar(t, dryrun(tool.url));
  const answer = await fetch(`http://127.0.0.1:${sidecar.ports.gateway}/tools/stream/`, {
    method: 'POST',
    headers: { 'content-type': 'text/plain' },
    body: sent,
  });
  const received = Buffer.from(await answer.arrayBuffer());
  assert.equal(sha256(received), sha256(sent));
});

void test('a tool waits for an agent that reads slowly', async (t) => {
  const size = 64 * MiB;
  const piece = Buffer.alloc(MiB, 'x');
  let written = 0;
  const tool = await stageTool(t, (_call, response) => {
    response.writeHead(200, { 'content-length': String(size) });
    const write = () => {
      while (written < size) {
        written += piece.length;
        if (!response.write(piece)) return void response.once('drain', write);
      }
      response.end();
    };
    write();
  });
  const sidecar = await stageSidecar(t, dryrun(tool.url));
  const request = get(`http://127.0.0.1:${sidecar.ports.gateway}/tools/stream/`);
  const response = await answered(request);
  response.pause();
  // Sockets hold a few MiB; a proxy without backpressure would take all of it into its memory.
  for (let before = -1; before !== written; await sleep(200)) before = written;
  assert.ok(written < size / 2, `the tool could write ${written} bytes`);
  let received = 0;
  response.on('data', (chunk: Buffer) => {
    received += chunk.length;
  });
  response.resume();
  await once(response, 'end');
  assert.equal(received, size);
});

void test('bodies that together are more than the sidecar may hold are turned away', async (t) => {
  const tool = await stageTool(t);
  const limits = { bodyBytesMax: MiB, bufferedBytesMax: MiB };
  const sidecar = await stageSidecar(t, dryrun(tool.url, { limits }));
  const options = {
    port: sidecar.ports.gateway,
    path: '/tools/stream/',
    method: 'POST',
    headers: { 'content-length': String(MiB), 'content-type': 'text/plain' },
  };
  const first = httpRequest(options);
  first.on('error', () => undefined);
  first.write('x');
  await eventually(async () => (await statusOf(sidecar)).calls.under_way === 1);
  const second = httpRequest(options);
  second.on('error', () => undefined);
  second.write('x');
  const refused = await answered(second);
  assert.equal(refused.statusCode, 503);
  assert.equal(refused.headers['x-egret-reason'], 'call.overloaded');
  second.destroy();
  first.end(Buffer.alloc(MiB - 1, 'x'));
  assert.equal((await answered(first)).statusCode, 200);
});

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
