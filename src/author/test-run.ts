/**
 * Runs compiled test rules on the engine of the sidecar: the artefact that decides is the artefact that is tested. A
 * test passes when its rule is true, or when every one of its cases is. Pure, but for the engine and the clock.
 */
import {
  compilePolicy,
  createEngine,
  type PolicyEngine,
  PolicyLoadError,
} from '../decision/opa-wasm.ts';
import type { JunitCase } from './junit.ts';
import { AuthorError } from './policy-source.ts';
import type { TestRule } from './test-rules.ts';
import type { CompiledTests } from './test-stage.ts';

export interface TestResult {
  readonly package: string;
  readonly name: string;
  readonly file: string;
  readonly line: number;
  readonly status: 'passed' | 'failed' | 'skipped';
  readonly ms: number;
  /** Cases that hold and cases that do not; empty for a test without cases. */
  readonly cases: Readonly<Record<string, boolean>>;
  /** What the rule was instead of true; null when it passed. */
  readonly detail: string | null;
}

/** Steps for one test: all that the engine can count, about a hundred times a decision's. */
const FUEL = 2 ** 31 - 1;

/** @param timeNs what `time.now_ns()` is in every test. */
export function runTests(
  { rules, wasm, data }: CompiledTests,
  timeNs: bigint,
  nowMs: () => number,
): readonly TestResult[] {
  const engine = rules.some(({ skipped }) => !skipped) ? engineOf(wasm, data) : null;
  const results = rules.map((rule): TestResult => {
    const { package: own, name, file, line } = rule;
    const place = { package: own, name, file, line };
    if (rule.skipped || engine === null) {
      return { ...place, status: 'skipped', ms: 0, cases: {}, detail: null };
    }
    const started = nowMs();
    const { cases, detail } = outcomeOf(engine, rule, timeNs);
    const status = detail === null ? 'passed' : 'failed';
    return { ...place, status, ms: nowMs() - started, cases, detail };
  });
  engine?.close();
  return results;
}

function engineOf(wasm: Uint8Array, data: string): PolicyEngine {
  try {
    return createEngine(compilePolicy(wasm, data, { limits: { fuelBase: FUEL } }));
  } catch (error) {
    if (error instanceof PolicyLoadError) throw new AuthorError(`compiled tests: ${error.message}`);
    throw error;
  }
}

type Outcome = Pick<TestResult, 'cases' | 'detail'>;

function outcomeOf(engine: PolicyEngine, rule: TestRule, timeNs: bigint): Outcome {
  const evaluation = engine.evaluateEntrypoint(rule.entrypoint, '{}', timeNs);
  const undefinedRule = !evaluation.ok && evaluation.reason === 'policy.undefined';
  if (!evaluation.ok && !undefinedRule) {
    return { cases: {}, detail: `${evaluation.reason}: ${evaluation.detail}` };
  }
  const value = evaluation.ok ? evaluation.value : undefined;
  if (!rule.hasCases) return { cases: {}, detail: value === true ? null : shown(value) };
  const cases = { ...missingCases(engine, rule, value, timeNs), ...leaves(value, []) };
  const failed = Object.keys(cases).filter((name) => cases[name] === false);
  if (failed.length > 0) return { cases, detail: `does not hold: ${failed.join(', ')}` };
  return {
    cases,
    detail: Object.keys(cases).length > 0 ? null : 'found no case, expected at least one',
  };
}

const shown = (value: unknown) =>
  value === undefined ? 'found undefined, expected true' : `found ${text(value)}, expected true`;

const text = (value: unknown) => (JSON.stringify(value) ?? 'undefined').slice(0, 200);

const SEPARATOR = ' / ';

/** The cases that hold, by their names. */
function leaves(value: unknown, path: readonly string[]): Record<string, boolean> {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    return path.length === 0 ? {} : { [path.join(SEPARATOR)]: value === true };
  }
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, inner]) =>
      Object.entries(leaves(inner, [...path, name])),
    ),
  );
}

/** All cases that there are, as not holding: those that hold are written over them. */
function missingCases(
  engine: PolicyEngine,
  { casesEntrypoint }: TestRule,
  value: unknown,
  timeNs: bigint,
): Record<string, boolean> {
  if (casesEntrypoint === null) return {};
  const evaluation = engine.evaluateEntrypoint(casesEntrypoint, '{}', timeNs);
  const names = evaluation.ok && Array.isArray(evaluation.value) ? evaluation.value : [];
  const held = leaves(value, []);
  return Object.fromEntries(
    names
      .map((keys: unknown) =>
        Array.isArray(keys) ? keys.map(keyText).join(SEPARATOR) : text(keys),
      )
      .filter((name) => !Object.hasOwn(held, name))
      .map((name) => [name, false]),
  );
}

const keyText = (key: unknown) => (typeof key === 'string' ? key : text(key));

/** One case of JUnit for each test. */
export const junitCases = (results: readonly TestResult[]): readonly JunitCase[] =>
  results.map(({ package: suite, name, file, line, status, ms, detail }) => ({
    suite,
    name,
    file,
    line,
    seconds: ms / 1000,
    failure: detail === null ? null : `${file}:${line}: ${detail}`,
    skipped: status === 'skipped',
  }));
