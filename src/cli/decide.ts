/**
 * `egret decide`: what a policy says about one call that is written down. Exit codes: 0 allowed, 1 not allowed, 2 wrong
 * use. Shell: reads a policy and one document, writes to standard output.
 */
import { Command } from 'commander';
import { printable } from '../audit/report.ts';
import { anything, readDocument } from '../author/document.ts';
import { AuthorError, loadPolicy } from '../author/policy-source.ts';
import { reviewInput } from '../author/review-input.ts';
import { registered } from '../author/uploads.ts';
import { reviewResponse } from '../control/review.ts';
import { decide } from '../decision/decide.ts';
import type { Verdict } from '../decision/verdict.ts';
import { FOUND, guarded } from './author-verb.ts';

export function decideCommand(): Command {
  return new Command('decide')
    .description('decide about one call that is written down')
    .argument('<policy>', 'bundle archive, unpacked bundle or policy repository')
    .argument('<input>', 'ToolCallReview, JSON or YAML; - for standard input')
    .option('--json', 'print the review with its response')
    .addHelpText(
      'after',
      '\nFacts such as agent, time and the source of attachments are taken from the review.\n' +
        'Exit codes: 0 allowed, 1 not allowed, 2 wrong use or unreadable input.',
    )
    .action((policy: string, input: string, { json }: { json?: true }) =>
      guarded('decide', () => run(policy, input, json === true)),
    );
}

async function run(path: string, file: string, json: boolean): Promise<number> {
  const policy = await loadPolicy(path);
  const document = readDocument(file, anything);
  const given = reviewInput(document, {}, registered({}, file));
  if (!given.ok)
    throw new AuthorError(`${file === '-' ? 'standard input' : file}: ${given.detail}`);
  const verdict = decide(policy, given.input, () => performance.now());
  policy.engine.close();
  process.stdout.write(
    json
      ? `${JSON.stringify(reviewResponse(given.input.uid, verdict))}\n`
      : printable(rendered(verdict)),
  );
  return verdict.outcome === 'allow' ? 0 : FOUND;
}

function rendered({ outcome, reason, message, reasons, obligations, warnings, policy }: Verdict) {
  const lines = [
    `${outcome}  ${reason}`,
    `  ${message}`,
    ...reasons.map(
      ({ policy: name, rule, code, message: why }) => `  ${name}.${rule}  ${code}  ${why}`,
    ),
    ...obligations.map((obligation) => `  obligation ${JSON.stringify(obligation)}`),
    ...warnings.map((warning) => `  warning ${warning}`),
    `  policy revision ${policy?.revision ?? '-'}`,
  ];
  return lines.map((line) => `${line.replaceAll('\n', ' ')}\n`).join('');
}
