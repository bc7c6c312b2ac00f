/**
 * Measures the audit journal alone: decisions and outcomes of calls appended by as many callers as a busy sidecar has,
 * each waiting until its record is on the device. A process of its own: node bench/audit-part.ts DIRECTORY RECORDS;
 * prints one line of JSON and leaves the log for the verifier. Shell: owns the log directory.
 */
import { randomUUID } from 'node:crypto';
import { type Journal, openJournal } from '../src/audit/journal.ts';
import type { DecisionRecord, OutcomeRecord } from '../src/audit/record.ts';
import { ALLOWED_BODY } from './request.ts';
import { sampleInput } from './sample-input.ts';

/** Calls under way at once: the sidecar's own default bound. */
const CALLERS = 512;
const BODY = {
  bytes: Buffer.byteLength(ALLOWED_BODY),
  sha256: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
};

function decisionRecord(decisionId: string): DecisionRecord {
  return {
    decisionId,
    input: sampleInput(decisionId),
    verdict: {
      outcome: 'allow',
      reason: 'policy.allowed',
      message: 'receipts go to the accountant',
      reasons: [],
      obligations: [{ kind: 'log', level: 'full', include_attachment_hashes: true }],
      warnings: [],
      policy: { set: 'main', revision: 'bench', digest: BODY.sha256 },
      evalNs: 20_000,
      fuel: 30_000,
    },
    enforcement: { action: 'forward', mode: 'deny', reason: 'policy.allowed', would_deny: false },
    listener: 'gateway',
    traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
    spanId: '00f067aa0ba902b7',
    request: { method: 'POST', target: '/mcp/mail' },
    pathTemplate: null,
    body: BODY,
    jsonrpcId: 7,
    requestedBy: '127.0.0.1',
  };
}

const outcomeRecord = (ref: string): OutcomeRecord => ({
  ref,
  traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
  spanId: '00f067aa0ba902b7',
  result: 'completed',
  reason: null,
  status: 200,
  isError: false,
  contentType: 'application/json',
  bytes: 200,
  sha256: BODY.sha256,
  ttfbMs: 1,
  totalMs: 2,
});

async function caller(journal: Journal, calls: number): Promise<void> {
  for (let call = 0; call < calls; call += 1) {
    const id = randomUUID();
    await journal.recordDecision(decisionRecord(id), 'fsync');
    await journal.recordOutcome(outcomeRecord(id), 'fsync');
  }
}

const [directory, records] = process.argv.slice(2);
if (directory === undefined) throw new Error('usage: audit-part.ts DIRECTORY RECORDS');
const journal = await openJournal({ directory });
await caller(journal, 500);
const calls = Math.ceil(Number(records) / CALLERS / 2);
const startMs = performance.now();
await Promise.all(Array.from({ length: CALLERS }, () => caller(journal, calls)));
const seconds = (performance.now() - startMs) / 1000;
await journal.close();
const auditRecordsPerSecond = (calls * CALLERS * 2) / seconds;
console.log(JSON.stringify({ auditRecordsPerSecond }));
