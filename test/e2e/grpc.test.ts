/**
 * gRPC through a real sidecar that opens TLS: offered only where the configuration names the place, each method decided
 * by its path, messages and trailers passed on, and HTTP/2 bounded.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  createSecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createCertificateAuthority } from '../../src/tls/certificate-authority.ts';
import { eventually } from './agent.ts';
import { assertPaired, decisionsOf, outcomesOf, readLeaves } from './audit-log.ts';
import { newDirectory } from './sidecar-process.ts';
import { auditOf, removeAfter, stageSidecar } from './stage.ts';
import { publishedBundle, tlsTo } from './tls-stage.ts';

const HOST = 'tool.example';
const PATH = '/mail.v1.Mail/Send';

/** One length-prefixed message. */
function message(text: string): Buffer {
  const bytes = Buffer.from(text);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

type Serve = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

/** Answers with what it was sent, then the trailers. */
const echo: Serve = (stream) => {
  stream.respond(
    { ':status': 200, 'content-type': 'application/grpc+proto', 'x-tool': 'yes' },
    { waitForTrailers: true },
  );
  stream.on('wantTrailers', () =>
    stream.sendTrailers({ 'grpc-status': '0', 'grpc-message': 'fine', 'x-more-bin': 'AAE=' }),
  );
  stream.pipe(stream);
};

async function stage(
  t: TestContext,
  more: { serve?: Serve; enforcement?: string; limits?: object } = {},
) {
  const nowMs = Date.now();
  const authority = await createCertificateAuthority({ names: [], validHours: 24, nowMs });
  const { certificatePem: cert, keyPem: key } = await authority.issue(HOST, nowMs);
  const received: IncomingHttpHeaders[] = [];
  const server = createSecureServer({ cert, key });
  const sessions = new Set<{ destroy(): void }>();
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (stream, headers) => {
    stream.on('error', () => stream.destroy());
    received.push(headers);
    (more.serve ?? echo)(stream, headers);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const session of sessions) session.destroy();
  });
  const directory = removeAfter(t, newDirectory());
  const caFile = join(directory, 'tool-ca.pem');
  writeFileSync(caFile, authority.certificatePem);
  const at = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const places = [`${HOST}:443`, 'plain.example:443'];
  const sidecar = await stageSidecar(t, {
    config: {
      enforcement: more.enforcement ?? 'dryrun',
      limits: more.limits ?? {},
      tls: { trustDirectory: join(directory, 'trust') },
      upstream: {
        hosts: Object.fromEntries(places.map((place) => [place, at])),
        caFiles: { [`${HOST}:443`]: caFile },
        grpc: [`${HOST}:443`],
      },
    },
  });
  const client = async (alpn: readonly string[] = ['h2'], host = HOST) => {
    const ca = publishedBundle({ directory });
    const { proxy: port } = sidecar.ports;
    const socket = await tlsTo({ port, connect: `${host}:443`, servername: host, ca, alpn });
    t.after(() => void socket.destroy());
    return socket;
  };
  const session = async () => {
    const socket = await client();
    assert.equal(socket.alpnProtocol, 'h2');
    const opened = connect(`https://${HOST}`, { createConnection: () => socket });
    opened.on('error', () => opened.destroy());
    t.after(() => opened.destroy());
    return opened;
  };
  return { sidecar, received, client, session };
}

interface Answer {
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  readonly body: string;
  readonly code: number;
}

const HEADERS = {
  ':method': 'POST',
  ':path': PATH,
  'content-type': 'application/grpc+proto',
  te: 'trailers',
};

async function call(
  session: ClientHttp2Session,
  headers: Record<string, string | undefined> = {},
  body: Buffer | null = message('hello'),
): Promise<Answer> {
  const all = Object.entries({ ...HEADERS, ...headers }).filter(([, value]) => value !== undefined);
  const stream = session.request(Object.fromEntries(all));
  if (body === null) stream.end();
  else stream.end(body);
  return answered(stream);
}

async function answered(stream: ClientHttp2Stream): Promise<Answer> {
  const chunks: Buffer[] = [];
  let headers: IncomingHttpHeaders = {};
  let trailers: IncomingHttpHeaders = {};
  stream.on('response', (got) => {
    headers = got;
  });
  stream.on('trailers', (got) => {
    trailers = got;
  });
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('error', () => stream.destroy());
  await new Promise<void>((resolve) => {
    if (stream.closed) resolve();
    else stream.once('close', resolve);
  });
  return { headers, trailers, body: Buffer.concat(chunks).toString(), code: stream.rstCode ?? 0 };
}

