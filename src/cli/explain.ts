/**
 * `egret explain`: why a policy decides about one call as it does. The policy engine gives the verdict, the plan engine
 * the reasons; a bundle on which they differ is not explained. Exit codes: 0 allowed, 1 not allowed, 2 wrong use.
 * Shell: reads a policy, its sources and one document, writes to standard output.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Command } from 'commander';
import { printable } from '../audit/report.ts';
import { anything, readDocument } from '../author/document.ts';
import { AuthorError, type LoadedPolicy, loadPolicy } from '../author/policy-source.ts';
import { reviewInput } from '../author/review-input.ts';
import { registered } from '../author/uploads.ts';
import { libraryDirectory } from '../bundle/built-in.ts';
import { bundleData } from '../bundle/data.ts';
import { MANIFEST_FILE, parseManifest } from '../bundle/manifest.ts';
import type { PolicyInput } from '../decision/input.ts';
import { OBLIGATION_KINDS } from '../decision/obligation.ts';
import { parseRego } from '../decision/rego-value.ts';
import type { Verdict } from '../decision/verdict.ts';
import { verdictOf } from '../decision/verdict-from-result.ts';
import type { Sources } from '../plan/explain-source.ts';
import { type Explanation, explain } from '../plan/explanation.ts';
import { parsePlan } from '../plan/plan.ts';
import { FOUND } from './author-verb.ts';
import { renderExplanation } from './explain-text.ts';
import { runVerb } from './kit-verb.ts';

interface Options {
  readonly source: readonly string[];
  readonly all?: true;
  readonly json?: true;
}

const PLAN_FILE = 'plan.json';
const SOURCE_FILES_MAX = 10_000;

export function explainCommand(): Command {
  return new Command('explain')
    .description('why a policy decides about one call as it does')
    .argument('<policy>', 'bundle archive, unpacked bundle or policy repository')
    .argument('<input>', 'ToolCallReview, JSON or YAML; - for standard input')
    .option('--source <directory...>', 'where the Rego sources lie, when the bundle has none', [])
    .option('--all', 'also rules of which nothing held')
    .option('--json', 'print the explanation as JSON')
    .addHelpText(
      'after',
      '\nExit codes: 0 allowed, 1 not allowed, 2 wrong use or unreadable input.',
    )
    .action((policy: string, input: string, options: Options) =>
      runVerb('explain', () => run(policy, input, options)),
    );
}

async function run(path: string, file: string, options: Options): Promise<number> {
  const policy = await loadPolicy(path);
  try {
    const given = reviewInput(readDocument(file, anything), {}, registered({}, file));
    const name = file === '-' ? 'standard input' : file;
    if (!given.ok) throw new AuthorError(`${name}: ${given.detail}`);
    const sources = sourcesOf(policy, options.source);
    const { verdict, explanation } = explained(policy, given.input, sources);
    process.stdout.write(
      options.json === true
        ? `${JSON.stringify(asJson(verdict, explanation))}\n`
        : printable(renderExplanation(verdict, explanation, options.all === true)),
    );
    return verdict.outcome === 'allow' ? 0 : FOUND;
  } finally {
    policy.engine.close();
  }
}

function explained(policy: LoadedPolicy, input: PolicyInput, sources: Sources) {
  const plan = policy.files.get(PLAN_FILE);
  if (plan === undefined) {
    throw new AuthorError(
      `${policy.path}: found no ${PLAN_FILE}, expected a bundle built with one: egret bundle build`,
    );
  }
  const { dialect, engine, ref } = policy;
  const text = dialect.render(input, null);
  const { roots } = parseManifest(policy.files.get(MANIFEST_FILE));
  const evaluation = engine.evaluate(text, input.time_ns);
  const explanation = explain({
    plan: parsePlan(Buffer.from(plan).toString()),
    entrypoint: dialect.entrypoint,
    input: parseRego(text, 'json'),
    data: parseRego(bundleData(policy.files, roots), 'json'),
    timeNs: input.time_ns,
    sources,
  });
  const verdict = verdictOf(dialect.answer(evaluation), ref, 0, OBLIGATION_KINDS);
  const said = dialect.answer(explanation.evaluation);
  const planned = verdictOf(said, ref, 0, OBLIGATION_KINDS);
  if (!isDeepStrictEqual({ ...planned, fuel: 0 }, { ...verdict, fuel: 0 })) {
    throw new AuthorError(
      `${policy.path}: found a ${PLAN_FILE} that says ${planned.outcome} (${planned.reason}) where policy.wasm says ` +
        `${verdict.outcome} (${verdict.reason}), expected both to be built from the same sources`,
    );
  }
  return { verdict, explanation };
}

/** Those of the bundle come first, then the given ones, the repository itself, and the library. */
function sourcesOf(policy: LoadedPolicy, directories: readonly string[]): Sources {
  const sources = new Map<string, string>();
  for (const [name, bytes] of policy.files) {
    if (name.endsWith('.rego')) sources.set(name, Buffer.from(bytes).toString());
  }
  for (const directory of directories) {
    if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true) {
      throw new AuthorError(`--source: found no directory ${directory}, expected one`);
    }
    addSources(sources, directory);
  }
  if (statSync(policy.path).isDirectory()) addSources(sources, policy.path);
  addSources(sources, libraryDirectory());
  return sources;
}

function addSources(sources: Map<string, string>, directory: string): void {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  for (const name of names.filter((one) => one.endsWith('.rego'))) {
    const path = join(basename(resolve(directory)), name);
    if (sources.has(path)) continue;
    if (sources.size >= SOURCE_FILES_MAX) {
      throw new AuthorError(`${directory}: found more Rego files, expected ${SOURCE_FILES_MAX}`);
    }
    sources.set(path, readFileSync(join(directory, name), 'utf8'));
  }
}

function asJson(verdict: Verdict, explanation: Explanation) {
  const { outcome, reason, message, policy } = verdict;
  const { fired, almost, missed, suggestions } = explanation;
  return {
    verdict: { outcome, reason, message, revision: policy?.revision ?? null },
    fired,
    almost,
    missed,
    suggestions: outcome === 'allow' ? [] : suggestions,
  };
}
