/**
 * `egret check`: a policy repository read by everything that can find a mistake in it without running it. Exit codes: 0
 * nothing found, 1 findings, 2 wrong use, unreadable sources or no compiler. Shell: writes to standard output and error.
 */
import { Command } from 'commander';
import { type CheckReport, checkSources } from '../bundle/check-sources.ts';
import { progressOf, REFUSED, runVerb, say, sayJson } from './kit-verb.ts';

export function checkCommand(): Command {
  return new Command('check')
    .description('find mistakes in a policy repository: Rego, input fields, catalogue, YAML')
    .argument('[directory]', 'policy repository', '.')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nopa check --strict, fields of the input that do not exist, opa fmt, Regal when it is on PATH, the tool catalogue,\n' +
        'data files and YAML policies. Needs opa on PATH or in .tools/bin.\n' +
        'Exit codes: 0 nothing found, 1 findings, 2 wrong use or unreadable input.',
    )
    .action((directory: string, { json }: { json?: true }) =>
      runVerb('check', async () => {
        const progress = progressOf('checking');
        const report = await checkSources(directory).finally(progress.end);
        const ok = report.findings.length === 0;
        if (json) sayJson({ ok, ...report });
        else tell(directory, report);
        return ok ? 0 : REFUSED;
      }),
    );
}

function tell(directory: string, { findings, skipped, files }: CheckReport): void {
  for (const { check, file, line, column, message } of findings) {
    const place = line === 0 ? file : `${file}:${line}${column === 0 ? '' : `:${column}`}`;
    say(`${place}: ${message} [${check}]`);
  }
  for (const reason of skipped) process.stderr.write(`SKIPPED LOUDLY: ${reason}\n`);
  say(`${directory}: ${files} files, ${findings.length} findings`);
}
