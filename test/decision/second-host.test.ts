/** Our host beside @open-policy-agent/opa-wasm, the second opinion, which runs the module without our fuel pass. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadPolicy } from '@open-policy-agent/opa-wasm';
import fc from 'fast-check';
import { compilePolicy, createEngine } from '../../src/decision/opa-wasm.ts';
import { compileRego } from './compiled-policy.ts';
import { ECHO, MAIL, MAIL_DATA, PATTERNS } from './policies.ts';

const address = fc.constantFrom(
  'accountant@example.com',
  'BACKUP@example.com',
  'eve@evil.example',
  '',
);
const words = fc
  .array(
    fc.constantFrom('invoice', 'hello', 'api_key', 'Seed Phrase', 'tax', 'é', '😀', 'password: x'),
    { maxLength: 6 },
  )
  .map((list) => list.join(' '));
const mail = fc.record(
  {
    tool: fc.record({ name: fc.constantFrom('gmail.send', 'gmail.read', 'shell', '') }),
    environment: fc.constantFrom('prod', 'test', 'moon'),
    destination: fc.record({
      host: fc.constantFrom('a.example.com', 'a.b.example.com', 'example.com'),
    }),
    arguments: fc.record(
      {
        to: fc.array(address, { maxLength: 3 }),
        cc: fc.array(address, { maxLength: 2 }),
        subject: words,
        text: words,
      },
      { requiredKeys: ['to'] },
    ),
    attachments: fc.array(
      fc.record({
        bytes: fc.nat(15_000_000),
        age_minutes: fc.oneof(fc.constant(null), fc.double({ min: 0, max: 60, noNaN: true })),
        source: fc.constantFrom('explicit_user_upload', 'unknown'),
      }),
      { maxLength: 3 },
    ),
  },
  { requiredKeys: [] },
);
const anything = fc.oneof(mail, fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue()));

for (const [name, rego, data, runs] of [
  ['rules over mail', MAIL, MAIL_DATA, 6000],
  ['patterns', PATTERNS, '{}', 2000],
  ['the input itself', ECHO, '{}', 2000],
] as const) {
  test(`both hosts agree on random inputs: ${name}`, async (t) => {
    const wasm = compileRego(t, [rego]);
    if (wasm === null) return;
    const engine = createEngine(compilePolicy(wasm, data));
    t.after(() => engine.close());
    const second = await loadPolicy(new Uint8Array(wasm).buffer);
    second.setData(JSON.parse(data) as object);
    fc.assert(
      fc.property(anything, (input) => {
        const text = JSON.stringify(input);
        if (!text.isWellFormed() || /\\ud[89a-f]/.test(text)) return;
        const evaluation = engine.evaluate(text, 0n);
        const [theirs] = second.evaluate(JSON.parse(text)) as { result: unknown }[];
        const ours = evaluation.ok ? evaluation.value : evaluation.reason;
        assert.deepEqual(ours, theirs === undefined ? 'policy.undefined' : theirs.result);
      }),
      { numRuns: runs },
    );
  });
}
