/**
 * Writes calls into a log until it is killed, and prints index and decision id of every entry after it was
 * acknowledged. Run by crash.test.ts. Shell: owns the log directory given as its argument.
 */
import fs from 'node:fs';
import { openJournal } from '../../src/audit/journal.ts';
import { decision, outcome } from './records.ts';

const [, , directory = ''] = process.argv;
const limits = { checkpointMs: 20, checkpointLeavesMax: 100, walLinesMax: 150, historyMs: 50 };
const journal = await openJournal({ directory, limits });

async function calls(lane: number): Promise<never> {
  for (let i = 0; ; i += 1) {
    const id = `${process.pid}-${lane}-${i}`;
    const seq = await journal.recordDecision(decision(id), i % 3 === 0 ? 'fsync' : 'write');
    fs.writeSync(1, `${seq} ${id}\n`);
    const end = await journal.recordOutcome(outcome(id), 'write');
    fs.writeSync(1, `${end} ${id}\n`);
  }
}

await Promise.all(Array.from({ length: 8 }, (_, lane) => calls(lane)));
