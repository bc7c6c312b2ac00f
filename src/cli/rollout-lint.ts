/**
 * `egret rollout lint`: mistakes and risky settings of policy sets, before Git has them. Exit codes: 0 good, 1 problems,
 * 2 wrong use or unreadable. Shell: reads files and standard input, writes to standard output.
 */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { type LintReport, lintPolicySets } from '../rollout/lint.ts';
import { WARNING_CODES } from '../rollout/lint-warning.ts';
import { REFUSED, runVerb, say, sayJson } from './kit-verb.ts';

interface Options {
  readonly strict?: true;
  readonly json?: true;
}

export function lintCommand(): Command {
  const width = Math.max(...Object.keys(WARNING_CODES).map((code) => code.length));
  const codes = Object.entries(WARNING_CODES).map(
    ([code, text]) => `  ${code.padEnd(width)}  ${text}`,
  );
  return new Command('lint')
    .description(
      'find mistakes and risky settings in rollout.yaml or its ConfigMap; needs no cluster',
    )
    .argument('<file...>', 'YAML or JSON, also of several documents; - is standard input')
    .option('--strict', 'warnings are problems')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `\nWarnings:\n${codes.join('\n')}\n\nExit codes: 0 good, perhaps with warnings, 1 problems, 2 wrong use, unreadable input or no policy set in it.`,
    )
    .action((files: string[], options: Options) =>
      runVerb('rollout lint', () => lint(files, options)),
    );
}

function lint(files: readonly string[], { strict, json }: Options): number {
  const reports = files.map((file) => {
    const text = readFileSync(file === '-' ? process.stdin.fd : file, 'utf8');
    const name = file === '-' ? 'stdin' : file;
    return { file: name, ...lintPolicySets(text, name) };
  });
  const found = (report: LintReport) =>
    report.problems.length + (strict ? report.warnings.length : 0);
  const ok = reports.every((report) => found(report) === 0);
  if (json) sayJson({ ok, files: reports });
  else reports.forEach(tell);
  return ok ? 0 : REFUSED;
}

function tell({ file, sets, problems, warnings }: LintReport & { readonly file: string }): void {
  for (const problem of problems) say(problem);
  for (const { code, text } of warnings) say(`${text} [${code}]`);
  const count = (number: number, word: string) => `${number} ${word}${number === 1 ? '' : 's'}`;
  const found = [count(problems.length, 'problem'), count(warnings.length, 'warning')];
  say(`${file}: ${count(sets, 'policy set')}, ${found.join(', ')}`);
}
