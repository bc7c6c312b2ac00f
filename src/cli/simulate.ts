/**
 * `egret simulate`: plays scenario files against a policy. Exit codes: 0 all as expected, 1 something is not, 2 wrong
 * use. Shell: reads policies and scenarios, writes to standard output and the JUnit file.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { printable } from '../audit/report.ts';
import { renderJunit } from '../author/junit.ts';
import { AuthorError, loadPolicy } from '../author/policy-source.ts';
import {
  type ScenarioResult,
  type Simulation,
  scenarioFiles,
  simulate,
} from '../author/simulate.ts';
import { FOUND, numberOption, patternOption } from './author-verb.ts';
import { progressOf, runVerb } from './kit-verb.ts';

interface Options {
  readonly run?: string;
  readonly mutate?: true;
  readonly seed: string;
  readonly rounds: string;
  readonly junit?: string;
  readonly json?: true;
}

export function simulateCommand(): Command {
  return new Command('simulate')
    .description('play scenario files against a policy')
    .argument('<policy>', 'bundle archive, unpacked bundle or policy repository')
    .argument('[scenarios...]', 'scenario files or directories; default: scenarios/ of the policy')
    .option('--run <regex>', 'only scenarios whose name matches')
    .option('--mutate', 'change each good call, and report what is allowed all the same')
    .option('--seed <number>', 'seed of the mutations', '1')
    .option('--rounds <number>', 'how often each mutation is drawn', '4')
    .option('--junit <file>', 'write the results as JUnit XML')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExit codes: 0 all as expected, 1 a scenario failed or a mutated call was allowed, 2 wrong use or unreadable input.',
    )
    .action((policy: string, scenarios: string[], options: Options) =>
      runVerb('simulate', () => run(policy, scenarios, options)),
    );
}

async function run(path: string, given: readonly string[], options: Options): Promise<number> {
  const own = join(path, 'scenarios');
  if (given.length === 0 && !existsSync(own)) {
    throw new AuthorError(`${own}: found nothing, expected scenario files as arguments or here`);
  }
  const files = (given.length === 0 ? [own] : given).flatMap(scenarioFiles);
  const rounds = numberOption('--rounds', options.rounds, 1, 10_000);
  const seed = numberOption('--seed', options.seed, 0, 2 ** 32 - 1);
  const policy = await loadPolicy(path);
  const progress = progressOf('calls played');
  const simulation = await simulate({
    policy,
    files,
    only: patternOption('--run', options.run),
    mutate: options.mutate === true ? { rounds, seed } : null,
    onPlayed: progress.step,
  });
  progress.end();
  policy.engine.close();
  if (simulation.results.length === 0)
    throw new AuthorError('--run: found no scenario that matches');
  const { revision } = policy.ref;
  const ok = isGood(simulation);
  const json = () => `${JSON.stringify({ ok, revision, seed, ...simulation })}\n`;
  process.stdout.write(options.json === true ? json() : printable(rendered(simulation)));
  if (options.junit !== undefined) writeFileSync(options.junit, junitOf(simulation));
  return ok ? 0 : FOUND;
}

const isGood = ({ results, mutations }: Simulation) =>
  results.every(({ ok }) => ok) && (mutations?.survivors ?? []).every(({ expected }) => expected);

function rendered({ results, mutations }: Simulation): string {
  const failed = results.filter(({ ok }) => !ok).length;
  const lines = results.flatMap(({ ok, name, outcome, reason, codes, problems }) => [
    [ok ? 'ok  ' : 'FAIL', name, outcome, reason, ...codes].join('  '),
    ...problems.map((problem) => `      ${problem}`),
  ]);
  lines.push(
    `${results.length} scenarios, ${results.length - failed} as expected, ${failed} failed`,
  );
  if (mutations === null) return `${lines.join('\n')}\n`;
  const { goodCalls, tried, survivors } = mutations;
  const listed = survivors.filter(({ expected }) => expected).length;
  for (const { scenario, kind, pointer, change, expected } of survivors) {
    if (!expected) lines.push(`ALLOWED  ${scenario}: ${kind} ${pointer}: ${change}`);
  }
  lines.push(
    `${tried} mutations of ${goodCalls} good calls, ${tried - survivors.length} refused, ` +
      `${listed} allowed as listed, ${survivors.length - listed} allowed`,
  );
  return `${lines.join('\n')}\n`;
}

function junitOf({ results, mutations }: Simulation): string {
  const survivors = (mutations?.survivors ?? []).filter(({ expected }) => !expected);
  return renderJunit(
    'egret simulate',
    results.map((result) => ({
      suite: result.file,
      name: result.name,
      file: result.file,
      line: null,
      seconds: result.ms / 1000,
      failure: failureOf(result, survivors),
      skipped: false,
    })),
  );
}

function failureOf(
  { file, name, problems }: ScenarioResult,
  survivors: NonNullable<Simulation['mutations']>['survivors'],
): string | null {
  const allowed = survivors
    .filter((one) => one.file === file && one.scenario === name)
    .map(({ kind, pointer, change }) => `allowed although mutated: ${kind} ${pointer}: ${change}`);
  const all = [...problems, ...allowed];
  return all.length === 0 ? null : all.join('\n');
}