void test('a method call passes with its trailers, and its record names the path', async (t) => {
  const { sidecar, received, session } = await stage(t);
  const opened = await session();
  const answer = await call(opened, { 'x-team': 'blue' });
  assert.equal(answer.body, message('hello').toString());
  assert.deepEqual(
    [answer.headers[':status'], answer.headers['content-type'], answer.headers['x-tool']],
    [200, 'application/grpc+proto', 'yes'],
  );
  assert.ok(answer.headers['x-egret-decision-id']);
  const { trailers } = answer;
  assert.deepEqual(
    [trailers['grpc-status'], trailers['grpc-message'], trailers['x-more-bin']],
    ['0', 'fine', 'AAE='],
  );
  const [sent] = received;
  assert.deepEqual(
    [sent?.[':authority'], sent?.[':path'], sent?.['te'], sent?.['x-team'], sent?.['host']],
    [HOST, PATH, 'trailers', 'blue', undefined],
  );
  await eventually(() => outcomesOf(readLeaves(auditOf(sidecar))).length === 1);
  const leaves = readLeaves(auditOf(sidecar));
  assert.equal(outcomesOf(leaves)[0]?.egret.outcome?.resp_bytes, 10);
  assertPaired(leaves);
});

void test('messages stream both ways while the call is open', async (t) => {
  const { session } = await stage(t);
  const stream = (await session()).request(HEADERS);
  stream.write(message('one'));
  const [first] = (await once(stream, 'data')) as [Buffer];
  assert.equal(first.subarray(5).toString(), 'one');
  stream.write(message('two'));
  const [second] = (await once(stream, 'data')) as [Buffer];
  assert.equal(second.subarray(5).toString(), 'two');
  stream.end();
  assert.equal((await answered(stream)).trailers['grpc-status'], '0');
});

void test('policy refuses a method before the tool hears of it, in the way gRPC clients read', async (t) => {
  const { received, session } = await stage(t, { enforcement: 'deny' });
  const { headers } = await call(await session());
  assert.equal(headers['grpc-status'], '7');
  assert.match(String(headers['grpc-message']), /^policy\.no_match: /);
  assert.equal(headers['x-egret-reason'], 'policy.no_match');
  assert.equal(received.length, 0);
});

void test('HTTP/2 is offered nowhere else, and HTTP/1.1 is still spoken there', async (t) => {
  const { client } = await stage(t);
  await assert.rejects(client(['h2'], 'plain.example'), /alert|closed|protocol/i);
  assert.equal((await client(['h2', 'http/1.1'], 'plain.example')).alpnProtocol, 'http/1.1');
  assert.equal((await client(['http/1.1'])).alpnProtocol, 'http/1.1');
});

void test('what is no method call of the place is refused and recorded', async (t) => {
  const { sidecar, received, session } = await stage(t);
  const opened = await session();
  const rows: readonly [Record<string, string | undefined>, string][] = [
    [{ ':authority': 'other.example' }, 'call.bad_authority'],
    [{ ':authority': `${HOST}:444` }, 'call.bad_authority'],
    [{ ':scheme': 'http' }, 'call.bad_authority'],
    [{ host: HOST }, 'call.bad_authority'],
    [{ ':method': 'GET' }, 'call.method_not_allowed'],
    [{ ':path': '/a/b/c' }, 'call.bad_path'],
    [{ ':path': '/a.B/C?x=1' }, 'call.bad_path'],
    [{ ':path': '/a.B/%43' }, 'call.bad_path'],
    [{ ':path': '/../C' }, 'call.bad_path'],
    [{ 'content-type': 'application/json' }, 'call.not_grpc'],
    [{ 'content-type': 'application/grpc-web' }, 'call.not_grpc'],
    [{ te: undefined }, 'call.not_grpc'],
    [{ x_y: '1' }, 'call.bad_header'],
    [{ 'x-http-method-override': 'GET' }, 'call.bad_header'],
  ];
  for (const [headers, reason] of rows) {
    const answer = await call(opened, headers, null);
    assert.equal(answer.headers['x-egret-reason'], reason, JSON.stringify(headers));
  }
  assert.equal(received.length, 0);
  assert.equal(decisionsOf(readLeaves(auditOf(sidecar))).length, rows.length);
});

