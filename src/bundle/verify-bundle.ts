/**
 * All that can be said about a bundle before it is used: its signature, the gate of the sidecar, the cases it carries,
 * and what other engines make of the same questions. One difference refuses it. Pure, but for the WebAssembly instances
 * of the engines.
 */
import type { Dialect } from '../decision/dialect.ts';
import type { Evaluation } from '../decision/engine.ts';
import { compilePolicy } from '../decision/opa-wasm.ts';
import { activate, type BundleContent, type Revision } from './activation.ts';
import { type BundleError, BundleRefused, bundleError } from './bundle-error.ts';
import { bundleData } from './data.ts';
import {
  type Answer,
  type Comparison,
  compareOpinions,
  type Opinion,
  type Question,
} from './opinion.ts';
import { indexPlan } from './plan-index.ts';
import {
  CASES_FILE,
  caseQuestion,
  generatedQuestions,
  type PolicyCase,
  parseCases,
  statedQuestions,
} from './question.ts';
import { REFERENCE_HOST, referenceHost } from './reference-host.ts';
import { type CheckedSignature, type Verification, verifySignature } from './signature.ts';

export interface VerifyOptions {
  /** Null: no signature is checked, and a bundle that has one is refused unless `ignoreSignature`. */
  readonly verification: Verification | null;
  readonly ignoreSignature: boolean;
  readonly nowMs: number;
  /** Inputs made up besides the cases. */
  readonly generated: number;
  /** Told before each question how many have been asked. */
  readonly onAsked?: (asked: number) => void;
  readonly validateCatalogue: (text: string, file: string) => unknown;
  /** Asked besides the reference host; each gets the files of the bundle and the whole of `data` as JSON text. */
  readonly secondOpinions?: readonly OpinionSource[];
}

export interface OpinionSource {
  readonly name: string;
  /** @returns null when that engine is not installed. */
  open(bundle: BundleContent, data: string): Promise<Opinion | null>;
}

export interface VerifyReport {
  readonly ok: boolean;
  /** `verified` with the key, or `none`, or `ignored`; null when the bundle was refused before. */
  readonly signature: string | null;
  readonly revision: string | null;
  readonly digest: string;
  readonly errors: readonly BundleError[];
  readonly opinions: readonly string[];
  /** Engines that are not installed. */
  readonly missing: readonly string[];
  readonly comparison: Comparison | null;
}

const SIGNATURES = '.signatures.json';

export async function verifyBundle(
  bundle: BundleContent,
  options: VerifyOptions,
): Promise<VerifyReport> {
  const refused: VerifyReport = {
    ok: false,
    signature: null,
    revision: null,
    digest: bundle.digest,
    errors: [],
    opinions: [],
    missing: [],
    comparison: null,
  };
  try {
    const { signature, said } = await signatureOf(bundle, options);
    const files = options.ignoreSignature ? withoutSignature(bundle) : bundle;
    const { nowMs, validateCatalogue } = options;
    const activation = activate(files, { set: 'main', nowMs, signature, validateCatalogue });
    if (!activation.ok) return { ...refused, signature: said, errors: activation.errors };
    try {
      return await questioned(bundle, activation.revision, options, {
        ...refused,
        signature: said,
      });
    } finally {
      activation.revision.engine.close();
    }
  } catch (error) {
    if (!(error instanceof BundleRefused)) throw error;
    return { ...refused, errors: error.errors };
  }
}

const withoutSignature = ({ files, digest }: BundleContent): BundleContent => ({
  files: new Map([...files].filter(([path]) => path !== SIGNATURES)),
  digest,
});

async function signatureOf(
  bundle: BundleContent,
  { verification, ignoreSignature, nowMs }: VerifyOptions,
): Promise<{ signature: CheckedSignature | undefined; said: string }> {
  const signed = bundle.files.has(SIGNATURES);
  if (verification === null || ignoreSignature) {
    return { signature: undefined, said: signed && ignoreSignature ? 'ignored' : 'none' };
  }
  const signature = await verifySignature(bundle, verification, nowMs);
  return {
    signature,
    said: signature.keyId === null ? 'none' : `verified with ${signature.keyId}`,
  };
}

