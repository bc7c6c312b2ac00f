/** Crashes: torn tails at every byte, a real process killed while it writes, a file system that really is full. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { AuditUnavailable } from '../../src/audit/journal-options.ts';
import { linesOf } from '../../src/audit/read-log.ts';
import { verifyLog } from '../../src/audit/verify-log.ts';
import { NO_TIMER, open, play, temporary } from './log-folder.ts';
import { decision } from './records.ts';

test('a tail torn at any byte after the checkpoint is cut at the last whole line, and calls are closed', async (t) => {
  const directory = temporary(t);
  const journal = await open(directory);
  await play(journal, 0, 1);
  await journal.tick();
  const signed = fs.statSync(join(directory, 'wal-000000.jsonl')).size;
  await journal.recordDecision(decision('last', { args: {} }), 'write');
  const torn = temporary(t);
  const wal = fs.readFileSync(join(directory, 'wal-000000.jsonl'));
  fs.cpSync(directory, torn, { recursive: true });
  await journal.close();
  const copy = temporary(t);
  for (
    let end = signed;
    end <= wal.length;
    end += end > signed + 3 && end < wal.length - 3 ? 251 : 1
  ) {
    fs.rmSync(copy, { recursive: true, force: true });
    fs.cpSync(torn, copy, { recursive: true });
    fs.rmSync(join(copy, 'lock'), { force: true });
    fs.truncateSync(join(copy, 'wal-000000.jsonl'), end);
    assert.equal((await verifyLog(copy, null)).problem, null, `before recovery, ${end} bytes`);
    const next = await open(copy);
    await next.close();
    const report = await verifyLog(copy, null);
    assert.equal(report.problem, null, `${end} bytes`);
    const whole = end === wal.length;
    assert.equal(report.decisions, whole ? 2 : 1);
    assert.equal(fs.existsSync(join(copy, 'quarantine')), end > signed && !whole);
  }
});

test('a tail torn before the checkpoint is never continued', async (t) => {
  const directory = temporary(t);
  const journal = await open(directory, { origin: 'bot' });
  await play(journal, 0, 2);
  await journal.close();
  const wal = join(directory, 'wal-000000.jsonl');
  fs.truncateSync(wal, fs.statSync(wal).size - 1);
  assert.equal((await verifyLog(directory, null)).ok, false);
  const next = await open(directory);
  assert.equal(next.status().origin, 'bot~2');
  await next.close();
});

/** Kills in one run of the test; a soak sets more. */
const ROUNDS = Number(process.env['EGRET_KILL_ROUNDS'] ?? 10);

/** Starts a writer and kills it after so many acknowledged entries. @returns what was acknowledged. */
async function killAfter(directory: string, acknowledged: number): Promise<string[]> {
  const writer = join(import.meta.dirname, 'crash-writer.ts');
  const child = spawn(process.execPath, [writer, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: string[] = [];
  const ended = once(child, 'close');
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line);
    if (lines.length === acknowledged) child.kill('SIGKILL');
  });
  await ended;
  return lines;
}

test('after kill -9 at random moments no acknowledged entry is lost and the log verifies', async (t) => {
  const directory = temporary(t);
  const acknowledged: string[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    acknowledged.push(...(await killAfter(directory, 1 + Math.floor(Math.random() * 300))));
    const crashed = await verifyLog(directory, null);
    assert.equal(crashed.problem, null, `round ${round}`);
  }
  const journal = await open(directory);
  await journal.close();
  const report = await verifyLog(directory, null);
  assert.equal(report.problem, null);
  assert.equal(report.boots, ROUNDS + 1);
  const entries = new Map(
    [...linesOf(directory)].map(({ index, entry }) => [index, entry['decision_id']]),
  );
  for (const line of acknowledged) {
    const [seq, id] = line.split(' ');
    assert.equal(entries.get(Number(seq)), id);
  }
  assert.ok(acknowledged.length > 20);
});

const tiny = fs.mkdtempSync('/tmp/egret-tiny-');
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', tiny]).status === 0;

test('a file system without space refuses calls and the log goes on when there is some', {
  skip: !mounted && 'cannot mount a tmpfs',
}, async () => {
  const directory = join(tiny, 'log');
  const journal = await open(directory, { limits: { ...NO_TIMER, walLinesMax: 2 ** 30 } });
  const ballast = join(tiny, 'ballast');
  fs.writeFileSync(ballast, Buffer.alloc(720 * 1024));
  let [taken, refused] = [0, 0];
  while (refused < 3) {
    try {
      await journal.recordDecision(decision(`d-${taken}`, { action: 'refuse' }), 'fsync');
      taken += 1;
    } catch (error) {
      assert.ok(error instanceof AuditUnavailable);
      refused += 1;
    }
  }
  assert.equal(journal.status().healthy, false);
  const { size } = journal.status();
  assert.equal(size, taken + 1);
  fs.rmSync(ballast);
  await journal.tick();
  assert.equal(journal.status().healthy, true);
  await journal.recordDecision(decision('after', { action: 'refuse' }), 'fsync');
  await journal.close();
  const report = await verifyLog(directory, null);
  assert.deepEqual([report.problem, report.decisions], [null, taken + 1]);
});

test.after(() => {
  if (mounted) spawnSync('umount', [tiny]);
  fs.rmSync(tiny, { recursive: true, force: true });
});
