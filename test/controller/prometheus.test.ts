// Numbers from Prometheus, asked of a real HTTP server: what has no single finite number is no data, never a pass.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { askPrometheus, filled } from '../../src/controller/prometheus.ts';

const ASKED = { set: 'main', rolloutId: 'r1', windowMs: 90_000 };

async function prometheus(t: TestContext, answer: (query: string) => [number, string]) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const query = new URLSearchParams(Buffer.concat(chunks).toString()).get('query') ?? '';
      asked.push(`${request.method} ${request.url} ${query}`);
      const [status, text] = answer(query);
      response.writeHead(status).end(text);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

const vector = (...values: string[]): [number, string] => [
  200,
  JSON.stringify({
    status: 'success',
    data: { resultType: 'vector', result: values.map((v) => ({ metric: {}, value: [1, v] })) },
  }),
];

test('Each query is asked with set, rollout and window filled in, and gives one number', async (t) => {
  const { url, asked } = await prometheus(t, () => vector('0.25'));
  const queries = { newlyDenied: 'x{set="{{set}}",id="{{rollout}}"}[{{window}}]', samples: 'y' };
  const numbers = await askPrometheus({ url: `${url}/`, queries }, ASKED, (error) =>
    assert.fail(String(error)),
  );
  assert.deepEqual(numbers, { newlyDenied: 0.25, samples: 0.25 });
  assert.deepEqual(asked.sort(), [
    'POST /api/v1/query x{set="main",id="r1"}[1m30s]',
    'POST /api/v1/query y',
  ]);
});

test('A window is never shorter than a minute, in which nothing would have been scraped', () => {
  assert.equal(filled('[{{window}}]', { ...ASKED, windowMs: 5000 }), '[1m]');
});

for (const [name, answer] of [
  ['no result', vector()],
  ['several results', vector('1', '2')],
  ['not a number', vector('NaN')],
  ['infinity', vector('+Inf')],
] as const) {
  test(`${name} is no data`, async (t) => {
    const { url } = await prometheus(t, () => answer);
    assert.deepEqual(
      await askPrometheus({ url, queries: { errorRatio: 'x' } }, ASKED, (error) =>
        assert.fail(String(error)),
      ),
      {},
    );
  });
}

for (const [name, answer] of [
  ['an error status', [500, '{}']],
  ['no JSON', [200, '<html>']],
  ['an answer of another shape', [200, '{"status":"error"}']],
  ['an endless answer', [200, `"${'x'.repeat(300_000)}"`]],
] as const) {
  test(`${name} is no data and is told`, async (t) => {
    const { url } = await prometheus(t, () => [...answer] as [number, string]);
    const errors: unknown[] = [];
    const told = (error: unknown) => errors.push(error);
    assert.deepEqual(await askPrometheus({ url, queries: { errorRatio: 'x' } }, ASKED, told), {});
    assert.equal(errors.length, 1);
  });
}

test('A server that is not there is no data', async () => {
  const errors: unknown[] = [];
  const from = { url: 'http://127.0.0.1:9', queries: { errorRatio: 'x' } };
  assert.deepEqual(await askPrometheus(from, ASKED, (error) => errors.push(error)), {});
  assert.equal(errors.length, 1);
});