async function questioned(
  bundle: BundleContent,
  revision: Revision,
  options: VerifyOptions,
  report: VerifyReport,
): Promise<VerifyReport> {
  const { engine, dialect, manifest, ref } = revision;
  const timeNs = BigInt(Math.trunc(options.nowMs)) * 1_000_000n;
  const asking = { dialect, timeNs };
  const data = bundleData(bundle.files, manifest.roots);
  const cases = parseCases(bundle.files.get(CASES_FILE));
  const ours: Opinion = {
    name: 'egret',
    answer(entrypoint, input, at) {
      const evaluation = engine.evaluateEntrypoint(entrypoint, input, at);
      if (evaluation.ok) return { kind: 'value', value: evaluation.value };
      if (evaluation.reason === 'policy.undefined') return { kind: 'undefined' };
      return { kind: 'failed', detail: `${evaluation.reason}: ${evaluation.detail}` };
    },
  };
  const wasm = bundle.files.get(manifest.module) as Uint8Array;
  const reference: OpinionSource = {
    name: REFERENCE_HOST,
    open: () => referenceHost(wasm, data, compilePolicy(wasm, data).builtins),
  };
  const sources = [reference, ...(options.secondOpinions ?? [])];
  const others = await Promise.all(sources.map((source) => source.open(bundle, data)));
  const present = others.filter((opinion) => opinion !== null);
  const missing = sources.filter((_, at) => others[at] === null).map(({ name }) => name);
  const failures = await failedCases(ours, cases, dialect, timeNs);
  const questions = [
    ...statedQuestions(manifest, cases, asking),
    ...generatedQuestions(options.generated, wordsOf(bundle, data), asking),
  ];
  const comparison = await compareOpinions(ours, present, questions, options.onAsked);
  const errors = [
    ...failures,
    ...comparison.differences.map(({ question }) => disagreed(question)),
  ];
  return {
    ...report,
    ok: errors.length === 0,
    revision: ref.revision,
    errors,
    opinions: ['egret', ...present.map(({ name }) => name)],
    missing,
    comparison,
  };
}

const disagreed = ({ name, input }: Question): BundleError =>
  bundleError(
    'opinions_differ',
    { file: 'policy', path: name },
    input,
    'one answer of all engines',
  );

async function failedCases(
  ours: Opinion,
  cases: readonly PolicyCase[],
  dialect: Dialect,
  timeNs: bigint,
): Promise<BundleError[]> {
  const errors: BundleError[] = [];
  for (const one of cases) {
    if (one.expect === undefined) continue;
    const { entrypoint, input } = caseQuestion(one, { dialect, timeNs });
    const answer = await ours.answer(entrypoint, input, timeNs);
    const [found, expected] = [saidOf(answer, dialect), one.expect];
    const fits =
      found.outcome === expected.outcome &&
      (expected.reason === undefined || found.reasons.includes(expected.reason));
    if (fits) continue;
    const place = { file: CASES_FILE, path: one.name };
    const wanted = [expected.outcome, expected.reason].filter((part) => part !== undefined);
    const said = [found.outcome, ...found.reasons].join(' ');
    errors.push(bundleError('case_failed', place, said, wanted.join(' ')));
  }
  return errors;
}

function saidOf(
  answer: Answer,
  dialect: Dialect,
): { readonly outcome: string; readonly reasons: readonly string[] } {
  const evaluation = dialect.answer(evaluationOf(answer));
  if (!evaluation.ok) return { outcome: answer.kind, reasons: [] };
  const { outcome, code, reasons } = (evaluation.value ?? {}) as Record<string, unknown>;
  const codes = Array.isArray(reasons) ? reasons.map((one: { code?: unknown }) => one?.code) : [];
  return {
    outcome: String(outcome),
    reasons: [code, ...codes].filter((one) => typeof one === 'string'),
  };
}

function evaluationOf(answer: Answer): Evaluation {
  if (answer.kind === 'value') return { ok: true, value: answer.value, fuel: 0 };
  const reason = answer.kind === 'undefined' ? 'policy.undefined' : 'policy.error';
  return { ok: false, reason, detail: '', fuel: 0 };
}

const WORDS_MAX = 2000;
const WORD_CHARACTERS_MAX = 200;

/** Texts of the plan and the data: what rules compare with. */
function wordsOf({ files }: BundleContent, data: string): string[] {
  const plan = files.get('plan.json');
  const words = new Set(plan === undefined ? [] : (indexPlan(plan)?.words ?? []));
  JSON.parse(data, (key, value: unknown) => {
    if (words.size < WORDS_MAX) words.add(key);
    if (typeof value === 'string' && words.size < WORDS_MAX) words.add(value);
    return value;
  });
  return [...words].filter((word) => word.length <= WORD_CHARACTERS_MAX).slice(0, WORDS_MAX);
}
