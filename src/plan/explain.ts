/**
 * Why a policy decided as it did: the rules that gave something, those that nearly did with the expression that stopped
 * them, and what would have to be otherwise. Made from the trace of one evaluation. Pure.
 */
import { lineOf, type Sources, titleOf } from './explain-source.ts';
import { comparisonOf, suggestionOf } from './explain-words.ts';
import { yamlRules } from './explain-yaml.ts';
import type { Place } from './plan.ts';
import type { Reason, RuleReport, RuleReports } from './report.ts';
import type { Body, Call, Step, Visit } from './trace.ts';
import { jsonOf } from './value.ts';

/** The rules that the library reads; rules of other names are helpers. */
const SETS: ReadonlySet<string> = new Set(
  'allow deny require_approval warn header label limit log patch redact'.split(' '),
);
const RULE_OF_POLICY = /^g0\.data\.policies\.(.+)\.([^.]+)$/;
const BECAUSE_MAX = 8;

/** @param entrypoint is explained itself when the plan has no package below `policies` and no YAML policy. */
export function ruleReports(
  visits: readonly Visit[],
  entrypoint: string,
  sources: Sources,
): RuleReports {
  const reports = [
    ...policyRules(visits, sources),
    ...yamlRules(visits, (v) => stoppedAt(v, sources, 0)),
  ];
  const own = reports.length > 0 ? reports : entrypointRules(visits, entrypoint, sources);
  const passing = own.filter(({ gave }) => gave.length === 0);
  const byNearness = (a: RuleReport, b: RuleReport) => b.passed - a.passed;
  return {
    fired: own.filter(({ gave }) => gave.length > 0),
    almost: passing.filter(({ passed }) => passed > 0).sort(byNearness),
    missed: passing.filter(({ passed }) => passed === 0),
  };
}

function policyRules(visits: readonly Visit[], sources: Sources): RuleReport[] {
  const reports: RuleReport[] = [];
  for (const visit of visits) {
    const [, policy, rule] = RULE_OF_POLICY.exec(visit.name) ?? [];
    if (policy === undefined || rule === undefined || !SETS.has(rule)) continue;
    reports.push(...visit.bodies.map((body) => reportOf(policy, rule, body, sources)));
  }
  return reports;
}

function entrypointRules(
  visits: readonly Visit[],
  entrypoint: string,
  sources: Sources,
): RuleReport[] {
  const parts = entrypoint.split('/');
  const visit = visits.find(({ name }) => name === `g0.data.${parts.join('.')}`);
  const [policy, rule] = [parts.slice(0, -1).join('.'), parts.at(-1) ?? ''];
  return (visit?.bodies ?? []).map((body) => reportOf(policy, rule, body, sources));
}

function reportOf(policy: string, rule: string, body: Body, sources: Sources): RuleReport {
  const { head, failure } = body;
  const held = [...body.heldRows].filter((row) => row !== failure?.statement.at.row);
  return {
    policy,
    rule,
    title: titleOf(sources, head.file, head.row),
    place: { file: head.file, line: head.row },
    gave: body.gave.map(jsonOf),
    passed: held.length,
    failure: failure === null ? null : reasonOf(failure, sources, 0),
    conditions: body.gave.length === 0 ? [] : conditionsOf(body, sources),
  };
}

/** What would stop a rule that fired: that which a `not` asks for, or its last condition turned round. */
function conditionsOf({ negations, last }: Body, sources: Sources): Reason[] {
  const negated = negations.map(({ at, inside }) => ({
    ...placed(at, sources),
    compared: inside === null ? null : comparisonOf(inside),
    because: inside === null ? null : deeper(callOf(inside), sources, 0),
    suggestion: inside === null ? null : suggested(inside),
  }));
  if (last === null) return negated;
  const turned = comparisonOf(last, true);
  return [
    ...negated,
    {
      ...placed(last.statement.at, sources),
      compared: turned,
      because: null,
      suggestion: turned === null ? null : suggestionOf(turned),
    },
  ];
}

function reasonOf(step: Step, sources: Sources, depth: number): Reason {
  const compared = comparisonOf(step);
  return {
    ...placed(step.statement.at, sources),
    compared,
    because: compared === null ? deeper(callOf(step), sources, depth) : null,
    suggestion: suggested(step),
  };
}

function suggested(step: Step): string | null {
  const compared = comparisonOf(step);
  return compared === null ? null : suggestionOf(compared);
}

const placed = ({ file, row, col }: Place, sources: Sources) => ({
  file,
  line: row,
  column: col,
  text: lineOf(sources, file, row),
});

/** The call whose result a step asks for. */
const callOf = (step: Step): Call | null => step.call ?? step.operands[0]?.call ?? null;

function deeper(call: Call | null, sources: Sources, depth: number): Reason | null {
  if (call === null || call.inside === null || depth > BECAUSE_MAX) return null;
  return stoppedAt(call.inside, sources, depth + 1);
}

/** Where a call stopped: in the body that came furthest. */
function stoppedAt({ bodies }: Visit, sources: Sources, depth: number): Reason | null {
  let best: Body | null = null;
  for (const body of bodies) {
    if (body.failure !== null && body.heldRows.size >= (best?.heldRows.size ?? 0)) best = body;
  }
  return best === null || best.failure === null ? null : reasonOf(best.failure, sources, depth);
}

/** The innermost suggestion of a reason: what the chain of rules comes down to. */
export function innermostSuggestion(reason: Reason | null): string | null {
  if (reason === null) return null;
  return innermostSuggestion(reason.because) ?? reason.suggestion;
}

/** Values of a set that a rule gave, as short texts: messages of texts and of objects with a message. */
export function messageOf(value: unknown): string {
  if (typeof value === 'string') return value;
  const message = (value as { message?: unknown } | null)?.message;
  return typeof message === 'string' ? message : JSON.stringify(value);
}
