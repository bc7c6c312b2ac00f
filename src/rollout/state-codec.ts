/**
 * The state of a rollout as the data of its ConfigMap: flat keys for `kubectl get` and `kubectl wait`, the directive for
 * sidecars, and the whole state for the controller. Bounded, far below what a ConfigMap may hold. Pure.
 */
import { z } from 'zod';
import { DIRECTIVE_KEY, directiveSchema, PAUSE_REASONS, PHASES } from './directive.ts';
import { directiveOf } from './machine.ts';
import { EXAMPLES_MAX, exampleSchema } from './report.ts';
import { HISTORY_MAX, type RolloutState, SENTENCE_CHARS_MAX } from './state.ts';
import { commandId } from './turn.ts';

export const STATE_KEY = 'state.json';
/** With every list and text as long as it may be, a state has about half of it. */
export const STATE_CHARS_MAX = 200_000;

const { stable, unit, mode, selector, maxStaleness, generation, set, salt } = directiveSchema.shape;
const revision = stable.unwrap();
const ms = z.number().min(0);
const sentence = z.string().max(SENTENCE_CHARS_MAX);
const id = z.string().max(64);
const count = z.int().min(0);
const approval = z.strictObject({
  by: z.string().max(256),
  why: z.string().max(1024),
  atMs: ms,
});

const historySchema = z.strictObject({
  rolloutId: id,
  revision,
  result: z.enum(['Promoted', 'Aborted', 'Rejected', 'Superseded', 'Undone']),
  reason: sentence,
  startedAtMs: ms,
  endedAtMs: ms,
  approval: approval.nullable(),
});

const rolloutSchema = z.strictObject({
  id,
  candidate: revision,
  startedAtMs: ms,
  step: z.int().min(-1).max(50),
  stepStartedAtMs: ms,
  stepsHash: z.string().max(64),
  stepCount: z.int().min(0).max(50),
  sinceGeneration: count,
  revert: z.boolean(),
  weight: z.int().min(0).max(10_000),
  replayLastMs: count.nullable(),
  failures: count,
  inconclusive: count,
  lastLookAtMs: ms,
  lastLook: z.enum(['none', 'passed', 'failed', 'unclear']),
  widening: z
    .strictObject({ count, examples: z.array(exampleSchema).max(EXAMPLES_MAX) })
    .nullable(),
  approval: approval.nullable(),
  forced: approval.nullable(),
  salt,
});

const stateSchema = z.strictObject({
  apiVersion: z.literal('egret.dev/v1alpha1'),
  kind: z.literal('RolloutState'),
  set,
  generation,
  phase: z.enum(PHASES),
  pausedIn: z.enum(PHASES).nullable(),
  pauseReason: z.enum(PAUSE_REASONS).nullable(),
  stable,
  previous: stable,
  rollout: rolloutSchema.nullable(),
  refused: z.strictObject({ digest: revision.shape.digest, reason: sentence }).nullable(),
  message: sentence,
  observedCommand: z.string().max(256).nullable(),
  updatedAtMs: ms,
  history: z.array(historySchema).max(HISTORY_MAX),
  told: z.strictObject({ mode, unit, selector, maxStaleness }),
});

/** @returns the `data` of the state ConfigMap. Flat values are texts; one that does not apply is empty. */
export function renderState(state: RolloutState): Readonly<Record<string, string>> {
  const directive = directiveOf(state);
  const { rollout } = state;
  return {
    phase: state.phase,
    pauseReason: state.pauseReason ?? '',
    step: rollout === null ? '' : `${rollout.step + 1}/${rollout.stepCount}`,
    weight: `${directive.weight / 100}%`,
    mode: directive.mode,
    stable: state.stable?.revision ?? '',
    candidate: directive.candidate?.revision ?? '',
    rolloutID: commandId(state),
    message: state.message,
    [DIRECTIVE_KEY]: JSON.stringify(directive),
    [STATE_KEY]: JSON.stringify(state),
  };
}

/** @returns null when there is none, or none that can be trusted: then it must not be written over. */
export function readState(data: Readonly<Record<string, string>> | undefined): RolloutState | null {
  const text = data?.[STATE_KEY];
  if (text === undefined || text.length > STATE_CHARS_MAX) return null;
  try {
    const parsed = stateSchema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
