/** The plan engine as an engine for conformance cases. Shell: reads compiled cases. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseRego } from '../../src/decision/rego-value.ts';
import { planResults } from '../../src/plan/evaluate.ts';
import { parsePlan } from '../../src/plan/plan.ts';
import type { ConformanceEngine, Outcome } from './case.ts';
import { SEED, TIME_NS } from './wasm-engine.ts';

export const PLAN_ENGINE: ConformanceEngine = {
  name: 'plan',
  run: (one, folder): Outcome => {
    if (one.plan === undefined) return { error: one.compile_error ?? 'not compiled' };
    const plan = parsePlan(readFileSync(join(folder, one.plan), 'utf8'));
    const [entrypoint = ''] = plan.entrypoints.keys();
    const data = parseRego(one.data ?? '{}');
    const text = one.input_term ?? one.input;
    const input = text === undefined ? undefined : parseRego(text);
    const options = { timeNs: TIME_NS, seed: SEED };
    const found = planResults(plan, entrypoint, input, data, options);
    return found.ok ? { results: found.results } : { error: found.detail };
  },
};
