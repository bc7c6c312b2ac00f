/**
 * The commit point of a call: its decision is durable, or it does not happen. Only `recordPermit` makes a Recorded,
 * and only a Recorded lets `upstream.forward` send. Shell: waits for the audit log.
 */
import type { Permit } from '../decision/enforcement.ts';
import type { Decision, Recorder } from './ports.ts';

declare const durable: unique symbol;

/** A permit whose decision record is durable. */
export interface Recorded {
  readonly [durable]: true;
  readonly permit: Permit;
  /** Index of the decision's leaf in the audit log. */
  readonly seq: number;
}

/** @returns null when the audit log does not take the record (`audit.unavailable`). */
export async function recordPermit(
  recorder: Recorder,
  permit: Permit,
  decision: Decision,
): Promise<Recorded | null> {
  try {
    const seq = await recorder.decision(decision);
    return { permit, seq } as Recorded;
  } catch {
    return null;
  }
}

/** Records a refusal. A refusal stands even when it cannot be recorded; the log's own metrics tell of that. */
export async function recordRefusal(recorder: Recorder, decision: Decision): Promise<void> {
  try {
    await recorder.decision(decision);
  } catch {
    // Nothing leaves either way, and the journal has counted and reported the failure.
  }
}
