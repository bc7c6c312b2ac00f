/**
 * `egret replay`: what a candidate policy would have said about recorded calls. Exit codes: 0 within the thresholds, 1
 * over one of them, 2 wrong use, or nothing could be compared. Shell: reads an audit log, its side files and a policy,
 * writes to standard output and the HTML file.
 */
import { writeFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { linesOf } from '../audit/read-log.ts';
import { printable } from '../audit/report.ts';
import { NO_OPENINGS, openOpenings } from '../author/openings.ts';
import { AuthorError, loadPolicy } from '../author/policy-source.ts';
import { type ReplayReport, replay } from '../author/replay.ts';
import { renderReplay, renderReplayHtml } from '../author/replay-text.ts';
import { ANY_DIFFERENCE, exceeded, parseThresholds, type Threshold } from '../author/threshold.ts';
import { FOUND, numberOption } from './author-verb.ts';
import { progressOf, runVerb } from './kit-verb.ts';

interface Options {
  readonly bundle: string;
  readonly openings?: string;
  readonly missing: 'refuse' | 'ignore';
  readonly failOn: string;
  readonly examples: string;
  readonly html?: string;
  readonly json?: true;
}

export function replayCommand(): Command {
  return new Command('replay')
    .description('decide recorded calls again, with another policy')
    .argument('<audit>', 'audit log folder')
    .requiredOption('--bundle <policy>', 'bundle archive, unpacked bundle or policy repository')
    .option('--openings <directory>', 'side files with what the log has only commitments of')
    .addOption(
      new Option('--missing <how>', 'decisions with values that are not there')
        .choices(['refuse', 'ignore'])
        .default('refuse'),
    )
    .option('--fail-on <thresholds>', 'e.g. newly_allowed>0,newly_denied>5%', ANY_DIFFERENCE)
    .option('--examples <number>', 'kept for each class', '20')
    .option('--html <file>', 'write a page with the report')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nClasses: newly_allowed newly_denied obligation reason error same not_replayable.\n' +
        'Exit codes: 0 within the thresholds, 1 over one of them, 2 wrong use or nothing to compare.',
    )
    .action((audit: string, options: Options) => runVerb('replay', () => run(audit, options)));
}

async function run(audit: string, options: Options): Promise<number> {
  const thresholds = thresholdsOf(options.failOn);
  const examplesMax = numberOption('--examples', options.examples, 0, 10_000);
  const policy = await loadPolicy(options.bundle);
  const openings = options.openings === undefined ? NO_OPENINGS : openOpenings(options.openings);
  const progress = progressOf('decisions');
  const report = replay({
    lines: linesOf(audit),
    openings,
    policy,
    missingAllowed: options.missing === 'ignore',
    examplesMax,
    onDecision: progress.step,
  });
  progress.end();
  openings.close();
  policy.engine.close();
  const over = exceeded(thresholds, report.counts);
  const judged = { report, exceeded: over };
  const json = () => `${JSON.stringify({ ...report, exceeded: over.map(({ text }) => text) })}\n`;
  process.stdout.write(options.json === true ? json() : printable(renderReplay(judged)));
  if (options.html !== undefined) writeFileSync(options.html, renderReplayHtml(judged));
  checkCompared(audit, report, options.openings);
  return over.length === 0 ? 0 : FOUND;
}

/** A comparison of nothing finds nothing, which must not look like a good result. */
function checkCompared(
  audit: string,
  { decisions, counts }: ReplayReport,
  openings: string | undefined,
): void {
  if (decisions === 0)
    throw new AuthorError(`${audit}: found no decision, expected recorded calls`);
  if (decisions === counts.not_replayable) {
    const expected =
      openings === undefined
        ? '--openings with the side files'
        : `values in ${openings}, which are kept for decisions with log contains "full"`;
    throw new AuthorError(
      `${audit}: found no decision that can be replayed, expected ${expected}, or --missing ignore`,
    );
  }
}

function thresholdsOf(text: string): readonly Threshold[] {
  const parsed = parseThresholds(text);
  if (parsed.ok) return parsed.thresholds;
  throw new AuthorError(
    `--fail-on: found ${parsed.part}, expected a class, > and a number or percentage`,
  );
}
