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

/** Rules that stand in the way of a call when they fire. */
export const refuses = (rule: string): boolean =>
  /^(?:deny|require_approval)(?:_if)?(?:\.|$)/.test(rule);

/** Rules that let a call pass, and conditions on which they do. */
export const grants = (rule: string): boolean => /^(?:allow(?:_if)?|when)(?:\.|$)/.test(rule);

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
  const byNearness = (a: RuleReport, b: RuleReport) =>
    Number(grants(b.rule)) - Number(grants(a.rule)) || b.passed - a.passed;
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
    conditions: body.gave.length > 0 && refuses(rule) ? conditionsOf(body, sources) : [],
  };
}

/** What would stop a rule that fired: what each `not` asks for, or without any its last condition turned round. */
function conditionsOf({ negations, last }: Body, sources: Sources): Reason[] {
  if (negations.length === 0) return last === null ? [] : [heldReason(last, sources, 0)];
  return negations.map(({ at, inside }) => ({
    held: true,
    ...placed(at, sources),
    compared: inside === null ? null : comparisonOf(inside),
    because: inside === null ? null : deeper(callOf(inside), sources, 0),
    suggestion: inside === null ? null : suggested(inside),
  }));
}

/** Something that held, and what would have to be otherwise for it not to hold. */
function heldReason(step: Step, sources: Sources, depth: number): Reason {
  const compared = comparisonOf(step, true);
  return {
    held: true,
    ...placed(step.statement.at, sources),
    compared,
    because: compared === null ? heldBy(callOf(step), sources, depth) : null,
    suggestion: compared === null ? null : suggestionOf(compared),
  };
}

/** The last condition of the body by which a rule or function gave its value. */
function heldBy(call: Call | null, sources: Sources, depth: number): Reason | null {
  const giving = call?.inside?.bodies.find(({ gave }) => gave.length > 0);
  if (giving === undefined || giving.last === null || depth > BECAUSE_MAX) return null;
  return heldReason(giving.last, sources, depth + 1);
}

function reasonOf(step: Step, sources: Sources, depth: number): Reason {
  const compared = comparisonOf(step);
  const { inner } = step;
  const because =
    inner === null ? deeper(callOf(step), sources, depth) : heldBy(callOf(inner), sources, depth);
  return {
    held: false,
    ...placed(step.statement.at, sources),
    compared,
    because: compared === null ? because : null,
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

/** Where a call stopped: in the body that came furthest, and of equals in the first that looks at the input. */
function stoppedAt({ bodies }: Visit, sources: Sources, depth: number): Reason | null {
  let best: Reason | null = null;
  let bestScore = -1;
  for (const { failure, heldRows } of bodies) {
    if (failure === null) continue;
    const score =
      heldRows.size * 2 + Number(/\binput\b/.test(comparisonOf(failure)?.subject.path ?? ''));
    if (score > bestScore) [best, bestScore] = [reasonOf(failure, sources, depth), score];
  }
  return best;
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
