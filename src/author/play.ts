/**
 * Plays one scenario through the code that decides in the sidecar: the same routes, recognition, facts, engine,
 * enforcement and obligations; only the facts are stated, and nothing is sent or recorded. Shell: reads files that a
 * scenario names.
 */
import { DEFAULT_BODY_BYTES_MAX } from '../config/schema.ts';
import { decide } from '../decision/decide.ts';
import { enforce } from '../decision/enforcement.ts';
import type { PolicyInput } from '../decision/input.ts';
import type { Verdict } from '../decision/verdict.ts';
import { connectAuthority } from '../proxy/connect.ts';
import type { Incoming } from '../proxy/exchange.ts';
import { type Judged, judge } from '../proxy/judgement.ts';
import type { FactSources, PolicyState } from '../proxy/ports.ts';
import { recognise } from '../proxy/recognise.ts';
import { type Recognition, unrecognized } from '../proxy/route.ts';
import { tunnelRecognition } from '../proxy/tunnel-call.ts';
import { factsFrom } from '../sidecar/facts.ts';
import { AuthorError, type LoadedPolicy } from './policy-source.ts';
import { reviewInput } from './review-input.ts';
import type { Scenario, ScenarioFile } from './scenario.ts';
import {
  agentOf,
  STATED_TRACE_ID,
  STATED_UID,
  type StatedFacts,
  timeNsOf,
  workloadOf,
} from './stated-facts.ts';
import { fileBeside, registered, scenarioNowMs, uploadRegistry } from './uploads.ts';
import { httpCall, mcpCall, type WireCall } from './wire-call.ts';

export interface Played {
  /** What happens to the call, obligations included. */
  readonly outcome: Verdict['outcome'];
  readonly reason: string;
  readonly verdict: Verdict | null;
  /** What policy saw; null when the call was refused before. */
  readonly input: PolicyInput | null;
  /** Why it was not recognised, or an obligation not carried out; null otherwise. */
  readonly detail: string | null;
}

export interface Stage {
  readonly policy: LoadedPolicy;
  readonly file: ScenarioFile;
  /** Path of the scenario file. */
  readonly path: string;
}

const clock = { monotonicMs: () => performance.now() };

/** @throws AuthorError when the scenario itself is wrong. */
export async function play(stage: Stage, scenario: Scenario): Promise<Played> {
  const facts: StatedFacts = { ...stage.file.facts, ...scenario.facts };
  if (scenario.review !== undefined) return playReview(stage, scenario, facts);
  const run = { id: facts.run?.id ?? 'run-1', step: facts.run?.step ?? 1 };
  const call = wireCall(stage, scenario, run);
  const { ref, engine, dialect, catalogue } = stage.policy;
  const policy: PolicyState = { ok: true, policy: { ref, engine, dialect, catalogue } };
  const recognition = await recognitionOf(call, policy);
  const parts = { facts: factsOf(stage, facts), mode: 'deny', clock } as const;
  const { incoming } = call;
  return playedOf(
    judge(parts, { id: STATED_UID, incoming, recognition, policy, traceId: STATED_TRACE_ID }),
  );
}

/** The verdict about an input, without the wire. */
export function playInput({ policy }: Pick<Stage, 'policy'>, input: PolicyInput): Played {
  const verdict = decide(policy, input, clock.monotonicMs);
  const enforcement = enforce(verdict, 'deny', input.uid);
  const { outcome } = verdict;
  const reason = enforcement.action === 'refuse' ? enforcement.refusal.reason : verdict.reason;
  return { outcome, reason, verdict, input, detail: null };
}

function playReview(stage: Stage, scenario: Scenario, facts: StatedFacts): Played {
  const review = scenario.review ?? {};
  const document = Object.hasOwn(review, 'request') ? review : { request: review };
  const given = reviewInput(document, facts, registered(facts, stage.path));
  if (!given.ok) throw new AuthorError(`${stage.path}: ${scenario.name}: review: ${given.detail}`);
  return playInput(stage, given.input);
}

function wireCall(
  { file, path }: Stage,
  { http, mcp }: Scenario,
  run: { readonly id: string; readonly step: number },
): WireCall {
  if (mcp !== undefined) return mcpCall(mcp, file, run);
  if (http === undefined) throw new Error('a scenario without a call');
  const body = http.bodyFile === undefined ? null : fileBeside(path, http.bodyFile);
  return httpCall(http, file, run, body);
}

async function recognitionOf(call: WireCall, policy: PolicyState): Promise<Recognition> {
  const { incoming, route } = call;
  if (incoming.method === 'CONNECT') return tunnel(incoming);
  const arrival = { route, incoming, policy, bodyBytesMax: DEFAULT_BODY_BYTES_MAX };
  return (await recognise(arrival, () => true)).recognition;
}

function tunnel(incoming: Incoming): Recognition {
  const authority = connectAuthority(incoming);
  if (authority.ok) return tunnelRecognition(authority, incoming);
  return unrecognized(authority.reason, authority.detail, { kind: 'http' });
}

/** The sidecar's own gathering of facts, with stated sources. */
function factsOf({ path }: Stage, stated: StatedFacts) {
  const timeNs = timeNsOf(stated.time);
  const gather = factsFrom({
    agent: agentOf(stated),
    environment: stated.environment ?? 'test',
    workload: workloadOf(stated),
    uploads: uploadRegistry(stated, path),
    clock: { wallNs: () => timeNs, monotonicMs: scenarioNowMs, uuid: () => STATED_UID },
  });
  return (call: Parameters<typeof gather>[0], sources: FactSources) => ({
    ...gather(call, sources),
    user: stated.user ?? null,
  });
}

function playedOf(judged: Judged): Played {
  const { input, verdict } = judged;
  if (judged.action === 'forward') {
    return { outcome: 'allow', reason: verdict?.reason ?? '', verdict, input, detail: null };
  }
  const outcome = verdict?.outcome === 'require_approval' ? 'require_approval' : 'deny';
  return { outcome, reason: judged.refusal.reason, verdict, input, detail: judged.detail };
}
