/** `egret decide`: one call that is written down, against each form of a policy. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readArchive } from '../../src/bundle/archive.ts';
import { needsOpa } from '../policy/opa.ts';
import { directory, egret, RECEIPTS } from './egret.ts';

const mail = (to: string, more: object = {}) =>
  JSON.stringify({
    apiVersion: 'egret.dev/v1',
    kind: 'ToolCallReview',
    request: {
      tool: { name: 'gmail.send', operation: 'write', known: true, server: 'mail' },
      arguments: { to: [to], cc: [], bcc: [], subject: 'March', text: 'hello', html: '' },
      ...more,
    },
  });

test('an allowed call is exit code 0, with verdict, rule and revision', () => {
  const { status, stdout, stderr } = egret(
    ['decide', RECEIPTS, '-'],
    mail('accountant@example.com'),
  );
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^allow {2}policy\.allowed\n {2}receipts go to the accountant\n/);
  assert.match(stdout, /receipts\.allow/);
  assert.match(stdout, /policy revision sha256:[0-9a-f]{64}/);
});

test('a refused call is exit code 1, and --json is the review with its response', () => {
  const { status, stdout } = egret(['decide', RECEIPTS, '-', '--json'], mail('a@attacker.example'));
  assert.equal(status, 1);
  const { kind, response } = JSON.parse(stdout);
  assert.equal(kind, 'ToolCallReview');
  assert.deepEqual([response.allowed, response.status.reason], [false, 'policy.denied']);
  assert.equal(response.reasons[0].code, 'mail.recipient_not_allowed');
});

test("facts of a review count: provenance and time are the author's to state", (t) => {
  const file = { name: 'r.pdf', bytes: 10, sha256: 'a'.repeat(64) };
  const source = 'explicit_user_upload';
  const decided = (attachment: object) =>
    egret(
      ['decide', RECEIPTS, '-', '--json'],
      mail('accountant@example.com', { attachments: [attachment] }),
    );
  assert.equal(decided({ ...file, source, age_minutes: 5 }).status, 0);
  assert.match(decided({ ...file, source, age_minutes: 500 }).stdout, /mail\.attachment_stale/);
  assert.match(decided(file).stdout, /mail\.attachment_unknown/);
  if (!needsOpa(t)) return;
  const weekdays = `package policies.hours

allow contains "office hours" if time.clock(input.time_ns)[0] < 18
`;
  const repository = directory(t, { 'policies/hours.rego': weekdays });
  const at = (time: string) =>
    egret(['decide', repository, '-'], mail('a@b.example', { time, agent: 'bot' })).status;
  assert.deepEqual([at('2026-11-23T10:00:00Z'), at('2026-11-23T19:00:00Z')], [0, 1]);
});

test('an unpacked bundle decides as its archive does', (t) => {
  const files = [...readArchive(readFileSync(RECEIPTS))];
  const unpacked = directory(
    t,
    Object.fromEntries(
      files
        .filter(([name]) => name !== 'policy.wasm')
        .map(([name, bytes]) => [name, Buffer.from(bytes).toString()]),
    ),
  );
  // Without its module it is refused by the gate, with exit code 2 and the name of the file.
  const refused = egret(['decide', unpacked, '-'], mail('accountant@example.com'));
  assert.equal(refused.status, 2);
  assert.match(refused.stderr, /policy\.wasm: found no such file/);
});

test('a policy repository is compiled with the library', (t) => {
  if (!needsOpa(t)) return;
  const policy =
    'package policies.all\n\nallow contains "mail" if input.tool.name == "gmail.send"\n';
  const repository = directory(t, { 'policies/all.rego': policy, 'scenarios/x.yaml': 'a: 1' });
  assert.equal(egret(['decide', repository, '-'], mail('a@b.example')).status, 0);
});

test('what cannot be used is exit code 2, and names file, path and what was expected', (t) => {
  const files = directory(t, {
    'text.yaml': 'a: [',
    'review.yaml': 'request: {tool: 5}\n',
    'facts.yaml': 'request: {tool: {name: x}, time: yesterday}\n',
    'alias.yaml': 'a: &x 1\nrequest: *x\n',
    'policy.tar.gz': 'no archive',
  });
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['none.tar.gz', '-'], /none\.tar\.gz: found nothing, expected a bundle archive/],
    [[join(files, 'policy.tar.gz'), '-'], /policy\.tar\.gz: found no gzip header/],
    [[RECEIPTS, join(files, 'none.yaml')], /none\.yaml: found nothing, expected a file/],
    [[RECEIPTS, join(files, 'text.yaml')], /text\.yaml:1:\d+: not valid YAML/],
    [[RECEIPTS, join(files, 'review.yaml')], /review\.yaml: request\.tool: .*expected object/],
    [[RECEIPTS, join(files, 'facts.yaml')], /facts\.yaml: request\.time: expected a time/],
    [[RECEIPTS, join(files, 'alias.yaml')], /alias\.yaml: found a YAML alias/],
    [[RECEIPTS], /missing required argument/],
  ];
  for (const [args, message] of cases) {
    const { status, stdout, stderr } = egret(['decide', ...args]);
    assert.deepEqual([status, stdout], [2, ''], args.join(' '));
    assert.match(stderr, message);
  }
});
