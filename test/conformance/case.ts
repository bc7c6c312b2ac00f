/**
 * OPA's conformance cases as tools/conformance writes them, and what makes a case pass. The rules of comparing are
 * those of OPA's own test of its WebAssembly SDK. Shell: reads the folder of compiled cases.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  canonicalRego,
  compareRego,
  parseRego,
  type RegoObject,
  type RegoValue,
  sortedRego,
} from '../../src/decision/rego-value.ts';

export interface ConformanceCase {
  readonly note: string;
  /** The folder of the case in OPA: about one for each builtin or part of the language. */
  readonly family: string;
  readonly builtins: readonly string[];
  /** Paths of the compiled query below the folder. */
  readonly wasm?: string;
  readonly plan?: string;
  readonly compile_error?: string;
  /** JSON texts. */
  readonly data?: string;
  readonly input?: string;
  /** A Rego term; wins over `input`. */
  readonly input_term?: string;
  readonly want_defined?: boolean;
  readonly want_result?: string;
  readonly want_error_code?: string;
  readonly want_error?: string;
  readonly sort_bindings?: boolean;
  readonly ignore_generated_vars?: boolean;
  readonly strict_error?: boolean;
}

/** The bindings of every result, or why there are none. */
export type Outcome = { readonly results: readonly RegoValue[] } | { readonly error: string };

/** A way to evaluate a case. It does not throw. */
export interface ConformanceEngine {
  readonly name: string;
  run(one: ConformanceCase, folder: string): Outcome;
}

export function readCases(folder: string): readonly ConformanceCase[] {
  const lines = readFileSync(join(folder, 'cases.jsonl'), 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as ConformanceCase);
}

const NETWORK = new Set(['http.send', 'net.lookup_ip_addr']);
const SIGNING = new Set(['io.jwt.encode_sign', 'io.jwt.encode_sign_raw', 'providers.aws.sign_req']);

export type Kind = 'scored' | 'network' | 'strict' | 'signing';

/** Cases that need the network, OPA's strict mode or a signature are not scored. */
export function kindOf({ builtins, strict_error }: ConformanceCase): Kind {
  if (builtins.some((name) => NETWORK.has(name))) return 'network';
  if (strict_error === true) return 'strict';
  return builtins.some((name) => SIGNING.has(name)) ? 'signing' : 'scored';
}

/** @returns null when the outcome is the wanted one, else what is wrong. */
export function judge(one: ConformanceCase, outcome: Outcome): string | null {
  const wantsError = one.want_error !== undefined || one.want_error_code !== undefined;
  if ('error' in outcome) {
    if (one.want_result !== undefined || one.want_defined !== undefined || !wantsError)
      return `error: ${outcome.error}`;
    return judgeError(one, outcome.error);
  }
  const { results } = outcome;
  if (one.want_defined !== undefined) {
    return results.length > 0 === one.want_defined ? null : `defined: ${!one.want_defined}`;
  }
  if (one.want_result !== undefined) return judgeResults(one, one.want_result, results);
  // Without strict mode, an error of a builtin is undefined.
  if (one.strict_error === true) return judgeResults(one, '[]', results);
  return `no error but ${shown(results)}`;
}

function judgeError({ want_error_code }: ConformanceCase, error: string): string | null {
  const conflict = /var assignment conflict|object insert conflict/.test(error);
  if (want_error_code === 'eval_conflict_error' && conflict) return null;
  return `error of another kind than ${want_error_code}: ${error}`;
}

function judgeResults(one: ConformanceCase, want: string, results: readonly RegoValue[]) {
  const expected = distinct((parseRego(want, 'json') as readonly RegoValue[]).map(plain));
  const got = distinct(results.map((bindings) => sortedBindings(plain(bindings), one)));
  if (compareRego(expected, got) === 0) return null;
  return `expected ${shown(expected)}, got ${shown(got)}`;
}

const shown = (value: readonly RegoValue[]) => canonicalRego(value).slice(0, 600);

/** Sorted without doubles: results are a set. */
function distinct(values: readonly RegoValue[]): readonly RegoValue[] {
  const sorted = sortedRego(values);
  return sorted.filter((one, i) => i === 0 || compareRego(one, sorted[i - 1] as RegoValue) !== 0);
}

/** As OPA writes a value as JSON: sets become sorted arrays, keys become texts. */
function plain(value: RegoValue): RegoValue {
  if (value instanceof Set) return sortedRego(value as ReadonlySet<RegoValue>).map(plain);
  if (Array.isArray(value)) return value.map(plain);
  if (!(value instanceof Map)) return value;
  const entries = [...(value as RegoObject)].map(([key, item]): [RegoValue, RegoValue] => [
    typeof key === 'string' ? key : canonicalRego(plain(key)),
    plain(item),
  ]);
  return new Map(entries);
}

function sortedBindings(bindings: RegoValue, one: ConformanceCase): RegoValue {
  const kept = [...(bindings as RegoObject)].filter(
    ([name]) => one.ignore_generated_vars !== true || !String(name).startsWith('__'),
  );
  return new Map(
    kept.map(([name, value]): [RegoValue, RegoValue] => [
      name,
      one.sort_bindings === true && Array.isArray(value) ? sortedRego(value) : value,
    ]),
  );
}
