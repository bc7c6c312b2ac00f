/**
 * The plan engine as a second opinion: it shares no code of evaluation with the two WebAssembly hosts, and follows OPA
 * where OPA's module does not. It takes sets in sorted order and the module in hash order, so lists that were made of
 * sets may differ in order alone. Pure.
 */
import { parseRego } from '../decision/rego-value.ts';
import { evaluatePlan, planData } from '../plan/evaluate.ts';
import { parsePlan } from '../plan/plan.ts';
import type { Opinion } from './opinion.ts';
import type { OpinionSource } from './verify-bundle.ts';

const PLAN_ENGINE = 'plan';
const PLAN_FILE = 'plan.json';

/** Opens to null for a bundle without a plan. @throws PlanFormatError */
export const planOpinion: OpinionSource = {
  name: PLAN_ENGINE,
  async open(bundle, data) {
    const text = bundle.files.get(PLAN_FILE);
    return text === undefined ? null : opinionOf(Buffer.from(text).toString(), data);
  },
};

function opinionOf(text: string, dataText: string): Opinion {
  const plan = parsePlan(text);
  const data = planData(parseRego(dataText, 'json'));
  return {
    name: PLAN_ENGINE,
    anyOrder: true,
    answer(entrypoint, input, timeNs) {
      const found = evaluatePlan(plan, entrypoint, parseRego(input, 'json'), data, { timeNs });
      if (found.ok) return { kind: 'value', value: found.value };
      return found.reason === 'policy.undefined'
        ? { kind: 'undefined' }
        : { kind: 'failed', detail: `${found.reason}: ${found.detail}` };
    },
  };
}
