/**
 * Sidecars as far as a fleet is concerned, many in one process: the real sources, the real follower and the real
 * reporter, each with connections and a token of its own; only the gate is left out, as no bundle is compiled. What it
 * notes is when which directive came into force. Shell: owns the connections of one sidecar.
 */
import { createApi } from '../src/kubernetes/api.ts';
import { connectTo } from '../src/kubernetes/connection.ts';
import { openAccess } from '../src/kubernetes/open-access.ts';
import type { Directive } from '../src/rollout/directive.ts';
import { EVAL_BOUNDS_US, type Report } from '../src/rollout/report.ts';
import { startReporter } from '../src/sidecar/reporter.ts';
import { openConfigMapSource } from '../src/source/configmap-source.ts';
import { openDistributorSource } from '../src/source/distributor-source.ts';
import { openHttpsClient } from '../src/source/https-client.ts';
import type { PolicySource, SourceListener, Wanted } from '../src/source/policy-source.ts';

export type Transport = 'configMap' | 'distributor';

export interface SidecarPlace {
  readonly set: string;
  readonly name: string;
  /** How it hears of directives. */
  readonly transport: Transport;
  /** Of the distributor, which takes the reports of both. */
  readonly url: string;
  readonly caFile: string;
  /** Bound to a pod, for the distributor. */
  readonly tokenFile: string;
  readonly kubeconfig: string;
  readonly namespace: string;
  readonly reportMs: number;
  /** Before a candidate is fetched from the API server. Default as src/sidecar/sources.ts spreads a fleet. */
  readonly candidateSpreadMs?: number;
}

export interface FleetSidecar {
  readonly transport: Transport;
  /** Null before the first. */
  directive(): Directive | null;
  /** Of every directive that came into force, in order. */
  readonly generations: readonly number[];
  /** Whether it has the candidate of its directive. */
  holdsCandidate(): boolean;
  /** Milliseconds of the monotonic clock at which it came into force. */
  sinceMs(): number;
  /** What its source could not do so far. */
  readonly failures: string[];
  close(): Promise<void>;
}

const CANDIDATE_SPREAD_MS = 10_000;
/** Comparisons that each report adds. */
const CALLS_PER_REPORT = 20;

export async function startFleetSidecar(place: SidecarPlace): Promise<FleetSidecar> {
  const { url, caFile, tokenFile, transport, name, reportMs } = place;
  const held = new Held(place.set);
  const client = { url, caFile, tokenFile };
  const source = await openSource(place, held);
  // As in a sidecar: the source has a connection of its own.
  const reporter = startReporter({
    client: await openHttpsClient(client),
    sidecar: name,
    intervalMs: reportMs,
    report: () => held.report(),
    metrics: { reported: (result) => result === 'failed' && held.failures.push('a report') },
  });
  held.onFollowed = () => reporter.hurry();
  void source.start();
  return {
    transport,
    directive: () => held.directive,
    generations: held.generations,
    holdsCandidate: () => held.holds(held.directive?.candidate?.digest ?? ''),
    sinceMs: () => held.sinceMs,
    failures: held.failures,
    close: async () => {
      await Promise.all([source.close(), reporter.close()]);
    },
  };
}

async function openSource(place: SidecarPlace, held: Held): Promise<PolicySource> {
  const { set, transport, url, caFile, tokenFile, kubeconfig, namespace } = place;
  const { candidateSpreadMs = CANDIDATE_SPREAD_MS } = place;
  const follows = { set, listener: held, lastGood: null, selected: () => true };
  if (transport === 'distributor') {
    const client = await openHttpsClient({ url, caFile, tokenFile });
    return openDistributorSource({ ...follows, client });
  }
  const connection = connectTo(await openAccess({ kubeconfig }), 'egret-bench');
  const ignore = () => undefined;
  const source = openConfigMapSource({
    ...follows,
    namespace,
    connection,
    api: createApi(connection),
    watch: () => ({
      relisted: ignore,
      gone: ignore,
      reconnected: ignore,
      applyError: ignore,
      drift: ignore,
    }),
    failed: (error) => held.failures.push(String(error)),
    candidateDelayMs: () => Math.random() * candidateSpreadMs,
  });
  return {
    start: () => source.start(),
    close: async () => {
      await source.close();
      await connection.close();
    },
  };
}

/** Takes every bundle as good. */
class Held implements SourceListener {
  readonly #set: string;
  #digests: ReadonlySet<string> = new Set();
  #calls = 0;
  directive: Directive | null = null;
  sinceMs = 0;
  readonly failures: string[] = [];
  readonly generations: number[] = [];
  onFollowed: () => void = () => undefined;

  constructor(set: string) {
    this.#set = set;
  }

  holds(digest: string): boolean {
    return this.#digests.has(digest);
  }

  async onWanted({ stable, candidate, directive }: Wanted): Promise<boolean> {
    const taken = candidate === null || 'errors' in candidate ? [] : [candidate.digest];
    if (candidate !== null && 'errors' in candidate) this.failures.push('a candidate');
    this.#digests = new Set([stable.digest, ...taken]);
    if (directive?.rolloutId !== this.directive?.rolloutId) this.#calls = 0;
    this.directive = directive;
    this.sinceMs = performance.now();
    this.generations.push(directive?.generation ?? -1);
    this.onFollowed();
    return true;
  }

  onUnchanged(): void {
    // Staleness is not what is measured.
  }

  onError(errors: readonly { readonly message: string }[]): void {
    this.failures.push(errors.map(({ message }) => message).join());
  }

  report(): Omit<Report, 'sidecar' | 'epoch' | 'sequence'> | null {
    const { directive } = this;
    if (directive === null) return null;
    const { rolloutId, candidate, generation, stable } = directive;
    this.#calls += CALLS_PER_REPORT;
    const none = { newly_allowed: 0, newly_denied: 0, obligation: 0, reason: 0, error: 0 };
    const times = EVAL_BOUNDS_US.map((bound) => (bound === 50 ? this.#calls : 0)).concat(0);
    return {
      apiVersion: 'egret.dev/v1alpha1',
      kind: 'PolicyReport',
      set: this.#set,
      generation,
      stable: stable?.digest ?? null,
      rollout:
        rolloutId === null || candidate === null
          ? null
          : {
              id: rolloutId,
              candidate: this.holds(candidate.digest) ? candidate.digest : null,
              loadErrors: [],
              tripped: false,
              comparison: { same: this.#calls, ...none },
              enforced: 0,
              evalStable: times,
              evalCandidate: times,
              replay: null,
              examples: [],
            },
    };
  }
}
