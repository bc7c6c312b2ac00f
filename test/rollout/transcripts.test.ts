// Every rule of a rollout has a transcript that a person can read. `UPDATE_TRANSCRIPTS=1` writes down what happens now;
// read the difference before keeping it.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { played } from './transcript.ts';

const DIRECTORY = join(import.meta.dirname, 'transcripts');
const names = readdirSync(DIRECTORY).filter((name) => name.endsWith('.txt'));

for (const name of names) {
  const file = join(DIRECTORY, name);
  const text = readFileSync(file, 'utf8');
  const [rule = ''] = text.split('\n');
  void test(`${name}: ${rule.replace(/^# /, '')}`, () => {
    const now = played(text);
    if (process.env['UPDATE_TRANSCRIPTS'] === '1') writeFileSync(file, now);
    else assert.equal(now, text);
  });
}

void test('there are transcripts for at least 30 rules', () => {
  assert.ok(names.length >= 30, `${names.length} transcripts`);
});
