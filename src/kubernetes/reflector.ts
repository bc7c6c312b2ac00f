/**
 * Keeps a view of some objects of one namespace equal to the API server's: a list, then a watch from where it ended.
 * Whatever happens it goes on from what it knows and keeps the last good view; it ends only with `close`. What it waits
 * for has a bound: a list, the silence of a watch, the age of a view that nobody compared. Shell: owns one watch.
 */
import type { Api } from './api.ts';
import { type ApiError, ownError } from './api-error.ts';
import { asApiError, type Connection } from './connection.ts';
import { Delivery } from './delivery.ts';
import { DriftCheck } from './drift-check.ts';
import {
  pathOf,
  type ReadObject,
  type Resource,
  type Selection,
  selectionQuery,
} from './object.ts';
import {
  folded,
  moveAfter,
  parseStep,
  type RelistReason,
  type View,
  versionAfter,
  viewOf,
  type WatchStep,
} from './reflection.ts';
import { pause, realTiming, type Timing } from './timing.ts';
import { watchLines } from './watch-lines.ts';

/** For metrics and logs; every function returns at once and throws nothing. */
export interface ReflectorObserver {
  connected(is: boolean): void;
  /** Everything was read anew, or compared. */
  relisted(reason: RelistReason): void;
  /** The version to go on from was too old (410). */
  gone(): void;
  /** A watch ended, in order or not, and the next one is about to be asked for. */
  reconnected(): void;
  /** `onObjects` failed; it is asked again. */
  applyError(error: unknown): void;
  /** So many names that the watch was silent about. Anything but none is a defect, here or in the API server. */
  drift(names: number): void;
  failed(error: ApiError, waitMs: number): void;
}

export interface ReflectorOptions {
  readonly api: Api;
  readonly connection: Connection;
  readonly resource: Resource;
  readonly namespace: string;
  readonly selection: Selection;
  /** The newest objects by name, one call at a time. A rejection is tried again. */
  readonly onObjects: (objects: View) => void | Promise<void>;
  /** Objects with equal prints need no new call. Default: their resourceVersion. */
  readonly print?: (object: ReadObject) => string;
  readonly observer: ReflectorObserver;
  /** Objects in the view. Default 1000. */
  readonly objectsMax?: number;
  /** Bytes of one event. Default 12 MiB: an object of 1.5 MiB whose every byte JSON says in six. */
  readonly lineBytesMax?: number;
  readonly timing?: Timing;
}

const LIST_MS = 30_000;
/**
 * Bookmarks come every minute, but from some servers only when an object of the kind changed anywhere in the cluster
 * since the watch began. So silence is no failure: the connection may be dead or the cluster quiet, and the next watch
 * follows at once.
 */
const SILENCE_MS = 100_000;
/** A watch that lived for so long was no failure. */
const SETTLED_MS = 10_000;
const WATCH_SECONDS = { from: 290, to: 590 };
const RELIST_MS = { from: 600_000, to: 900_000 };
const LINE_BYTES_MAX = 12 * 1024 * 1024;

export class Reflector {
  readonly #options: ReflectorOptions;
  readonly #timing: Timing;
  readonly #delivery: Delivery;
  readonly #stop = new AbortController();
  #loop: Promise<void> | null = null;
  #view: View = new Map();
  #version = '';
  #synced = false;
  #relist: RelistReason | null = 'start';
  #heardMs: number | null = null;
  #connected = false;
  #check: DriftCheck | null = null;
  #checking: Promise<void> = Promise.resolve();
  #stopCheckTimer: () => void = () => undefined;
  #endWatch: () => void = () => undefined;

