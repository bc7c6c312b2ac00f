/** `egret replay` and `egret diff` over the audit log of a real sidecar. */
import assert from 'node:assert/strict';
import { appendFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { linesOf } from '../../src/audit/read-log.ts';
import { exceeded, parseThresholds } from '../../src/author/threshold.ts';
import { readArchive } from '../../src/bundle/archive.ts';
import { writeArchive } from '../../src/bundle/archive-writer.ts';
import { CLASSES, type DifferenceClass } from '../../src/rollout/difference.ts';
import { receiptsFor } from '../e2e/bundle-variant.ts';
import { directory, egret, RECEIPTS } from './egret.ts';
import { commonLog } from './recorded-log.ts';

const variant = (place: string, recipients: readonly string[]) => {
  const file = join(place, 'candidate.tar.gz');
  writeFileSync(file, receiptsFor(recipients, 'candidate'));
  return file;
};

const countsOf = (stdout: string) => {
  const { counts } = JSON.parse(stdout) as { counts: Record<DifferenceClass, number> };
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
};

test('a log decided again by its own policy is the same, and what cannot be decided says why', async (t) => {
  const { audit, openings } = await commonLog(t);
  const ran = egret(['replay', audit, '--bundle', RECEIPTS, '--openings', openings, '--json']);
  assert.equal(ran.status, 0, ran.stderr);
  assert.deepEqual(countsOf(ran.stdout), { same: 6, not_replayable: 3 });
  const { notReplayable } = JSON.parse(ran.stdout);
  assert.equal(notReplayable['refused before policy (call.unknown_route)'], 1);
  // The policy reads no headers, so nobody misses them.
  assert.ok(!JSON.stringify(notReplayable).includes('headers'), JSON.stringify(notReplayable));
  assert.equal(notReplayable['only commitments of /input/arguments, /input/arguments/folder'], 1);
  const more = egret([
    'replay',
    audit,
    '--bundle',
    RECEIPTS,
    '--openings',
    openings,
    '--missing',
    'ignore',
    '--json',
  ]);
  assert.deepEqual(countsOf(more.stdout), { same: 8, not_replayable: 1 });
  assert.equal(JSON.parse(more.stdout).incomplete, 2);
  const without = egret(['replay', audit, '--bundle', RECEIPTS, '--json']);
  assert.deepEqual(countsOf(without.stdout), { same: 1, not_replayable: 8 });
  const files = [...readArchive(readFileSync(RECEIPTS))].filter(([name]) => name !== 'plan.json');
  const planless = join(directory(t), 'planless.tar.gz');
  writeFileSync(planless, writeArchive(files));
  const nothing = egret(['replay', audit, '--bundle', planless]);
  assert.equal(nothing.status, 2);
  assert.match(nothing.stdout, /nothing could be compared/);
  assert.match(nothing.stderr, /expected --openings with the side files/);
});

test('a candidate that allows and denies otherwise is exit code 1, newly allowed first', async (t) => {
  const { audit, openings } = await commonLog(t);
  const place = directory(t);
  const html = join(place, 'report.html');
  const candidate = variant(place, ['thief@attacker.example']);
  const replay = (...more: string[]) =>
    egret(['replay', audit, '--bundle', candidate, '--openings', openings, ...more]);
  const ran = replay('--html', html);
  assert.equal(ran.status, 1, ran.stderr);
  const shown = ran.stdout.split('\n').filter((line) => line.startsWith('newly_'));
  assert.deepEqual(
    shown.map((line) => line.split(' ', 1)[0]),
    ['newly_allowed', 'newly_denied', 'newly_denied', 'newly_denied'],
  );
  assert.match(ran.stdout, /now {2}allow policy\.allowed: receipts\.allow policy\.allowed/);
  const { tools, rules } = JSON.parse(replay('--json').stdout);
  assert.deepEqual(
    [tools[0].tool, tools[0].newly_allowed, tools[0].newly_denied],
    ['gmail.send', 1, 3],
  );
  const denied = rules.find(({ rule }: { rule: string }) => rule.endsWith('recipient_not_allowed'));
  assert.deepEqual([denied.before, denied.after], [1, 4]);
  const page = readFileSync(html, 'utf8');
  assert.match(page, /<h2 class="newly_allowed">newly_allowed \(1 of 1\)<\/h2>/);
  assert.doesNotMatch(page, /<script|https?:|accountant@/);
  assert.equal(replay('--fail-on', 'newly_allowed>1,newly_denied>50%').status, 0);
  assert.equal(replay('--fail-on', 'newly_denied>49%').status, 1);
  const wrong = replay('--fail-on', 'newly>0');
  assert.deepEqual([wrong.status, wrong.stdout], [2, '']);
  assert.match(wrong.stderr, /--fail-on: found newly>0, expected a class/);
});

test('values that do not fit their commitments do not count', async (t) => {
  const { audit, openings } = await commonLog(t);
  const [name = ''] = readdirSync(openings);
  const file = join(openings, name);
  writeFileSync(file, readFileSync(file, 'utf8').replaceAll('see above', 'see below'));
  const ran = egret(['replay', audit, '--bundle', RECEIPTS, '--openings', openings, '--json']);
  assert.match(ran.stdout, /only commitments of \/input\/arguments\/text"/);
  assert.deepEqual(countsOf(ran.stdout), { same: 1, not_replayable: 8 });
});

test('a hostile log and hostile side files are passed over, not believed', async (t) => {
  const { audit, openings } = await commonLog(t);
  const wal =
    readdirSync(audit)
      .filter((name) => name.startsWith('wal-'))
      .sort()
      .at(-1) ?? '';
  const decisions = [...linesOf(audit)].filter(({ line }) => line.includes('"kind":"decision"'));
  const last = decisions[0]?.entry as { egret: { seq: number }; input: { arguments: object } };
  let seq = 1000;
  const forged = (change: (entry: typeof last) => unknown) => {
    const entry = structuredClone(last);
    seq += 1;
    entry.egret.seq = seq;
    return `${JSON.stringify(change(entry))}\n`;
  };
  const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
  const lines = [
    'no json\n',
    `{"a":"${'x'.repeat(3_000_000)}"}\n`,
    forged((entry) => ({ ...entry, input: 'text' })),
    forged((entry) => ({ ...entry, input: { ...entry.input, tool: null } })),
    forged((entry) => ({
      ...entry,
      input: { ...entry.input, destination: { host: 'a', path: '//', port: 1 } },
    })),
    forged((entry) => ({ ...entry, result: { outcome: 'maybe' } })),
    forged((entry) => ({ ...entry, erased: ['/input/__proto__/polluted'] })),
    forged((entry) => ({
      ...entry,
      input: { ...entry.input, arguments: { deep: 'DEEP' } },
    })).replace('"DEEP"', deep),
    forged((entry) => ({ ...entry, input: { ...entry.input, time_ns: '9'.repeat(40) } })),
  ];
  appendFileSync(join(audit, wal), lines.join(''));
  appendFileSync(
    join(openings, 'more.jsonl'),
    `{"seq":1001,\n{"seq":1,"openings":[{"pointer":5}]}\n${deep}\n`,
  );
  const replay = ['replay', audit, '--bundle', RECEIPTS, '--openings', openings, '--json'];
  const strict = egret(replay);
  assert.equal(strict.status, 0, strict.stderr);
  assert.equal(JSON.parse(strict.stdout).counts.same, 6);
  const loose = egret([...replay, '--missing', 'ignore']);
  assert.ok([0, 1].includes(loose.status ?? -1), loose.stderr);
  const { counts, notReplayable } = JSON.parse(loose.stdout);
  assert.ok(counts.same >= 8);
  const why = Object.keys(notReplayable).join('\n');
  assert.match(why, /^the recorded input is malformed at tool$/m);
  assert.match(why, /^the recorded input is malformed at time_ns$/m);
  assert.match(why, /^the recorded path is malformed$/m);
});

test('diff of a policy with itself finds nothing, of two policies an example for each class', async (t) => {
  const { audit, openings } = await commonLog(t);
  const recorded = ['--audit', audit, '--openings', openings];
  const same = egret(['diff', RECEIPTS, RECEIPTS, ...recorded, '--count', '300', '--json']);
  assert.equal(same.status, 0, same.stderr);
  assert.deepEqual(JSON.parse(same.stdout).counts, {
    newly_allowed: 0,
    newly_denied: 0,
    obligation: 0,
    reason: 0,
    error: 0,
    same: 306,
  });
  const candidate = variant(directory(t), ['accountant@example.com', 'new@example.net']);
  const differs = (...more: string[]) =>
    egret(['diff', RECEIPTS, candidate, '--count', '1500', '--json', ...more]);
  const ran = differs();
  assert.equal(ran.status, 1);
  const { examples } = JSON.parse(ran.stdout);
  const allowed = JSON.parse(examples.newly_allowed.input);
  assert.deepEqual(allowed.tool.name, 'gmail.send');
  assert.deepEqual(
    [
      ...new Set([
        ...(allowed.arguments.to ?? []),
        ...(allowed.arguments.cc ?? []),
        ...(allowed.arguments.bcc ?? []),
      ]),
    ],
    ['new@example.net'],
  );
  assert.match(examples.newly_denied.input, /backup@example\.com/);
  assert.equal(differs().stdout, ran.stdout, 'equal seeds, equal inputs');
  assert.notEqual(differs('--seed', '2').stdout, ran.stdout);
});

test('a recorded call that differs is named by its id and not repeated', async (t) => {
  const { audit, openings } = await commonLog(t);
  const candidate = variant(directory(t), ['thief@attacker.example']);
  const ran = egret([
    'diff',
    RECEIPTS,
    candidate,
    '--audit',
    audit,
    '--openings',
    openings,
    '--count',
    '0',
  ]);
  assert.equal(ran.status, 1);
  assert.match(ran.stdout, /^newly_allowed, for example decision [0-9a-f-]{36}$/m);
  assert.doesNotMatch(ran.stdout, /thief@/);
});

test('a threshold is exceeded by one more than it says, and percentages are of what was compared', () => {
  const number = fc.nat({ max: 1000 });
  const counts = fc.record(
    Object.fromEntries(CLASSES.map((name) => [name, number])) as Record<
      DifferenceClass,
      typeof number
    >,
  );
  fc.assert(
    fc.property(
      counts,
      fc.constantFrom(...CLASSES),
      number,
      fc.boolean(),
      (found, name, above, percent) => {
        const parsed = parseThresholds(` ${name} > ${above}${percent ? '%' : ''}`);
        assert.ok(parsed.ok);
        const all = CLASSES.reduce((sum, one) => sum + found[one], 0);
        const base = name === 'not_replayable' ? all : all - found.not_replayable;
        const over = percent ? found[name] * 100 > above * base : found[name] > above;
        assert.equal(exceeded(parsed.thresholds, found).length > 0, over);
      },
    ),
  );
  for (const text of [
    '',
    'same',
    'newly_allowed>',
    'newly_allowed>-1',
    'x>1',
    'error>1e3',
    'error>1%%',
  ]) {
    assert.equal(parseThresholds(text).ok, false, text);
  }
});
