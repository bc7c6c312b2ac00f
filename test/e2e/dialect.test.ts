/**
 * Policies written for OPA-Envoy, built by plain `opa build`, decide unchanged in a running sidecar: the manifest or the
 * configuration says that they are, and nothing else does.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DESK, SHOP } from '../decision/envoy-policies.ts';
import { MCP_HEADERS, mailCall, post } from './agent.ts';
import { assertVerifies, decisionsOf, readLeaves } from './audit-log.ts';
import { newDirectory, type SidecarProcess } from './sidecar-process.ts';
import { auditOf, removeAfter, stageSidecar, stageTool } from './stage.ts';
import type { Tool } from './tool-server.ts';

/** JSON-RPC in the body, as a sidecar of Envoy would see it. */
const RPC = `package envoy.authz

allow if {
	input.parsed_body.method == "tools/call"
	input.parsed_body.params.name == "send_email"
	input.parsed_body.params.arguments.to == ["accountant@example.com"]
}
`;

const BOOL = `package team

may if {
	input.http.method == "GET"
	input.destination.segments[0] == "items"
}
`;

/** Null after the test was skipped. */
function built(
  t: TestContext,
  rego: string,
  entrypoint: string,
  egret?: object,
): Uint8Array | null {
  const directory = removeAfter(t, newDirectory());
  const source = join(directory, 'source');
  mkdirSync(source);
  writeFileSync(join(source, 'policy.rego'), rego);
  const manifest = {
    revision: 'written-for-envoy',
    roots: [entrypoint.split('/')[0]],
    ...(egret === undefined ? {} : { metadata: { egret } }),
  };
  writeFileSync(join(source, '.manifest'), JSON.stringify(manifest));
  const target = join(directory, 'bundle.tar.gz');
  const args = ['build', '-t', 'wasm', '-e', entrypoint, '-o', target, '-b', source];
  const run = spawnSync('opa', args, { encoding: 'utf8' });
  if ((run.error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') {
    t.skip('SKIPPED LOUDLY: no opa on PATH to build with; run make tools');
    return null;
  }
  assert.equal(run.status, 0, run.stderr + run.stdout);
  return readFileSync(target);
}

interface Stage {
  readonly sidecar: SidecarProcess;
  readonly tool: Tool;
}

async function stage(
  t: TestContext,
  bundle: Uint8Array,
  choice: Readonly<Record<string, string>> = {},
): Promise<Stage> {
  const tool = await stageTool(t);
  const config = {
    agent: { id: 'clerk', environment: 'test' },
    bundles: [{ name: 'main', directory: './bundles', ...choice }],
    tools: { shop: { url: tool.url } },
    mcpServers: { mail: { url: `${tool.url}/mcp` } },
  };
  return { tool, sidecar: await stageSidecar(t, { bundle, config }) };
}

interface Answer {
  readonly status: number;
  readonly reason: string;
  readonly text: string;
  readonly headers: Headers;
}

async function ask({ sidecar }: Stage, path: string, init: RequestInit = {}): Promise<Answer> {
  const url = `http://127.0.0.1:${sidecar.ports.gateway}/tools/shop${path}`;
  const response = await fetch(url, init);
  const reason = response.headers.get('x-egret-reason') ?? '';
  const { status, headers } = response;
  return { status, reason, headers, text: await response.text() };
}

const sent = (value: unknown, method = 'POST'): RequestInit => ({
  method,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(value),
});

const form = (text: string): RequestInit => ({
  method: 'PUT',
  headers: { 'content-type': 'application/x-www-form-urlencoded' },
  body: text,
});

/** As the audit log shows it. */
const resultOf = (decision: object | undefined) =>
  (decision as { readonly result: RecordedResult } | undefined)?.result ?? NO_RESULT;

interface RecordedResult {
  readonly obligations: readonly { readonly kind: string }[];
  readonly reasons: readonly { readonly code: string }[];
  readonly warnings: number;
}

const NO_RESULT: RecordedResult = { obligations: [], reasons: [], warnings: 0 };

test('yes or no, by method and path, header and body; the configuration says so', async (t) => {
  const bundle = built(t, SHOP, 'envoy/authz/allow');
  if (bundle === null) return;
  const on = await stage(t, bundle, { dialect: 'envoy' });
  const kitchen = { headers: { 'x-team': 'kitchen' } };
  const table: readonly (readonly [string, string, RequestInit, boolean])[] = [
    ['one item', '/items/7', {}, true],
    ['all items', '/items', {}, false],
    ['one item, written to', '/items/7', sent({}), false],
    ['a search with the header', '/search?q=tea', kitchen, true],
    ['a search without', '/search?q=tea', {}, false],
    ['a search twice', '/search?q=tea&q=wine', kitchen, false],
    ['an order', '/orders/7', sent({ amount: 7, items: ['tea'] }), true],
    ['too large an order', '/orders/7', sent({ amount: 101, items: ['tea'] }), false],
    ['wine', '/orders/7', sent({ amount: 7, items: ['wine'] }), false],
    ['a form', '/notes/1', form('title=list'), true],
    ['a form with two titles', '/notes/1', form('title=list&title=other'), false],
  ];
  for (const [sentence, path, init, allowed] of table) {
    const before = on.tool.received.length;
    const { status, reason } = await ask(on, path, init);
    assert.deepEqual([status, reason], allowed ? [200, ''] : [403, 'policy.no_match'], sentence);
    assert.equal(on.tool.received.length - before, allowed ? 1 : 0, sentence);
  }
  assert.equal(await on.sidecar.stop(), 0);
  const decisions = decisionsOf(readLeaves(auditOf(on.sidecar)));
  assert.equal(decisions.length, table.length);
  await assertVerifies(auditOf(on.sidecar));
});

test('objects: an allow changes the headers, and what cannot be done denies', async (t) => {
  const bundle = built(t, DESK, 'envoy/authz/allow', { dialect: 'envoy' });
  if (bundle === null) return;
  const on = await stage(t, bundle);
  const kitchen = { headers: { 'x-team': 'kitchen', authorization: 'Basic eDp5' } };

  assert.equal((await ask(on, '/read', kitchen)).status, 200);
  assert.equal(on.tool.received.at(-1)?.headers['x-reviewed-for'], 'kitchen');
  assert.equal(on.tool.received.at(-1)?.headers['authorization'], 'Basic eDp5');

  assert.equal((await ask(on, '/strip', kitchen)).status, 200);
  const stripped = on.tool.received.at(-1)?.headers ?? {};
  for (const name of ['x-team', 'x-new', 'authorization']) assert.ok(!(name in stripped), name);
  assert.ok(stripped.host);

  for (const [path, reason] of [
    ['/homeless', 'policy.obligation_failed'],
    ['/answer', 'policy.unknown_obligation'],
    ['/login', 'policy.obligation_failed'],
    ['/text', 'policy.invalid_result'],
  ] as const) {
    const refused = await ask(on, path, kitchen);
    assert.deepEqual([refused.status, refused.reason], [403, reason], path);
  }
  assert.equal(on.tool.received.length, 2);
  assert.equal(await on.sidecar.stop(), 0);
  const [, strip] = decisionsOf(readLeaves(auditOf(on.sidecar)));
  assert.deepEqual(
    resultOf(strip).obligations.map(({ kind }) => kind),
    ['header', ...Array<string>(4).fill('request_header_remove')],
  );
});

test('objects: a denial is sent with its status, headers and text, and on MCP its text is the message', async (t) => {
  const bundle = built(t, DESK, 'envoy/authz/allow', { dialect: 'envoy' });
  if (bundle === null) return;
  const on = await stage(t, bundle);
  const shown = async (path: string, team?: string, method = 'GET') => {
    const init = { method, redirect: 'manual', headers: team ? { 'x-team': team } : {} } as const;
    const { status, reason, headers, text } = await ask(on, path, init);
    assert.equal(reason, 'policy.denied', path);
    assert.ok(headers.get('x-egret-decision-id'), path);
    assert.equal(headers.get('cache-control'), 'no-store');
    return { status, type: headers.get('content-type'), text, headers };
  };
  const plain = 'text/plain; charset=utf-8';
  const unnamed = await shown('/read');
  assert.deepEqual([unnamed.status, unnamed.type], [401, plain]);
  assert.equal(unnamed.text, 'Say which team asks, in x-team.');
  assert.equal(unnamed.headers.get('x-hint'), 'x-team');
  assert.equal(unnamed.headers.get('set-cookie'), null);
  const head = await shown('/read', undefined, 'HEAD');
  assert.deepEqual([head.status, head.text], [401, '']);
  const hall = await shown('/read', 'hall');
  assert.deepEqual([hall.status, hall.text], [429, 'Team hall has asked enough.']);
  const tea = await shown('/tea', 'kitchen');
  assert.deepEqual([tea.status, tea.type, tea.text], [418, 'application/json', '[418]']);
  const away = await shown('/away', 'kitchen');
  assert.deepEqual([away.status, away.type], [403, 'application/problem+json']);
  assert.equal(away.headers.get('location'), null);
  assert.equal((JSON.parse(away.text) as { status: number }).status, 403);

  const mcp = `http://127.0.0.1:${on.sidecar.ports.gateway}/mcp/mail`;
  const told = await post(mcp, mailCall());
  assert.deepEqual([told.status, told.reason], [200, 'policy.denied']);
  assert.match(told.text, /Refused \(policy\.denied\): Say which team asks, in x-team\./);
  assert.equal(on.tool.received.length, 0);

  assert.equal(await on.sidecar.stop(), 0);
  const decisions = decisionsOf(readLeaves(auditOf(on.sidecar)));
  const recorded = decisions.map((decision) => {
    const { reasons, warnings } = resultOf(decision);
    return `${reasons[0]?.code} ${warnings}`;
  });
  const first = 'http_status.401 1';
  assert.deepEqual(recorded, [
    ...[first, first, 'http_status.429 0', 'http_status.418 0'],
    ...['http_status.302 2', first],
  ]);
  await assertVerifies(auditOf(on.sidecar));
});

test('an MCP message is the parsed body, all of it', async (t) => {
  const bundle = built(t, RPC, 'envoy/authz/allow', { dialect: 'envoy' });
  if (bundle === null) return;
  const on = await stage(t, bundle);
  const mcp = `http://127.0.0.1:${on.sidecar.ports.gateway}/mcp/mail`;
  assert.equal((await post(mcp, mailCall())).reason, '');
  const other = await post(mcp, mailCall({ to: ['eve@evil.example'] }), MCP_HEADERS);
  assert.equal(other.reason, 'policy.no_match');
  assert.equal(on.tool.received.length, 1);
});

test('one boolean over our own input', async (t) => {
  const bundle = built(t, BOOL, 'team/may');
  if (bundle === null) return;
  const on = await stage(t, bundle, { dialect: 'bool', entrypoint: 'team/may' });
  assert.equal((await ask(on, '/items/7')).status, 200);
  const refused = await ask(on, '/orders/7');
  assert.deepEqual([refused.status, refused.reason], [403, 'policy.no_match']);
});
