/**
 * The path of one call, in order, on one page: admit, read, recognise, judge, record, forward, record the outcome.
 * The policy enforcement point (PEP). Every way out is either a Recorded permit handed to the upstream or a refusal
 * with a reason code. Shell: owns one call from its first byte to its last.
 */
import { type Refusal, refuse } from '../decision/enforcement.ts';
import type { Incoming, Reply } from './exchange.ts';
import { decisionOf, judge, type Question } from './judgement.ts';
import type { Parts, PolicyState, Slot, Watch } from './ports.ts';
import { type Recognised, recognise } from './recognise.ts';
import { recordPermit, recordRefusal } from './record.ts';
import { type RefusalShape, renderRefusal } from './refusal.ts';
import { isToolError } from './result.ts';
import type { Route } from './route.ts';

/** One call on its way. */
interface Journey {
  readonly parts: Parts;
  readonly route: Route;
  readonly incoming: Incoming;
  readonly reply: Reply;
  readonly id: string;
  readonly startedMs: number;
}

export async function handleCall(
  parts: Parts,
  route: Route,
  incoming: Incoming,
  reply: Reply,
): Promise<void> {
  const id = parts.clock.uuid();
  const journey = { parts, route, incoming, reply, id, startedMs: parts.clock.monotonicMs() };
  incoming.connection.calls += 1;
  const slot = parts.admission.enter();
  if ('refused' in slot) {
    parts.shed(slot.refused);
    answer(reply, refuse(id, slot.refused).refusal, route.shape);
    return;
  }
  try {
    await travel(journey, slot);
  } catch (error) {
    parts.failed(id, error);
    if (reply.started) reply.abort();
    else answer(reply, refuse(id, 'proxy.internal').refusal, route.shape);
  } finally {
    slot.release();
  }
}

async function travel(journey: Journey, slot: Slot): Promise<void> {
  const { parts, route, incoming, id } = journey;
  // The revision is pinned first: recognition, decision and record all speak of the same one.
  const policy = parts.policy();
  const { bodyBytesMax } = parts;
  const arrival = { route, incoming, policy, bodyBytesMax };
  const { recognition, body } = await recognise(arrival, (bytes) => slot.reserve(bytes));
  const watch = parts.observe({ id, incoming, route, recognition, startedMs: journey.startedMs });
  try {
    await judgeAndForward(journey, { recognition, body }, policy, watch);
  } catch (error) {
    watch.end('proxy.internal');
    throw error;
  }
}

async function judgeAndForward(
  journey: Journey,
  { recognition, body }: Recognised,
  policy: PolicyState,
  watch: Watch,
): Promise<void> {
  const { parts, route, incoming, id, reply } = journey;
  const question: Question = { id, incoming, recognition, policy, traceId: watch.traceId };
  const judged = judge(parts, question);
  const decision = decisionOf(parts, { route, question, judged, body, spanId: watch.spanId });
  watch.judged(decision);

  if (judged.action === 'refuse') {
    await recordRefusal(parts.recorder, decision);
    answer(reply, judged.refusal, recognition.shape);
    watch.end(judged.refusal.reason);
    return;
  }
  // Commit point: nothing has left so far, and nothing leaves unless this record is durable.
  const recorded = await recordPermit(parts.recorder, judged.permit, decision);
  watch.recorded();
  if (recorded === null) {
    answer(reply, refuse(id, 'audit.unavailable').refusal, recognition.shape);
    watch.end('audit.unavailable');
    return;
  }
  const trip = watch.leaving(judged.request);
  const forwarded = await parts.upstream.forward(recorded, trip.request, reply);
  if (forwarded.reason !== null && !reply.started) {
    answer(reply, refuse(id, forwarded.reason).refusal, recognition.shape);
  }
  const isError = isToolError(forwarded, judged.input?.mcp !== null);
  parts.recorder.outcome({
    decisionId: id,
    traceId: watch.traceId,
    spanId: watch.spanId,
    forwarded,
    isError,
    timeNs: parts.clock.wallNs(),
  });
  trip.end(forwarded, isError);
  watch.end(forwarded.reason ?? decision.reason);
}

function answer(reply: Reply, refusal: Refusal, shape: RefusalShape): void {
  const { status, headers, body } = renderRefusal(refusal, shape);
  reply.send(status, headers, body);
}
