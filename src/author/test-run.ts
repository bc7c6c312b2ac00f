/**
 * Runs compiled test rules on the engine of the sidecar: the artefact that decides is the artefact that is tested. A
 * test passes when its rule is true, or when every one of its cases is. Where there is a plan, too, the plan engine is
 * asked as well, and a test about which the two differ has failed. Pure, but for the engine and the clock.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Evaluation } from '../decision/engine.ts';
import {
  compilePolicy,
  createEngine,
  type PolicyEngine,
  PolicyLoadError,
} from '../decision/opa-wasm.ts';
import { parseRego } from '../decision/rego-value.ts';
import { evaluatePlan, planData } from '../plan/evaluate.ts';
import type { PlanObserver } from '../plan/observer.ts';
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
/** Values that the plan engine may build in one test, about 500 MB. */
const CELLS_MAX = 32_000_000;

export interface TestClock {
  /** What `time.now_ns()` is in every test. */
  readonly timeNs: bigint;
  nowMs(): number;
}

/** What an engine says of an entrypoint. */
type Ask = (entrypoint: string) => Evaluation;

/** @param observer watches the plan engine, where there is a plan. */
export function runTests(
  tests: CompiledTests,
  { timeNs, nowMs }: TestClock,
  observer?: PlanObserver,
): readonly TestResult[] {
  const { rules, wasm, data } = tests;
  const engine = rules.some(({ skipped }) => !skipped) ? engineOf(wasm, data) : null;
  const second = secondOpinion(tests, timeNs, observer);
  const results = rules.map((rule): TestResult => {
    const { package: own, name, file, line } = rule;
    const place = { package: own, name, file, line };
    if (rule.skipped || engine === null) {
      return { ...place, status: 'skipped', ms: 0, cases: {}, detail: null };
    }
    const started = nowMs();
    const ask: Ask = (entrypoint) => engine.evaluateEntrypoint(entrypoint, '{}', timeNs);
    const { cases, detail } = agreed(outcomeOf(ask, rule), second?.(rule) ?? null);
    const status = detail === null ? 'passed' : 'failed';
    return { ...place, status, ms: nowMs() - started, cases, detail };
  });
  engine?.close();
  return results;
}

function secondOpinion(
  { plan: planned, data: text }: CompiledTests,
  timeNs: bigint,
  observer?: PlanObserver,
): ((rule: TestRule) => Outcome) | null {
  if (planned === null) return null;
  const data = planData(parseRego(text, 'json'));
  const input = parseRego('{}');
  const watched = observer === undefined ? {} : { observer };
  return (rule) =>
    outcomeOf((entrypoint) => {
      // A list of cases is no part of the test.
      const watch = entrypoint === rule.entrypoint ? watched : {};
      return evaluatePlan(planned.plan, entrypoint, input, data, {
        timeNs,
        stepsMax: FUEL,
        cellsMax: CELLS_MAX,
        ...watch,
      });
    }, rule);
}

function agreed(first: Outcome, second: Outcome | null): Outcome {
  if (second === null) return first;
  const same =
    (first.detail === null) === (second.detail === null) &&
    isDeepStrictEqual(first.cases, second.cases);
  if (same) return first;
  const said = ({ cases, detail }: Outcome) => detail ?? `passed ${text(cases)}`;
  const detail = `the engines differ: WebAssembly: ${said(first)}; plan: ${said(second)}`;
  return { cases: first.cases, detail };
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

function outcomeOf(ask: Ask, rule: TestRule): Outcome {
  const evaluation = ask(rule.entrypoint);
  const undefinedRule = !evaluation.ok && evaluation.reason === 'policy.undefined';
  if (!evaluation.ok && !undefinedRule) {
    return { cases: {}, detail: `${evaluation.reason}: ${evaluation.detail}` };
  }
  const value = evaluation.ok ? evaluation.value : undefined;
  if (!rule.hasCases) return { cases: {}, detail: value === true ? null : shown(value) };
  const cases = { ...missingCases(ask, rule, value), ...leaves(value, []) };
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
  ask: Ask,
  { casesEntrypoint }: TestRule,
  value: unknown,
): Record<string, boolean> {
  if (casesEntrypoint === null) return {};
  const evaluation = ask(casesEntrypoint);
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
