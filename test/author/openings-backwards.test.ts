/** The side files of an audit log beside a log that is read from its end. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { openOpenings } from '../../src/author/openings.ts';
import { OpeningsBackwards } from '../../src/author/openings-backwards.ts';
import { directory } from './egret.ts';

const lineOf = (seq: number, value: string) =>
  JSON.stringify({ seq, decision_id: null, openings: [{ pointer: '/input', salt: '00', value }] });

async function valuesOf(place: string | null, seqs: readonly number[]) {
  const openings = new OpeningsBackwards(place, async () => true);
  const found: string[][] = [];
  for (const seq of seqs) found.push((await openings.of(seq)).map(({ value }) => value).sort());
  await openings.close();
  return found;
}

test('Every entry finds what an index finds, whichever days the lines stand in', async (t) => {
  const entries = fc.uniqueArray(fc.nat(40), { minLength: 1, maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(entries, fc.array(fc.nat(40)), fc.nat(30), async (kept, asked, cut) => {
      const place = directory(t);
      const lines = kept.toSorted((a, b) => a - b).map((seq) => lineOf(seq, `"${seq}"`));
      const days = [lines.slice(0, cut), ['no line', ...lines.slice(cut), '{"seq":99,']];
      for (const [at, day] of days.entries()) {
        writeFileSync(join(place, `2026-11-0${at + 1}.jsonl`), `${day.join('\n')}\n`);
      }
      const seqs = [...new Set(asked)].toSorted((a, b) => b - a);
      const index = openOpenings(place);
      const wanted = seqs.map((seq) => index.of(seq).map(({ value }) => value));
      index.close();
      assert.deepEqual(await valuesOf(place, seqs), wanted);
    }),
    { numRuns: 50 },
  );
});

test('A number that was given twice has the values of both, and lines that could not be written hide nothing', async (t) => {
  const place = directory(t);
  const lines = [lineOf(1, '1'), lineOf(2, '2'), lineOf(3, '3'), lineOf(2, '4'), lineOf(3, '5')];
  writeFileSync(join(place, '2026-11-01.jsonl'), `${lines.join('\n')}\n`);
  assert.deepEqual(await valuesOf(place, [3, 2, 1]), [['5'], ['2', '4'], ['1']]);
  assert.deepEqual(await valuesOf(null, [3]), [[]]);
});

test('Nothing more is read when the reader says so', async (t) => {
  const place = directory(t);
  writeFileSync(join(place, '2026-11-01.jsonl'), `${lineOf(1, '1')}\n`);
  writeFileSync(join(place, '2026-11-02.jsonl'), `${lineOf(2, '2')}\n`);
  const openings = new OpeningsBackwards(place, async () => false);
  assert.equal((await openings.of(2)).length, 1);
  assert.equal((await openings.of(1)).length, 0);
  await openings.close();
});
