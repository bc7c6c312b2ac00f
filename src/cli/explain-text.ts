/**
 * An explanation as text for a terminal. Pure.
 */
import type { Verdict } from '../decision/verdict.ts';
import { messageOf } from '../plan/explain.ts';
import { suggestionOf } from '../plan/explain-words.ts';
import type { Explanation } from '../plan/explanation.ts';
import type { Reason, RuleReport } from '../plan/report.ts';

/** @param all also rules of which nothing held. */
export function renderExplanation(
  { outcome, reason, message }: Verdict,
  { fired, almost, missed, suggestions }: Explanation,
  all: boolean,
): string {
  const section = (title: string, rules: readonly RuleReport[]) =>
    rules.length === 0 ? [] : ['', `${title}:`, ...rules.flatMap(ruleLines)];
  const hidden = all || missed.length === 0 ? [] : ['', othersLine(missed.length)];
  const allow = outcome === 'allow' ? [] : suggestions;
  const lines = [
    `${outcome}  ${reason}`,
    `  ${message}`,
    ...section('fired', fired),
    ...section('almost fired', almost),
    ...(all ? section('did not apply', missed) : hidden),
    ...(allow.length === 0 ? [] : ['', 'what would have to change:']),
    ...allow.map((suggestion) => `  - ${suggestion}`),
  ];
  return lines.map((line) => `${line.replaceAll('\n', ' ')}\n`).join('');
}

const othersLine = (count: number) =>
  `${count} other ${count === 1 ? 'rule' : 'rules'} did not apply (--all shows them)`;

function ruleLines(report: RuleReport): readonly string[] {
  const { policy, rule, title, place, gave, failure, conditions } = report;
  const where = place === null ? '' : `  ${place.file}:${place.line}`;
  return [
    `  ${policy}.${rule}${where}${title === null ? '' : `  ${title}`}`,
    ...gave.map((value) => `    gave ${messageOf(value)}`),
    ...conditions.flatMap((condition) => reasonLines('because', condition, 4)),
    ...(failure === null ? [] : reasonLines('stopped at', failure, 4)),
  ];
}

function reasonLines(word: string, reason: Reason, indent: number): readonly string[] {
  const { file, line, text, compared, because } = reason;
  const space = ' '.repeat(indent);
  return [
    `${space}${word} ${file}:${line}${text === null ? '' : `  ${text}`}`,
    ...(compared === null ? [] : [`${space}  ${suggestionOf(compared)}`]),
    ...(because === null
      ? []
      : reasonLines(because.held ? 'which held by' : 'which stopped at', because, indent + 2)),
  ];
}
