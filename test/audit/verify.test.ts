/** The verifier notices every change in any file of a log and names the file; an independent program agrees. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { before, type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { parseVerifierKey, signCheckpoint } from '../../src/audit/checkpoint.ts';
import { proveDecision } from '../../src/audit/read-log.ts';
import { loadSigningKey } from '../../src/audit/signing-key.ts';
import { type VerifyReport, verifyLog } from '../../src/audit/verify-log.ts';
import { closedLog, filesOf, open, play, temporary } from './log-folder.ts';
import { decision } from './records.ts';

const CALLS = 300;
let pristine = '';
let vkey = '';

before(async (t) => {
  pristine = temporary(t as TestContext);
  await closedLog(pristine, CALLS);
  vkey = fs.readFileSync(join(pristine, 'log.vkey'), 'utf8').trim();
});

function copyOf(t: TestContext): string {
  const directory = temporary(t);
  fs.cpSync(pristine, directory, { recursive: true });
  return directory;
}

/** Changes a copy of the log and says what the verifier finds. */
async function found(t: TestContext, change: (directory: string) => void): Promise<VerifyReport> {
  const directory = copyOf(t);
  change(directory);
  return verifyLog(directory, vkey);
}

/** Files that hold the log; the private key and the lock are not part of it. */
const logFiles = () =>
  filesOf(pristine).filter((name) => name !== 'log-key.pem' && name !== 'lock');

test('the log of the tests is intact, sealed and has several checkpoints', async () => {
  const report = await verifyLog(pristine, vkey);
  assert.equal(report.problem, null);
  assert.equal(report.size, 4 * CALLS + 4);
  assert.ok(report.checkpoints >= 4);
  assert.ok(logFiles().some((name) => name === 'tile/entries/003'));
  assert.ok(logFiles().some((name) => name.startsWith('tile/1/000.p/')));
});

test('a flipped bit in any file is noticed, and the file or the checkpoint that covers it is named', async (t) => {
  const directory = copyOf(t);
  const files = logFiles().filter((name) => fs.statSync(join(directory, name)).size > 0);
  const property = fc.asyncProperty(
    fc.constantFrom(...files),
    fc.nat(),
    fc.nat(7),
    async (name, at, bit) => {
      const path = join(directory, name);
      const good = fs.readFileSync(path);
      const bad = Buffer.from(good);
      bad[at % bad.length] = (bad[at % bad.length] as number) ^ (1 << bit);
      fs.writeFileSync(path, bad);
      const report = await verifyLog(directory, vkey);
      fs.writeFileSync(path, good);
      const said = JSON.stringify([report.problem, report.warnings]);
      // A line of the live tail has no tile yet: a change that leaves it well formed shows in the signed root alone.
      const named = said.includes(name) || (name.startsWith('wal-') && said.includes('checkpoint'));
      assert.ok(named, `${name} byte ${at % bad.length} bit ${bit}: ${said}`);
      assert.ok(!report.ok || name === 'log.vkey');
    },
  );
  await fc.assert(property, { numRuns: 40 });
});

test('a file that is deleted is noticed, whichever it is', async (t) => {
  for (const name of logFiles()) {
    if (fs.statSync(join(pristine, name)).size === 0) continue;
    const report = await found(t, (directory) => fs.rmSync(join(directory, name)));
    const redundant = name.startsWith('checkpoints/') || isSealed(name);
    const noticed = !report.ok || report.warnings.some((warning) => warning.includes(name));
    assert.ok(noticed || redundant, name);
  }
});

/** A file of the live tail whose lines all stand in sealed bundles; the journal deletes it sooner or later. */
function isSealed(name: string): boolean {
  if (!name.startsWith('wal-')) return false;
  const last = fs.readFileSync(join(pristine, name), 'utf8').trim().split('\n').at(-1) ?? '';
  return JSON.parse(last).egret.seq < 1024;
}

