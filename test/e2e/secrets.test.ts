/**
 * One secret planted everywhere an agent or a tool could put one. It may reach the tool it was sent to, and come back
 * in that tool's own words; it may never stand in a log, a metric, a trace, a status, a refusal or the audit log.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startCollector } from '../telemetry/collector.ts';
import { adminText, eventually, MCP_HEADERS, mailCall } from './agent.ts';
import { assertVerifies, decisionsOf, readLeaves } from './audit-log.ts';
import { REVIEW_TOKEN, type SidecarProcess, UPLOAD_TOKEN } from './sidecar-process.ts';
import { auditOf, stageMail, stageRawTool } from './stage.ts';
import { exchange, type WireAnswer } from './wire.ts';

/** Looks like no word, and fits into headers, paths, hosts and JSON alike. */
const SECRET = `planted${randomBytes(12).toString('hex')}`;

interface Planting {
  readonly place: string;
  readonly listener: 'gateway' | 'proxy' | 'decision';
  readonly request: string;
  /** The tool echoes what it gets, so its answer may hold the secret. */
  readonly forwarded?: true;
}

function request(line: string, headers: readonly string[], body = ''): string {
  const length = body === '' ? [] : [`Content-Length: ${Buffer.byteLength(body)}`];
  return `${[`${line} HTTP/1.1`, 'Host: 127.0.0.1', ...headers, ...length].join('\r\n')}\r\n\r\n${body}`;
}

const JSON_HEADERS = Object.entries(MCP_HEADERS).map(([name, value]) => `${name}: ${value}`);
const mcp = (body: string, headers: readonly string[] = []) =>
  request('POST /mcp/mail', [...JSON_HEADERS, ...headers], body);
const gateway = (place: string, bytes: string, forwarded?: true): Planting => ({
  place,
  listener: 'gateway',
  request: bytes,
  ...(forwarded === undefined ? {} : { forwarded }),
});
const denied = { to: ['somebody@else.example'] };

const GATEWAY: readonly Planting[] = [
  gateway('body of a mail', mcp(mailCall({ body: SECRET })), true),
  gateway('subject of a mail', mcp(mailCall({ subject: SECRET })), true),
  gateway('body of a denied mail', mcp(mailCall({ ...denied, body: SECRET }))),
  gateway('an argument nobody knows', mcp(mailCall({ other: SECRET } as object)), true),
  gateway(
    'an argument inside another',
    mcp(mailCall({ other: { deep: [SECRET] } } as object)),
    true,
  ),
  gateway('the name of a tool', mcp(mailCall({}, { name: SECRET }))),
  gateway('a JSON-RPC method', mcp(mailCall().replace('tools/call', SECRET))),
  gateway('a JSON-RPC id', mcp(mailCall().replace(/"id":\d+/, `"id":"${SECRET}"`)), true),
  gateway('a JSON key', mcp(mailCall({ [SECRET]: 1 } as object)), true),
  gateway('a JSON key of a denied mail', mcp(mailCall({ ...denied, [SECRET]: 1 } as object))),
  gateway('an MCP _meta field', mcp(mailCall({}, { _meta: { token: SECRET } })), true),
  gateway('a key of _meta', mcp(mailCall({}, { _meta: { [SECRET]: 1 } })), true),
  gateway(
    'a malformed _meta traceparent',
    mcp(mailCall({}, { _meta: { traceparent: SECRET } })),
    true,
  ),
  gateway('Authorization', mcp(mailCall(), [`Authorization: Bearer ${SECRET}`]), true),
  gateway('Authorization of another scheme', mcp(mailCall(), [`Authorization: ${SECRET}`]), true),
  gateway('Proxy-Authorization', mcp(mailCall(), [`Proxy-Authorization: Basic ${SECRET}`]), true),
  gateway('Cookie', mcp(mailCall(), [`Cookie: session=${SECRET}`]), true),
  gateway('a header with an odd name', mcp(mailCall(), [`X-Odd!Thing: ${SECRET}`]), true),
  gateway('the name of a header', mcp(mailCall(), [`X-${SECRET}: 1`]), true),
  gateway('Mcp-Session-Id', mcp(mailCall(), [`Mcp-Session-Id: ${SECRET}`]), true),
  gateway('User-Agent', mcp(mailCall(), [`User-Agent: ${SECRET}`]), true),
  gateway('trace baggage', mcp(mailCall(), [`Baggage: token=${SECRET}`]), true),
  gateway('a malformed traceparent', mcp(mailCall(), [`Traceparent: ${SECRET}`]), true),
  gateway('a run id that is none', mcp(mailCall(), [`X-Egret-Run-Id: ${SECRET} x`]), true),
  gateway('query of a tool', request(`GET /tools/gmail/list?q=${SECRET}`, [])),
  gateway('name of a query parameter', request(`GET /tools/gmail/list?${SECRET}=1`, [])),
  gateway('path of a tool', request(`GET /tools/gmail/bot${SECRET}/send`, [])),
  gateway('path of no tool', request(`GET /tools/${SECRET}/send`, [])),
  gateway(
    'a form',
    request(
      'POST /tools/gmail/',
      ['Content-Type: application/x-www-form-urlencoded'],
      `a=${SECRET}&${SECRET}=b`,
    ),
  ),
  gateway(
    'an opaque body',
    request('POST /tools/gmail/', ['Content-Type: application/octet-stream'], SECRET),
  ),
  gateway('malformed JSON', mcp(`{"${SECRET}": ${SECRET}`)),
  gateway('a key that stands twice', mcp(`{"${SECRET}":1,"${SECRET}":2}`)),
  gateway('a batch', mcp(`[${mailCall({ body: SECRET })}]`)),
  gateway('a malformed path', request(`GET /tools/gmail/../${SECRET}`, [])),
  gateway('a malformed header', request('GET /tools/gmail/', [`X_${SECRET}: ${SECRET}`])),
  gateway('a request that is no HTTP', `${SECRET}\r\n\r\n`),
  gateway('an unknown method', request(SECRET, [])),
  gateway('an MCP version', mcp(mailCall(), []).replace('2025-11-25', SECRET)),
  gateway(
    'a tool that breaks off',
    request('POST /mcp/broken', JSON_HEADERS, mailCall({ body: SECRET })),
  ),
];

