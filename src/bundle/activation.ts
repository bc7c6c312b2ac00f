/**
 * The gate between a bundle and its use. Nothing of the bundle is trusted until every step here has passed; then it
 * is one immutable Revision. The steps stand in order of cost, and each failure has a code of its own. A policy that
 * would allow an empty input is refused: nobody asked for anything, so nobody can have meant to allow it.
 * Pure, but for the WebAssembly instances of the engine it makes.
 */
import { createHash } from 'node:crypto';
import { deflateRawSync } from 'node:zlib';
import type { Dialect } from '../decision/dialect.ts';
import type { Evaluation } from '../decision/engine.ts';
import { OBLIGATION_KINDS } from '../decision/obligation.ts';
import {
  type CompileOptions,
  compilePolicy,
  createEngine,
  type PolicyEngine,
  PolicyLoadError,
} from '../decision/opa-wasm.ts';
import type { PolicyRef } from '../decision/verdict.ts';
import { verdictOf } from '../decision/verdict-from-result.ts';
import { type BundleError, BundleRefused, bundleError, refuseBundle } from './bundle-error.ts';
import { bundleData } from './data.ts';
import { chosenDialect, type DialectChoice } from './dialect-choice.ts';
import { MANIFEST_FILE, type Manifest, parseManifest } from './manifest.ts';
import { type CheckedSignature, SIGNATURES_FILE } from './signature.ts';

/** A bundle as it was read, before the gate. */
export interface BundleContent {
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** `sha256:` and lower-case hex of the archive's bytes, or of all files of a directory (`filesDigest`). */
  readonly digest: string;
}

/** A bundle that passed the gate. Immutable: a call that pinned it sees one policy from start to end. */
export interface Revision<T = unknown> {
  readonly ref: PolicyRef;
  readonly engine: PolicyEngine;
  readonly dialect: Dialect;
  /** `tools.yaml` of the bundle; null when it has none. */
  readonly catalogueText: string | null;
  /** What `validateCatalogue` made of it; null without a file or without that function. */
  readonly catalogue: T | null;
  /** Wall clock, milliseconds since 1970. */
  readonly activatedAtMs: number;
  readonly manifest: Manifest;
  /** `plan.json` of the bundle, deflated because it is large and seldom asked for; null when it has none. */
  readonly planDeflated: Uint8Array | null;
}

export interface ActivationOptions<T> extends DialectChoice {
  /** Name of the policy set, for `PolicyRef`. */
  readonly set: string;
  /** Wall clock of this activation in milliseconds since 1970. */
  readonly nowMs: number;
  /** Of this very bundle. Without it a bundle that has a signature is refused. */
  readonly signature?: CheckedSignature | undefined;
  /** A bundle without a checked signature is refused. Default false. */
  readonly signatureRequired?: boolean;
  /** When given, any other digest is refused. */
  readonly expectedDigest?: string;
  /** Parses `tools.yaml`; throws an Error whose message names file, path, found and expected. */
  readonly validateCatalogue?: (text: string, file: string) => T;
  readonly compile?: CompileOptions;
}

export type Activation<T> =
  | { readonly ok: true; readonly revision: Revision<T> }
  | { readonly ok: false; readonly errors: readonly BundleError[] };

export const CATALOGUE_FILE = 'tools.yaml';
const PLAN_FILE = 'plan.json';
const YAML_ERRORS_ENTRYPOINT = 'egret/yaml/errors';
/** Evaluations before the swap, so that the first call does not pay for lazy compilation. */
const WARM_UP_ROUNDS = 20;

export function activate<T>(bundle: BundleContent, options: ActivationOptions<T>): Activation<T> {
  try {
    return { ok: true, revision: passGate(bundle, options) };
  } catch (error) {
    if (error instanceof BundleRefused) return { ok: false, errors: error.errors };
    const found = error instanceof Error ? error.name : 'something thrown';
    const place = { file: 'bundle' };
    return { ok: false, errors: [bundleError('internal', place, found, 'a gate that works')] };
  }
}

