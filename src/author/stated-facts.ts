/**
 * Facts that an author states instead of a sidecar that observes them: what time it is, which agent calls, what a user
 * has uploaded. They come from a file of the author's and are trusted; whatever is left out has one fixed value, so
 * that equal files give equal decisions. Pure.
 */
import { z } from 'zod';
import type { JsonObject } from '../call/tool-call.ts';
import type { PolicyInput } from '../decision/input.ts';

const text = z.string().max(8192);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hexadecimal digits');
const time = z.iso.datetime({
  offset: true,
  message: 'expected a time such as 2026-11-23T10:00:00Z',
});

const agent = z.strictObject({
  id: text,
  verified_by: text.default('sidecar-config'),
  assurance: z.enum(['none', 'network', 'token', 'signature']).default('network'),
  key_thumbprint: text.nullable().default(null),
});

const upload = z
  .strictObject({
    sha256: sha256.optional(),
    /** Its bytes are what was uploaded; relative to the scenario file. */
    file: text.optional(),
    text: text.optional(),
    age_minutes: z.number().min(0).max(10_000_000).default(0),
  })
  .refine((one) => [one.sha256, one.file, one.text].filter((x) => x !== undefined).length === 1, {
    message: 'expected exactly one of sha256, file and text',
  });

export const statedFacts = z.strictObject({
  time: time.optional(),
  environment: text.optional(),
  agent: z.union([text.transform((id) => agent.parse({ id })), agent]).optional(),
  user: z
    .strictObject({
      id: text,
      groups: z.array(text).default([]),
      verified_by: text.default('stated'),
    })
    .optional(),
  workload: z
    .strictObject({
      namespace: text.nullable().default(null),
      pod: text.nullable().default(null),
      uid: text.nullable().default(null),
      service_account: text.nullable().default(null),
      labels: z.record(z.string(), text).default({}),
    })
    .optional(),
  run: z.strictObject({ id: text.default('run-1'), step: z.int().min(1).default(1) }).optional(),
  uploads: z.array(upload).max(1000).optional(),
  /** Replace these parts of the policy input as they stand. */
  scope: z.record(z.string(), z.json()).optional(),
  context: z.record(z.string(), z.json()).optional(),
  state: z.record(z.string(), z.json()).optional(),
});

export type StatedFacts = z.output<typeof statedFacts>;

/** A Monday morning; what a scenario sees that says nothing about time. */
const USUAL_TIME = '2026-11-23T10:00:00Z';
const MONDAY_MS = Date.parse(USUAL_TIME);
/** UUIDv7 of a decision that was never recorded. */
export const STATED_UID = '00000000-0000-7000-8000-000000000000';
export const STATED_TRACE_ID = '0'.repeat(31).concat('1');

/** Nanoseconds since 1970; digits below a millisecond are kept. */
export function timeNsOf(stated: string | undefined): bigint {
  const ms = stated === undefined ? MONDAY_MS : Date.parse(stated);
  const fraction = /\.([0-9]{1,9})/.exec(stated ?? '')?.[1] ?? '';
  const below = BigInt(fraction.padEnd(9, '0').slice(3));
  return BigInt(ms) * 1_000_000n + below;
}

export const agentOf = ({ agent: stated }: StatedFacts): PolicyInput['agent'] =>
  stated ?? agent.parse({ id: 'agent' });

export const workloadOf = ({ workload }: StatedFacts): PolicyInput['workload'] =>
  workload ?? { namespace: null, pod: null, uid: null, service_account: null, labels: {} };

/** What no sidecar can observe on its own is put over what the input has. */
export function withStated(input: PolicyInput, facts: StatedFacts): PolicyInput {
  const part = <T extends object>(usual: T, stated: Record<string, unknown> | undefined): T =>
    stated === undefined ? usual : { ...usual, ...(stated as JsonObject) };
  return {
    ...input,
    user: facts.user ?? input.user,
    scope: part(input.scope, facts.scope),
    context: part(input.context, facts.context),
    state: part(input.state, facts.state),
  };
}
