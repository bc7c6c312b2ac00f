/**
 * A policy set without a cluster: one stored state with versions as the API server guards them, what Git and people say,
 * and workers on a clock that the test moves. Each write can fail before or after it took effect. Pure, but for the
 * promises.
 */
import assert from 'node:assert/strict';
import { isLookDue } from '../../src/controller/reports.ts';
import {
  type SetSeen,
  SetWorker,
  type StateRead,
  type WorkerParts,
} from '../../src/controller/set-worker.ts';
import type { PolicySetSpec } from '../../src/rollout/policy-set.ts';
import type { Analysis, Command, RolloutState, Verb } from '../../src/rollout/state.ts';
import { readState, renderState } from '../../src/rollout/state-codec.ts';
import { commandId } from '../../src/rollout/turn.ts';
import { lookOf, revisionOf, specOf } from '../rollout/transcript.ts';

export const START_MS = Date.parse('2026-03-02T00:00:00Z');
const ROUNDS_MAX = 40;

export interface Write {
  readonly atMs: number;
  readonly by: string;
  readonly state: RolloutState;
}

export class Killed extends Error {}

/** The API server, as far as one state is concerned. */
export class Stored {
  #current: { readonly text: Readonly<Record<string, string>>; readonly version: number } | null =
    null;
  #versions = 100;
  readonly writes: Write[] = [];
  conflicts = 0;

  read(): StateRead | null {
    if (this.#current === null) return null;
    const state = readState(this.#current.text);
    return state === null ? null : { state, resourceVersion: String(this.#current.version) };
  }

  write(write: Write, resourceVersion: string | null): string | null {
    const version = this.#current === null ? null : String(this.#current.version);
    if (version !== resourceVersion) {
      this.conflicts += 1;
      return null;
    }
    const before = this.read()?.state ?? null;
    assert.ok(
      write.state.generation > (before?.generation ?? -1),
      'a newer state replaces an older',
    );
    this.#versions += 1;
    this.#current = { text: renderState(write.state), version: this.#versions };
    this.writes.push(write);
    return String(this.#versions);
  }

  spoil(): void {
    this.#versions += 1;
    this.#current = { text: { 'state.json': 'no state' }, version: this.#versions };
  }
}

export class Stage {
  readonly stored = new Stored();
  nowMs = START_MS;
  spec: PolicySetSpec | null;
  bundle = 'missing';
  look = 'passed';
  command: Command | null = null;
  #commands = 0;

  constructor(fields: object) {
    this.spec = specOf(fields);
  }

  say(verb: Verb, rolloutId = this.#rolloutId()): void {
    this.#commands += 1;
    const text = `${verb}:${rolloutId}:${this.#commands}`;
    this.command = { text, verb, rolloutId, by: 'ann', why: 'as agreed' };
  }

  #rolloutId(): string {
    const state = this.stored.read()?.state;
    return state === undefined ? '' : commandId(state);
  }

  seen(stored: StateRead | null): SetSeen {
    const { spec, command } = this;
    return { spec, problems: [], command, author: null, stored };
  }

  worker(change: Partial<WorkerParts> = {}, by = 'one'): SetWorker {
    return new SetWorker({
      set: 'shop',
      read: () => this.seen(this.stored.read()),
      candidate: async () =>
        this.bundle === 'missing'
          ? { status: 'missing' }
          : { status: 'stored', revision: revisionOf(this.bundle) },
      candidateInMs: () => null,
      analyse: async (state, spec) => this.lookIfDue(state, spec, this.nowMs),
      mayWrite: () => true,
      write: async (state, version) => this.stored.write({ atMs: this.nowMs, by, state }, version),
      refresh: async () => this.stored.read(),
      emit: () => undefined,
      show: async () => undefined,
      wrote: () => undefined,
      failed: (error) => {
        throw error;
      },
      // The same for the same past, whoever asks.
      fresh: () => {
        const id = `r${this.stored.read()?.state.history.length ?? 0}${this.bundle}`;
        return { rolloutId: id, salt: '0'.repeat(32) };
      },
      nowMs: () => this.nowMs,
      routineWriteMs: 30_000,
      ...change,
    });
  }

  /** Rounds until nothing is to be done at this moment. @returns when the worker wants to look again. */
  async settle(worker: SetWorker): Promise<number | null> {
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      const wakeAtMs = await worker.round();
      if (wakeAtMs === null || wakeAtMs > this.nowMs) return wakeAtMs;
    }
    return assert.fail('it comes to rest');
  }

  /** Lets time pass as the worker's own timer would. */
  async pass(worker: SetWorker, ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    for (;;) {
      const wakeAtMs = await this.settle(worker);
      if (wakeAtMs === null || wakeAtMs > endMs) break;
      this.nowMs = wakeAtMs;
    }
    this.nowMs = endMs;
  }

  lookIfDue({ rollout }: RolloutState, spec: PolicySetSpec, wallMs: number): Analysis | null {
    return rollout !== null && isLookDue(rollout, spec, wallMs) ? lookOf(this.look) : null;
  }

  get state(): RolloutState {
    return this.stored.read()?.state ?? assert.fail('there is a state');
  }
}
