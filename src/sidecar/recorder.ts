/**
 * Turns what the pipeline decided into entries of the audit log. A decision counts as recorded when its leaf is as
 * durable as the operation of the tool demands; reads may be told to wait for less. Shell: hashes bodies, appends.
 */
import { hash } from 'node:crypto';
import type { Journal } from '../audit/journal.ts';
import type { DecisionRecord, OutcomeRecord } from '../audit/record.ts';
import type { Config } from '../config/schema.ts';
import type { Agent } from '../decision/input.ts';
import type { Decision, Outcome, Recorder } from '../proxy/ports.ts';

export interface RecorderOptions {
  readonly journal: Journal;
  readonly durability: Config['audit']['durability'];
  readonly agent: Agent;
}

export function createRecorder({ journal, durability, agent }: RecorderOptions): Recorder {
  return {
    decision(decision) {
      const wanted = reads(decision) ? durability.read : durability.write;
      return journal.recordDecision(decisionRecord(decision, agent), wanted);
    },
    outcome(outcome) {
      // Nobody waits for an outcome; the journal counts and reports what it cannot write.
      journal.recordOutcome(outcomeRecord(outcome), 'write').catch(() => undefined);
    },
  };
}

/** Reading changes nothing outside, and a refusal sends nothing. */
function reads(decision: Decision): boolean {
  const operation = decision.input?.tool.operation;
  return decision.action !== 'forward' || (operation !== 'write' && operation !== 'unknown');
}

function decisionRecord(decision: Decision, agent: Agent): DecisionRecord {
  const { body } = decision;
  return {
    decisionId: decision.id,
    input: decision.input,
    verdict: decision.verdict,
    rollout: decision.rollout,
    enforcement: {
      action: decision.action,
      mode: decision.mode,
      reason: decision.reason,
      would_deny: decision.wouldDeny,
    },
    listener: decision.listener,
    traceId: decision.traceId,
    spanId: decision.spanId,
    agent,
    request: { method: decision.method, target: decision.target },
    pathTemplate: null,
    body: body === null ? null : { bytes: body.length, sha256: sha256(body) },
    jsonrpcId: decision.jsonrpcId,
    requestedBy: decision.requestedBy,
  };
}

function outcomeRecord({
  decisionId,
  forwarded,
  isError,
  traceId,
  spanId,
}: Outcome): OutcomeRecord {
  const answered = forwarded.status > 0;
  const completed = forwarded.result === 'completed';
  return {
    ref: decisionId,
    traceId,
    spanId,
    result: completed && isError ? 'tool_error' : forwarded.result,
    reason: forwarded.reason,
    status: answered ? forwarded.status : null,
    isError: answered ? isError : null,
    contentType: forwarded.contentType,
    peer: forwarded.peer,
    bytes: forwarded.bytes,
    sha256: forwarded.sha256 === '' ? null : forwarded.sha256,
    ttfbMs: answered ? forwarded.ttfbMs : null,
    totalMs: forwarded.totalMs,
  };
}

const sha256 = (bytes: Uint8Array) => hash('sha256', bytes, 'hex');
