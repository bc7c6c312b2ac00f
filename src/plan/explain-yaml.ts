/**
 * YAML policies in a trace. The library that reads them asks one function per line of a policy, so each visit of such a
 * function is a rule of the author's: `allow_if.to_in_allowlist`, `deny_if.body_contains`, `when.tool`. Pure.
 */
import type { RegoValue } from '../decision/rego-value.ts';
import type { Reason, RuleReport } from './report.ts';
import type { Visit } from './trace.ts';
import { jsonOf, memberOf } from './value.ts';

const FUNCTION = /^g[0-9]+\.data\.egret\.yaml\.([a-z_]+)$/;
/** Arguments after `input` and `data`. */
const OWN = 2;

const nameOf = (visit: Visit) => FUNCTION.exec(visit.name)?.[1] ?? null;

const argument = (visit: Visit, at: number): RegoValue | undefined => visit.args[OWN + at]?.value;

const text = (value: RegoValue | undefined) => (typeof value === 'string' ? value : '?');

/** @param stopped where a function stopped. */
export function yamlRules(
  visits: readonly Visit[],
  stopped: (visit: Visit) => Reason | null,
): RuleReport[] {
  const reports = new Map<string, RuleReport>();
  let fact = '?';
  for (const visit of visits) {
    const name = nameOf(visit);
    if (name === 'fact') fact = text(argument(visit, 0));
    const line = name === null ? null : lineOf(visit, name, fact);
    const key = `${line?.policy} ${line?.rule}`;
    if (line === null || reports.has(key)) continue;
    const { policy, rule, fires } = line;
    const failure = visit.result === undefined ? stopped(visit) : null;
    reports.set(key, {
      policy,
      rule,
      title: null,
      place: null,
      gave: fires ? [jsonOf(argument(visit, name === 'fits' ? 0 : 1) ?? null)] : [],
      passed: 0,
      failure: fires ? null : failure,
      conditions: fires && failure !== null ? [failure] : [],
    });
  }
  return [...reports.values()];
}

interface Line {
  readonly policy: string;
  readonly rule: string;
  readonly fires: boolean;
}

/** Null when the visit is no line of a policy. A trigger fires when it is not quiet. */
function lineOf(visit: Visit, name: string, fact: string): Line | null {
  const held = visit.result !== undefined;
  const { parent } = visit;
  switch (name) {
    case 'meets':
    case 'meets_part': {
      const above = name === 'meets_part' && parent !== null ? `${text(argument(parent, 0))}.` : '';
      const policy = policyAround(visit, ['allowance']);
      if (policy === null) return null;
      return { policy, rule: `allow_if.${above}${text(argument(visit, 0))}`, fires: held };
    }
    case 'quiet': {
      const policy = policyAround(visit, ['quiet_or_absent']);
      const block = parent === null ? '?' : text(argument(parent, 1));
      return policy === null
        ? null
        : { policy, rule: `${block}.${text(argument(visit, 0))}`, fires: !held };
    }
    case 'fits': {
      const policy = policyAround(visit, ['elsewhere']);
      return policy === null || held ? null : { policy, rule: `when.${fact}`, fires: false };
    }
    default:
      return null;
  }
}

/** The id of the policy that the nearest of these functions around a visit is asked about. */
function policyAround(visit: Visit, names: readonly string[]): string | null {
  for (let around = visit.parent; around !== null; around = around.parent) {
    const name = nameOf(around);
    if (name !== null && names.includes(name)) return text(memberOf(argument(around, 0), 'id'));
  }
  return null;
}
