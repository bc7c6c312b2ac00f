/**
 * The path of one call, in order, on one page: admit, read, recognise, judge, record, forward, record the outcome.
 * The policy enforcement point (PEP). Every way out is either a Recorded permit handed to the upstream or a refusal
 * with a reason code. Shell: owns one call from its first byte to its last.
 */
import { type Refusal, refuse } from '../decision/enforcement.ts';
import type { ReasonCode } from '../decision/reason.ts';
import type { Incoming, Reply } from './exchange.ts';
import { decisionOf, judge, type Question } from './judgement.ts';
import type { Parts, PolicyState, Slot, Watch } from './ports.ts';
import { recordPermit, recordRefusal } from './record.ts';
import { type RefusalShape, renderRefusal } from './refusal.ts';
import { isToolError } from './result.ts';
import { type Recognition, type Route, unrecognized } from './route.ts';

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
    answer(reply, refuse(null, slot.refused).refusal, route.shape);
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
  const { recognition, body } = await recognise(journey, policy, slot);
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
  const isError = isToolError(forwarded, judged.input?.mcp !== null);
  parts.recorder.outcome({
    decisionId: id,
    traceId: watch.traceId,
    spanId: watch.spanId,
    forwarded,
    isError,
    timeNs: parts.clock.wallNs(),
  });
  // After the outcome, which is on record whatever becomes of the answer.
  if (forwarded.reason !== null && !reply.started) {
    answer(reply, refuse(id, forwarded.reason).refusal, recognition.shape);
  }
  trip.end(forwarded, isError);
  watch.end(forwarded.reason ?? decision.reason);
}

interface Recognised {
  readonly recognition: Recognition;
  readonly body: Uint8Array | null;
}

async function recognise(journey: Journey, policy: PolicyState, slot: Slot): Promise<Recognised> {
  const { parts, route, incoming } = journey;
  const early = route.precheck(incoming);
  if (early !== null) return { recognition: early, body: null };
  const not = (reason: ReasonCode, detail: string): Recognised => ({
    recognition: unrecognized(reason, detail, route.shape),
    body: null,
  });
  const catalogue = policy.policy?.catalogue;
  if (catalogue === undefined) return not('bundle.missing', 'no policy is loaded');
  if (!slot.reserve(announcedBytes(incoming, parts.bodyBytesMax))) {
    return not('call.overloaded', 'too many bytes are held already');
  }
  const body = await incoming.readBody(parts.bodyBytesMax);
  if (!body.ok) return not(body.reason, 'the body could not be read whole');
  const recognition = await route.recognize(incoming, body.bytes, catalogue);
  return { recognition, body: body.bytes };
}

/** Bytes to set aside for a body before it is read: what it announces, or the maximum when it announces nothing. */
function announcedBytes(incoming: Incoming, bytesMax: number): number {
  let bytes = 0;
  for (const [name, value] of incoming.headers) {
    const lower = name.toLowerCase();
    if (lower === 'transfer-encoding') return bytesMax;
    if (lower === 'content-length') bytes = Math.min(Number(value), bytesMax);
  }
  return bytes;
}

function answer(reply: Reply, refusal: Refusal, shape: RefusalShape): void {
  const { status, headers, body } = renderRefusal(refusal, shape);
  reply.send(status, headers, body);
}
