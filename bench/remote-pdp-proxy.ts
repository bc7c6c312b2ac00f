/**
 * A minimal Node proxy that asks a remote OPA before it forwards: what a decision costs when it is a network call and
 * everything else stays small. With `-` for OPA it forwards unasked, which is the floor of node:http and undici.
 * A process of its own: node bench/remote-pdp-proxy.ts PORT UPSTREAM_URL OPA_URL|-. Shell: owns a listener, two pools.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Pool } from 'undici';

const CONNECTIONS_MAX = 64;
const BODY_BYTES_MAX = 65_536;

interface ToolsCall {
  readonly params: { readonly name: string; readonly arguments: MailArguments };
}

interface MailArguments {
  readonly to: readonly string[];
  readonly subject: string;
  readonly body: string;
}

const [port, upstreamText, opaText] = process.argv.slice(2);
if (port === undefined || upstreamText === undefined || opaText === undefined) {
  throw new Error('usage: node bench/remote-pdp-proxy.ts PORT UPSTREAM_URL OPA_URL|-');
}
const upstreamUrl = new URL(upstreamText);
const poolOptions = { connections: CONNECTIONS_MAX, pipelining: 1, allowH2: false };
const upstream = new Pool(upstreamUrl.origin, poolOptions);
const opa = opaText === '-' ? null : new Pool(new URL(opaText).origin, poolOptions);
const opaPath = opa === null ? '' : new URL(opaText).pathname;

/** The input the receipts policy reads; what it does not read is left out, which favours the remote side. */
function policyInput(call: ToolsCall): object {
  const { to, subject, body } = call.params.arguments;
  return {
    phase: 'request',
    environment: 'prod',
    time_ns: Date.now() * 1_000_000,
    agent: { id: 'bench', verified_by: 'sidecar-config', assurance: 'none' },
    tool: {
      name: call.params.name === 'send_email' ? 'gmail.send' : call.params.name,
      server: 'mail',
      operation: 'write',
      risk: 'high',
      sink: 'mail',
      known: true,
    },
    arguments: { to, cc: [], bcc: [], subject, text: body },
    arguments_state: 'parsed',
    attachments: [],
    mcp: { version: '2025-11-25', method: 'tools/call' },
  };
}

async function allowed(opaPool: Pool, body: Buffer): Promise<boolean> {
  const input = policyInput(JSON.parse(body.toString()) as ToolsCall);
  const reply = await opaPool.request({
    method: 'POST',
    path: opaPath,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ input }),
  });
  const answer = (await reply.body.json()) as { result?: { allowed?: unknown } };
  return reply.statusCode === 200 && answer.result?.allowed === true;
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new Error('body too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await readBody(request);
  if (opa !== null && !(await allowed(opa, body))) {
    response.writeHead(403).end('refused by policy');
    return;
  }
  const reply = await upstream.request({
    method: 'POST',
    path: request.url ?? '/',
    headers: { 'content-type': 'application/json' },
    body,
  });
  const type = String(reply.headers['content-type'] ?? 'application/json');
  const bytes = Buffer.from(await reply.body.arrayBuffer());
  response.writeHead(reply.statusCode, { 'content-type': type, 'content-length': bytes.length });
  response.end(bytes);
}

createServer((request, response) => {
  serve(request, response).catch((error: unknown) => {
    response.writeHead(502).end(String(error));
  });
}).listen(Number(port), '127.0.0.1');
