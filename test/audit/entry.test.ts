/** Entries: canonical text, what stands in the clear, what is committed, and that nothing is too long. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import canonicalize from 'canonicalize';
import fc from 'fast-check';
import { canonicalText, isCanonical } from '../../src/audit/canonical.ts';
import { opens } from '../../src/audit/commitment.ts';
import { blankPath } from '../../src/audit/disclosure.ts';
import {
  decisionEntry,
  ENTRY_BYTES_MAX,
  type Entry,
  type EntryContext,
  lifecycleEntry,
  outcomeEntry,
} from '../../src/audit/entry.ts';
import type { DecisionRecord } from '../../src/audit/record.ts';
import { type RecordedDecision, recordedDecision } from '../../src/author/recorded.ts';
import type { Json, JsonObject } from '../../src/call/tool-call.ts';
import type { Obligation } from '../../src/decision/verdict.ts';
import { decision, outcome } from './records.ts';

const context: EntryContext = {
  boot: { log: 'test-log', bootId: 'boot-1', labels: { id: 'bot', version: '1' } },
  stamp: { seq: 5, timestamp: '2026-11-22T10:00:00.000Z', monoNs: 12_345 },
  salt: () => Buffer.alloc(32, 7),
};

const parsed = (entry: Entry) => JSON.parse(entry.line);
const json = fc.jsonValue({ maxDepth: 4 }) as fc.Arbitrary<Json>;
const unicode = fc.string({ unit: 'binary', maxLength: 40 });
const args = fc.dictionary(fc.oneof(unicode, fc.nat().map(String)), json, { maxKeys: 6 });

test('canonical text is what canonicalize writes', () => {
  fc.assert(
    fc.property(fc.oneof(json, args), (value) => {
      assert.equal(canonicalText(value as Json), canonicalize(value));
    }),
  );
});

test('a decision is canonical whatever the call and the labels hold', () => {
  const levels = fc.constantFrom('metadata', 'full');
  const fields = fc.constant(['/arguments/a', '/destination/query', '/http/headers']);
  fc.assert(
    fc.property(args, args, unicode, levels, fields, (some, other, text, level, pointers) => {
      const record = withCall({ ...some, to: [text], a: other as JsonObject }, text, [
        { kind: 'log', level, fields: pointers },
      ]);
      const labels = { [text]: text, 10: 'x', 9: 'y' };
      const { line } = decisionEntry(record, { ...context, boot: { ...context.boot, labels } });
      assert.equal(line, canonicalize(JSON.parse(line)));
      assert.ok(isCanonical(line, JSON.parse(line)));
    }),
  );
});

test('outcomes and events are canonical', () => {
  fc.assert(
    fc.property(args, unicode, (detail, text) => {
      const event = lifecycleEntry({ event: 'start', detail: detail as JsonObject }, context).line;
      const end = outcomeEntry(
        { ...outcome(text.toWellFormed()), contentType: text },
        context,
      ).line;
      for (const line of [event, end]) assert.equal(line, canonicalize(JSON.parse(line)));
    }),
  );
});

test('text that is not canonical is recognised', () => {
  for (const text of [
    '{"b":1,"a":2}',
    '{ "a":1}',
    '{"a":1.0}',
    '{"a":1,"a":1}',
    '"\\u0041"',
    '{"10":1,"9":2}',
  ]) {
    const same = text === '{"10":1,"9":2}';
    assert.equal(isCanonical(text, JSON.parse(text)), same, text);
  }
});

const SECRET = 'hunter2-Planted-Secret';

test('a planted secret is in no entry, wherever the call holds it', () => {
  const record = withCall(
    { to: [SECRET], cc: SECRET, token: SECRET, deep: { a: [SECRET] } },
    SECRET,
    [],
  );
  const { input, verdict } = record;
  assert.ok(input && verdict);
  const full: DecisionRecord = {
    ...record,
    jsonrpcId: SECRET,
    request: { method: 'POST', target: `http://u:${SECRET}@h/${SECRET}?a=${SECRET}` },
    input: {
      ...input,
      mcp: { version: '1', method: SECRET },
      attachments: [attachment(SECRET)],
      context: { labels: [], inputs: [{ source: `https://x/?${SECRET}`, sha256: SECRET }] },
    },
    verdict: {
      ...verdict,
      message: SECRET,
      warnings: [SECRET],
      reasons: [{ code: 'c', policy: 'p', rule: 'r', message: SECRET }],
      obligations: [{ kind: 'header', name: 'x', value: SECRET }],
    },
  };
  for (const record of [full, { ...full, input: null }, { ...full, input: null, verdict: null }]) {
    const { line, openings } = decisionEntry(record, context);
    assert.ok(!line.includes(SECRET));
    const kept = openings().filter(({ pointer }) => !/sha256|inputs/.test(pointer));
    assert.ok(!JSON.stringify(kept).includes(SECRET), 'content is kept only when policy asks');
  }
});

test('level full shows recipients and attachments and keeps openings of the rest', () => {
  const record = withCall({ to: ['a@example.com'], subject: 'tax' }, 'x', [
    { kind: 'log', level: 'full' },
  ]);
  assert.ok(record.input);
  const entry = decisionEntry(
    { ...record, input: { ...record.input, attachments: [attachment('r.pdf')] } },
    context,
  );
  const { input, egret, erased } = parsed(entry);
  assert.deepEqual(input.arguments, { to: ['a@example.com'] });
  assert.deepEqual(input.attachments, [{ ...attachment('r.pdf') }]);
  assert.ok(erased.includes('/input/arguments/subject'));
  const opening = entry.openings().find(({ pointer }) => pointer === '/input/arguments/subject');
  const commit = egret.redaction.commits.find(
    (c: { pointer: string }) => c.pointer === '/input/arguments/subject',
  );
  assert.equal(opening?.value, '"tax"');
  assert.ok(opening && opens(opening, commit.commit));
  assert.ok(!opens({ ...opening, value: '"salary"' }, commit.commit));
});

test('fields and attachment hashes are shown when policy names them, and nothing else', () => {
  const record = withCall({ subject: 'tax', text: 'body', message: { id: 4 } }, 'x', [
    {
      kind: 'log',
      include_attachment_hashes: true,
      fields: ['/arguments/subject', '/input/arguments/message/id'],
    },
  ]);
  assert.ok(record.input);
  const { input, egret } = parsed(
    decisionEntry(
      { ...record, input: { ...record.input, attachments: [attachment('r.pdf')] } },
      context,
    ),
  );
  assert.deepEqual(input.arguments, { subject: 'tax' });
  assert.deepEqual(egret.redaction.disclosed, [
    { pointer: '/input/arguments/message/id', value: 4 },
  ]);
  assert.deepEqual(Object.keys(input.attachments[0]), ['age_minutes', 'bytes', 'sha256', 'source']);
});

test('equal values in two records have different commitments', () => {
  const [one, two] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)].map(
    (key) =>
      parsed(decisionEntry(decision('d'), { ...context, salt: () => key })).egret.redaction.commits,
  );
  assert.ok(one.every((c: { commit: string }, i: number) => c.commit !== two[i].commit));
});

test('no entry is over 60 KiB and nothing is dropped silently', () => {
  const huge = 'ü'.repeat(200_000);
  const many = Object.fromEntries(
    Array.from({ length: 500 }, (_, i) => [`argument-${i}`, huge.slice(0, 50)]),
  );
  for (const args of [
    { text: huge },
    many,
    { [huge]: 1 },
    { to: Array.from({ length: 900 }, () => 'a@b.example') },
  ]) {
    const record = withCall(args, huge, [
      { kind: 'log', level: 'full', fields: ['/arguments/text', '/http'] },
    ]);
    const entry = decisionEntry({ ...record, requestedBy: huge, traceId: huge }, context);
    assert.ok(Buffer.byteLength(entry.line) <= ENTRY_BYTES_MAX);
    const { erased, egret } = parsed(entry);
    assert.ok(
      erased.some((p: string) => p === '/input' || p.startsWith('/input/arguments')) || args.to,
    );
    assert.ok(egret.redaction.commits.length > 0);
  }
  const event = lifecycleEntry({ event: 'bundle_rejected', detail: { text: huge } }, context);
  assert.deepEqual(parsed(event).erased, ['/egret/lifecycle/detail']);
});

test('a request that never reached policy has a leaf with its reason and no data of the call', () => {
  const enforcement = {
    action: 'refuse',
    mode: 'deny',
    reason: 'call.malformed',
    would_deny: false,
  } as const;
  const request = { method: 'P\u001b[31mOST', target: '/tools/x/Bearer-abc?key=1' };
  const { egret, input, error } = parsed(
    decisionEntry({ ...decision('d'), input: null, verdict: null, enforcement, request }, context),
  );
  assert.equal(input, null);
  const agent = { verified_by: 'c', id: 'bot', key_thumbprint: null, assurance: 'none' } as const;
  const { line } = decisionEntry({ ...decision('d'), input: null, verdict: null, agent }, context);
  assert.equal(line, canonicalize(JSON.parse(line)));
  assert.deepEqual([egret.req.method, egret.req.target], [null, '/tools/x/*']);
  assert.equal(error.code, 'call.malformed');
});

test('paths keep words and lose data', () => {
  const table: [string, string][] = [
    ['/gmail/v1/users/me/messages/send', '/gmail/v1/users/me/messages/send'],
    ['/bot123:AAF-x/sendMessage', '/*/*'],
    ['/services/T000/B000/XXXX', '/services/*/*/*'],
    ['/users/a%40b.example', '/users/*'],
    ['', ''],
  ];
  for (const [path, expected] of table) assert.equal(blankPath(path), expected);
});