const ELSEWHERE: readonly Planting[] = [
  {
    place: 'a proxied call',
    listener: 'proxy',
    request: `POST http://127.0.0.1:1/a?k=${SECRET} HTTP/1.1\r\nHost: 127.0.0.1:1\r\nAuthorization: ${SECRET}\r\nContent-Length: 4\r\n\r\nbody`,
  },
  {
    place: 'user info of a target',
    listener: 'proxy',
    request: `GET http://user:${SECRET}@127.0.0.1:1/ HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n`,
  },
  {
    place: 'Proxy-Authorization of a CONNECT',
    listener: 'proxy',
    request: `CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: 127.0.0.1:1\r\nProxy-Authorization: Basic ${SECRET}\r\n\r\n`,
  },
  {
    place: 'the token of an upload',
    listener: 'decision',
    request: request('POST /v1/uploads', [`Authorization: Bearer ${SECRET}`], 'file'),
  },
  {
    place: 'an uploaded file',
    listener: 'decision',
    request: request('POST /v1/uploads', [`Authorization: Bearer ${UPLOAD_TOKEN}`], SECRET),
  },
  {
    place: 'a reviewed argument',
    listener: 'decision',
    request: request(
      'POST /v1/review',
      [`Authorization: Bearer ${REVIEW_TOKEN}`],
      JSON.stringify({ request: { tool: { name: 'x' }, arguments: { a: SECRET, [SECRET]: 1 } } }),
    ),
  },
  {
    place: 'a review that is none',
    listener: 'decision',
    request: request(
      'POST /v1/review',
      [`Authorization: Bearer ${REVIEW_TOKEN}`],
      JSON.stringify({ request: { tool: { name: 1, [SECRET]: SECRET } } }),
    ),
  },
];

void test('a planted secret shows nowhere but at the tool', { timeout: 120_000 }, async (t) => {
  const collector = await startCollector();
  t.after(() => collector.close());
  const broken = await stageRawTool(t, (socket) => socket.resetAndDestroy());
  const { sidecar, tool } = await stageMail(t, {
    config: {
      telemetry: { logLevel: 'debug', traces: { endpoint: collector.url } },
      upstream: { privateAddresses: ['127.0.0.0/8'] },
    },
  });
  // The broken tool is a server of its own, in a second sidecar with the same watch over it.
  const other = await stageMail(t, {
    config: {
      mcpServers: { mail: { url: tool.url }, broken: { url: broken.url } },
      telemetry: { logLevel: 'debug', traces: { endpoint: collector.url } },
      enforcement: 'dryrun',
    },
  });
  for (const at of [sidecar, other.sidecar]) {
    for (const planting of [...GATEWAY, ...ELSEWHERE]) {
      await t.test(`${at === sidecar ? 'deny' : 'dryrun'}: ${planting.place}`, async () => {
        const answer = await exchange(at.ports[planting.listener], planting.request);
        assertUntold(planting, answer);
      });
    }
  }
  assert.ok(
    tool.received.some((call) => call.body.includes(SECRET)),
    'the tool did get it',
  );
  for (const at of [sidecar, other.sidecar]) {
    await assertSilent(at);
  }
  await eventually(() => collector.spans.length > GATEWAY.length);
  assertAbsent('exported spans', collector.bodies.join('\n'));
});

/** Our own words never hold it, and nothing of ours stands in the headers of a tool's answer. */
function assertUntold({ forwarded }: Planting, answer: WireAnswer): void {
  assert.notEqual(answer.raw, '');
  if (answer.headers.has('x-egret-reason') || forwarded === undefined) {
    assertAbsent('a refusal', answer.raw);
  }
  assertAbsent('headers', [...answer.headers].join('\n'));
}

async function assertSilent(sidecar: SidecarProcess): Promise<void> {
  assertAbsent('/metrics', await adminText(sidecar.ports, '/metrics'));
  assertAbsent('/status', await adminText(sidecar.ports, '/status'));
  assert.ok(decisionsOf(readLeaves(auditOf(sidecar))).length >= GATEWAY.length);
  assert.equal(await sidecar.stop(), 0);
  assertAbsent('log', sidecar.lines.join('\n'));
  assertAbsent('error output', sidecar.errors.join('\n'));
  assert.ok(sidecar.lines.length > GATEWAY.length / 2, 'the log says something');
  await assertVerifies(auditOf(sidecar));
  for (const entry of readdirSync(auditOf(sidecar), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    assertAbsent(
      `audit file ${entry.name}`,
      readFileSync(join(entry.parentPath, entry.name), 'latin1'),
    );
  }
}

/** Also as base64, in hexadecimal and percent-encoded: whoever encodes a secret has not hidden it. */
function assertAbsent(where: string, text: string): void {
  const bytes = Buffer.from(SECRET);
  const forms = [SECRET, bytes.toString('base64').replace(/=+$/, ''), bytes.toString('hex')];
  for (const form of forms) {
    const at = text.toLowerCase().indexOf(form.toLowerCase());
    assert.equal(at, -1, `${where}: ${text.slice(Math.max(0, at - 300), at + 100)}`);
  }
}
