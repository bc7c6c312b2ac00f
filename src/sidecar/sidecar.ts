/**
 * The composition root of the data plane: configuration in, running listeners out. Starts in the order in which the
 * parts need each other (log, audit, policy, listeners), stops in the reverse order, and loses no call that was taken.
 * Shell: owns everything it starts.
 */
import { createHash } from 'node:crypto';
import { type Journal, openJournal } from '../audit/journal.ts';
import type { Config } from '../config/schema.ts';
import { loadClients } from '../control/credential.ts';
import { UploadRegistry } from '../decision/uploads.ts';
import { type AdmissionControl, createAdmission } from '../proxy/admission.ts';
import { createDescriptors, type Descriptors, descriptorLimit } from '../proxy/descriptors.ts';
import type { Parts } from '../proxy/ports.ts';
import { createResolver, type Resolver } from '../proxy/resolver.ts';
import { createUpstream, type Upstream } from '../proxy/upstream.ts';
import { createLog, type Log } from '../telemetry/log.ts';
import { createMetrics, type Metrics } from '../telemetry/metric.ts';
import { createTracing, type Tracing } from '../telemetry/trace.ts';
import type { Interception } from '../tls/interception.ts';
import type { UpstreamTrust } from '../tls/upstream-trust.ts';
import { VERSION } from '../version.ts';
import { systemClock as clock } from './clock.ts';
import { configuredAgent, factsFrom, workloadOf } from './facts.ts';
import { openTrust } from './interception.ts';
import { type Listeners, openListeners } from './listeners.ts';
import { createObserver } from './observation.ts';
import { placesOf } from './places.ts';
import { openPolicy, type PolicyHolder } from './policy.ts';
import { createRecorder } from './recorder.ts';
import { StartError } from './start-error.ts';
import { verificationOf } from './verification.ts';

export interface SidecarContext {
  readonly configFile: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export interface Sidecar {
  /** Drains, signs a last checkpoint, and resolves when nothing is left running. */
  stop(signal: string): Promise<void>;
  /** Says that a bug ends the process. Nothing may be let through in a state that nobody knows. */
  fail(error: unknown): void;
}

/** @throws StartError, ConfigError; then nothing is left running. */
export async function startSidecar(config: Config, context: SidecarContext): Promise<Sidecar> {
  const startedMs = clock.monotonicMs();
  const clients = loadClients(config.decisionApi.clients, context.environment);
  const verification = verificationOf(config.bundles[0]?.verification, context.environment);
  const metrics = createMetrics({ version: VERSION, processMetrics: true });
  const log = createLog({
    level: config.telemetry.logLevel,
    onDropped: (lines) => metrics.telemetryDropped('logs', lines),
  });
  const { configFile } = context;
  const { enforcement } = config;
  log.event('sidecar.starting', { version: VERSION, config: configFile, enforcement });
  const { interception, upstream: upstreamTrust } = await openTrust(config, log);
  const tracing = await openTracing(config, metrics);
  const journal = await openAudit(config, metrics, log);
  const { environment } = context;
  const workload = workloadOf(config.agent.labels, environment);
  const place = { workload, environment, verification };
  const policy = await openPolicy(config, { metrics, log, journal }, place).catch(async (error) => {
    await closeSignals({ interception, journal, tracing, metrics, log });
    throw error;
  });
  const outside = openOutside(config, metrics, upstreamTrust);
  const trust = { interception, upstreamTrust };
  const built: Built = { config, log, metrics, tracing, journal, policy, ...trust, ...outside };
  try {
    const parts = pipelineParts(built, context);
    const listeners = await openListeners({ ...built, parts, clients });
    for (const port of listeners.ports) outside.ownPorts.add(port);
    listeners.started();
    log.event('sidecar.ready', { startup_seconds: (clock.monotonicMs() - startedMs) / 1000 });
    return {
      stop: (signal) => stop({ ...built, listeners }, signal),
      fail: (error) => log.event('sidecar.failed', { error: describe(error) }),
    };
  } catch (error) {
    await closeBuilt(built);
    throw error;
  }
}

interface Outside {
  readonly admission: AdmissionControl;
  readonly descriptors: Descriptors;
  readonly resolve: Resolver;
  readonly upstream: Upstream;
  readonly uploads: UploadRegistry;
  /** Filled when the listeners are open. */
  readonly ownPorts: Set<number>;
}

function openOutside(config: Config, metrics: Metrics, trust: UpstreamTrust): Outside {
  const ownPorts = new Set<number>();
  const resolve = createResolver({ ...placesOf(config), ownPorts: () => ownPorts });
  const descriptors = createDescriptors(descriptorLimit(), () => metrics.shed('descriptors'));
  const upstream = createUpstream({
    ...config.upstream,
    resolve,
    mayDial: descriptors.mayDial,
    tlsFor: trust.tlsFor,
    onConnected: metrics.observeConnect,
  });
  const uploads = new UploadRegistry({
    uploadsMax: config.limits.uploadsMax,
    ageMsMax: config.limits.uploadAgeSecondsMax * 1000,
  });
  metrics.watchUploads(() => uploads.size);
  const admission = createAdmission(config.limits, metrics.addTunnels);
  return { admission, descriptors, resolve, upstream, uploads, ownPorts };
}

interface Built extends Outside {
  readonly config: Config;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  readonly journal: Journal;
  readonly policy: PolicyHolder;
  readonly interception: Interception | null;
  readonly upstreamTrust: UpstreamTrust;
}

function pipelineParts(built: Built, context: SidecarContext): Parts {
  const { config, log, metrics, tracing, journal, policy, admission, upstream, uploads } = built;
  const agent = configuredAgent(config);
  const workload = workloadOf(config.agent.labels, context.environment);
  const { environment } = config.agent;
  return {
    policy: policy.state,
    facts: factsFrom({ agent, environment, workload, uploads, clock }),
    mode: config.enforcement,
    recorder: createRecorder({ journal, durability: config.audit.durability, agent }),
    upstream,
    admission,
    observe: createObserver({ tracing, metrics, log, agentId: agent.id, nowMs: clock.monotonicMs }),
    shed: (cause) => metrics.shed(cause === 'proxy.draining' ? 'draining' : 'calls'),
    failed: (id, error) =>
      log.event('call.internal_error', { decision_id: id, error: describe(error) }),
    clock,
    bodyBytesMax: config.limits.bodyBytesMax,
  };
}

interface Running extends Built {
  readonly listeners: Listeners;
}

const DRAIN_LOOK_MS = 20;

async function stop(running: Running, signal: string): Promise<void> {
  const { admission, config, listeners, log } = running;
  log.event('sidecar.draining', { signal, calls: admission.calls() });
  admission.drain();
  listeners.drain();
  const deadline = clock.monotonicMs() + config.limits.drainMs;
  while (admission.calls() + admission.tunnels() > 0 && clock.monotonicMs() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, DRAIN_LOOK_MS));
  }
  const cut = admission.calls() + admission.tunnels();
  await listeners.close();
  await running.upstream.close();
  await settle(admission);
  log.event('sidecar.stopped', { calls_cut: cut });
  await closeBuilt(running);
}