function withCall(
  args: JsonObject,
  text: string,
  obligations: readonly Obligation[],
): DecisionRecord {
  const record = decision('d-1', { args, obligations });
  assert.ok(record.input);
  const input = {
    ...record.input,
    destination: { ...record.input.destination, path: `/x/${text}`, query: { key: [text] } },
    http: { method: 'POST', headers: { 'x-key': [text], '7': ['a'] } },
  };
  return { ...record, input };
}

function attachment(name: string) {
  return {
    age_minutes: 2.5,
    bytes: 1200,
    media_type: 'application/pdf',
    name,
    sha256: 'c'.repeat(64),
    source: 'explicit_user_upload' as const,
  };
}

test('a decision in a rollout says who took part, canonically and within the bound', () => {
  const long = 'é'.repeat(20_000);
  const whole = fc.string({ unit: 'binary', maxLength: 40 });
  const arms = fc.constantFrom('shadow', 'stable', 'guarded', 'candidate');
  fc.assert(
    fc.property(arms, fc.option(fc.nat(9999)), whole, (arm, bucket, text) => {
      const rollout = {
        id: text,
        arm,
        bucket,
        candidate: {
          digest: `sha256:${'b'.repeat(64)}`,
          revision: text + long,
          outcome: 'deny',
          reason: 'policy.fuel_exhausted',
        },
        difference: 'error',
      } as const;
      const { line } = decisionEntry({ ...decision('d-1'), rollout }, context);
      assert.equal(line, canonicalize(JSON.parse(line)));
      assert.ok(Buffer.byteLength(line) <= ENTRY_BYTES_MAX);
      const { egret, result } = JSON.parse(line);
      assert.deepEqual([egret.rollout.arm, egret.rollout.bucket], [arm, bucket]);
      assert.equal(result.outcome, 'allow', 'what was enforced stands where it always does');
    }),
  );
});

test('outside a rollout nothing of one stands in an entry', () => {
  for (const record of [decision('d-1'), { ...decision('d-1'), rollout: null }]) {
    assert.ok(!decisionEntry(record, context).line.includes('rollout'));
  }
});

test('a decision in a rollout can be replayed like any other', () => {
  const rollout = {
    id: 'r1',
    arm: 'guarded',
    bucket: 17,
    candidate: { digest: 'd', revision: 'r', outcome: 'allow', reason: 'policy.allowed' },
    difference: 'same',
  } as const;
  const [plain, trying] = [decision('d-1'), { ...decision('d-1'), rollout }].map((record) =>
    recordedDecision({ index: 0, entry: parsed(decisionEntry(record, context)) } as never),
  );
  assert.ok(plain !== null && trying !== null);
  const { entry: _, ...rest } = plain as RecordedDecision;
  const { entry: __, ...others } = trying as RecordedDecision;
  // In an arm where two revisions had a say it is told that stable did not decide alone.
  assert.deepEqual(others, { ...rest, mixed: true });
});
