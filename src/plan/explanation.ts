/**
 * Explains one decision of a bundle: evaluates its plan with a trace and reports rules, reasons and suggestions. Pure.
 */
import type { Evaluation } from '../decision/engine.ts';
import type { RegoValue } from '../decision/rego-value.ts';
import { evaluatePlan } from './evaluate.ts';
import { grants, innermostSuggestion, refuses, ruleReports } from './explain.ts';
import type { Sources } from './explain-source.ts';
import type { Plan } from './plan.ts';
import type { RuleReports } from './report.ts';
import { Trace } from './trace.ts';

export interface Explanation extends RuleReports {
  /** What the plan says, for comparing with the policy engine. */
  readonly evaluation: Evaluation;
  /** Changes that would allow the call, each in one sentence: first what stops a refusal, then what a grant lacks. */
  readonly suggestions: readonly string[];
}

export interface ExplainedCall {
  readonly plan: Plan;
  readonly entrypoint: string;
  readonly input: RegoValue;
  readonly data: RegoValue;
  readonly timeNs: bigint;
  readonly sources: Sources;
}

const SUGGESTIONS_MAX = 16;

export function explain(call: ExplainedCall): Explanation {
  const { plan, entrypoint, input, data, timeNs, sources } = call;
  const trace = new Trace(plan);
  const evaluation = evaluatePlan(plan, entrypoint, input, data, { timeNs, observer: trace });
  const reports = ruleReports(trace.visits, entrypoint, sources);
  return { evaluation, ...reports, suggestions: suggestionsFor(reports) };
}

function suggestionsFor({ fired, almost, missed }: RuleReports): readonly string[] {
  const inTheWay = fired
    .filter(({ rule }) => refuses(rule))
    .flatMap(({ conditions }) => conditions);
  const granted = fired.some(({ rule }) => grants(rule));
  const near = almost.some(({ rule }) => grants(rule)) ? almost : missed;
  const lacking = near.filter(({ rule }) => grants(rule) && !granted).map(({ failure }) => failure);
  const ways = [...inTheWay, ...lacking].map(innermostSuggestion).filter((way) => way !== null);
  return [...new Set(ways)].slice(0, SUGGESTIONS_MAX);
}
