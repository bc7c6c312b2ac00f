/**
 * What a sidecar tells the controller about a rollout: counters that only grow within one process (`epoch`) and one
 * rollout, so a report that is lost or repeated changes nothing. Bounded: about 2 kB, with at most ten examples that
 * hold names and codes, never values of a call. A report is a claim of a pod; it can stop a rollout, and it alone can
 * never move one on without the other checks. Pure.
 */
import { z } from 'zod';
import { DIGEST } from './directive.ts';

const count = z.int().min(0);
const short = z.string().max(256);

/** Upper bounds of the evaluation time histogram in microseconds; one more bucket holds the rest. */
export const EVAL_BOUNDS_US = [
  10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 2000, 3000, 5000, 10_000, 20_000, 50_000,
  100_000, 1_000_000,
] as const;
const histogram = z.array(count).length(EVAL_BOUNDS_US.length + 1);

export const COMPARED = [
  'same',
  'newly_allowed',
  'newly_denied',
  'obligation',
  'reason',
  'error',
] as const;
export type Compared = (typeof COMPARED)[number];

const comparison = z.strictObject(
  Object.fromEntries(COMPARED.map((name) => [name, count])) as Record<Compared, typeof count>,
);

export const exampleSchema = z.strictObject({
  class: z.enum(COMPARED),
  /** RFC 3339. */
  at: z.string().max(40),
  decisionId: z.string().max(64),
  tool: short,
  stable: z.strictObject({ outcome: short, reason: short, rule: short.nullable() }),
  candidate: z.strictObject({ outcome: short, reason: short, rule: short.nullable() }),
});
export type Example = z.output<typeof exampleSchema>;
export const EXAMPLES_MAX = 10;

export const reportSchema = z.strictObject({
  apiVersion: z.literal('egret.dev/v1alpha1'),
  kind: z.literal('PolicyReport'),
  set: z.string().max(50),
  /** Pod UID, or a name that stays for the life of the process. */
  sidecar: z.string().min(1).max(128),
  /** Changes with every start of the process. */
  epoch: z.string().min(1).max(64),
  /** Rises with every report of one epoch. */
  sequence: count,
  /** Of the newest directive that this sidecar enforces. */
  generation: count,
  stable: z.string().regex(DIGEST).nullable(),
  /** Null outside a rollout, and for sidecars that the selector leaves out. */
  rollout: z
    .strictObject({
      id: z.string().max(64),
      /** The candidate is loaded; null while it is not. */
      candidate: z.string().regex(DIGEST).nullable(),
      /** Codes of the gate that refused the candidate; empty otherwise. */
      loadErrors: z.array(short).max(16),
      /** The sidecar took itself out of the rollout. */
      tripped: z.boolean(),
      comparison,
      /** Decisions that the candidate took part in enforcing. */
      enforced: count,
      evalStable: histogram,
      evalCandidate: histogram,
      replay: z.strictObject({ done: z.boolean(), notReplayable: count, comparison }).nullable(),
      examples: z.array(exampleSchema).max(EXAMPLES_MAX),
    })
    .nullable(),
});
export type Report = z.output<typeof reportSchema>;
export type RolloutReport = NonNullable<Report['rollout']>;
export type Comparison = RolloutReport['comparison'];

/** Bytes of a report that the controller reads at most. */
export const REPORT_BYTES_MAX = 64 * 1024;
