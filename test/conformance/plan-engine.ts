/** The plan engine as an engine for conformance cases. Shell: reads compiled cases. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseRego, type RegoValue } from '../../src/decision/rego-value.ts';
import { planResults } from '../../src/plan/evaluate.ts';
import { parsePlan } from '../../src/plan/plan.ts';
import type { ConformanceCase, ConformanceEngine, Outcome } from './case.ts';
import { SEED, TIME_NS } from './wasm-engine.ts';

export const PLAN_ENGINE: ConformanceEngine = {
  name: 'plan',
  run: (one, folder): Outcome => {
    if (one.plan === undefined) return { error: one.compile_error ?? 'not compiled' };
    const plan = parsePlan(readFileSync(join(folder, one.plan), 'utf8'));
    const [entrypoint = ''] = plan.entrypoints.keys();
    const data = parseRego(one.data ?? '{}');
    const options = { timeNs: TIME_NS, seed: SEED };
    const found = planResults(plan, entrypoint, inputOf(one), data, options);
    return found.ok ? { results: found.results } : { error: found.detail };
  },
};

/** OPA reads a comma before a closing bracket; our reader takes values only as engines write them. */
function inputOf({ input, input_term }: ConformanceCase): RegoValue | undefined {
  const text = input_term ?? input;
  return text === undefined ? undefined : parseRego(text.replaceAll(/,(\s*[}\]])/g, '$1'));
}
