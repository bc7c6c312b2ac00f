/**
 * A replay for people: as text for a terminal and as one HTML page that needs nothing else. Neither holds arguments of
 * calls, only what stands in the clear in the audit log. Pure.
 */
import { CLASSES, type DifferenceClass, type Said } from '../rollout/difference.ts';
import { escaped } from './junit.ts';
import type { ReplayExample, ReplayReport } from './replay.ts';
import type { Threshold } from './threshold.ts';

export interface JudgedReplay {
  readonly report: ReplayReport;
  readonly exceeded: readonly Threshold[];
}

const ROWS_MAX = 50;
const TEXT_EXAMPLES_MAX = 5;

const MEANINGS: Readonly<Record<DifferenceClass, string>> = {
  newly_allowed: 'refused then, allowed now',
  newly_denied: 'allowed then, refused now',
  obligation: 'same outcome, other obligations',
  reason: 'refused or allowed as then, for other reasons',
  error: 'the candidate fails to decide',
  same: 'no difference',
  not_replayable: 'the record does not hold what policy saw',
};

export function renderReplay({ report, exceeded }: JudgedReplay): string {
  const lines = [
    `${report.decisions} decisions from ${report.first ?? '-'} to ${report.last ?? '-'}`,
    `candidate ${report.candidate}`,
    ...CLASSES.map(
      (name) => `  ${name.padEnd(15)}${String(report.counts[name]).padStart(8)}  ${MEANINGS[name]}`,
    ),
  ];
  if (report.incomplete > 0) {
    lines.push(`  ${report.incomplete} of these were decided without values that were not there`);
  }
  for (const [why, count] of Object.entries(report.notReplayable)) {
    lines.push(`  not replayable: ${count} ${why}`);
  }
  for (const name of CLASSES.slice(0, 5)) {
    for (const example of (report.examples[name] ?? []).slice(0, TEXT_EXAMPLES_MAX)) {
      lines.push(`${name}  ${example.decision_id}  ${example.tool}`);
      lines.push(`  then ${saidText(example.before)}`, `  now  ${saidText(example.after)}`);
    }
  }
  lines.push(conclusion({ report, exceeded }));
  return `${lines.join('\n')}\n`;
}

function conclusion({ report, exceeded }: JudgedReplay): string {
  if (report.decisions === report.counts.not_replayable) return 'nothing could be compared';
  if (exceeded.length === 0) return 'within the thresholds';
  return `over the thresholds: ${exceeded.map(({ text }) => text).join(', ')}`;
}

function saidText(said: Said | null): string {
  if (said === null) return '-';
  const { outcome, reason, rules, obligations } = said;
  const more = [...rules, ...obligations.map((one) => `obligation ${one}`)];
  return `${outcome} ${reason}${more.length === 0 ? '' : `: ${more.join(', ')}`}`;
}

const STYLE = `
:root{color-scheme:light dark;--line:#8884;--bad:#b3261e;--good:#1b6e3c}
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid var(--line)}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
code{font-size:.85em;overflow-wrap:anywhere}
.newly_allowed,.error,.over{color:var(--bad);font-weight:600}.within{color:var(--good);font-weight:600}
`.trim();

export function renderReplayHtml({ report, exceeded }: JudgedReplay): string {
  const good = exceeded.length === 0 && report.decisions > report.counts.not_replayable;
  const found = escaped(conclusion({ report, exceeded }));
  const verdict = `<p class="${good ? 'within' : 'over'}">Result: ${found}.</p>`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Egret replay</title>
<style>${STYLE}</style>
</head>
<body>
<h1>Recorded decisions against a candidate policy</h1>
<p>${report.decisions} decisions from ${escaped(report.first ?? '-')} to ${escaped(report.last ?? '-')}.<br>
Candidate: <code>${escaped(report.candidate)}</code></p>
${verdict}
${classTable(report)}
${whyTable(report)}
${toolTable(report)}
${ruleTable(report)}
${CLASSES.filter((name) => name !== 'same')
  .map((name) => exampleTable(name, report))
  .join('')}
</body>
</html>
`;
}

function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const numbers = (rows[0] ?? []).map((value) => typeof value === 'number');
  const row = (tag: string, cells: readonly (string | number)[]) =>
    `<tr>${cells.map((value, at) => `<${tag}${numbers[at] ? ' class="n"' : ''}>${value}</${tag}>`).join('')}</tr>\n`;
  return `<table>\n${row('th', head)}${rows.map((cells) => row('td', cells)).join('')}</table>\n`;
}

const classTable = ({ counts, incomplete }: ReplayReport) =>
  table(
    ['class', 'decisions', 'meaning'],
    CLASSES.map((name) => [
      `<span class="${counts[name] > 0 ? name : ''}">${name}</span>`,
      counts[name],
      MEANINGS[name],
    ]),
  ) +
  (incomplete > 0
    ? `<p>${incomplete} of these were decided without values that were not there.</p>`
    : '');

function whyTable({ notReplayable }: ReplayReport): string {
  const rows = Object.entries(notReplayable).sort(([, a], [, b]) => b - a);
  if (rows.length === 0) return '';
  const shown = rows.slice(0, ROWS_MAX).map(([why, count]) => [escaped(why), count]);
  return `<h2>Why not replayable</h2>\n${table(['why', 'decisions'], shown)}`;
}

const toolTable = ({ tools }: ReplayReport) =>
  `<h2>By tool</h2>\n${table(
    ['tool', ...CLASSES],
    tools
      .slice(0, ROWS_MAX)
      .map((row) => [`<code>${escaped(row.tool)}</code>`, ...CLASSES.map((name) => row[name])]),
  )}`;

const ruleTable = ({ rules }: ReplayReport) =>
  `<h2>By rule</h2>\n${table(
    ['rule', 'then', 'now'],
    rules
      .slice(0, ROWS_MAX)
      .map(({ rule, before, after }) => [`<code>${escaped(rule)}</code>`, before, after]),
  )}`;

function exampleTable(name: DifferenceClass, { examples, counts }: ReplayReport): string {
  const rows = examples[name] ?? [];
  if (rows.length === 0) return '';
  const cells = (example: ReplayExample) => [
    `${escaped(example.timestamp)}<br><code>${escaped(example.decision_id)}</code>`,
    `<code>${escaped(example.tool)}</code>`,
    escaped(saidText(example.before)),
    escaped(saidText(example.after)),
  ];
  const heading = `<h2 class="${name}">${name} (${rows.length} of ${counts[name]})</h2>\n`;
  return heading + table(['decision', 'tool', 'then', 'now'], rows.map(cells));
}
