/** The input of the Envoy dialect: its shape, what of bodies and credentials is in it, and that OPA decides alike. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { recognizeConnect } from '../../src/call/recognize.ts';
import type { JsonObject } from '../../src/call/tool-call.ts';
import { dialectOf } from '../../src/decision/dialect.ts';
import { envoyInput } from '../../src/decision/dialect-envoy.ts';
import { policyInput } from '../../src/decision/input.ts';
import { compilePolicy, createEngine } from '../../src/decision/opa-wasm.ts';
import { compileRego } from './compiled-policy.ts';
import { DESK, SHOP } from './envoy-policies.ts';
import { type Asked, envoySees, FACTS, rendered, seen } from './envoy-request.ts';

const ENTRYPOINT = 'envoy/authz/allow';
const JSON_TYPE = { 'Content-Type': 'application/json' };
const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };

const httpOf = (input: JsonObject) =>
  (input as { attributes: { request: { http: JsonObject } } }).attributes.request.http;

test('a request looks as Envoy would tell it', async () => {
  const body = '{"amount":7,"items":["tea"]}';
  const headers = { ...JSON_TYPE, 'X-Team': 'kitchen', Authorization: 'Bearer s3cret' };
  const url = 'http://shop.example.com:8080/orders/a%20b?tag=a&tag=b%26c';
  assert.deepEqual(await envoySees({ method: 'POST', url, headers, body }), {
    attributes: {
      source: {
        address: { socketAddress: { address: '10.0.0.7' } },
        principal: 'spiffe://example.com/clerk',
      },
      destination: {
        address: { socketAddress: { address: 'shop.example.com', portValue: 8080 } },
      },
      request: {
        time: { seconds: 1_795_341_600, nanos: 123_456_789 },
        http: {
          id: FACTS.uid,
          method: 'POST',
          path: '/orders/a%20b?tag=a&tag=b%26c',
          host: 'shop.example.com:8080',
          scheme: 'http',
          protocol: 'HTTP/1.1',
          headers: {
            'content-type': 'application/json',
            'x-team': 'kitchen',
            ':authority': 'shop.example.com:8080',
            ':method': 'POST',
            ':path': '/orders/a%20b?tag=a&tag=b%26c',
            ':scheme': 'http',
          },
          size: body.length,
          body,
        },
      },
    },
    parsed_path: ['orders', 'a b'],
    parsed_query: { tag: ['a', 'b&c'] },
    parsed_body: { amount: 7, items: ['tea'] },
    truncated_body: false,
    version: { encoding: 'protojson', ext_authz: 'v3' },
    source_principal: 'spiffe://example.com/clerk',
  });
});

for (const [sentence, asked, parsed, raw] of [
  ['none', { url: 'http://a.example/x' }, null, {}],
  [
    'JSON that is a list',
    { method: 'POST', url: 'http://a.example/x', headers: JSON_TYPE, body: '[1,"a"]' },
    [1, 'a'],
    { body: '[1,"a"]', size: 7 },
  ],
  [
    'a form, each value in a list',
    { method: 'POST', url: 'http://a.example/x', headers: FORM, body: 'a=1&b=x+y&a=2' },
    { a: ['1', '2'], b: ['x y'] },
    { body: 'a=1&a=2&b=x%20y', size: 13 },
  ],
  [
    'text is not parsed',
    {
      method: 'POST',
      url: 'http://a.example/x',
      headers: { 'Content-Type': 'text/plain' },
      body: '{"a":1}',
    },
    null,
    { body: '{"a":1}', size: 7 },
  ],
  [
    'bytes that are no text',
    { method: 'POST', url: 'http://a.example/x', body: new Uint8Array([255, 1]) },
    null,
    { rawBody: '/wE=', size: 2 },
  ],
] as const satisfies readonly (readonly [string, Asked, unknown, object])[]) {
  test(`the body: ${sentence}`, async () => {
    const input = await envoySees(asked);
    const { body, rawBody, size } = httpOf(input);
    assert.deepEqual(input['parsed_body'], parsed);
    assert.deepEqual(
      Object.fromEntries(
        Object.entries({ body, rawBody, size }).filter(([, value]) => value !== undefined),
      ),
      raw,
    );
  });
}

test('credentials of headers, query and form are nowhere in the input', async () => {
  const secret = 's3cret-0123456789';
  const input = await envoySees({
    method: 'POST',
    url: `https://a.example/x?access_token=${secret}&page=2`,
    headers: {
      ...FORM,
      Authorization: `Bearer ${secret}`,
      Cookie: `id=${secret}`,
      'X-Api-Key': secret,
      'X-Other': `Bearer ${secret}`,
    },
    body: `client_secret=${secret}&grant=code`,
  });
  const text = JSON.stringify(input);
  assert.ok(!text.includes(secret), text);
  assert.deepEqual(input['parsed_query'], { access_token: ['[credential]'], page: ['2'] });
  assert.deepEqual(input['parsed_body'], { client_secret: ['[credential]'], grant: ['code'] });
});

test('a name without a port that the scheme implies, addresses of version 6 in brackets', async () => {
  const host = async (url: string) => httpOf(await envoySees({ url }))['host'];
  assert.equal(await host('https://a.example/'), 'a.example');
  assert.equal(await host('http://a.example/'), 'a.example');
  assert.equal(await host('http://a.example:443/'), 'a.example:443');
  assert.equal(await host('http://[2001:db8::1]:81/'), '[2001:db8::1]:81');
});

test('the root is one empty segment, a slash at the end another', async () => {
  const path = async (url: string) => (await envoySees({ url }))['parsed_path'];
  assert.deepEqual(await path('http://a.example/'), ['']);
  assert.deepEqual(await path('http://a.example/a/'), ['a', '']);
});

test('a tunnel has a host and no path; a review has arguments in the place of a body', async () => {
  const place = { ok: true, host: 'a.example', port: 443, kind: 'name' } as const;
  const tunnel = policyInput(recognizeConnect(place, {}), FACTS);
  const { parsed_path, parsed_body, ...rest } = envoyInput(tunnel, null);
  assert.deepEqual([parsed_path, parsed_body], [[''], null]);
  assert.equal(httpOf(rest)['host'], 'a.example:443');
  assert.equal(httpOf(rest)['method'], 'CONNECT');
  const asked = { method: 'POST', url: 'http://a.example/x', headers: JSON_TYPE, body: '{"a":1}' };
  const call = await seen(asked);
  assert.deepEqual(call && envoyInput(call.input, null)['parsed_body'], { a: 1 });
});

test('a body that was too large to be held is truncated', async () => {
  const call = await seen({ url: 'http://a.example/x' });
  assert.ok(call !== null);
  const input = { ...call.input, arguments_state: 'too_large' } as const;
  const { truncated_body, parsed_body } = envoyInput(input, null);
  assert.deepEqual([truncated_body, parsed_body], [true, null]);
});

test('whatever the body is, policy is told its bytes, and null unless it could be parsed', async () => {
  const type = fc.constantFrom('application/json', 'a/b+json', 'text/plain', 'multipart/form-data');
  const body = fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.json());
  await fc.assert(
    fc.asyncProperty(type, body, async (contentType, given) => {
      const headers = { 'Content-Type': contentType };
      const call = await seen({ method: 'POST', url: 'http://a.example/x', headers, body: given });
      if (call === null) return; // broken JSON never reaches policy
      const input = rendered(call);
      const { body: text, rawBody, size } = httpOf(input);
      const bytes =
        typeof text === 'string' ? Buffer.from(text) : Buffer.from(String(rawBody), 'base64');
      assert.deepEqual([...bytes], [...Buffer.from(given as string)]);
      assert.equal(size, bytes.length);
      const json = contentType.endsWith('json');
      assert.deepEqual(input['parsed_body'], json ? JSON.parse(bytes.toString()) : null);
    }),
    { numRuns: 500 },
  );
});

const word = fc.constantFrom(
  'items',
  'orders',
  'notes',
  'search',
  'read',
  'strip',
  'login',
  'text',
  'a b',
);
const requests: fc.Arbitrary<Asked> = fc
  .record({
    method: fc.constantFrom('GET', 'POST', 'PUT'),
    host: fc.constantFrom('shop.example.com', 'status.example.com', 'status.example.com:81'),
    path: fc.array(word, { maxLength: 2 }),
    query: fc.constantFrom('', '', '?q=tea', '?q=tea&q=wine'),
    team: fc.constantFrom(undefined, 'kitchen', 'hall', 'cellar'),
    body: fc.oneof(
      fc.record({
        amount: fc.constantFrom(1, 100, 101, '100', null),
        items: fc.array(fc.constantFrom('tea', 'wine', 'é'), { maxLength: 2 }),
      }),
      fc.constant('title=list'),
      fc.constant('title=list&title=other'),
      fc.constant(undefined),
    ),
  })
  .map(({ method, host, path, query, team, body }) => ({
    method,
    url: `http://${host}/${path.map(encodeURIComponent).join('/')}${query}`,
    headers: {
      ...(team === undefined ? {} : { 'X-Team': team }),
      ...(method === 'GET' || body === undefined
        ? {}
        : typeof body === 'string'
          ? FORM
          : JSON_TYPE),
    },
    ...(method === 'GET' || body === undefined
      ? {}
      : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  }));

/** The policy's answers according to OPA itself; undefined where it gives none. Null after a skip. */
function askOpa(t: TestContext, rego: string, inputs: readonly JsonObject[]): unknown[] | null {
  const directory = mkdtempSync(join(tmpdir(), 'egret-envoy-'));
  try {
    const file = (name: string, text: string) => {
      writeFileSync(join(directory, name), text);
      return join(directory, name);
    };
    const each =
      'package t\n\nr[format_int(i, 10)] := x if {\n\tsome i, one in input.all\n\tx := data.envoy.authz.allow with input as one\n}\n';
    const files = ['-d', file('p.rego', rego), '-d', file('t.rego', each)];
    const given = ['-i', file('input.json', JSON.stringify({ all: inputs }))];
    const run = spawnSync('opa', ['eval', '-f', 'raw', ...files, ...given, 'data.t.r'], {
      encoding: 'utf8',
      maxBuffer: 1e8,
    });
    if ((run.error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') {
      t.skip('SKIPPED LOUDLY: no opa on PATH to compare with; run make tools');
      return null;
    }
    assert.equal(run.status, 0, run.stderr + run.stdout);
    const answers = JSON.parse(run.stdout) as Record<string, unknown>;
    return inputs.map((_, at) => answers[at]);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

for (const [name, rego] of [
  ['yes or no', SHOP],
  ['objects', DESK],
] as const) {
  test(`opa gives the same answers to the same inputs: ${name}`, async (t) => {
    const wasm = compileRego(t, [rego], [ENTRYPOINT]);
    if (wasm === null) return;
    const asked = fc.sample(requests, { numRuns: 600, seed: 42 });
    const calls = (await Promise.all(asked.map(seen))).filter((call) => call !== null);
    assert.ok(calls.length > 500, `${calls.length} of ${asked.length} are recognised`);
    const theirs = askOpa(t, rego, calls.map(rendered));
    if (theirs === null) return;
    const engine = createEngine(compilePolicy(wasm, '{}'), ENTRYPOINT);
    t.after(() => engine.close());
    const dialect = dialectOf('envoy', ENTRYPOINT);
    const kinds = new Set<string>();
    for (const [at, { input, body }] of calls.entries()) {
      const message = { body, httpVersion: '1.1', remoteAddress: '10.0.0.7' };
      const evaluation = engine.evaluate(dialect.render(input, message), input.time_ns);
      const ours = evaluation.ok ? evaluation.value : undefined;
      assert.deepEqual(ours, theirs[at], JSON.stringify(asked[at]));
      kinds.add(JSON.stringify(ours));
    }
    assert.ok(kinds.size > 1, `only ${[...kinds].join()}`);
    t.diagnostic(`${calls.length} calls, ${kinds.size} different answers`);
  });
}
