/**
 * The demo's output for somebody who sees Egret for the first time: one table, a few checks, where things are.
 * At most 110 columns. Pure.
 */
import type { AuditRecord, Check, StepResult } from './result.ts';

type Row = readonly string[];

const HEAD: Row = ['', 'The agent tries', 'by', 'expected', 'got', 'reason', 'rule of the policy'];

export function renderTable(results: readonly StepResult[]): string {
  const rows = results.map(({ step, got, reason, rules, asExpected }, index) => [
    `${asExpected ? '✓' : '✗'}${String(index + 1).padStart(3)}`,
    step.title,
    step.way,
    step.expected.outcome,
    got,
    reason ?? 'none',
    rules.join(' '),
  ]);
  const widths = HEAD.map((_, column) =>
    Math.max(...[HEAD, ...rows].map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: Row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  const rule = widths.map((width) => '─'.repeat(width)).join('──');
  return [line(HEAD), rule, ...rows.map(line)].join('\n');
}

export const WAYS = `MCP       official client, revision 2026-07-28, at the gateway
MCP 2025  official client, revision 2025-11-25, at the gateway
fetch     Node's fetch to gmail.googleapis.com, through the proxy
http      node:http to gmail.googleapis.com, through the proxy
CONNECT   a tunnel through the proxy`;

export const renderChecks = (checks: readonly Check[]): string =>
  checks.map(({ passed, text }) => `${passed ? '✓' : '✗'} ${text}`).join('\n');

/** What the agent was told, for steps that did not end as expected. */
export function renderSurprises(results: readonly StepResult[]): string {
  return results
    .filter(({ asExpected }) => !asExpected)
    .map(({ step, report, record }) => {
      const { status, text } = report.answer ?? { status: 0, text: report.error ?? '' };
      const found = `${status} ${text}`.slice(0, 400);
      const audit = record?.egret?.enforcement?.reason ?? 'no record';
      const expected = `${step.expected.reason} ${step.expected.rule ?? ''}`.trim();
      return `✗ ${step.title}: expected ${expected}\n  the agent got ${found}\n  the audit log has ${audit}`;
    })
    .join('\n');
}

/** The part of a decision record that answers who, what, to whom, with which files, and why. */
export function renderRecord(record: AuditRecord): string {
  const { decision_id, trace_id, timestamp, bundles, input, result, egret } = record;
  const seen = {
    agent: input?.agent?.id,
    tool: input?.tool?.name,
    arguments: input?.arguments,
    attachments: input?.attachments,
  };
  const { seq, enforcement } = egret ?? {};
  const shown = { decision_id, trace_id, timestamp, bundles, input: seen, result };
  const members = Object.entries({ ...shown, egret: { seq, enforcement } }).map(([key, value]) =>
    foldedMember(key, value),
  );
  return `{\n${members.join(',\n')}\n}`;
}

const COLUMNS_MAX = 108;

/** Text in lines that fit. */
export const wrapped = (text: string): string =>
  text.replace(/(.{1,108})(?: +|$)/g, '$1\n').trimEnd();

/** A member on one line when it fits, else its own members one a line. */
function foldedMember(key: string, value: unknown, indent = '  '): string {
  const whole = `${indent}${JSON.stringify(key)}: ${JSON.stringify(value)}`;
  if (whole.length <= COLUMNS_MAX || value === null || typeof value !== 'object') return whole;
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  const members = Object.entries(value).map(([name, member]) => {
    const folded = foldedMember(name, member, `${indent}  `);
    return Array.isArray(value) ? folded.replace(/"\d+": /, '') : folded;
  });
  return `${indent}${JSON.stringify(key)}: ${open}\n${members.join(',\n')}\n${indent}${close}`;
}

/** Calls by decision, summed over tools and reasons, from the text of `/metrics`. */
export function callsByDecision(metrics: string): string {
  const sums = new Map<string, number>();
  for (const line of metrics.split('\n')) {
    const [, decision, count] =
      /^egret_calls_total\{[^}]*decision="([a-z_]+)"[^}]*\} ([0-9]+)/.exec(line) ?? [];
    if (decision !== undefined) sums.set(decision, (sums.get(decision) ?? 0) + Number(count));
  }
  return [...sums]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([decision, count]) => `egret_calls_total{decision="${decision}"} ${count}`)
    .join('\n');
}
