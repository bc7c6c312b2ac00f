/**
 * The policy in force, for the pipeline: bundles from the configured source, through the gate, joined with the built-in
 * tool catalogue, too old after the maximum staleness. Activations, rejections and trips are logged, counted and
 * recorded. Shell: owns the source, the followed policy and the reporter.
 */
import type { Journal } from '../audit/journal.ts';
import type { Revision } from '../bundle/activation.ts';
import type { BundleStatus } from '../bundle/active-policy.ts';
import { type BuiltInCatalogue, builtInCatalogue } from '../bundle/built-in.ts';
import type { BundleError, BundleErrorCode } from '../bundle/bundle-error.ts';
import type { Catalogue } from '../call/catalogue.ts';
import type { BundleConfig } from '../config/bundle.ts';
import type { Config } from '../config/schema.ts';
import type { Workload } from '../decision/input.ts';
import type { PolicyState } from '../proxy/ports.ts';
import type { Directive } from '../rollout/directive.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metric.ts';
import {
  type FollowedOptions,
  FollowedPolicy,
  type ReplayEnd,
  type RolloutStatus,
  stateOf,
} from './followed-policy.ts';
import { type Reporter, startReporter } from './reporter.ts';
import { clientFor, isSelected, openSource } from './sources.ts';
import { createStaleness } from './staleness.ts';
import { StartError } from './start-error.ts';
import type { BundleVerification } from './verification.ts';

export interface PolicyHolder {
  /** What to decide with now. Take it once per call. */
  readonly state: () => PolicyState;
  readonly status: () => readonly (BundleStatus & { readonly rollout: RolloutStatus | null })[];
  /** Tells the catalogue in force, at once when there is one and again with each activation. */
  watch(listener: (catalogue: Catalogue) => void): void;
  close(): Promise<void>;
}

export interface PolicyWatchers {
  readonly metrics: Metrics;
  readonly log: Log;
  readonly journal: Journal;
}

export interface PolicyPlace {
  readonly workload: Workload;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly verification: BundleVerification;
}

/** A source may be filled or come up after the start; content that is there and wrong is a mistake somebody has to mend. */
const WAITED_FOR: ReadonlySet<BundleErrorCode> = new Set<BundleErrorCode>([
  'source_missing',
  'source_unreadable',
  'source_unstable',
]);

/**
 * Resolves after the first look at the source. Without a bundle there nothing is active, and calls are refused.
 * @throws StartError when there is one and the gate refuses it.
 */
export async function openPolicy(
  config: Config,
  watchers: PolicyWatchers,
  place: PolicyPlace,
): Promise<PolicyHolder> {
  const [bundle] = config.bundles;
  if (bundle === undefined) throw new StartError('bundles: found none, expected exactly one');
  const listeners: ((catalogue: Catalogue) => void)[] = [];
  const told = (catalogue: Catalogue) => {
    for (const listener of listeners) listener(catalogue);
  };
  let reporter: Reporter | null = null;
  const followed = follow({
    config,
    bundle,
    watchers,
    place,
    told,
    hurry: () => reporter?.hurry(),
  });
  const staleness = createStaleness({
    bundle,
    ageMs: () => followed.active.ageMs(),
    directive: () => followed.directive(),
    monotonicMs: () => performance.now(),
    ...watchers,
  });
  const source = await openSource({
    bundle,
    listener: followed,
    ...place,
    metrics: watchers.metrics,
    failed: (error) =>
      watchers.log.event('bundle.source_failed', { name: bundle.name, error: textOf(error) }),
  });
  await source.start();
  const { active_revision: revision, errors } = followed.active.status();
  const mistakes = errors.filter(({ code }) => !WAITED_FOR.has(code));
  if (revision === null && mistakes.length > 0) {
    await source.close();
    throw new StartError(
      mistakes.map(({ message }) => `${sourceOf(bundle)}: ${message}`).join('\n'),
    );
  }
  reporter = await openReporter(bundle, followed, watchers, place);
  return {
    state: () => stateOf(followed.pinned(), staleness.denies()),
    status: () => [{ ...followed.active.status(), rollout: followed.status() }],
    watch(listener) {
      listeners.push(listener);
      const pinned = followed.pinned();
      if (pinned !== null) listener(pinned.policy.catalogue);
    },
    close: async () => {
      await source.close();
      await followed.close();
      await reporter?.close();
    },
  };
}

/** The source in words, as in the configuration. */
const sourceOf = ({ directory, http, configMap }: BundleConfig) =>
  directory === undefined
    ? `bundles.0.${http === undefined ? (configMap === undefined ? 'distributor' : 'configMap') : 'http'}`
    : `bundles.0.directory: ${directory}`;

interface Following {
  readonly config: Config;
  readonly bundle: BundleConfig;
  readonly watchers: PolicyWatchers;
  readonly place: PolicyPlace;
  readonly told: (catalogue: Catalogue) => void;
  readonly hurry: () => void;
}

