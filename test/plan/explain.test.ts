/** `egret explain`: rules that fired or nearly did, with file, line, compared values and what would have to change. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readArchive } from '../../src/bundle/archive.ts';
import { directory, egret, RECEIPTS, ROOT } from '../author/egret.ts';
import { needsOpa } from '../policy/opa.ts';

const YAML = join(ROOT, 'rego/dist/receipts-yaml.tar.gz');
const PACKS = join(ROOT, 'rego/packs');

const mail = (args: object = {}, age = 5) =>
  JSON.stringify({
    request: {
      tool: { name: 'gmail.send', operation: 'write', known: true, server: 'mail' },
      arguments: {
        ...{ to: ['accountant@example.com'], cc: [], bcc: [], subject: 'March', text: 'hi' },
        ...args,
      },
      attachments: [
        {
          ...{ name: 'r.pdf', bytes: 10, sha256: 'a'.repeat(64) },
          ...{ source: 'explicit_user_upload', age_minutes: age },
        },
      ],
    },
  });

test('an allowed call is exit code 0 and names the rule that fired with its place', () => {
  const { status, stdout, stderr } = egret(['explain', RECEIPTS, '-', '--source', PACKS], mail());
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^allow {2}policy\.allowed\n/);
  assert.match(stdout, /fired:\n {2}receipts\.allow {2}receipts\/receipts\.rego:32\n/);
  assert.doesNotMatch(stdout, /would have to change/);
});

test('a refused call: the deny that fired, the allow that nearly did, and the way out', () => {
  const { status, stdout } = egret(
    ['explain', RECEIPTS, '-', '--source', PACKS],
    mail({ amount: 5000 }, 500),
  );
  assert.equal(status, 1);
  const told = stdout.slice(0, stdout.indexOf('almost fired:'));
  assert.match(
    told,
    /receipts\.deny {2}receipts\/receipts\.rego:67\n {4}gave an attachment was provided/,
  );
  assert.match(told, /because receipts\/receipts\.rego:71 {2}not fresh_upload\(attachment\)\n/);
  assert.match(
    told,
    /which stopped at receipts\/receipts\.rego:51 {2}attachment\.age_minutes <= config\.attachment_minutes_max\n/,
  );
  assert.match(
    stdout,
    /almost fired:\n {2}receipts\.allow {2}receipts\/receipts\.rego:32\n {4}stopped at receipts\/receipts\.rego:36 {2}attachments_fit\n/,
  );
  const ways = stdout.slice(stdout.indexOf('what would have to change:')).split('\n').slice(1, -1);
  assert.deepEqual(ways, [
    '  - input.attachments[0].age_minutes must be at most 30; it is 500; or change data.config.receipts.attachment_minutes_max',
    '  - input.arguments.amount must be at most 500; it is 5000; or change data.config.receipts.approval_amount_over',
  ]);
});

test('doing what the suggestions say makes the call allowed', () => {
  const refused = egret(['explain', RECEIPTS, '-', '--json'], mail({ amount: 5000 }, 500));
  const { suggestions } = JSON.parse(refused.stdout) as { suggestions: string[] };
  const limits = suggestions.map((one) => Number(/must be at most (\d+)/.exec(one)?.[1]));
  const [age, amount] = limits;
  assert.equal(egret(['explain', RECEIPTS, '-'], mail({ amount }, age)).status, 0);
});

test('--json has every rule with place, values and paths; without sources there is no text', () => {
  const { status, stdout } = egret(['explain', RECEIPTS, '-', '--json'], mail({}, 500));
  assert.equal(status, 1);
  const { verdict, fired, almost, missed } = JSON.parse(stdout);
  assert.equal(verdict.reason, 'policy.denied');
  assert.match(verdict.revision, /^sha256:/);
  const deny = fired.find(({ rule }: { rule: string }) => rule === 'deny');
  assert.deepEqual(deny.place, { file: 'receipts/receipts.rego', line: 67 });
  const because = deny.conditions[0].because;
  assert.deepEqual(
    [because.line, because.text, because.compared.operator, because.compared.subject.path],
    [51, null, 'lte', 'input.attachments[0].age_minutes'],
  );
  assert.deepEqual([because.compared.subject.value, because.compared.other.value], [500, 30]);
  assert.equal(almost[0].rule, 'allow');
  assert.ok(missed.every(({ passed }: { passed: number }) => passed === 0));
});

test('YAML policies are explained by their own lines', () => {
  const args = ['explain', YAML, '-'];
  const refused = egret(args, mail({ to: ['eve@evil.example'], subject: 'invoice' }, 500));
  assert.equal(refused.status, 1);
  assert.match(
    refused.stdout,
    /email_receipts_to_accountant\.require_approval_if\.subject_contains\n/,
  );
  assert.match(refused.stdout, /allow_if\.attachments\.max_age_minutes\n/);
  assert.match(
    refused.stdout,
    /- input\.attachments\[0\]\.age_minutes must be at most 30; it is 500\n/,
  );
  assert.match(
    refused.stdout,
    /must be one of \["accountant@example\.com", "backup@example\.com"\]/,
  );
  assert.equal(egret(args, mail()).status, 0);
  const other = egret([...args, '--all'], '{"request":{"tool":{"name":"shell.run"}}}');
  assert.match(other.stdout, /when\.tool\n/);
  assert.match(other.stdout, /input\.tool\.name must be "gmail\.send"; it is "shell\.run"/);
});

test('a policy repository is its own source, titles of METADATA included', (t) => {
  if (!needsOpa(t)) return;
  const rego = `package policies.hours

# METADATA
# title: "Office hours"
allow contains "in office hours" if {
	input.tool.known
	time.clock(input.time_ns)[0] < 18
}
`;
  const repository = directory(t, { 'policies/hours.rego': rego });
  const at = (time: string) => {
    const request = { tool: { name: 'x', known: true }, time };
    return egret(['explain', repository, '-'], JSON.stringify({ request }));
  };
  assert.equal(at('2026-11-23T10:00:00Z').status, 0);
  const { status, stdout } = at('2026-11-23T19:00:00Z');
  assert.equal(status, 1);
  assert.match(stdout, /hours\.allow {2}[\w-]+\/policies\/hours\.rego:5 {2}Office hours\n/);
  assert.match(
    stdout,
    /stopped at [\w-]+\/policies\/hours\.rego:7 {2}time\.clock\(input\.time_ns\)\[0\] < 18\n/,
  );
  assert.match(stdout, /must be below 18; it is 19/);
});

test('a bundle without its sources is told without text, not with lines of another file', (t) => {
  if (!needsOpa(t)) return;
  const rego = 'package policies.mail\n\nallow contains "all" if input.tool.known\n';
  const place = directory(t, { 'policy/policies/mail.rego': rego });
  const bundle = join(place, 'b.tar.gz');
  const built = egret(['bundle', 'build', join(place, 'policy'), '-o', bundle]);
  assert.equal(built.status, 0, built.stderr);
  const review = '{"request":{"tool":{"name":"x","known":false}}}';
  const explained = (...more: string[]) =>
    egret(['explain', bundle, '-', '--all', ...more], review);
  assert.match(explained().stdout, /stopped at policy\/policies\/mail\.rego:3\n/);
  const elsewhere = join(place, 'checkout');
  cpSync(join(place, 'policy'), elsewhere, { recursive: true });
  assert.match(explained('--source', elsewhere).stdout, /mail\.rego:3 {2}allow contains "all"/);
});

test('wrong use is exit code 2 and says what was expected', (t) => {
  const files = readArchive(readFileSync(RECEIPTS));
  const without = (name: string) => [...files].filter(([file]) => file !== name);
  const place = directory(t);
  const write = (name: string, entries: readonly (readonly [string, Uint8Array])[]) => {
    mkdirSync(join(place, name));
    for (const [file, bytes] of entries) writeFileSync(join(place, name, file), bytes);
    return join(place, name);
  };
  const plan = Buffer.from(files.get('plan.json') ?? '').toString();
  const cases: [string[], string, RegExp][] = [
    [['explain', join(place, 'nothing'), '-'], mail(), /nothing: found nothing, expected a bundle/],
    [['explain', RECEIPTS, '-'], '{"request":{}}', /standard input: request\.tool/],
    [
      ['explain', RECEIPTS, '-', '--source', '/nowhere/at/all'],
      mail(),
      /--source: found no directory/,
    ],
    [
      ['explain', write('without', without('plan.json')), '-'],
      mail(),
      /found no plan\.json, expected a bundle built with one/,
    ],
    [
      [
        'explain',
        write('other', [
          ...without('plan.json'),
          ['plan.json', Buffer.from(plan.replaceAll('gmail.send', 'gmail.sent'))],
        ]),
        '-',
      ],
      mail(),
      /found a plan\.json that says deny \(policy\.no_match\) where policy\.wasm says allow/,
    ],
  ];
  for (const [args, input, message] of cases) {
    const { status, stderr } = egret(args, input);
    assert.equal(status, 2, stderr);
    assert.match(stderr, message);
  }
});
