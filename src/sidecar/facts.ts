/**
 * Gathers what the sidecar itself knows about a call: who the agent is, which run it belongs to, what of its files a
 * user provided, what time it is. The policy information point (PIP).
 * Shell: owns the step counters of named runs.
 */

import type { ToolCall } from '../call/tool-call.ts';
import type { Config } from '../config/schema.ts';
import type { Agent, Facts, Run, Workload } from '../decision/input.ts';
import type { UploadRegistry } from '../decision/uploads.ts';
import { classifyAddress, parseAddress } from '../proxy/address.ts';
import type { ClientConnection, Incoming } from '../proxy/exchange.ts';
import { headerOf } from '../proxy/message-rules.ts';
import type { Clock, FactSources } from '../proxy/ports.ts';

const RUN_ID = /^[A-Za-z0-9._:-]{1,128}$/;
/** Named runs whose steps are counted at once; the one unused longest starts again. */
const RUNS_MAX = 10_000;

export interface FactGathering {
  readonly agent: Agent;
  readonly environment: string;
  readonly workload: Workload;
  readonly uploads: UploadRegistry;
  readonly clock: Clock;
}

export function factsFrom(
  gathering: FactGathering,
): (call: ToolCall, sources: FactSources) => Facts {
  const runs = new Map<string, number>();
  const { agent, environment, workload, uploads, clock } = gathering;
  return (call, sources) => {
    const { host } = call.destination;
    const literal = parseAddress(host) !== null;
    return {
      uid: sources.id,
      timeNs: clock.wallNs(),
      environment,
      run: runOf(runs, sources.incoming, sources.traceId),
      agent,
      user: null,
      workload,
      attachments: uploads.facts(call.attachments, clock.monotonicMs()),
      ip: literal ? host : null,
      ipClass: literal ? classifyAddress(host) : null,
      tlsIntercepted: sources.incoming.bound?.scheme === 'https',
    };
  };
}

/** The agent may name its run, so that calls of one task can be joined; otherwise the connection stands for it. */
function runOf(runs: Map<string, number>, incoming: Incoming, trace_id: string): Run {
  const named = headerOf(incoming, 'x-egret-run-id');
  const { connection } = incoming;
  if (named === null || !RUN_ID.test(named)) {
    return { id: connection.id, step: connection.calls, trace_id };
  }
  const step = (runs.get(named) ?? 0) + 1;
  runs.delete(named);
  runs.set(named, step);
  if (runs.size > RUNS_MAX) {
    const [oldest] = runs.keys();
    if (oldest !== undefined) runs.delete(oldest);
  }
  return { id: named, step, trace_id };
}

/** The identity the operator gave this sidecar; whoever reaches its listeners is that agent. */
export function configuredAgent(config: Config): Agent {
  return {
    id: config.agent.id,
    verified_by: 'sidecar-config',
    assurance: 'network',
    key_thumbprint: null,
  };
}

/** Facts of the pod from the downward API; null on a laptop. */
export function workloadOf(
  labels: Readonly<Record<string, string>>,
  environment: Readonly<Record<string, string | undefined>>,
): Workload {
  return {
    namespace: environment['EGRET_POD_NAMESPACE'] ?? null,
    pod: environment['EGRET_POD_NAME'] ?? null,
    uid: environment['EGRET_POD_UID'] ?? null,
    service_account: environment['EGRET_POD_SERVICE_ACCOUNT'] ?? null,
    labels,
  };
}

/** A caller of the decision API, as far as facts are concerned. */
export function adviceSource(
  id: string,
  traceId: string,
  connection: ClientConnection,
): FactSources {
  const incoming: Incoming = {
    method: 'POST',
    target: '/v1/review',
    httpVersion: '1.1',
    headers: [],
    connection,
    bound: null,
    readBody: () => Promise.resolve({ ok: true, bytes: null }),
  };
  return { incoming, id, traceId };
}
