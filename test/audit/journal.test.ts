/** The journal: order, durability, recovery, one writer, and what happens when the disk fails. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Disk, realDisk } from '../../src/audit/disk.ts';
import { AuditUnavailable } from '../../src/audit/journal-options.ts';
import { LogInUse } from '../../src/audit/lock.ts';
import { linesOf } from '../../src/audit/read-log.ts';
import { verifyLog } from '../../src/audit/verify-log.ts';
import { filesOf, NO_TIMER, open, play, temporary } from './log-folder.ts';
import { decision, outcome } from './records.ts';

const unavailable = (error: unknown) =>
  error instanceof AuditUnavailable && error.reason === 'audit.unavailable';

test('entries get the index of their call to append, and the log verifies when it is closed', async (t) => {
  const directory = temporary(t);
  const journal = await open(directory, {
    labels: { id: 'bot' },
    configHash: 'ab',
    version: '1.2',
  });
  const kinds = Array.from({ length: 700 }, (_, i) => i);
  const indexes = await Promise.all(
    kinds.map((i) =>
      journal.recordDecision(decision(`d-${i}`, { action: 'refuse' }), i % 2 ? 'fsync' : 'write'),
    ),
  );
  assert.deepEqual(
    indexes,
    kinds.map((i) => i + 1),
  );
  const { vkey } = journal.status();
  await journal.close();
  const report = await verifyLog(directory, vkey);
  assert.equal(report.problem, null);
  assert.deepEqual(
    [report.size, report.signed, report.closed, report.decisions],
    [702, 702, true, 700],
  );
  const [start] = linesOf(directory);
  assert.match(start?.line ?? '', /"config_hash":"ab".*"event":"start".*"seq":0/);
});

test('a log goes on where it ended, over many blocks and files', async (t) => {
  const directory = temporary(t);
  let size = 0;
  for (let run = 0; run < 4; run += 1) {
    const journal = await open(directory, { limits: { ...NO_TIMER, walLinesMax: 100 } });
    assert.equal(journal.status().size, size + 1);
    for (let i = 0; i < 3; i += 1) {
      await play(journal, run * 1000 + i * 100, 90);
      await journal.tick();
    }
    await journal.close();
    size = journal.status().size;
    assert.equal((await verifyLog(directory, null)).problem, null);
  }
  assert.equal(size, 4 * (3 * 180 + 2));
  assert.ok(filesOf(directory).filter((name) => name.startsWith('wal-')).length <= 8);
});

test('a forwarded call without an outcome is ended as interrupted by close', async (t) => {
  const directory = temporary(t);
  const journal = await open(directory);
  await journal.recordDecision(decision('lost'), 'fsync');
  await journal.recordDecision(decision('done'), 'fsync');
  await journal.recordOutcome(outcome('done'), 'write');
  await journal.close();
  const results = [...linesOf(directory)].map(({ line }) => /"result":"([a-z]+)"/.exec(line)?.[1]);
  assert.deepEqual(results.filter(Boolean), ['completed', 'interrupted']);
  assert.equal((await verifyLog(directory, null)).problem, null);
});

test('an outcome that is on its way when the log closes is the only one of its call', async (t) => {
  const directory = temporary(t);
  const journal = await open(directory);
  await journal.recordDecision(decision('d-1', { action: 'forward' }), 'write');
  const ended = journal.recordOutcome(outcome('d-1'), 'write');
  await journal.close();
  await ended;
  const report = await verifyLog(directory, null);
  assert.deepEqual([report.problem, report.outcomes, report.closed], [null, 1, true]);
});

test('a second writer is refused with the file and the process, and the first goes on', async (t) => {
  const directory = temporary(t);
  const journal = await open(directory);
  await assert.rejects(open(directory), (error: Error) => {
    return error instanceof LogInUse && error.message.includes(`process ${process.pid}`);
  });
  await play(journal, 0, 3);
  await journal.close();
  await (await open(directory)).close();
});

test('a lock whose process is gone is taken over, and one that cannot be judged after silence', async (t) => {
  const directory = temporary(t);
  const gone = {
    nonce: `${'0'.repeat(8)}-0000-0000-0000-${'0'.repeat(12)}`,
    pid: 2 ** 22 + 1,
    start: '1',
    world: 'x',
  };
  for (const content of [`${JSON.stringify(gone)}\n`, 'garbage']) {
    fs.writeFileSync(join(directory, 'lock'), content);
    await (await open(directory)).close();
    assert.ok(!fs.existsSync(join(directory, 'lock')));
  }
});

test('a writer that lost its lock stops', async (t) => {
  const directory = temporary(t);
  const journal = await open(directory);
  fs.rmSync(join(directory, 'lock'));
  await journal.tick();
  assert.equal(journal.status().healthy, false);
  await assert.rejects(journal.recordDecision(decision('d'), 'write'), unavailable);
  await journal.close();
});

test('a key that is not the log key is refused and changes nothing', async (t) => {
  const directory = temporary(t);
  await (await open(directory)).close();
  const before = filesOf(directory).map((name) => fs.readFileSync(join(directory, name), 'hex'));
  const keyFile = join(temporary(t), 'other.pem');
  const { privateKey } = generateKeyPairSync('ed25519');
  fs.writeFileSync(keyFile, privateKey.export({ format: 'pem', type: 'pkcs8' }));
  await assert.rejects(open(directory, { keyFile }), /log\.vkey: the signing key is another one/);
  assert.deepEqual(
    filesOf(directory).map((name) => fs.readFileSync(join(directory, name), 'hex')),
    before,
  );
  await assert.rejects(
    open(directory, { keyFile: `${keyFile}.none` }),
    /no such file; expected an Ed25519/,
  );
});

test('a log that contradicts its checkpoint is put aside and a new one names it', async (t) => {
  const directory = temporary(t);
  const journal = await open(directory, { origin: 'fleet/bot' });
  await play(journal, 0, 20);
  await journal.close();
  const wal = filesOf(directory).find(
    (name) => name.startsWith('wal-') && fs.statSync(join(directory, name)).size > 0,
  );
  fs.truncateSync(join(directory, wal ?? ''), 5000);
  const next = await open(directory);
  assert.equal(next.status().origin, 'fleet/bot~2');
  await next.close();
  const recovery = [...linesOf(directory)].find(({ line }) => line.includes('"event":"recovery"'));
  assert.match(
    recovery?.line ?? '',
    /"cause":"damaged".*"origin":"fleet\/bot".*"quarantine":"quarantine\/1"/,
  );
  assert.equal((await verifyLog(directory, null)).problem, null);
  assert.equal((await verifyLog(join(directory, 'quarantine/1'), null)).ok, false);
});

/** A disk that fails on demand. */
function failing(fail: { write?: string; partial?: boolean; sync?: string }): Disk {
  const error = (code: string) => Object.assign(new Error(code), { code });
  return {
    ...realDisk,
    write: (fd, bytes, position) => {
      if (fail.write === undefined) return realDisk.write(fd, bytes, position);
      if (fail.partial) {
        fail.partial = false;
        return realDisk.write(fd, bytes.subarray(0, bytes.length >> 1), position);
      }
      throw error(fail.write);
    },
    sync: (fd) => (fail.sync ? Promise.reject(error(fail.sync)) : realDisk.sync(fd)),
  };
}

