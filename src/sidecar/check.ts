/**
 * `egret sidecar --check`: everything that can be known about a configuration before a start: places, credentials, keys,
 * roots, and the bundle that is there. Says every problem, not only the first. Shell: reads the files that a
 * configuration names; starts nothing, writes nothing.
 */
import { readFileSync } from 'node:fs';
import { loadSigningKey } from '../audit/signing-key.ts';
import type { BundleContent } from '../bundle/activation.ts';
import { ActivePolicy } from '../bundle/active-policy.ts';
import { builtInCatalogue } from '../bundle/built-in.ts';
import { BundleRefused } from '../bundle/bundle-error.ts';
import { readSnapshot } from '../bundle/directory-snapshot.ts';
import { SIGNATURES_FILE } from '../bundle/signature.ts';
import type { Catalogue } from '../call/catalogue.ts';
import type { BundleConfig } from '../config/bundle.ts';
import { ConfigError } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { loadClients } from '../control/credential.ts';
import { loadRoots, RootsError, readRoots } from '../tls/roots.ts';
import { checkPlaces } from './places.ts';
import { compileOptionsOf } from './policy.ts';
import { StartError } from './start-error.ts';
import { type BundleVerification, verificationOf } from './verification.ts';

export interface CheckContext {
  /** For the messages of `checkPlaces`, which begin with it. */
  readonly configFile: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export interface CheckReport {
  /** One line each, with the place in the configuration. */
  readonly problems: readonly string[];
  /** What is no mistake, and worth knowing. */
  readonly notes: readonly string[];
}

export async function checkStart(config: Config, context: CheckContext): Promise<CheckReport> {
  const keys = keyProblems(config, context);
  const bundle = await bundleReport(config, context, keys.length === 0);
  const problems = [
    ...said(() => checkPlaces(config, context.configFile)),
    ...clientProblems(config, context),
    ...keys,
    ...rootProblems(config),
    ...config.bundles.flatMap(sourceProblems),
    ...(await auditKeyProblems(config)),
    ...bundle.problems,
  ];
  return { problems, notes: bundle.notes };
}

/** What the check throws for a person to mend; no lines when it throws nothing. */
function said(check: () => unknown, place?: string): readonly string[] {
  try {
    check();
    return [];
  } catch (error) {
    const mendable =
      error instanceof ConfigError || error instanceof StartError || error instanceof RootsError;
    if (!mendable) throw error;
    const lines = error.message.split('\n');
    return place === undefined ? lines : lines.map((line) => `${place}: ${line}`);
  }
}

function clientProblems({ decisionApi }: Config, { environment }: CheckContext): readonly string[] {
  const { clients } = decisionApi;
  const found = clients.flatMap((client) => said(() => loadClients([client], environment)));
  // Only good tokens can be compared.
  return found.length > 0 ? found : said(() => loadClients(clients, environment));
}

function keyProblems({ bundles }: Config, { environment }: CheckContext): readonly string[] {
  return bundles.flatMap(({ verification }) =>
    (verification?.keys ?? []).flatMap((key) =>
      said(() => verification && verificationOf({ ...verification, keys: [key] }, environment)),
    ),
  );
}

function rootProblems({ upstream }: Config): readonly string[] {
  return [
    ...said(() => loadRoots(upstream.rootsFile), 'upstream.rootsFile'),
    ...Object.entries(upstream.caFiles).flatMap(([to, file]) =>
      said(() => readRoots(file), `upstream.caFiles.${to}`),
    ),
  ];
}

/** Files that a source needs to ask somebody else. Nobody is asked. */
function sourceProblems({ configMap, ...servers }: BundleConfig): readonly string[] {
  const { distributor, http, reports } = servers;
  const files = Object.entries({ distributor, http, reports }).flatMap(([name, server]) => {
    const { caFile, tokenFile } = server ?? {};
    const at = `bundles.0.${name}`;
    return [
      ...(caFile === undefined ? [] : said(() => readRoots(caFile), `${at}.caFile`)),
      ...(tokenFile === undefined ? [] : unreadable(tokenFile, `${at}.tokenFile`)),
    ];
  });
  const { kubeconfig } = configMap ?? {};
  if (kubeconfig === undefined) return files;
  return [...files, ...unreadable(kubeconfig, 'bundles.0.configMap.kubeconfig')];
}

function unreadable(file: string, place: string): readonly string[] {
  try {
    if (readFileSync(file, 'utf8').trim() !== '') return [];
    return [`${place}: ${file}: found nothing in it`];
  } catch (error) {
    return [`${place}: ${(error as Error).message}`];
  }
}

/** A key that is made at the first start is not looked for. */
async function auditKeyProblems({ audit }: Config): Promise<readonly string[]> {
  const { keyFile, directory } = audit;
  if (keyFile === undefined) return [];
  try {
    await loadSigningKey(keyFile, directory);
    return [];
  } catch (error) {
    return [`audit.keyFile: ${(error as Error).message}`];
  }
}

/** @param keysGood false: the signature is not looked at, because nobody knows whose it would have to be. */
async function bundleReport(
  config: Config,
  { environment }: CheckContext,
  keysGood: boolean,
): Promise<CheckReport> {
  const [bundle] = config.bundles;
  const directory = bundle?.directory;
  if (bundle === undefined || directory === undefined) return { problems: [], notes: [] };
  const at = `bundles.0.directory: ${directory}`;
  let content: BundleContent;
  try {
    content = await readSnapshot(directory);
  } catch (error) {
    if (!(error instanceof BundleRefused)) throw error;
    const lines = error.errors.map(({ message }) => `${at}: ${message}`);
    // It may be filled after the start.
    const missing = error.errors.every(({ code }) => code === 'source_missing');
    return missing ? { problems: [], notes: lines } : { problems: lines, notes: [] };
  }
  const verification = keysGood ? verificationOf(bundle.verification, environment) : undefined;
  const offered = keysGood ? content : unsigned(content);
  const problems = await gateProblems(config, bundle, verification, offered);
  return { problems: problems.map((message) => `${at}: ${message}`), notes: [] };
}

async function gateProblems(
  config: Config,
  bundle: BundleConfig,
  verification: BundleVerification,
  content: BundleContent,
): Promise<readonly string[]> {
  const { name, dialect, entrypoint } = bundle;
  const active = new ActivePolicy<Catalogue>({
    name,
    dialect,
    entrypoint,
    validateCatalogue: builtInCatalogue().validate,
    compile: compileOptionsOf(config.limits),
    verification,
  });
  await active.admit(content);
  active.current()?.engine.close();
  return active.status().errors.map(({ message }) => message);
}

const unsigned = (content: BundleContent): BundleContent => ({
  ...content,
  files: new Map([...content.files].filter(([name]) => name !== SIGNATURES_FILE)),
});
