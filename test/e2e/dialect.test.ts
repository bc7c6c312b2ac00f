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
}

async function ask({ sidecar }: Stage, path: string, init: RequestInit = {}): Promise<Answer> {
  const url = `http://127.0.0.1:${sidecar.ports.gateway}/tools/shop${path}`;
  const response = await fetch(url, init);
  const reason = response.headers.get('x-egret-reason') ?? '';
  return { status: response.status, reason, text: await response.text() };
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

test('objects: a text for a denial, headers for an allow, and what cannot be done denies', async (t) => {
  const bundle = built(t, DESK, 'envoy/authz/allow', { dialect: 'envoy' });
  if (bundle === null) return;
  const on = await stage(t, bundle);
  const as = (team: string): RequestInit => ({ headers: { 'x-team': team } });

  const unnamed = await ask(on, '/read');
  assert.deepEqual([unnamed.status, unnamed.reason], [403, 'policy.denied']);
  assert.equal(
    (JSON.parse(unnamed.text) as { detail: string }).detail,
    'Say which team asks, in x-team.',
  );
  const hall = await ask(on, '/read', as('hall'));
  assert.match(hall.text, /Team hall has asked enough\./);
  assert.equal(on.tool.received.length, 0);

  assert.equal((await ask(on, '/read', as('kitchen'))).status, 200);
  assert.equal(on.tool.received.at(-1)?.headers['x-reviewed-for'], 'kitchen');

  for (const [path, reason] of [
    ['/strip', 'policy.unknown_obligation'],
    ['/login', 'policy.obligation_failed'],
    ['/text', 'policy.invalid_result'],
  ] as const) {
    const refused = await ask(on, path, as('kitchen'));
    assert.deepEqual([refused.status, refused.reason], [403, reason], path);
  }
  assert.equal(on.tool.received.length, 1);
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
