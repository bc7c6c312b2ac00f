/**
 * Judges what a client saw of a mutated answer, beside what the tool sent and what the record says. Knows nothing of the
 * sidecar but its promises: one valid answer, which is the tool's or a refusal, or a connection that is visibly cut. Pure.
 */
import type { Leaf } from '../e2e/audit-log.ts';
import type { Answered } from './response-client.ts';
import { type FuzzedAnswer, foreignMarks } from './response-mutation.ts';
import { type Head, valuesOf } from './response-reader.ts';

type Outcome = NonNullable<Leaf['egret']['outcome']>;

/** Reasons that an answer can have; every other one is a fault of the sidecar. */
const REASONS: ReadonlySet<string | undefined | null> = new Set([
  'upstream.bad_response',
  'upstream.reset',
  'upstream.timeout',
  'upstream.too_large',
]);

/** What became of one answer: `passed`, `refused` or `cut`. */
export type Fate = 'passed' | 'refused' | 'cut';

export const fateOf = ({ reading }: Answered): Fate => {
  if (reading.kind !== 'whole') return 'cut';
  return valuesOf(reading.head, 'x-egret-reason').length > 0 ? 'refused' : 'passed';
};

/** @returns what is wrong; null when nothing is. */
export function faultOf(sent: FuzzedAnswer, seen: Answered, outcome: Outcome): string | null {
  const [foreign] = foreignMarks(seen.raw, sent.index);
  if (foreign !== undefined) return `bytes of another answer: ${foreign}`;
  const { reading } = seen;
  if (reading.kind === 'invalid') return `the client reads no valid answer: ${reading.why}`;
  if (reading.kind === 'partial') return faultOfCut(sent, seen, outcome);
  if (reading.rest !== '') return 'bytes behind the answer';
  if (valuesOf(reading.head, 'x-egret-decision-id').length !== 1) return 'not one decision id';
  return fateOf(seen) === 'refused'
    ? faultOfRefusal(sent, reading.head, outcome)
    : faultOfPassed(sent, reading, outcome);
}

function faultOfCut(sent: FuzzedAnswer, seen: Answered, outcome: Outcome): string | null {
  const { reading } = seen;
  if (!seen.ended) return 'the client waits for ever';
  if (outcome.result !== 'upstream_error') return `cut, and recorded as ${outcome.result}`;
  if (!REASONS.has(outcome.reason)) return `cut for ${outcome.reason}`;
  if (sent.untouched) return 'a good answer is cut';
  const { truth } = sent;
  if (reading.kind !== 'partial' || reading.head === null) {
    const begun = truth.head !== null && outcome.status !== null;
    return begun ? null : 'cut without a word although nothing had begun';
  }
  if (truth.head === null) return 'an answer began that has no sound head';
  if (truth.head.status !== reading.head.status) return 'another status';
  return truth.body.startsWith(reading.body) ? null : 'another body';
}

function faultOfRefusal(sent: FuzzedAnswer, head: Head, outcome: Outcome): string | null {
  const [reason] = valuesOf(head, 'x-egret-reason');
  if (!REASONS.has(reason)) return `refused for ${reason}`;
  if (sent.untouched) return 'a good answer is refused';
  if (outcome.result !== 'upstream_error') return `refused, and recorded as ${outcome.result}`;
  return outcome.reason === reason ? null : `refused for ${reason}, recorded as ${outcome.reason}`;
}

function faultOfPassed(
  { truth }: FuzzedAnswer,
  { head, body }: { readonly head: Head; readonly body: string },
  outcome: Outcome,
): string | null {
  if (truth.kind !== 'whole') {
    return `passed although it is ${truth.kind}${truth.kind === 'invalid' ? `: ${truth.why}` : ''}`;
  }
  if (truth.head.status !== head.status) return 'another status';
  if (truth.body !== body) return 'another body';
  if (!['completed', 'tool_error'].includes(outcome.result)) {
    return `passed, and recorded as ${outcome.result}`;
  }
  if (outcome.status !== head.status || outcome.resp_bytes !== body.length) {
    return 'the record has another status or size';
  }
  return faultOfFields(truth.head, head);
}

/** Written by the sidecar for its own connection, whatever the tool said. */
const OWN = /^(connection|keep-alive|transfer-encoding|content-length|date|x-egret-.*)$/;
const NEVER = /^(te|trailer|upgrade|http2-settings|alt-svc|proxy-.*|x-egret-reason)$/;

function faultOfFields(sent: Head, seen: Head): string | null {
  const hops = new Set(
    valuesOf(sent, 'connection').flatMap((value) =>
      value.split(',').map((name) => name.trim().toLowerCase()),
    ),
  );
  const expected = sent.headers.filter(
    ([name]) => !OWN.test(name) && !NEVER.test(name) && !hops.has(name),
  );
  const arrived = seen.headers.filter(([name]) => !OWN.test(name));
  if (JSON.stringify(arrived) !== JSON.stringify(expected)) return 'other header fields';
  return valuesOf(seen, 'x-egret-decision-id')[0]?.length === 36 ? null : 'a forged decision id';
}