  constructor(options: ReflectorOptions) {
    this.#options = options;
    this.#timing = options.timing ?? realTiming;
    this.#delivery = new Delivery({
      timing: this.#timing,
      onObjects: options.onObjects,
      print: options.print ?? (({ metadata }) => metadata.resourceVersion),
      onError: (error) => options.observer.applyError(error),
    });
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** Resolves when nothing of it runs any more, `onObjects` included. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#stopCheckTimer();
    await Promise.all([this.#loop, this.#checking, this.#delivery.close()]);
  }

  status(): {
    readonly connected: boolean;
    /** Whether there was ever a list. */
    readonly synced: boolean;
    /** Milliseconds since the server said anything; null before it ever did. */
    readonly heardAgoMs: number | null;
  } {
    const heardAgoMs = this.#heardMs === null ? null : this.#timing.nowMs() - this.#heardMs;
    return { connected: this.#connected, synced: this.#synced, heardAgoMs };
  }

  async #run(): Promise<void> {
    const { observer } = this.#options;
    for (let streak = 0; !this.#stop.signal.aborted; ) {
      const { error, settled } = await this.#round();
      if (this.#stop.signal.aborted) return;
      if (settled) streak = 0;
      if (error === null) {
        observer.reconnected();
        continue;
      }
      const move = moveAfter(error, streak, this.#timing.random());
      if (move.relist === 'gone') observer.gone();
      this.#relist ??= move.relist;
      streak += 1;
      observer.failed(error, move.waitMs);
      if (move.waitMs > 0) await pause(this.#timing, move.waitMs, this.#stop.signal);
      if (!this.#stop.signal.aborted) observer.reconnected();
    }
  }

  /** @returns how it ended; without an error when another watch may follow at once. */
  async #round(): Promise<{ readonly error: ApiError | null; readonly settled: boolean }> {
    let openedMs: number | null = null;
    const settled = () => openedMs !== null && this.#timing.nowMs() - openedMs >= SETTLED_MS;
    try {
      if (this.#relist !== null) await this.#readAll(this.#relist);
      await this.#watch(() => {
        openedMs = this.#timing.nowMs();
      });
      // Drift was found: the view is read anew.
      if (this.#relist !== null) return { error: null, settled: settled() };
      const early = ownError('Unreachable', 'the API server ended a watch as soon as it began');
      return { error: settled() ? null : early, settled: settled() };
    } catch (error) {
      return { error: asApiError(error), settled: settled() };
    }
  }

  async #readAll(reason: RelistReason): Promise<void> {
    const { view, resourceVersion } = await this.#list(this.#mayBeOld() ? '0' : undefined);
    this.#relist = null;
    this.#synced = true;
    this.#view = view;
    this.#version = resourceVersion;
    this.#check = null;
    this.#options.observer.relisted(reason);
    this.#delivery.offer(view);
    this.#scheduleCheck();
  }

  /**
   * Whether the server may answer from its memory, which spares its store when a fleet starts: only before anything is
   * known, and only for one object, as such an answer comes in one piece however many there are.
   */
  #mayBeOld(): boolean {
    return !this.#synced && this.#options.selection.name !== undefined;
  }

  async #list(version: string | undefined): Promise<{ view: View; resourceVersion: string }> {
    const { api, resource, namespace, selection, objectsMax = 1000 } = this.#options;
    const deadline = this.#deadline(LIST_MS, 'no answer to a list');
    try {
      const listed = await api.list(resource, namespace, {
        ...selection,
        ...(version === undefined ? {} : { resourceVersion: version }),
        signal: deadline.signal,
      });
      this.#heardMs = this.#timing.nowMs();
      if (listed.items.length > objectsMax) throw tooMany(objectsMax);
      return { view: viewOf(listed.items), resourceVersion: listed.resourceVersion };
    } finally {
      deadline.end();
    }
  }

  async #watch(opened: () => void): Promise<void> {
    const { connection, observer, lineBytesMax = LINE_BYTES_MAX } = this.#options;
    const silence = this.#deadline(SILENCE_MS, 'a silent watch');
    this.#endWatch = () => silence.abort(ownError('Unreachable', 'a watch that missed something'));
    try {
      const body = await connection.send({ ...this.#watchRequest(), signal: silence.signal });
      silence.restart();
      opened();
      this.#heardMs = this.#timing.nowMs();
      this.#connected = true;
      observer.connected(true);
      for await (const line of watchLines(body, lineBytesMax)) {
        silence.restart();
        this.#heardMs = this.#timing.nowMs();
        this.#take(parseStep(line));
      }
    } catch (error) {
      const silent = this.#connected && silence.isOver();
      if (!silent && this.#relist === null) throw error;
    } finally {
      silence.end();
      if (this.#connected) observer.connected(false);
      this.#connected = false;
    }
  }

  #watchRequest() {
    const { resource, namespace, selection } = this.#options;
    const { from, to } = WATCH_SECONDS;
    const seconds = Math.round(from + (to - from) * this.#timing.random());
    return {
      method: 'GET' as const,
      path: pathOf(resource, namespace),
      query: {
        ...selectionQuery(selection),
        watch: '1',
        allowWatchBookmarks: 'true',
        resourceVersion: this.#version,
        timeoutSeconds: String(seconds),
      },
    };
  }

  #take(step: WatchStep): void {
    const next = folded(this.#view, step);
    const { objectsMax = 1000 } = this.#options;
    if (next.size > objectsMax) throw tooMany(objectsMax);
    const changed = next !== this.#view;
    this.#view = next;
    this.#version = versionAfter(step);
    if (step.kind !== 'bookmark') this.#check?.touch(step.object.metadata.name);
    if (changed) this.#delivery.offer(next);
    if (this.#check?.decidable(this.#version) === true) this.#endCheck();
  }

  #scheduleCheck(): void {
    const { from, to } = RELIST_MS;
    const ms = Math.round(from + (to - from) * this.#timing.random());
    this.#stopCheckTimer();
    if (this.#stop.signal.aborted) return;
    this.#stopCheckTimer = this.#timing.timer(ms, () => {
      this.#scheduleCheck();
      this.#checking = this.#beginCheck();
    });
  }

  async #beginCheck(): Promise<void> {
    const check = new DriftCheck();
    this.#check = check;
    try {
      const { view, resourceVersion } = await this.#list(undefined);
      // Everything was read anew meanwhile.
      if (this.#check !== check) return;
      check.listed(view, resourceVersion);
      this.#options.observer.relisted('periodic');
      if (check.missed(this.#view).length === 0 || check.decidable(this.#version)) {
        return this.#endCheck();
      }
      // A server may not say how far its watch is; by then it would have said it.
      await pause(this.#timing, SILENCE_MS, this.#stop.signal);
      if (this.#check === check && !this.#stop.signal.aborted) this.#endCheck();
    } catch {
      // The watch is told its own truth about the server; the next check comes anyway.
      if (this.#check === check) this.#check = null;
    }
  }

  #endCheck(): void {
    const missed = this.#check?.missed(this.#view) ?? [];
    this.#check = null;
    if (missed.length === 0) return;
    this.#options.observer.drift(missed.length);
    this.#relist = 'drift';
    this.#endWatch();
  }

  /** A signal that is aborted after so much time without `restart`, and with `close`. */
  #deadline(ms: number, what: string) {
    const controller = new AbortController();
    let over = false;
    const late = () => {
      over = true;
      controller.abort(ownError('Unreachable', `${what} for ${ms} ms`));
    };
    let stopTimer = this.#timing.timer(ms, late);
    const closed = () => controller.abort(ownError('Unreachable', 'closed'));
    this.#stop.signal.addEventListener('abort', closed);
    if (this.#stop.signal.aborted) closed();
    return {
      signal: controller.signal,
      isOver: () => over,
      abort: (error: ApiError) => controller.abort(error),
      restart: () => {
        stopTimer();
        stopTimer = this.#timing.timer(ms, late);
      },
      end: () => {
        stopTimer();
        this.#stop.signal.removeEventListener('abort', closed);
      },
    };
  }
}

const tooMany = (objectsMax: number) =>
  ownError('TooMany', `the view has more than ${objectsMax} objects`);
