/**
 * Explains one decision of a bundle: evaluates its plan with a trace and reports rules, reasons and suggestions. Pure.
 */
import type { Evaluation } from '../decision/engine.ts';
import type { RegoValue } from '../decision/rego-value.ts';
import { evaluatePlan } from './evaluate.ts';
import { innermostSuggestion, ruleReports } from './explain.ts';
import type { Sources } from './explain-source.ts';
import type { Plan } from './plan.ts';
import type { RuleReport, RuleReports } from './report.ts';
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

const refuses = ({ rule }: RuleReport) => /^(deny|require_approval)(_if)?\b/.test(rule);
const grants = ({ rule }: RuleReport) => /^(allow|when)(_if)?\b/.test(rule);

function suggestionsFor({ fired, almost, missed }: RuleReports): readonly string[] {
  const refused = fired.filter(refuses).flatMap(({ conditions }) => {
    // Every `not` of a rule is a way to stop it; its last condition only where there is no other.
    const ways = conditions.map((condition) => innermostSuggestion(condition));
    const named = ways.slice(0, Math.max(1, ways.length - 1)).filter((way) => way !== null);
    return named.length > 0 ? named : ways.filter((way) => way !== null);
  });
  const near = almost.some(grants) ? almost : missed;
  const lacking = near.filter(grants).map(({ failure }) => innermostSuggestion(failure));
  const all = [...refused, ...lacking.filter((way) => way !== null)];
  return [...new Set(all)].slice(0, SUGGESTIONS_MAX);
}
