/** A log and its side files read from their ends: the same lines as from their beginnings, in the other order. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { leavesBackwards } from '../../src/audit/leaves-backwards.ts';
import { linesOfFile } from '../../src/audit/line-file.ts';
import { linesBackwards } from '../../src/audit/lines-backwards.ts';
import { linesOf } from '../../src/audit/read-log.ts';
import { closedLog, open, play, temporary } from './log-folder.ts';

const KIB = 1024;

async function backwards(path: string, bytesMax: number): Promise<string[]> {
  const found: string[] = [];
  for await (const { lines } of linesBackwards(path, bytesMax)) {
    found.push(...lines.map((line) => line.toString()));
  }
  return found;
}

// Each line is valid only until the next one is asked for.
const forwards = (path: string, bytesMax: number) =>
  Array.from(linesOfFile(path, bytesMax), ({ bytes }) => bytes.toString()).filter(
    (line) => line !== '',
  );

test('Lines from the end are those from the beginning, whatever their lengths and wherever a block ends', async (t) => {
  const path = join(temporary(t), 'lines');
  // Around the size of a block, so that line feeds fall on both sides of its borders.
  const length = fc.oneof(
    fc.nat(20),
    fc.integer({ min: 255 * KIB, max: 257 * KIB }),
    fc.integer({ min: 700 * KIB, max: 701 * KIB }),
  );
  const texts = fc.array(
    length.map((count) => 'x'.repeat(count)),
    { maxLength: 6 },
  );
  await fc.assert(
    fc.asyncProperty(texts, fc.boolean(), async (lines, ended) => {
      const text = lines.map((line, at) => `${at}${line}`).join('\n') + (ended ? '\n' : '');
      writeFileSync(path, text);
      for (const bytesMax of [100, 300 * KIB, 2 * KIB * KIB]) {
        const wanted = forwards(path, bytesMax).reverse();
        assert.ok(isDeepStrictEqual(await backwards(path, bytesMax), wanted));
      }
    }),
    { numRuns: 60 },
  );
});

test('What is no file has no lines', async (t) => {
  const directory = temporary(t);
  assert.deepEqual(await backwards(join(directory, 'nothing'), 100), []);
  assert.deepEqual(await backwards(directory, 100), []);
});

async function newestFirst(directory: string, sealed: () => number): Promise<string[]> {
  const found: string[] = [];
  for await (const { lines } of leavesBackwards(directory, sealed)) {
    found.push(...lines.map((line) => line.toString()));
  }
  return found;
}

const oldestFirst = (directory: string) => [...linesOf(directory)].map(({ line }) => line);

test('A log from its end has every entry once, sealed or not, closed or being written', async (t) => {
  const directory = temporary(t);
  await closedLog(directory, 900);
  const all = oldestFirst(directory);
  assert.ok(all.length > 1800);
  assert.deepEqual(await newestFirst(directory, () => 0), all.toReversed());
  const journal = await open(directory, { limits: { walLinesMax: 300, checkpointMs: 2 ** 30 } });
  await play(journal, 5000, 700);
  const sealed = () => journal.status().sealed;
  assert.deepEqual(await newestFirst(directory, sealed), oldestFirst(directory).reverse());
  await journal.tick();
  assert.deepEqual(await newestFirst(directory, sealed), oldestFirst(directory).reverse());
  await journal.close();
});

test('A log whose live tail is empty goes on in the tiles, and one whose old tiles are gone ends there', async (t) => {
  const directory = temporary(t);
  await closedLog(directory, 900);
  const sealed = oldestFirst(directory).slice(0, 5 * 256);
  for (const number of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]) {
    rmSync(join(directory, `wal-${String(number).padStart(6, '0')}.jsonl`), { force: true });
  }
  assert.deepEqual(await newestFirst(directory, () => 5 * 256), sealed.toReversed());
  rmSync(join(directory, 'tile/entries/001'));
  assert.deepEqual(await newestFirst(directory, () => 5 * 256), sealed.slice(512).reverse());
  mkdirSync(join(directory, 'tile/entries/001'));
  assert.equal((await newestFirst(directory, () => 5 * 256)).length, 3 * 256);
});
