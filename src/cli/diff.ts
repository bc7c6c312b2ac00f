/**
 * `egret diff`: where two policies give different answers. Exit codes: 0 no difference was met, 1 there are some, 2
 * wrong use. Shell: reads policies and perhaps an audit log, writes to standard output.
 */
import { Command } from 'commander';
import { linesOf } from '../audit/read-log.ts';
import { printable } from '../audit/report.ts';
import { DIFF_CLASSES, type DiffReport, diff, type RecordedInput } from '../author/diff.ts';
import { type InputReads, inputReads, PLAN_FILE } from '../author/input-reads.ts';
import { NO_OPENINGS, type Openings, openOpenings } from '../author/openings.ts';
import { type LoadedPolicy, loadPolicy } from '../author/policy-source.ts';
import { fitting, recordedDecision, restoredInput } from '../author/recorded.ts';
import type { Said } from '../rollout/difference.ts';
import { FOUND, numberOption } from './author-verb.ts';
import { progressOf, runVerb } from './kit-verb.ts';

interface Options {
  readonly audit?: string;
  readonly openings?: string;
  readonly count: string;
  readonly seed: string;
  readonly json?: true;
}

export function diffCommand(): Command {
  return new Command('diff')
    .description('show where two policies give different answers')
    .argument('<before>', 'bundle archive, unpacked bundle or policy repository')
    .argument('<after>', 'the same')
    .option('--audit <directory>', 'also compare over the recorded decisions of an audit log')
    .option('--openings <directory>', 'side files of the audit log')
    .option('--count <number>', 'inputs to generate', '5000')
    .option('--seed <number>', 'seed of the generated inputs', '1')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nGenerated inputs are drawn from the tools, texts and numbers that the two policies speak of.\n' +
        'Exit codes: 0 no difference was met, 1 there are differences, 2 wrong use or unreadable input.',
    )
    .action((before: string, after: string, options: Options) =>
      runVerb('diff', () => run(before, after, options)),
    );
}

async function run(beforePath: string, afterPath: string, options: Options): Promise<number> {
  const count = numberOption('--count', options.count, 0, 100_000_000);
  const seed = numberOption('--seed', options.seed, 0, 2 ** 32 - 1);
  const [before, after] = [await loadPolicy(beforePath), await loadPolicy(afterPath)];
  const openings = options.openings === undefined ? NO_OPENINGS : openOpenings(options.openings);
  const recorded =
    options.audit === undefined ? [] : inputsOf(options.audit, openings, [before, after]);
  const progress = progressOf('inputs');
  const report = diff({ before, after, recorded, count, seed, onInput: progress.step });
  progress.end();
  openings.close();
  before.engine.close();
  after.engine.close();
  const json = () => `${JSON.stringify({ seed, ...report })}\n`;
  process.stdout.write(options.json === true ? json() : printable(rendered(report)));
  return report.counts.same === report.recorded + report.generated ? 0 : FOUND;
}

/** What can be decided again; the rest cannot show a difference. */
function* inputsOf(
  audit: string,
  openings: Openings,
  policies: readonly LoadedPolicy[],
): Generator<RecordedInput> {
  const each = policies.map(({ files }) => inputReads(files.get(PLAN_FILE)));
  const mayRead: InputReads['mayRead'] = (path) => each.some((one) => one.mayRead(path));
  const asking = { reads: { mayRead }, missingAllowed: false };
  for (const line of linesOf(audit)) {
    const decision = recordedDecision(line);
    if (decision === null) continue;
    const values = fitting(decision, openings.of(decision.index));
    const restored = restoredInput(decision, values, asking);
    if (restored.ok) yield { id: decision.id, input: restored.input };
  }
}

function rendered({ before, after, recorded, generated, counts, examples }: DiffReport): string {
  const lines = [
    `before ${before}`,
    `after  ${after}`,
    `${recorded} recorded and ${generated} generated inputs`,
    ...DIFF_CLASSES.map((name) => `  ${name.padEnd(14)}${String(counts[name]).padStart(8)}`),
  ];
  for (const name of DIFF_CLASSES) {
    const example = examples[name];
    if (example === undefined) continue;
    const { source, decision_id: id, input } = example;
    const what = source === 'recorded' ? `decision ${id}` : callText(input ?? '{}');
    lines.push(`${name}, for example ${what}`);
    lines.push(`  before ${saidText(example.before)}`, `  after  ${saidText(example.after)}`);
  }
  return `${lines.join('\n')}\n`;
}

/** The parts of a generated input that say something; --json has all of it. */
function callText(input: string): string {
  const {
    tool,
    arguments: args,
    attachments,
    destination,
    agent,
    environment,
    time,
  } = JSON.parse(input) as Record<
    'tool' | 'arguments' | 'attachments' | 'destination' | 'agent',
    Record<string, unknown>
  > &
    Record<'environment' | 'time', string>;
  const { name, server } = tool;
  const { host } = destination;
  const call = { tool: { name, server }, arguments: args, attachments, host, agent: agent['id'] };
  return JSON.stringify({ ...call, environment, time });
}

const saidText = ({ outcome, reason, rules, obligationsWhole, obligations }: Said) =>
  [`${outcome} ${reason}`, ...rules, ...(obligations.length > 0 ? [obligationsWhole] : [])].join(
    ', ',
  );