test('a full disk refuses, leaves no partial line, and the journal goes on when there is space', async (t) => {
  const directory = temporary(t);
  const fail: { write?: string; partial?: boolean } = {};
  const failures: string[] = [];
  const hooks = { failed: (operation: string) => void failures.push(operation) };
  const journal = await open(directory, { disk: failing(fail), hooks });
  await play(journal, 0, 5);
  const { size } = journal.status();
  Object.assign(fail, { write: 'ENOSPC', partial: true });
  const all = ['a', 'b', 'c'].map((id) => journal.recordDecision(decision(id), 'write'));
  for (const one of all) await assert.rejects(one, unavailable);
  await assert.rejects(journal.recordDecision(decision('d'), 'write'), unavailable);
  await journal.tick();
  assert.deepEqual([journal.status().healthy, journal.status().size], [false, size]);
  assert.deepEqual(failures, ['write', 'write']);
  delete fail.write;
  await journal.tick();
  assert.equal(journal.status().healthy, true);
  assert.equal(
    await journal.recordDecision(decision('e', { action: 'refuse' }), 'write'),
    size + 1,
  );
  await journal.close();
  assert.equal((await verifyLog(directory, null)).problem, null);
  const recovery = [...linesOf(directory)].filter(({ line }) =>
    line.includes('"cause":"no_space"'),
  );
  assert.equal(recovery.length, 1);
});