test('swapped and repeated files are noticed', async (t) => {
  const table: [string, string][] = [
    ['tile/entries/000', 'tile/entries/001'],
    ['tile/0/000', 'tile/0/001'],
  ];
  for (const [one, two] of table) {
    const swapped = await found(t, (directory) => {
      const bytes = fs.readFileSync(join(directory, one));
      fs.copyFileSync(join(directory, two), join(directory, one));
      fs.writeFileSync(join(directory, two), bytes);
    });
    assert.equal(swapped.problem?.index, 0);
    const repeated = await found(t, (directory) =>
      fs.copyFileSync(join(directory, one), join(directory, two)),
    );
    assert.equal(repeated.problem?.index, 256);
  }
});

test('files that do not belong into the tree are noticed', async (t) => {
  for (const name of ['tile/0/900', 'tile/0/stray', 'tile/0/004.p/250', 'tile/7/000']) {
    const report = await found(t, (directory) => {
      fs.mkdirSync(join(directory, name, '..'), { recursive: true });
      fs.writeFileSync(join(directory, name), 'x');
    });
    assert.equal(report.problem?.file, name);
  }
});

test('a checkpoint of another state, even rightly signed, is noticed', async (t) => {
  const { privateKey } = await loadSigningKey(null, pristine);
  const name = parseVerifierKey(vkey)?.name ?? '';
  const report = await found(t, (directory) => {
    const forged = { origin: name, size: 500, root: Buffer.alloc(32, 1) };
    fs.writeFileSync(
      join(directory, 'checkpoints/500'),
      signCheckpoint(forged, { name, privateKey }),
    );
  });
  assert.deepEqual(report.problem?.file, 'checkpoints/500');
});

test('another key is refused', async (t) => {
  const other = temporary(t);
  await (await open(other)).close();
  const key = fs.readFileSync(join(other, 'log.vkey'), 'utf8');
  assert.match((await verifyLog(pristine, key)).problem?.file ?? '', /^checkpoint/);
});

test('an end cut off from a closed log is noticed', async (t) => {
  const wal =
    logFiles()
      .filter((name) => name.startsWith('wal-') && fs.statSync(join(pristine, name)).size > 0)
      .at(-1) ?? '';
  for (const cut of [1, 2, 700]) {
    const report = await found(t, (directory) => {
      const path = join(directory, wal);
      fs.truncateSync(path, fs.statSync(path).size - cut);
    });
    assert.equal(report.ok, false, `${cut} bytes`);
  }
});

test('a log that is being written has open calls and no problem', async (t) => {
  const directory = temporary(t);
  const journal = await open(directory);
  await play(journal, 0, 10);
  await journal.recordDecision(decision('open'), 'write');
  const report = await verifyLog(directory, journal.status().vkey);
  assert.deepEqual([report.problem, report.openCalls, report.closed], [null, 1, false]);
  await journal.close();
});

test('every decision can be proved', async () => {
  for (const id of ['call-0', 'call-299', 'call-300', 'call-599']) {
    assert.match(proveDecision(pristine, id).proof, /^c2sp\.org\/tlog-proof@v1\nindex \d+\n/);
  }
  assert.throws(() => proveDecision(pristine, 'call-600'), /no decision call-600/);
});

const python = spawnSync('python3', ['--version']).status === 0;

test('an independent program agrees about good and bad logs', {
  skip: !python && 'no python3 here',
}, (t) => {
  const script = join(import.meta.dirname, 'verify_independent.py');
  const run = (directory: string) =>
    spawnSync('python3', [script, directory], { encoding: 'utf8' });
  const good = run(pristine);
  assert.equal(good.status, 0, good.stdout + good.stderr);
  assert.match(good.stdout, /^OK 1204 leaves/);
  const bad = copyOf(t);
  const path = join(bad, 'tile/entries/002');
  const bytes = fs.readFileSync(path);
  bytes[5000] = (bytes[5000] as number) ^ 1;
  fs.writeFileSync(path, bytes);
  const refused = run(bad);
  assert.equal(refused.status, 1, refused.stdout + refused.stderr);
});
