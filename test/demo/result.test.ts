/**
 * The demo must be able to fail: each witness that tells another story turns a tick into a cross.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Report } from '../../examples/receipts/agent.ts';
import { type MailboxState, PRIVATE_MARK } from '../../examples/receipts/mail-api.ts';
import {
  type AuditRecord,
  checksOf,
  type Evidence,
  resultOf,
} from '../../examples/receipts/result.ts';
import { STORY, type Step } from '../../examples/receipts/story.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const stepNamed = (name: string): Step => STORY.find((step) => step.name === name) as Step;
const sent = stepNamed('receipt by fetch');
const refused = stepNamed('wrong recipient');

const report = (headers: Record<string, string>, text = '', isError = false): Report => ({
  step: '',
  traceId: TRACE,
  answer: { status: 200, isError, text, headers },
  error: null,
});
const record = (id: string, reason: string, rule: string): AuditRecord => ({
  decision_id: id,
  trace_id: TRACE,
  input: { mcp: null },
  result: { reasons: [{ code: rule }] },
  egret: { kind: 'decision', enforcement: { action: 'refuse', reason } },
});
const allowed = record('a', 'policy.allowed', 'policy.allowed');
const denied = record('b', 'policy.denied', 'mail.recipient_not_allowed');
const told = report({ 'x-egret-reason': 'policy.denied', 'x-egret-decision-id': 'b' }, '', true);

void test('a step is as expected when the answer and the audit log agree with the story', () => {
  assert.equal(resultOf(sent, report({}), [allowed]).asExpected, true);
  assert.equal(resultOf(refused, told, [allowed, denied]).asExpected, true);
});

void test('a step is not as expected when one of the two tells something else', () => {
  const otherRule = record('b', 'policy.denied', 'mail.secret');
  const cases: [Step, Report, AuditRecord[]][] = [
    [sent, report({}), []],
    [sent, report({}), [denied]],
    [sent, report({}), [allowed, allowed]],
    [sent, report({}, '', true), [allowed]],
    [sent, { ...report({}), answer: null }, [allowed]],
    [refused, told, [allowed]],
    [refused, told, [otherRule]],
    [refused, report({}), [denied]],
  ];
  for (const [step, given, records] of cases) {
    assert.equal(
      resultOf(step, given, records).asExpected,
      false,
      JSON.stringify([given, records]),
    );
  }
});

const mail: MailboxState['delivered'][number] = {
  id: '1',
  recipients: ['backup@example.com'],
  subject: '',
  attachments: [
    {
      filename: 'receipt.pdf',
      sha256: '932198a6b5ffdd3d02aedacb202743df6df7a584894a59b021ecbd37349cf5a8',
    },
  ],
  traceparent: `00-${TRACE}-b7ad6b7169203331-01`,
};
const evidence: Evidence = {
  results: [resultOf(sent, report({}), [allowed])],
  mailbox: { requests: ['POST /send'], delivered: [mail] },
  secret: 'sk-planted',
  written: { 'the log': 'nothing' },
};
const failed = (changed: Partial<Evidence>) =>
  checksOf({ ...evidence, ...changed })
    .filter(({ passed }) => !passed)
    .map(({ text }) => text);

void test('all checks pass when every witness tells the same', () => {
  assert.deepEqual(failed({}), []);
});

void test('a mail too many, to somebody else, with another file or another trace is noticed', () => {
  const { requests } = evidence.mailbox;
  const delivered = (one: Partial<typeof mail>) => ({
    mailbox: { requests, delivered: [{ ...mail, ...one }] },
  });
  assert.match(failed({ mailbox: { requests, delivered: [mail, mail] } }).join(), /has 2 messages/);
  assert.match(failed(delivered({ recipients: ['x@example.com'] })).join(), /has 1 messages/);
  assert.match(failed(delivered({ attachments: [] })).join(), /has 1 messages/);
  assert.match(failed(delivered({ traceparent: null })).join(), /trace id/);
});

void test('a refused request that reached the mail service is noticed', () => {
  const mailbox = { requests: ['POST /send', 'GET /messages'], delivered: [mail] };
  assert.match(failed({ mailbox }).join(), /2 requests reached/);
});

void test('a private mail at the agent and a planted key in the log are noticed', () => {
  const leaky = resultOf(sent, report({}, `Results (${PRIVATE_MARK})`), [allowed]);
  assert.match(failed({ results: [leaky] }).join(), /private mail/);
  assert.match(failed({ written: { 'the log': 'key sk-planted' } }).join(), /planted key/);
});