function follow({ config, bundle, watchers, place, told, hurry }: Following): FollowedPolicy {
  const { name, dialect, entrypoint } = bundle;
  return new FollowedPolicy({
    name,
    dialect,
    entrypoint,
    builtIn: installedCatalogue(),
    compile: compileOptionsOf(config.limits),
    verification: place.verification,
    trial: { metrics: watchers.metrics, monotonicMs: () => performance.now() },
    onActivated: (revision, policy) => {
      told(policy.catalogue);
      announceActivation(watchers, name, revision);
    },
    onRejected: (errors, digest) => announceRejection(watchers, name, errors, digest),
    onCandidateRefused: (errors, digest) => {
      announceRefusal(watchers, name, errors, digest);
      hurry();
    },
    onFollowed: (directive) => {
      announceDirective(watchers, directive);
      hurry();
    },
    onTripped: (directive) => {
      announceTrip(watchers, directive);
      hurry();
    },
    selected: (directive) => isSelected(directive, place.workload),
    records: recordsOf(config.audit, watchers.journal),
    onReplayed: (directive, end) => {
      announceReplay(watchers, directive, end);
      hurry();
    },
  });
}

function recordsOf(
  { directory, openingsDirectory }: Config['audit'],
  journal: Journal,
): FollowedOptions['records'] {
  const sealed = () => journal.status().sealed;
  return { directory, openingsDirectory: openingsDirectory ?? null, sealed, nowMs: Date.now };
}

/** How a policy of this configuration is compiled, whoever does it. */
export function compileOptionsOf({ fuelMax, policyMemoryBytesMax }: Config['limits']) {
  const fuel = fuelMax === undefined ? {} : { fuelBase: fuelMax, fuelPerCharacter: 0 };
  return { limits: { memoryBytesMax: policyMemoryBytesMax, ...fuel } };
}

async function openReporter(
  { reports, distributor }: BundleConfig,
  followed: FollowedPolicy,
  { metrics }: PolicyWatchers,
  { workload }: PolicyPlace,
): Promise<Reporter | null> {
  const server = reports ?? distributor;
  if (server === undefined) return null;
  const { uid, namespace, pod } = workload;
  return startReporter({
    client: await clientFor(server, reports === undefined ? 'distributor' : 'reports'),
    sidecar: uid ?? `${namespace ?? ''}/${pod ?? 'laptop'}`,
    intervalMs: (reports?.intervalSeconds ?? REPORT_SECONDS) * 1000,
    report: () => followed.report(),
    metrics,
  });
}

const REPORT_SECONDS = 15;

function installedCatalogue(): BuiltInCatalogue {
  try {
    return builtInCatalogue();
  } catch (error) {
    throw new StartError((error as Error).message, { cause: error });
  }
}

function announceActivation(
  { metrics, log, journal }: PolicyWatchers,
  name: string,
  { ref, activatedAtMs }: Revision<Catalogue>,
): void {
  const { revision, digest } = ref;
  metrics.bundleActivated({ name, revision, digest, atMs: activatedAtMs });
  metrics.policyInRole(name, 'stable', digest);
  log.event('bundle.activated', { name, revision, digest });
  // Each decision names its revision itself, so nothing has to wait for this leaf.
  journal
    .recordLifecycle({ event: 'bundle_activated', detail: { digest, name, revision } })
    .catch(() => undefined);
}

function announceRejection(
  { metrics, log, journal }: PolicyWatchers,
  name: string,
  errors: readonly BundleError[],
  digest: string | null,
): void {
  for (const { code, file, message } of errors) {
    metrics.bundleRejected(name, code);
    log.event('bundle.rejected', { name, code, file, error: message });
  }
  const codes = [...new Set(errors.map(({ code }) => code))];
  journal
    .recordLifecycle({ event: 'bundle_rejected', detail: { codes, digest, name } })
    .catch(() => undefined);
}

function announceRefusal(
  { metrics, log, journal }: PolicyWatchers,
  set: string,
  errors: readonly BundleError[],
  digest: string,
): void {
  for (const { code, message } of errors) {
    metrics.bundleRejected(set, code);
    log.event('rollout.candidate_refused', { set, digest, code, error: message });
  }
  const codes = [...new Set(errors.map(({ code }) => code))];
  journal
    .recordLifecycle({ event: 'bundle_rejected', detail: { codes, digest, name: set } })
    .catch(() => undefined);
}

function announceDirective({ metrics, log }: PolicyWatchers, directive: Directive): void {
  const { set, phase, rolloutId, generation, weight, candidate } = directive;
  metrics.rolloutWeight(set, weight);
  metrics.policyInRole(set, 'candidate', candidate?.digest ?? null);
  const at = { set, phase, rollout: rolloutId, generation };
  log.event('rollout.followed', { ...at, weight_percent: weight / 100 });
}

function announceReplay(
  { log }: PolicyWatchers,
  { set, rolloutId: rollout }: Directive,
  { replay, seconds, error }: ReplayEnd,
): void {
  if (error !== null) {
    log.event('rollout.replay_failed', { set, rollout, error: textOf(error) });
    return;
  }
  const { notReplayable, comparison } = replay.counts();
  log.event('rollout.replayed', {
    set,
    rollout,
    decisions: replay.decisions,
    not_replayable: notReplayable,
    newly_allowed: comparison.newly_allowed,
    newly_denied: comparison.newly_denied,
    errors: comparison.error,
    seconds,
  });
}

function announceTrip({ log, journal }: PolicyWatchers, directive: Directive): void {
  const { set, rolloutId, candidate } = directive;
  const digest = candidate?.digest ?? null;
  log.event('rollout.tripped', { set, rollout: rolloutId, digest });
  journal
    .recordLifecycle({
      event: 'rollout_tripped',
      detail: { digest, name: set, rollout: rolloutId },
    })
    .catch(() => undefined);
}

const textOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
