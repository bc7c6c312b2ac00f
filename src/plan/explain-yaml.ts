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
  const lines = linesOf(visits);
  const passed = (policy: string) =>
    lines.filter((line) => line.policy === policy && line.part === 'requirement' && line.held)
      .length;
  return lines.filter(isShown(lines)).map((line): RuleReport => {
    const { policy, rule, part, held, visit } = line;
    const fires = part === 'grant' || (part === 'trigger' && !held);
    const failure = held ? null : stopped(visit);
    return {
      policy,
      rule,
      title: null,
      place: null,
      gave: fires ? [given(line)] : [],
      passed: part === 'requirement' ? passed(policy) + 1 : 0,
      failure: fires ? null : failure,
      conditions: fires && failure !== null ? [failure] : [],
    };
  });
}

interface Line {
  readonly policy: string;
  readonly rule: string;
  /** A trigger holds when it is quiet. */
  readonly part: 'requirement' | 'trigger' | 'when' | 'grant';
  readonly held: boolean;
  readonly visit: Visit;
}

/** The first visit of each line counts: the library asks again when it words its messages. */
function linesOf(visits: readonly Visit[]): readonly Line[] {
  const lines = new Map<string, Line>();
  let fact = '?';
  for (const visit of visits) {
    const name = nameOf(visit);
    if (name === 'fact') fact = text(argument(visit, 0));
    const line = name === null ? null : lineOf(visit, name, fact);
    const key = `${line?.policy} ${line?.rule}`;
    if (line !== null && !lines.has(key)) lines.set(key, line);
  }
  return [...lines.values()];
}

/** Requirements that hold are told by the grant, and `attachments` by the part of it that does not hold. */
const isShown =
  (lines: readonly Line[]) =>
  ({ policy, rule, part, held }: Line): boolean => {
    if (part === 'grant') return held;
    if (held && part !== 'trigger') return false;
    const parts = lines.filter(
      (line) => line.policy === policy && line.rule.startsWith(`${rule}.`),
    );
    return parts.every((line) => line.held);
  };

/** What a line that fired says: the title of the policy that grants, or what the author wrote for the trigger. */
function given({ policy, part, visit }: Line): unknown {
  if (part === 'grant') return jsonOf(memberOf(argument(visit, 0), 'title') ?? policy);
  return jsonOf(argument(visit, 1) ?? null);
}

/** Null when the visit is no line of a policy. */
function lineOf(visit: Visit, name: string, fact: string): Line | null {
  const { parent } = visit;
  const held = visit.result !== undefined;
  const line = (around: string, rule: string, part: Line['part'], holds = held) => {
    const policy = policyAround(visit, around);
    return policy === null ? null : { policy, rule, part, held: holds, visit };
  };
  switch (name) {
    case 'allowance':
      return line('allowance', 'allow_if', 'grant', visit.result === 'held');
    case 'meets':
      return line('allowance', `allow_if.${text(argument(visit, 0))}`, 'requirement');
    case 'meets_part': {
      const above = parent === null ? '?' : text(argument(parent, 0));
      return line('allowance', `allow_if.${above}.${text(argument(visit, 0))}`, 'requirement');
    }
    case 'quiet': {
      const block = parent === null ? '?' : text(argument(parent, 1));
      return line('quiet_or_absent', `${block}.${text(argument(visit, 0))}`, 'trigger');
    }
    case 'fits':
      return line('elsewhere', `when.${fact}`, 'when');
    default:
      return null;
  }
}

/** The id of the policy that this function, at or around a visit, is asked about. */
function policyAround(visit: Visit, name: string): string | null {
  let around: Visit | null = visit;
  for (; around !== null && nameOf(around) !== name; ) around = around.parent;
  return around === null ? null : text(memberOf(argument(around, 0), 'id'));
}
