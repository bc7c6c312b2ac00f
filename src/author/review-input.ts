/**
 * A ToolCallReview as an author writes it: the call, and beside it the facts that in the sidecar are never the caller's
 * to state (identity, time, provenance of attachments, address). What the request leaves out is taken from the stated
 * facts. Pure.
 */
import { z } from 'zod';
import type { Attachment, ToolCall } from '../call/tool-call.ts';
import { reviewedCall } from '../control/review.ts';
import {
  type AttachmentFact,
  type Facts,
  type PolicyInput,
  policyInput,
} from '../decision/input.ts';
import {
  agentOf,
  STATED_TRACE_ID,
  STATED_UID,
  type StatedFacts,
  statedFacts,
  timeNsOf,
  withStated,
  workloadOf,
} from './stated-facts.ts';

export type ReviewInput =
  | { readonly ok: true; readonly input: PolicyInput }
  /** `path: what was expected`. */
  | { readonly ok: false; readonly detail: string };

/** The parts of a policy input that are facts; the call itself is read by `reviewedCall`. */
const factsInReview = z.object({
  uid: z.string().max(128).default(STATED_UID),
  time: statedFacts.shape.time,
  environment: statedFacts.shape.environment,
  agent: statedFacts.shape.agent,
  user: statedFacts.shape.user.nullable(),
  workload: statedFacts.shape.workload,
  run: z
    .object({
      id: z.string().max(128).default('run-1'),
      step: z.int().min(0).default(1),
      trace_id: z.string().max(64).default(STATED_TRACE_ID),
    })
    .prefault({}),
  attachments: z
    .array(
      z.object({
        source: z.enum(['explicit_user_upload', 'unknown']).optional(),
        age_minutes: z.number().nullable().optional(),
      }),
    )
    .default([]),
  destination: z
    .object({
      ip: z.string().nullable().default(null),
      ip_class: z.string().nullable().default(null),
      tls_intercepted: z.boolean().default(false),
    })
    .prefault({}),
  scope: statedFacts.shape.scope,
  context: statedFacts.shape.context,
  state: statedFacts.shape.state,
});

/** What is known about the attachments of a call at a time. */
export type Provenance = (attachments: readonly Attachment[]) => readonly AttachmentFact[];

/**
 * @param document a whole ToolCallReview.
 * @param stated facts of the scenario; those in the review win.
 */
export function reviewInput(
  document: unknown,
  stated: StatedFacts,
  provenance: Provenance,
): ReviewInput {
  const call = reviewedCall(document);
  if (!call.ok) return call;
  const parsed = factsInReview.safeParse((document as { request: unknown }).request);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const path = ['request', ...(issue?.path ?? [])].map(String).join('.');
    return { ok: false, detail: `${path}: ${issue?.message ?? 'not a fact'}` };
  }
  return { ok: true, input: inputOf(call.call, stated, parsed.data, provenance) };
}

type InReview = z.output<typeof factsInReview>;

function inputOf(
  call: ToolCall,
  stated: StatedFacts,
  own: InReview,
  provenance: Provenance,
): PolicyInput {
  const merged: StatedFacts = {
    ...stated,
    ...Object.fromEntries(
      Object.entries(own).filter(([name, value]) => value != null && MERGED.has(name)),
    ),
  };
  const registered = provenance(call.attachments);
  const facts: Facts = {
    uid: own.uid,
    timeNs: timeNsOf(merged.time),
    environment: merged.environment ?? 'test',
    run: { ...own.run, ...stated.run },
    agent: agentOf(merged),
    user: null,
    workload: workloadOf(merged),
    attachments: registered.map((fact, at) => attachmentFact(fact, own.attachments[at])),
    ip: own.destination.ip,
    ipClass: own.destination.ip_class,
    tlsIntercepted: own.destination.tls_intercepted,
  };
  return withStated(policyInput(call, facts), merged);
}

const MERGED: ReadonlySet<string> = new Set(
  'time environment agent user workload scope context state'.split(' '),
);

/** What the review says about an attachment wins over what was registered. */
function attachmentFact(
  fact: AttachmentFact,
  own: InReview['attachments'][number] | undefined,
): AttachmentFact {
  if (own?.source === undefined) return fact;
  const fresh = own.source === 'explicit_user_upload' ? 0 : null;
  return { ...fact, source: own.source, age_minutes: own.age_minutes ?? fresh };
}
