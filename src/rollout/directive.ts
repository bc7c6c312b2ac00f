/**
 * What a sidecar is told about a policy set: which revision is stable, which is the candidate, and how far the candidate
 * takes part. It is the flat part of the state ConfigMap, so `kubectl get -o jsonpath` and `kubectl wait` can read it
 * too. Bundles are named by digest and verified by the sidecar itself: whoever carries a directive is only a transport.
 * Pure.
 */
import { z } from 'zod';

/** Phases of a rollout, as in `notes` of docs/rollout.md. */
export const PHASES = [
  'Verifying',
  'Replay',
  'Shadow',
  'Guarded',
  'Canary',
  'Promoting',
  'Stable',
  'Paused',
  'Aborting',
  'Aborted',
  'Rejected',
] as const;
export type Phase = (typeof PHASES)[number];

export const PAUSE_REASONS = [
  'Step',
  'Approval',
  'Inconclusive',
  'Widening',
  'NoData',
  'Manual',
  'Window',
  'Failed',
] as const;
export type PauseReason = (typeof PAUSE_REASONS)[number];

export const DIGEST = /^sha256:[0-9a-f]{64}$/;
const digest = z.string().regex(DIGEST);

const revisionSchema = z.strictObject({
  digest,
  /** For people; the digest is what counts. */
  revision: z.string().max(256),
  /** ConfigMaps that the copy is kept in (src/rollout/objects.ts). */
  pieces: z.int().min(1).max(64),
});
export type RevisionName = z.output<typeof revisionSchema>;

export const directiveSchema = z.strictObject({
  set: z.string().regex(/^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$/),
  /** Rises with every write of the state; an older one never replaces a newer. */
  generation: z.int().min(0),
  phase: z.enum(PHASES),
  /** Null when nothing is being rolled out. */
  rolloutId: z.string().max(64).nullable(),
  stable: revisionSchema.nullable(),
  /** Null when no sidecar should hold one. */
  candidate: revisionSchema.nullable(),
  mode: z.enum(['guarded', 'candidate']),
  unit: z.enum(['agent', 'run', 'pod', 'namespace']),
  /** Hundredths of a percent: 10000 is everyone. 0 is shadow. */
  weight: z.int().min(0).max(10_000),
  /** Hexadecimal; key of the cohorts. Not a secret from operators, fixed for one rollout. */
  salt: z.string().regex(/^[0-9a-f]{32,64}$/),
  selector: z.strictObject({
    namespaces: z.array(z.string()).optional(),
    podLabels: z.record(z.string(), z.string()).optional(),
  }),
  /** How far back recorded decisions are replayed in phase Replay, milliseconds; null otherwise. */
  replayLastMs: z.int().min(0).nullable(),
  maxStaleness: z
    .strictObject({ afterMs: z.int().min(0), action: z.enum(['warn', 'deny']) })
    .nullable(),
});
export type Directive = z.output<typeof directiveSchema>;

/** Key in the state ConfigMap that holds the directive as JSON; the flat keys beside it are for people and kubectl. */
export const DIRECTIVE_KEY = 'directive.json';
const DIRECTIVE_CHARS_MAX = 64 * 1024;

/** @returns null when the text is none. */
export function readDirective(text: string | undefined): Directive | null {
  if (text === undefined || text.length > DIRECTIVE_CHARS_MAX) return null;
  try {
    const parsed = directiveSchema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
