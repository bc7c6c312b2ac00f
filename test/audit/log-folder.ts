/**
 * Log folders for the tests: made in a temporary directory, filled with calls, removed at the end of the test.
 * Shell: owns temporary directories.
 */
import fs from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Journal, openJournal } from '../../src/audit/journal.ts';
import type { JournalOptions } from '../../src/audit/journal-options.ts';
import { decision, outcome } from './records.ts';

export function temporary(t: TestContext): string {
  const directory = fs.mkdtempSync(join(os.tmpdir(), 'egret-audit-'));
  t.after(() => fs.rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A timer that never fires by itself: the tests call `tick`. */
export const NO_TIMER = { checkpointMs: 2 ** 30, lockSilenceMs: 300 };

export const open = (directory: string, options: Partial<JournalOptions> = {}): Promise<Journal> =>
  openJournal({ directory, limits: NO_TIMER, ...options });

/** Forwarded calls with their outcomes, all at once. */
export async function play(journal: Journal, first: number, calls: number): Promise<void> {
  const ids = Array.from({ length: calls }, (_, i) => `call-${first + i}`);
  await Promise.all(
    ids.flatMap((id) => [
      journal.recordDecision(decision(id), 'write'),
      journal.recordOutcome(outcome(id), 'write'),
    ]),
  );
}

/** A closed log of two runs with this many calls each; small files, so that sealing and rotation happen. */
export async function closedLog(directory: string, calls: number): Promise<void> {
  for (const run of [0, 1]) {
    const journal = await open(directory, { limits: { ...NO_TIMER, walLinesMax: 300 } });
    await play(journal, run * calls, calls / 2);
    await journal.tick();
    await play(journal, run * calls + calls / 2, calls / 2);
    await journal.close();
  }
}

/** Names of all files of a folder, relative to it, in order. */
export function filesOf(directory: string): string[] {
  return fs
    .readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((item) => item.isFile())
    .map((item) => join(item.parentPath, item.name).slice(directory.length + 1))
    .sort();
}
