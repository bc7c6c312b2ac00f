/** The command line: exit codes, and what it prints. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { printable } from '../../src/audit/report.ts';
import { PROGRAM } from '../program.ts';
import { closedLog, temporary } from './log-folder.ts';

const egret = (...args: string[]) =>
  spawnSync(process.execPath, [PROGRAM, 'audit', ...args], { encoding: 'utf8' });

test('an auditor verifies, reads and proves from the folder and the key alone', async (t) => {
  const [directory, out] = [temporary(t), temporary(t)];
  await closedLog(directory, 10);
  const key = join(directory, 'log.vkey');
  const verified = egret('verify', directory, '--key', key, '--json');
  assert.equal(verified.status, 0, verified.stderr);
  const report = JSON.parse(verified.stdout);
  assert.deepEqual([report.ok, report.decisions, report.warnings], [true, 20, []]);
  assert.match(
    egret('verify', directory).stdout,
    /^OK: the log is intact\n.*warning: the key is the one/s,
  );
  const table = egret('show', directory, '--id', 'call-3').stdout.trim().split('\n');
  assert.equal(table.length, 3);
  assert.match(table[1] ?? '', /decision +gmail\.send +forward +policy\.allowed +r42 +call-3$/);
  assert.equal(egret('prove', directory, 'call-3', '--out', out).status, 0);
  const [proof, entry] = [join(out, 'call-3.tlog-proof'), join(out, 'call-3.json')];
  assert.match(egret('verify-proof', proof, entry, '--key', key).stdout, /^OK: the entry is leaf/);
  fs.appendFileSync(entry, ' ');
  const refused = egret('verify-proof', proof, entry, '--key', key);
  assert.deepEqual([refused.status, refused.stdout.startsWith('FAILED')], [1, true]);
});

test('a log that was changed is exit code 1 and names file and leaf', async (t) => {
  const directory = temporary(t);
  await closedLog(directory, 300);
  const file = join(directory, 'tile/entries/001');
  const bytes = fs.readFileSync(file);
  bytes[100] = (bytes[100] as number) ^ 1;
  fs.writeFileSync(file, bytes);
  const result = egret('verify', directory);
  assert.equal(result.status, 1);
  assert.match(result.stdout, /^FAILED: tile\/entries\/001, leaf 256: /);
});

test('what cannot be read is exit code 2 and one sentence', (t) => {
  const directory = temporary(t);
  for (const args of [
    ['verify', join(directory, 'none')],
    ['verify', directory],
    ['show', directory, '--id', 'x'],
    ['prove', directory, 'x'],
  ]) {
    const { status, stderr, stdout } = egret(...args);
    assert.deepEqual(
      [status, stdout, stderr.trim().split('\n').length],
      [2, '', 1],
      args.join(' '),
    );
  }
});

test('control characters of a log never reach the terminal', () => {
  assert.equal(printable('a\u001b[31m\u202eb\nc\u0007'), 'a?[31m?b\nc?');
});
