/**
 * The audit log for people: a verification report and a table of entries, as text. Control characters of the log
 * never reach the terminal. Pure.
 */
import type { LogLine } from './read-log.ts';
import type { VerifyReport } from './verify-log.ts';

export function renderReport(report: VerifyReport): string {
  const { problem } = report;
  const rows: [string, string | number][] = [
    ['log', report.origin],
    ['leaves', report.size],
    ['signed', `${report.signed} (${report.checkpoints} checkpoints)`],
    ['root', report.root ?? '-'],
    ['decisions', report.decisions],
    ['outcomes', report.outcomes],
    ['events', `${report.lifecycle} (${report.boots} starts)`],
    ['open calls', report.openCalls],
    ['state', stateText(report)],
  ];
  const table = rows.map(([name, value]) => `  ${name.padEnd(12)}${value}\n`).join('');
  const warnings = report.warnings.map((warning) => `  warning: ${warning}\n`).join('');
  if (problem === null) return `OK: the log is intact\n${table}${warnings}`;
  const at = problem.index === null ? '' : `, leaf ${problem.index}`;
  return printable(`FAILED: ${problem.file}${at}: ${problem.detail}\n${table}${warnings}`);
}

function stateText({ closed, tornBytes }: VerifyReport): string {
  if (closed) return 'closed';
  return tornBytes > 0
    ? `being written, or its writer died (${tornBytes} torn bytes)`
    : 'being written, or its writer died';
}

const COLUMNS = [
  'time',
  'seq',
  'kind',
  'tool',
  'result',
  'reason',
  'revision',
  'decision',
] as const;
type Row = Record<(typeof COLUMNS)[number], string>;

/** A table of entries, one line each. */
export function renderEntries(lines: readonly LogLine[]): string {
  const rows = lines.map(rowOf);
  const head = Object.fromEntries(COLUMNS.map((name) => [name, name.toUpperCase()])) as Row;
  const all = [head, ...rows];
  const widths = COLUMNS.map((name) => Math.max(...all.map((row) => row[name].length)));
  const text = (row: Row) =>
    COLUMNS.map((name, i) => row[name].padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd();
  return all.map((row) => `${text(row)}\n`).join('');
}

function rowOf({ index, entry }: LogLine): Row {
  const kind = cell(entry, 'egret', 'kind');
  const base = {
    time: cell(entry, 'timestamp'),
    seq: String(index),
    kind,
    tool: cell(entry, 'input', 'tool', 'name'),
    revision: cell(entry, 'egret', 'policy', 'revision'),
    decision: cell(entry, 'decision_id'),
  };
  if (kind === 'outcome') {
    const result = cell(entry, 'egret', 'outcome', 'result');
    const status = cell(entry, 'egret', 'outcome', 'status');
    return {
      ...base,
      result: `${result} ${status}`,
      reason: cell(entry, 'egret', 'outcome', 'reason'),
    };
  }
  if (kind === 'lifecycle') {
    return { ...base, result: cell(entry, 'egret', 'lifecycle', 'event'), reason: '-' };
  }
  const action = cell(entry, 'egret', 'enforcement', 'action');
  return { ...base, result: action, reason: cell(entry, 'egret', 'enforcement', 'reason') };
}

function cell(entry: unknown, ...path: readonly string[]): string {
  let value = entry;
  for (const key of path) {
    if (value === null || typeof value !== 'object') return '-';
    value = (value as Record<string, unknown>)[key];
  }
  return value === null || value === undefined ? '-' : printable(String(value)).slice(0, 64);
}

/** Without control characters, line feeds excepted, and without what turns the direction of writing. */
export const printable = (text: string): string =>
  text.replaceAll(/(?!\n)\p{Cc}|[\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, '?');
