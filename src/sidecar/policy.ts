/**
 * The policy in force, for the pipeline: bundles from a directory, through the gate, joined with the built-in tool
 * catalogue, too old after `maxStalenessSeconds`. Activations and rejections are logged, counted and recorded.
 * Shell: owns the directory source and the active policy.
 */
import type { Journal } from '../audit/journal.ts';
import type { Revision } from '../bundle/activation.ts';
import { ActivePolicy, type BundleStatus } from '../bundle/active-policy.ts';
import { type BuiltInCatalogue, builtInCatalogue } from '../bundle/built-in.ts';
import type { BundleError, BundleErrorCode } from '../bundle/bundle-error.ts';
import { DirectorySource } from '../bundle/directory-source.ts';
import type { Catalogue } from '../call/catalogue.ts';
import type { Config } from '../config/schema.ts';
import type { PinnedPolicy, PolicyState } from '../proxy/ports.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metric.ts';
import { StartError } from './start-error.ts';
import type { BundleVerification } from './verification.ts';

export interface PolicyHolder {
  /** What to decide with now. Take it once per call. */
  readonly state: () => PolicyState;
  readonly status: () => readonly BundleStatus[];
  /** Tells the catalogue in force, at once when there is one and again with each activation. */
  watch(listener: (catalogue: Catalogue) => void): void;
  close(): Promise<void>;
}

export interface PolicyWatchers {
  readonly metrics: Metrics;
  readonly log: Log;
  readonly journal: Journal;
}

/** A directory may be filled after the start; content that is there and wrong is a mistake somebody has to mend. */
const WAITED_FOR: ReadonlySet<BundleErrorCode> = new Set<BundleErrorCode>([
  'source_missing',
  'source_unreadable',
  'source_unstable',
]);

/**
 * Resolves after the first look at the directory. Without a bundle there nothing is active, and calls are refused.
 * @throws StartError when there is one and the gate refuses it.
 */
export async function openPolicy(
  config: Config,
  watchers: PolicyWatchers,
  verification?: BundleVerification,
): Promise<PolicyHolder> {
  const [bundle] = config.bundles;
  if (bundle === undefined) throw new StartError('bundles: found none, expected exactly one');
  const builtIn = installedCatalogue();
  let pinned: PinnedPolicy | null = null;
  const listeners: ((catalogue: Catalogue) => void)[] = [];
  const { fuelMax, policyMemoryBytesMax } = config.limits;
  const active = new ActivePolicy<Catalogue>({
    name: bundle.name,
    dialect: bundle.dialect,
    entrypoint: bundle.entrypoint,
    validateCatalogue: builtIn.validate,
    compile: {
      limits: {
        memoryBytesMax: policyMemoryBytesMax,
        ...(fuelMax === undefined ? {} : { fuelBase: fuelMax, fuelPerCharacter: 0 }),
      },
    },
    verification,
    onActivated: (revision) => {
      const { ref, engine, dialect, catalogue } = revision;
      pinned = { ref, engine, dialect, catalogue: builtIn.under(catalogue) };
      for (const listener of listeners) listener(pinned.catalogue);
      announceActivation(watchers, bundle.name, revision);
    },
    onRejected: (errors, digest) => announceRejection(watchers, bundle.name, errors, digest),
  });
  const source = new DirectorySource({
    directory: bundle.directory,
    pollMs: bundle.pollMs,
    onContent: (content) => active.admit(content),
    onUnchanged: () => active.confirm(),
    onError: (errors) => active.fail(errors),
  });
  await source.start();
  const { active_revision: revision, errors } = active.status();
  const mistakes = errors.filter(({ code }) => !WAITED_FOR.has(code));
  if (revision === null && mistakes.length > 0) {
    await source.close();
    const at = `bundles.0.directory: ${bundle.directory}`;
    throw new StartError(mistakes.map(({ message }) => `${at}: ${message}`).join('\n'));
  }
  const ageSeconds = () => {
    const ageMs = active.ageMs();
    return ageMs === null ? null : ageMs / 1000;
  };
  watchers.metrics.watchPolicyAge(bundle.name, ageSeconds);
  const ageMax = bundle.maxStalenessSeconds ?? Number.POSITIVE_INFINITY;
  return {
    state: () => {
      if (pinned === null) return { ok: false, reason: 'bundle.missing', policy: null };
      return (ageSeconds() ?? 0) > ageMax
        ? { ok: false, reason: 'bundle.stale', policy: pinned }
        : { ok: true, policy: pinned };
    },
    status: () => [active.status()],
    watch(listener) {
      listeners.push(listener);
      if (pinned !== null) listener(pinned.catalogue);
    },
    close: () => source.close(),
  };
}

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
