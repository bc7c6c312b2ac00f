/**
 * The newest policy sets, bundles and states of the namespace, each kept by a watch of its own. Whoever asks gets what
 * was heard last; whoever listens is told which sets may have changed. Shell: owns three reflectors.
 */
import type { Api } from '../kubernetes/api.ts';
import type { Connection } from '../kubernetes/connection.ts';
import { CONFIG_MAPS } from '../kubernetes/object.ts';
import { Reflector } from '../kubernetes/reflector.ts';
import { LABELS } from '../rollout/objects.ts';
import type { WatchMetrics } from '../telemetry/watch-metric.ts';
import type { ClusterView, Objects } from './cluster-objects.ts';
import type { Failed } from './controller.ts';

export interface WatchParts {
  readonly api: Api;
  readonly connection: Connection;
  readonly namespace: string;
  readonly metrics: WatchMetrics;
  readonly failed: Failed;
}

type Kind = keyof ClusterView;

const KINDS: readonly (readonly [Kind, string])[] = [
  ['sets', LABELS.set],
  ['bundles', LABELS.bundle],
  ['states', LABELS.state],
];
/** A bundle may have a megabyte, and all of them are held. */
const OBJECTS_MAX: Readonly<Record<Kind, number>> = { sets: 500, bundles: 300, states: 500 };

export class ClusterWatch {
  readonly #reflectors: readonly Reflector[];
  readonly #listeners: ((kind: Kind) => void)[] = [];
  #view: ClusterView = { sets: new Map(), bundles: new Map(), states: new Map() };

  constructor({ api, connection, namespace, metrics, failed }: WatchParts) {
    this.#reflectors = KINDS.map(
      ([kind, label]) =>
        new Reflector({
          api,
          connection,
          resource: CONFIG_MAPS,
          namespace,
          selection: { labelSelector: label },
          objectsMax: OBJECTS_MAX[kind],
          onObjects: (objects) => this.#take(kind, objects),
          observer: { ...this.#observe(kind, metrics), failed: (error) => failed('watch', error) },
        }),
    );
  }

  start(): void {
    for (const reflector of this.#reflectors) reflector.start();
  }

  view(): ClusterView {
    return this.#view;
  }

  /** Whether everything was read at least once. */
  synced(): boolean {
    return this.#reflectors.every((reflector) => reflector.status().synced);
  }

  onChange(listener: (kind: Kind) => void): void {
    this.#listeners.push(listener);
  }

  async close(): Promise<void> {
    await Promise.all(this.#reflectors.map((reflector) => reflector.close()));
  }

  #observe(kind: Kind, metrics: WatchMetrics) {
    const at = KINDS.findIndex(([one]) => one === kind);
    const quiet = { connected: false, heardAgoMs: null };
    const counters = metrics.kubeWatch(kind, () => this.#reflectors?.[at]?.status() ?? quiet);
    return { ...counters, connected: () => undefined };
  }

  #take(kind: Kind, objects: Objects): void {
    this.#view = { ...this.#view, [kind]: objects };
    for (const listener of this.#listeners) listener(kind);
  }
}
