/**
 * `egret suggest`: a starter policy and a catalogue from what an audit log has seen. Exit codes: 0 the suggestion allows
 * exactly what went through, 1 it does not, 2 wrong use. Shell: reads an audit log and its side files, writes the
 * suggestion, runs the compiler to check it.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Command } from 'commander';
import { linesOf } from '../audit/read-log.ts';
import { printable } from '../audit/report.ts';
import { formatRego } from '../author/opa.ts';
import { NO_OPENINGS, openOpenings } from '../author/openings.ts';
import { AuthorError, loadPolicy } from '../author/policy-source.ts';
import {
  type Agreement,
  agreement,
  type Observed,
  observe,
  type RecordedLog,
} from '../author/suggest.ts';
import { type Suggestion, suggestionOf } from '../author/suggestion.ts';
import { FOUND } from './author-verb.ts';
import { progressOf, runVerb } from './kit-verb.ts';

interface Options {
  readonly openings?: string;
  readonly out?: string;
  readonly json?: true;
}

export function suggestCommand(): Command {
  return new Command('suggest')
    .description('write a policy that allows what an audit log has seen, to be reviewed')
    .argument('<audit>', 'audit log folder')
    .option('--openings <directory>', 'side files with what the log has only commitments of')
    .option('--out <directory>', 'a new directory for the policy; default: print it')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nThe log is decided again with the suggestion before it is shown.\n' +
        'Exit codes: 0 it allows exactly what went through, 1 it does not, 2 wrong use or unreadable input.',
    )
    .action((audit: string, options: Options) => runVerb('suggest', () => run(audit, options)));
}

async function run(audit: string, { openings: side, out, json }: Options): Promise<number> {
  if (out !== undefined && existsSync(out) && readdirSync(out).length > 0) {
    throw new AuthorError(`${out}: found files, expected a new or empty directory`);
  }
  const openings = side === undefined ? NO_OPENINGS : openOpenings(side);
  const log = { lines: () => linesOf(audit), openings };
  const progress = progressOf('decisions');
  const observed = observe(log, progress.step);
  progress.end();
  const suggestion = await formatted(suggestionOf(observed.tools));
  if (suggestion.tools.length === 0) {
    throw new AuthorError(`${audit}: found no call that went through, expected at least one`);
  }
  const checked = await checkedAgainst(log, suggestion);
  openings.close();
  if (out !== undefined) writeSuggestion(out, suggestion);
  const { decisions, incomplete, unrecognised } = observed;
  const counts = { decisions, incomplete, unrecognised };
  if (json === true)
    process.stdout.write(`${JSON.stringify({ ...counts, ...suggestion, checked })}\n`);
  else {
    if (out === undefined) process.stdout.write(printed(suggestion));
    process.stderr.write(printable(summary(observed, suggestion, checked)));
  }
  return checked.wrong.length === 0 ? 0 : FOUND;
}

/** As `opa fmt` writes it, so that the repository it goes into passes its checks. */
async function formatted(suggestion: Suggestion): Promise<Suggestion> {
  return { ...suggestion, rego: await formatRego(suggestion.rego) };
}

/** Files of the suggestion by their place in a policy repository. */
const filesOf = ({ rego, catalogue }: Suggestion): readonly (readonly [string, string])[] => [
  ['policies/suggested.rego', rego],
  ...(catalogue === null ? [] : [['tools.yaml', catalogue] as const]),
];

function writeSuggestion(directory: string, suggestion: Suggestion): void {
  for (const [name, text] of filesOf(suggestion)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
}

const printed = (suggestion: Suggestion): string =>
  filesOf(suggestion)
    .map(([name, text]) => `# --- ${name}\n${text}`)
    .join('\n');

async function checkedAgainst(log: RecordedLog, suggestion: Suggestion): Promise<Agreement> {
  const directory = mkdtempSync(join(tmpdir(), 'egret-suggest-'));
  try {
    writeSuggestion(directory, suggestion);
    const policy = await loadPolicy(directory);
    const result = agreement(log, policy);
    policy.engine.close();
    return result;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function summary(observed: Observed, { tools }: Suggestion, checked: Agreement): string {
  const { decisions, incomplete, unrecognised } = observed;
  const { through, refused, wrong } = checked;
  const lines = [
    `${decisions} decisions: ${through} went through, ${refused} were refused, ${unrecognised} never reached policy`,
    ...tools.map(
      (one) => `  ${one.tool}  ${one.allowed} through, ${one.refused} refused  ${one.width}`,
    ),
  ];
  if (incomplete > 0) {
    lines.push(`  ${incomplete} without all values; give --openings to restrict them, too`);
  }
  for (const { decision_id: id, tool, allowed } of wrong) {
    lines.push(
      `  ${allowed ? 'allowed, but was refused' : 'refused, but went through'}: ${tool} ${id}`,
    );
  }
  lines.push(
    wrong.length === 0 ? 'the suggestion allows exactly what went through' : 'review these',
  );
  return `${lines.join('\n')}\n`;
}