async function closeBuilt(built: Built): Promise<void> {
  await built.policy.close();
  await closeSignals(built);
}

async function closeSignals(
  built: Pick<Built, 'interception' | 'journal' | 'tracing' | 'metrics' | 'log'>,
): Promise<void> {
  built.interception?.close();
  // Late, so that the outcomes of calls that were cut still stand in the log.
  await built.journal.close();
  await built.tracing.close();
  built.metrics.close();
  await built.log.close();
}

/** Calls whose connections were closed end within a few turns; a bounded wait lets their outcomes be written. */
async function settle(admission: AdmissionControl): Promise<void> {
  for (let look = 0; look < 50 && admission.calls() + admission.tunnels() > 0; look += 1) {
    await new Promise((resolve) => setTimeout(resolve, DRAIN_LOOK_MS));
  }
}

async function openTracing(config: Config, metrics: Metrics): Promise<Tracing> {
  const { traces } = config.telemetry;
  return createTracing({
    serviceName: 'egret',
    serviceVersion: VERSION,
    resource: { 'deployment.environment.name': config.agent.environment },
    onDropped: (spans) => metrics.telemetryDropped('traces', spans),
    ...(traces === undefined ? {} : { endpoint: traces.endpoint, sampleRatio: traces.sampleRatio }),
  });
}

async function openAudit(config: Config, metrics: Metrics, log: Log): Promise<Journal> {
  const { directory, keyFile, openingsDirectory } = config.audit;
  try {
    const journal = await openJournal({
      directory,
      ...(keyFile === undefined ? {} : { keyFile }),
      ...(openingsDirectory === undefined ? {} : { openingsDirectory }),
      labels: { id: config.agent.id, environment: config.agent.environment, version: VERSION },
      version: VERSION,
      configHash: createHash('sha256').update(JSON.stringify(config)).digest('hex'),
      hooks: {
        recorded: (kind) => metrics.auditRecord(kind),
        committed: (seconds) => metrics.observeCommit(seconds),
        recovered: (bytes, interrupted) =>
          log.event('audit.recovered', { directory, bytes_dropped: bytes, interrupted }),
        failed: (operation, error) => {
          metrics.auditFailure(operation === 'lock' ? 'other' : operation);
          log.event('audit.failed', { op: operation, error: error.message });
        },
      },
    });
    const status = journal.status();
    metrics.watchAudit(() => journal.status());
    log.event('audit.opened', { directory, size: status.size, key: status.vkey });
    return journal;
  } catch (error) {
    throw new StartError(`audit.directory: ${directory}: ${describe(error)}`, { cause: error });
  }
}

const describe = (error: unknown) => (error instanceof Error ? error.message : String(error));
