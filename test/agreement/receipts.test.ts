/**
 * Three opinions on the receipts policy: our WASM host, @open-policy-agent/opa-wasm, and a plain statement of the
 * policy in TypeScript. They must agree on random tool calls, on outcome, code and reasons.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadPolicy } from '@open-policy-agent/opa-wasm';
import fc from 'fast-check';
import { activate } from '../../src/bundle/activation.ts';
import { readArchive } from '../../src/bundle/archive.ts';
import { receiptsStatement, type StatedCall } from './receipts-statement.ts';

const RUNS = Number(process.env['EGRET_TEST_ROUNDS'] ?? 5000);
const bytes = readFileSync(join(import.meta.dirname, '../../rego/dist/receipts.tar.gz'));
const files = readArchive(bytes);

const often = <T>(usual: T, ...rare: T[]) =>
  fc.oneof(
    { weight: 6, arbitrary: fc.constant(usual) },
    { weight: 2, arbitrary: fc.constantFrom(usual, ...rare) },
  );
const address = often(
  'accountant@example.com',
  'Backup@Example.com',
  ' accountant@example.com ',
  'eve@evil.example',
  'accountant@example.com.evil.example',
  '',
);
// Each secret comes whole: in which order a policy reads the texts of a call is nobody's business.
const words = fc
  .array(
    fc.constantFrom(
      ...'receipts|for|March|hello|salary|in-voice|TAX|api_key|API-Key|seed  phrase|private k\u200bey|*api*key|é|😀|'.split(
        '|',
      ),
    ),
    { maxLength: 5 },
  )
  .map((list) => list.join(' '));
const plain = fc.constantFrom('receipts for March', 'hello', '');
const text = fc.oneof({ weight: 3, arbitrary: plain }, { weight: 1, arbitrary: words });

const call: fc.Arbitrary<StatedCall> = fc.record({
  tool: fc.record({
    name: often(
      'gmail.send',
      'gmail.messages.list',
      'gmail.messages.get',
      'mcp.tools.list',
      'shell.run',
    ),
    operation: fc.constantFrom('write', 'read', 'list', 'connect', 'unknown'),
    server: fc.constantFrom('mail', 'files', null),
    known: fc.boolean(),
  }),
  arguments_state: often('parsed', 'opaque', 'none'),
  arguments: fc.record(
    {
      to: fc.array(address, { minLength: 1, maxLength: 3 }),
      cc: fc.array(address, { maxLength: 1 }),
      bcc: fc.array(address, { maxLength: 1 }),
      subject: fc.oneof(
        { weight: 9, arbitrary: text },
        { weight: 1, arbitrary: fc.constantFrom(1, null) },
      ),
      text,
      note: fc.oneof({ weight: 5, arbitrary: text }, { weight: 1, arbitrary: fc.constant('x@y') }),
      amount: fc.constantFrom<unknown>(1, 500, 500.01, 1e9, '9', null),
    },
    { requiredKeys: ['to'] },
  ),
  attachments: fc.array(
    fc.record({
      name: often('march.pdf', 'private_key.pem'),
      bytes: often(1000, 20_000_000, 20_000_001, 0),
      source: often('explicit_user_upload', 'unknown'),
      age_minutes: often<number | null>(1, 30, 30.001, 1e6, null),
    }),
    { maxLength: 2 },
  ) as fc.Arbitrary<StatedCall['attachments']>,
  mcp: fc.constantFrom(null, { version: '2025-11-25', method: 'tools/call' }),
});

interface Result {
  readonly allowed: boolean;
  readonly outcome: string;
  readonly code: string;
  readonly reasons: readonly { readonly code: string }[];
}

test('our host, the second host and the plain statement agree on random tool calls', async (t) => {
  const activation = activate({ files, digest: 'sha256:test' }, { set: 'main', nowMs: 0 });
  assert.ok(activation.ok);
  const { engine } = activation.revision;
  t.after(() => engine.close());
  const second = await loadPolicy(new Uint8Array(files.get('policy.wasm') as Uint8Array).buffer);
  second.setData(JSON.parse(String(Buffer.from(files.get('data.json') as Uint8Array))) as object);
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(call, (input) => {
      const evaluation = engine.evaluate(JSON.stringify(input), 0n);
      assert.ok(evaluation.ok);
      const [theirs] = second.evaluate(input, 'egret/decision') as { result: Result }[];
      assert.deepEqual(evaluation.value, theirs?.result);
      const { allowed, outcome, code, reasons } = evaluation.value as Result;
      const stated = receiptsStatement(input);
      const codes = [...new Set(reasons.map((reason) => reason.code))].sort();
      assert.deepEqual({ outcome, code, reasons: codes }, stated);
      assert.equal(allowed, outcome === 'allow');
      seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
    }),
    { numRuns: RUNS },
  );
  for (const outcome of ['allow', 'deny', 'require_approval']) {
    assert.ok(
      (seen.get(outcome) ?? 0) > RUNS / 100,
      `${outcome} came up ${seen.get(outcome)} times`,
    );
  }
});