void test('an answer of trailers only passes, and a status that is not 0 is an error of the tool', async (t) => {
  const { sidecar, session } = await stage(t, {
    serve: (stream) => {
      const headers = { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '5' };
      stream.respond(headers, { endStream: true });
    },
  });
  assert.equal((await call(await session())).headers['grpc-status'], '5');
  await eventually(() => outcomesOf(readLeaves(auditOf(sidecar))).length === 1);
  const [leaf] = outcomesOf(readLeaves(auditOf(sidecar)));
  assert.deepEqual(
    [leaf?.egret.outcome?.result, leaf?.egret.outcome?.is_error],
    ['tool_error', true],
  );
});

void test('a tool that resets is an unavailable tool before its headers and a reset after them', async (t) => {
  const { sidecar, session } = await stage(t, {
    serve: (stream, headers) => {
      if (headers['x-late'] === undefined) stream.close(constants.NGHTTP2_INTERNAL_ERROR);
      else {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
        stream.write(message('part'), () => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
      }
    },
  });
  const opened = await session();
  assert.equal((await call(opened)).headers['grpc-status'], '14');
  const late = await call(opened, { 'x-late': '1' });
  assert.equal(late.trailers['grpc-status'], undefined);
  assert.notEqual(late.code, 0);
  await eventually(() => outcomesOf(readLeaves(auditOf(sidecar))).length === 2);
  const reasons = outcomesOf(readLeaves(auditOf(sidecar))).map(
    ({ egret }) => egret.outcome?.reason,
  );
  assert.deepEqual(reasons, ['upstream.reset', 'upstream.reset']);
});

void test('a call that the agent gives up is given up at the tool', async (t) => {
  let cancelled = false;
  const { sidecar, received, session } = await stage(t, {
    serve: (stream) => {
      stream.on('aborted', () => {
        cancelled = true;
      });
    },
  });
  const stream = (await session()).request(HEADERS);
  stream.on('error', () => stream.destroy());
  stream.write(message('hello'));
  await eventually(() => received.length === 1);
  stream.close(constants.NGHTTP2_CANCEL);
  await eventually(() => cancelled && outcomesOf(readLeaves(auditOf(sidecar))).length === 1);
  const [leaf] = outcomesOf(readLeaves(auditOf(sidecar)));
  assert.equal(leaf?.egret.outcome?.result, 'client_aborted');
});

void test('more bytes than a body may have, and a call without a byte, end with a status', async (t) => {
  const { session } = await stage(t, {
    serve: () => undefined,
    limits: { bodyBytesMax: 1000, tunnelIdleMs: 1000 },
  });
  const opened = await session();
  assert.equal((await call(opened, {}, message('x'.repeat(2000)))).headers['grpc-status'], '8');
  const silent = await call(opened, {}, message('x'));
  assert.deepEqual(
    [silent.headers['grpc-status'], silent.headers['x-egret-reason']],
    ['4', 'upstream.timeout'],
  );
});

void test('streams that are opened only to be reset lose the connection', async (t) => {
  const { session } = await stage(t, { serve: () => undefined });
  const opened = await session();
  const closed = new Promise<void>((resolve) => opened.once('close', resolve));
  for (let count = 0; count < 400 && !opened.destroyed; count += 1) {
    const stream = opened.request(HEADERS);
    stream.on('error', () => stream.destroy());
    stream.close(constants.NGHTTP2_CANCEL);
    if (count % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await closed;
  assert.ok(opened.destroyed);
  const other = await call(await session(), { ':method': 'GET' }, null);
  assert.equal(other.headers['x-egret-reason'], 'call.method_not_allowed');
});

void test('shutting down lets a call end, and takes no other', async (t) => {
  const { sidecar, session } = await stage(t, { limits: { drainMs: 5000 } });
  const opened = await session();
  const stream = opened.request(HEADERS);
  stream.write(message('one'));
  await once(stream, 'data');
  const stopped = sidecar.stop();
  await eventually(() => opened.closed || opened.destroyed);
  stream.end(message('two'));
  const answer = await answered(stream);
  assert.equal(answer.trailers['grpc-status'], '0');
  assert.equal(await stopped, 0);
  assertPaired(readLeaves(auditOf(sidecar)));
});
