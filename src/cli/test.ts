/**
 * `egret test`: test rules on the compiled policy, in the engine that decides. Exit codes: 0 all pass, 1 some fail or
 * too little is covered, 2 wrong use or nothing to test. Shell: reads policies, runs the compiler, watches files, writes
 * to standard output and the JUnit file.
 */
import { type FSWatcher, watch, writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { printable } from '../audit/report.ts';
import { type Coverage, coverageOf } from '../author/coverage.ts';
import { renderJunit } from '../author/junit.ts';
import { AuthorError } from '../author/policy-source.ts';
import { junitCases, runTests, type TestResult } from '../author/test-run.ts';
import { compileTests } from '../author/test-stage.ts';
import { Coverage as Reached } from '../plan/coverage.ts';
import { FOUND, numberOption, patternOption } from './author-verb.ts';
import { runVerb } from './kit-verb.ts';

interface Options {
  readonly run?: string;
  readonly coverage?: true;
  readonly threshold?: string;
  readonly junit?: string;
  readonly watch?: true;
  readonly verbose?: true;
  readonly json?: true;
}

/** Editors write a file in several steps. */
const SETTLE_MS = 150;

export function testCommand(): Command {
  return new Command('test')
    .description('run test rules on the compiled policy')
    .argument('[directories...]', 'policy repositories or directories of Rego', ['.'])
    .option('--run <regex>', 'only tests whose name (data.package.test_name) matches')
    .option(
      '--coverage',
      'measure which lines of the policies the tests reach, and compare two engines',
    )
    .option('--threshold <percent>', 'least coverage; less is exit code 1')
    .option('--junit <file>', 'write the results as JUnit XML')
    .option('--watch', 'run again whenever a file changes, until interrupted')
    .option('--verbose', 'list passed tests, too')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nRules named test_… are tests, todo_test_… are skipped.\n' +
        'Exit codes: 0 all pass, 1 a test fails or too little is covered, 2 wrong use, or nothing to test.',
    )
    .action(async (directories: string[], options: Options) => {
      await runVerb('test', () => run(directories, options));
      if (options.watch === true) await watched(directories, options);
    });
}

async function run(directories: readonly string[], options: Options): Promise<number> {
  const threshold =
    options.threshold === undefined ? 0 : numberOption('--threshold', options.threshold, 0, 100);
  const measured = options.coverage === true || options.threshold !== undefined;
  const tests = await compileTests(directories, patternOption('--run', options.run), measured);
  if (tests.rules.length === 0) {
    throw new AuthorError(`${directories.join(', ')}: found no test, expected rules named test_…`);
  }
  const reached = tests.plan === null ? null : new Reached(tests.plan.plan);
  const timeNs = BigInt(Date.now()) * 1_000_000n;
  const results = runTests(tests, { timeNs, nowMs: () => performance.now() }, reached ?? undefined);
  const failed = results.filter(({ status }) => status === 'failed');
  const coverage =
    tests.plan === null || reached === null
      ? null
      : coverageOf(reached.report(), tests.plan.policies);
  const ok = failed.length === 0 && (coverage === null || coverage.percent >= threshold);
  const json = () => `${JSON.stringify({ ok, tests: results, coverage })}\n`;
  const text = () => rendered(results, coverage, options.verbose === true);
  process.stdout.write(options.json === true ? json() : printable(text()));
  if (options.junit !== undefined) {
    writeFileSync(options.junit, renderJunit('egret test', junitCases(results)));
  }
  return ok ? 0 : FOUND;
}

function rendered(
  results: readonly TestResult[],
  coverage: Coverage | null,
  verbose: boolean,
): string {
  const lines: string[] = [];
  for (const { status, package: own, name, file, line, detail } of results) {
    if (status === 'failed') lines.push(`FAIL  ${file}:${line}  ${own}.${name}`, `      ${detail}`);
    else if (verbose || status === 'skipped')
      lines.push(`${status === 'skipped' ? 'skip' : 'ok  '}  ${own}.${name}`);
  }
  const count = (status: TestResult['status']) =>
    results.filter((result) => result.status === status).length;
  lines.push(`${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped`);
  for (const { file, percent, notCovered } of coverage?.files ?? []) {
    const missing = notCovered.map(([from, to]) => (from === to ? from : `${from}-${to}`));
    const rest = missing.length === 0 ? '' : `  not reached: ${missing.join(' ')}`;
    lines.push(`${percent.toFixed(1).padStart(6)} %  ${file}${rest}`);
  }
  if (coverage !== null) lines.push(`${coverage.percent.toFixed(1).padStart(6)} %  all`);
  return `${lines.join('\n')}\n`;
}

/** Runs again after each change, one run at a time; ends with SIGINT or SIGTERM. */
async function watched(directories: readonly string[], options: Options): Promise<void> {
  let wake: (() => void) | null = null;
  let changed = false;
  let stopped = false;
  const notice = () => {
    changed = true;
    wake?.();
  };
  const stop = () => {
    stopped = true;
    notice();
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const watchers: FSWatcher[] = directories.map((directory) =>
    watch(directory, { recursive: true }, notice),
  );
  process.stderr.write(`watching ${printable(directories.join(', '))}\n`);
  while (!stopped) {
    if (!changed) await new Promise<void>((resolve) => (wake = resolve));
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    changed = false;
    if (!stopped) await runVerb('test', () => run(directories, options));
  }
  for (const watcher of watchers) watcher.close();
}