/** Digest of a bundle that is no archive: over path, size and content hash of every file, sorted by path. */
export function filesDigest(files: ReadonlyMap<string, Uint8Array>): string {
  const hash = createHash('sha256');
  for (const path of [...files.keys()].sort()) {
    const bytes = files.get(path) as Uint8Array;
    const content = createHash('sha256').update(bytes).digest('hex');
    hash.update(`${JSON.stringify(path)} ${bytes.length} ${content}\n`);
  }
  return `sha256:${hash.digest('hex')}`;
}

function passGate<T>(bundle: BundleContent, options: ActivationOptions<T>): Revision<T> {
  const { files, digest } = bundle;
  checkTransport(bundle, options);
  const manifest = parseManifest(files.get(MANIFEST_FILE));
  const data = bundleData(files, manifest.roots);
  const catalogueText = catalogueOf(files);
  const catalogue = validated(catalogueText, options.validateCatalogue);
  const dialect = chosenDialect(manifest, options);
  const engine = loadedEngine(files, data, { manifest, dialect, compile: options.compile });
  const ref = { set: options.set, revision: manifest.revision || digest, digest };
  try {
    const timeNs = BigInt(Math.trunc(options.nowMs)) * 1_000_000n;
    checkYamlPolicies(engine, timeNs);
    checkEmptyInput({ engine, dialect, ref }, timeNs);
    checkSelfTests(engine, manifest.selfTests, timeNs);
    for (let round = 0; round < WARM_UP_ROUNDS; round++) engine.evaluate('{}', timeNs);
  } catch (error) {
    engine.close();
    throw error;
  }
  const activatedAtMs = options.nowMs;
  const plan = files.get(PLAN_FILE);
  const planDeflated = plan === undefined ? null : deflateRawSync(plan, { level: 1 });
  return { ref, engine, dialect, catalogueText, catalogue, activatedAtMs, manifest, planDeflated };
}

function checkTransport<T>({ files, digest }: BundleContent, options: ActivationOptions<T>): void {
  const { expectedDigest: expected, signature, signatureRequired = false } = options;
  if (expected !== undefined && digest !== expected) {
    refuseBundle('digest_mismatch', { file: 'bundle' }, digest, expected);
  }
  const checked = signature?.covers(digest) ?? false;
  // A bundle with a signature that nobody checked must not look as if it had been.
  if (files.has(SIGNATURES_FILE) && !checked) {
    const wanted = 'bundles[].verification with a key, or no signature';
    refuseBundle('signature_unverifiable', { file: SIGNATURES_FILE }, 'a signature', wanted);
  }
  if (signatureRequired && !(checked && files.has(SIGNATURES_FILE))) {
    refuseBundle('signature_missing', { file: SIGNATURES_FILE }, 'no such file', 'a signed bundle');
  }
  if (files.has('patch.json')) {
    const wanted = 'a whole bundle: deltas are never signed';
    refuseBundle('delta_unsupported', { file: 'patch.json' }, 'a delta bundle', wanted);
  }
}

function catalogueOf(files: ReadonlyMap<string, Uint8Array>): string | null {
  const bytes = files.get(CATALOGUE_FILE);
  if (bytes === undefined) return null;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    const place = { file: CATALOGUE_FILE };
    return refuseBundle('catalogue_invalid', place, 'bytes that are no UTF-8', 'UTF-8 text');
  }
}

function validated<T>(
  text: string | null,
  validate: ((text: string, file: string) => T) | undefined,
): T | null {
  if (text === null || validate === undefined) return null;
  try {
    return validate(text, CATALOGUE_FILE);
  } catch (error) {
    const problems = (error instanceof Error ? error.message : 'unknown').split('\n');
    throw new BundleRefused(
      problems.map((problem) => ({
        ...bundleError('catalogue_invalid', { file: CATALOGUE_FILE }, problem, 'a tool catalogue'),
        message: problem.slice(0, 600),
      })),
    );
  }
}

