/**
 * The policy sets of the namespace: one worker for each, told whenever something of it may have changed. Also what is
 * known about them for those who ask: directives, copies, reports. Shell: owns the workers and the reports.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import type { Verification } from '../bundle/signature.ts';
import type { ControllerConfig } from '../config/controller.ts';
import type { Directive } from '../rollout/directive.ts';
import { directiveOf } from '../rollout/machine.ts';
import type { RolloutEvent, RolloutState, StoredRevision } from '../rollout/state.ts';
import type { ControllerMetrics, SetGauges } from '../telemetry/controller-metric.ts';
import type { Log } from '../telemetry/log.ts';
import { passGate } from './candidate.ts';
import { Candidates } from './candidates.ts';
import { bundlesOf, declarationsOf, seenOf, setNames, stateOf } from './cluster-objects.ts';
import type { ClusterWatch } from './cluster-watch.ts';
import type { ClusterWrites, SetEvent } from './cluster-writes.ts';
import type { Failed } from './controller.ts';
import { Reports } from './reports.ts';
import { SetWorker, type StateRead } from './set-worker.ts';

export interface KeeperParts {
  readonly config: ControllerConfig;
  readonly verification: Verification | undefined;
  readonly watch: ClusterWatch;
  readonly writes: ClusterWrites;
  readonly metrics: ControllerMetrics;
  readonly log: Log;
  readonly failed: Failed;
  readonly mayWrite: () => boolean;
}

const COPY_CACHE = 8;

export class SetKeeper {
  readonly #parts: KeeperParts;
  readonly #workers = new Map<string, SetWorker>();
  readonly #written = new Map<string, RolloutState>();
  readonly #copies = new Map<string, Promise<Uint8Array | null>>();
  readonly #listeners: ((set: string) => void)[] = [];
  readonly reports: Reports;
  #closed = false;

  constructor(parts: KeeperParts) {
    this.#parts = parts;
    const failed = (error: unknown) => parts.failed('prometheus', error);
    this.reports = new Reports({ monotonicMs: () => performance.now(), failed });
    parts.watch.onChange((kind) => {
      this.kickAll();
      if (kind !== 'states') return;
      for (const set of setNames(parts.watch.view())) this.#tell(set);
    });
    parts.metrics.watchSets(() => this.gauges());
    parts.metrics.watchSidecars(() => this.reports.count());
  }

  kickAll(): void {
    if (this.#closed || !this.#parts.watch.synced()) return;
    for (const set of setNames(this.#parts.watch.view())) this.#worker(set).kick();
  }

  /** The newest state of a set, whether it was read or written here. */
  state(set: string): RolloutState | null {
    const seen = stateOf(this.#parts.watch.view(), set)?.state ?? null;
    const written = this.#written.get(set) ?? null;
    return (written?.generation ?? -1) > (seen?.generation ?? -1) ? written : seen;
  }

  directive(set: string): Directive | null {
    const state = this.state(set);
    return state === null ? null : directiveOf(state);
  }

  knows(set: string): boolean {
    return setNames(this.#parts.watch.view()).has(set);
  }

  /** Called whenever the state of a set may have changed. */
  onState(listener: (set: string) => void): void {
    this.#listeners.push(listener);
  }

  /** A copy that the state of the set names; null for any other digest. */
  bundle(set: string, digest: string): Promise<Uint8Array | null> {
    const state = this.state(set);
    const named = state === null ? undefined : revisionsOf(state).find((r) => r.digest === digest);
    if (named === undefined) return Promise.resolve(null);
    const key = `${set} ${digest}`;
    const known = this.#copies.get(key);
    if (known !== undefined) return known;
    const reading = this.#parts.writes.readCopy(set, named);
    this.#copies.set(key, reading);
    if (this.#copies.size > COPY_CACHE) this.#copies.delete(this.#copies.keys().next().value ?? '');
    // What could not be read now may be there the next time.
    const forget = () => this.#copies.delete(key);
    reading.then((archive) => archive ?? forget(), forget);
    return reading;
  }

  gauges(): SetGauges[] {
    return [...setNames(this.#parts.watch.view())].flatMap((set) => {
      const state = this.state(set);
      if (state === null) return [];
      const { phase, pauseReason, updatedAtMs } = state;
      const { weight } = directiveOf(state);
      return [{ set, phase, reason: pauseReason ?? '', weight, updatedAtMs }];
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#workers.values()].map((worker) => worker.close()));
  }

  #worker(set: string): SetWorker {
    const known = this.#workers.get(set);
    if (known !== undefined) return known;
    const worker = this.#newWorker(set);
    this.#workers.set(set, worker);
    return worker;
  }

  #newWorker(set: string): SetWorker {
    const { config, verification, watch, writes, failed, mayWrite } = this.#parts;
    const candidates = new Candidates({
      bundles: () => bundlesOf(watch.view(), set),
      gate: (archive, expectedDigest) =>
        passGate(archive, {
          set,
          nowMs: Date.now(),
          verification,
          policyMemoryBytesMax: config.bundles.policyMemoryBytesMax,
          expectedDigest,
        }),
      copy: (archive, revision) => writes.copy(set, archive, revision),
      monotonicMs: () => performance.now(),
    });
    return new SetWorker({
      set,
      read: () => seenOf(watch.view(), set),
      candidate: (spec) => candidates.see(spec),
      candidateInMs: () => candidates.settlesInMs(),
      analyse: (state, spec) => this.reports.look(state, spec, Date.now()),
      mayWrite,
      write: (state, resourceVersion) => writes.state(state, resourceVersion),
      refresh: (): Promise<StateRead | null> => writes.readState(set),
      emit: (event) => this.#emit(set, event),
      show: (status) => this.#show(set, status),
      wrote: (state, before) => this.#wrote(state, before),
      failed: (error) => failed('round', error, set),
      fresh: () => ({
        rolloutId: randomUUID().slice(0, 8),
        salt: randomBytes(16).toString('hex'),
      }),
      nowMs: Date.now,
      routineWriteMs: config.writeIntervalSeconds * 1000,
    });
  }

  #wrote(state: RolloutState, before: RolloutState | null): void {
    const { log, writes, failed } = this.#parts;
    this.#written.set(state.set, state);
    log.event('rollout.moved', {
      set: state.set,
      phase: state.phase,
      rollout: state.rollout?.id ?? null,
      step: state.rollout?.step ?? null,
      weight_percent: directiveOf(state).weight / 100,
      message: state.message,
    });
    this.#tell(state.set);
    if (state.stable?.digest === before?.stable?.digest) return;
    const named = new Set(revisionsOf(state).map(({ digest }) => digest));
    writes.sweep(state.set, named).catch((error: unknown) => failed('write', error, state.set));
  }

  #emit(set: string, event: RolloutEvent | SetEvent): void {
    const { log, metrics, watch, writes, failed } = this.#parts;
    const { reason, message } = event;
    metrics.event(set, reason);
    log.event('rollout.event', { set, reason, text: message });
    const [about] = declarationsOf(watch.view(), set);
    if (about === undefined) return;
    writes.event(about, event).catch((error: unknown) => failed('event', error, set));
  }

  async #show(set: string, status: string): Promise<void> {
    const [object] = declarationsOf(this.#parts.watch.view(), set);
    if (object === undefined) return;
    if (status !== '') {
      this.#parts.log.event('rollout.invalid', { set, error: status });
      this.#emit(set, { type: 'Warning', reason: 'InvalidPolicySet', message: status });
    }
    await this.#parts.writes.status(object, status);
  }

  #tell(set: string): void {
    const state = this.state(set);
    if (state !== null) this.reports.follow(state);
    for (const listener of this.#listeners) listener(set);
  }
}

/** Everything a sidecar may be told to load, and what `undo` goes back to. */
const revisionsOf = ({ stable, previous, rollout }: RolloutState): StoredRevision[] =>
  [stable, previous, rollout?.candidate ?? null].filter((revision) => revision !== null);