test('an error of fsync is final: nothing is acknowledged any more', async (t) => {
  const directory = temporary(t);
  const fail: { sync?: string } = {};
  const journal = await open(directory, { disk: failing(fail) });
  fail.sync = 'EIO';
  await assert.rejects(journal.recordDecision(decision('a'), 'fsync'), unavailable);
  delete fail.sync;
  await assert.rejects(journal.recordDecision(decision('b'), 'fsync'), unavailable);
  await journal.tick();
  assert.equal(journal.status().healthy, false);
  await journal.close();
  await (await open(directory)).close();
  assert.equal((await verifyLog(directory, null)).problem, null);
});

test('a read-only disk (EROFS) is final as well', async (t) => {
  const fail: { write?: string } = {};
  const journal = await open(temporary(t), { disk: failing(fail) });
  fail.write = 'EROFS';
  await assert.rejects(journal.recordDecision(decision('a'), 'write'), unavailable);
  delete fail.write;
  await journal.tick();
  await assert.rejects(journal.recordDecision(decision('a'), 'write'), unavailable);
  await journal.close();
});

test('a queue that is full refuses and what it took is recorded', async (t) => {
  const directory = temporary(t);
  const journal = await open(directory, { limits: { ...NO_TIMER, queueLinesMax: 10 } });
  const all = await Promise.allSettled(
    Array.from({ length: 30 }, (_, i) =>
      journal.recordDecision(decision(`d-${i}`, { action: 'refuse' }), 'write'),
    ),
  );
  assert.deepEqual(all.map(({ status }) => status === 'fulfilled').lastIndexOf(true), 9);
  await journal.close();
  assert.equal((await verifyLog(directory, null)).decisions, 10);
});

test('a step of the wall clock is recorded', async (t) => {
  const directory = temporary(t);
  const now = { wall: 1_795_341_600_000, mono: 0 };
  const clock = { wallMs: () => now.wall, monotonicMs: () => now.mono };
  const journal = await open(directory, { clock });
  Object.assign(now, { wall: now.wall + 500, mono: 500 });
  await journal.tick();
  Object.assign(now, { wall: now.wall - 3_600_000, mono: 1500 });
  await journal.tick();
  await journal.close();
  const steps = [...linesOf(directory)].filter(({ line }) => line.includes('clock_step'));
  assert.equal(steps.length, 1);
  assert.match(steps[0]?.line ?? '', /"step_ms":-3601000/);
  assert.equal((await verifyLog(directory, null)).problem, null);
});

test('openings are kept apart, one line for each entry, readable by nobody else', async (t) => {
  const [directory, openingsDirectory] = [temporary(t), join(temporary(t), 'openings')];
  const journal = await open(directory, { openingsDirectory });
  const full = [{ kind: 'log', level: 'full' }];
  await journal.recordDecision(decision('d-1', { obligations: full, action: 'refuse' }), 'fsync');
  await journal.recordDecision(decision('d-2', { action: 'refuse' }), 'write');
  await journal.close();
  const [file = ''] = fs.readdirSync(openingsDirectory);
  assert.match(file, /^\d{4}-\d\d-\d\d\.jsonl$/);
  assert.equal(fs.statSync(join(openingsDirectory, file)).mode & 0o777, 0o600);
  const lines = fs
    .readFileSync(join(openingsDirectory, file), 'utf8')
    .trim()
    .split('\n')
    .map((l) => JSON.parse(l));
  assert.equal(lines.length, 2);
  assert.ok(JSON.stringify(lines[0]).includes('Receipt for October'));
  assert.deepEqual(
    lines[1].openings.map((o: { pointer: string }) => o.pointer),
    ['/egret/req/body_sha256'],
  );
});

test('old checkpoints are thinned out and the newest stay', async (t) => {
  const directory = temporary(t);
  const limits = { ...NO_TIMER, historyMs: 0, historyMax: 8 };
  const journal = await open(directory, { limits });
  for (let i = 0; i < 30; i += 1) {
    await play(journal, i, 1);
    await journal.tick();
  }
  await journal.close();
  const sizes = fs
    .readdirSync(join(directory, 'checkpoints'))
    .map(Number)
    .sort((a, b) => a - b);
  assert.ok(sizes.length <= 8);
  assert.equal(sizes.at(-1), 62);
  assert.equal((await verifyLog(directory, null)).problem, null);
});