interface Loading {
  readonly manifest: Manifest;
  readonly dialect: Dialect;
  readonly compile: CompileOptions | undefined;
}

function loadedEngine(
  files: ReadonlyMap<string, Uint8Array>,
  data: string,
  { manifest, dialect, compile }: Loading,
): PolicyEngine {
  const file = manifest.module;
  const wasm = files.get(file);
  if (wasm === undefined) {
    return refuseBundle('policy_missing', { file }, 'no such file', 'the compiled policy');
  }
  try {
    const policy = compilePolicy(wasm, data, compile);
    const missing = [dialect.entrypoint, ...manifest.entrypoints].find(
      (name) => !policy.entrypoints.has(name) || !manifest.entrypoints.includes(name),
    );
    if (missing === undefined) return createEngine(policy, dialect.entrypoint);
    const wanted = `${missing} in the policy and in the manifest (dialect ${dialect.name})`;
    return refuseBundle('entrypoint_missing', { file }, 'no such entrypoint', wanted);
  } catch (error) {
    if (!(error instanceof PolicyLoadError)) throw error;
    return refuseBundle(error.code, { file }, error.found, error.expected);
  }
}

/** Malformed YAML policies deny what they match, but they should never get as far as that. */
function checkYamlPolicies(engine: PolicyEngine, timeNs: bigint): void {
  if (!engine.entrypoints.has(YAML_ERRORS_ENTRYPOINT)) return;
  const evaluation = engine.evaluateEntrypoint(YAML_ERRORS_ENTRYPOINT, '{}', timeNs);
  const place = { file: 'data' };
  if (!evaluation.ok || !Array.isArray(evaluation.value)) {
    const found = evaluation.ok
      ? 'no list of errors'
      : `${evaluation.reason} (${evaluation.detail})`;
    refuseBundle('yaml_policy_invalid', place, found, 'an answer about the YAML policies');
  }
  const errors = (evaluation as { value: readonly unknown[] }).value;
  if (errors.length === 0) return;
  throw new BundleRefused(
    errors.map((item) => {
      const { path, found, expected } = (item ?? {}) as Record<string, unknown>;
      const at = { ...place, path: textOf(path) };
      return bundleError('yaml_policy_invalid', at, textOf(found), textOf(expected));
    }),
  );
}

const textOf = (value: unknown) =>
  typeof value === 'string' ? value : (JSON.stringify(value) ?? '?');

/** Failing on an empty input is a defect of the policy, even though a failure denies. */
function checkEmptyInput(
  { engine, dialect, ref }: Pick<Revision, 'engine' | 'dialect' | 'ref'>,
  timeNs: bigint,
): void {
  const place = { file: 'policy', path: dialect.entrypoint };
  const evaluation = dialect.answer(engine.evaluate('{}', timeNs));
  const verdict = verdictOf(evaluation, ref, 0, OBLIGATION_KINDS);
  if (verdict.outcome === 'allow') {
    refuseBundle('empty_input_allowed', place, 'an allow for an empty input', 'a deny');
  }
  const answered = ['policy.denied', 'policy.no_match', 'approval.required'].includes(
    verdict.reason,
  );
  if (!answered) refuseBundle('empty_input_failed', place, describe(evaluation), 'a deny');
}

const describe = (evaluation: Evaluation) =>
  evaluation.ok
    ? 'a result of the wrong shape for an empty input'
    : `${evaluation.reason} (${evaluation.detail}) for an empty input`;

function checkSelfTests(engine: PolicyEngine, names: readonly string[], timeNs: bigint): void {
  const failures = names.flatMap((name) => {
    const evaluation = engine.evaluateEntrypoint(name, '{}', timeNs);
    if (evaluation.ok && evaluation.value === true) return [];
    const found = evaluation.ok ? 'a result that is not true' : evaluation.detail;
    return [bundleError('self_test_failed', { file: 'policy', path: name }, found, 'true')];
  });
  if (failures.length > 0) throw new BundleRefused(failures);
}
