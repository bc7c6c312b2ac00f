/**
 * Policies and their tests as one compiled module, built as bundles are: the same sources, the same compiler, each test
 * an entrypoint. Shell: owns one temporary directory while it compiles, runs the compiler.
 */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { readArchive } from '../bundle/archive.ts';
import { readSources } from '../bundle/build-source.ts';
import { type Plan, parsePlan } from '../plan/plan.ts';
import type { CountedFile } from './coverage.ts';
import { COVERAGE_ENTRYPOINT, coverageModule } from './coverage-module.ts';
import { runOpa } from './opa.ts';
import { AuthorError, repositorySources } from './policy-source.ts';
import { type TestModule, type TestRule, testModule } from './test-rules.ts';

export interface CompiledTests {
  readonly rules: readonly TestRule[];
  readonly wasm: Uint8Array;
  /** JSON text of the data of the policies. */
  readonly data: string;
  /** The same tests and all rules of the policies for the plan engine; null unless it was asked for. */
  readonly plan: TestPlan | null;
}

export interface TestPlan {
  readonly plan: Plan;
  /** The policies of the author, by the names that the plan has for them. */
  readonly policies: ReadonlyMap<string, CountedFile>;
}

interface StagedFile {
  readonly file: string;
  readonly staged: string;
  readonly content: Uint8Array;
}

const FILES_MAX = 10_000;
const COVERAGE_FILE = 'egret-coverage.rego';

/**
 * @param only names of tests to keep, as `data.package.test_name`.
 * @param withPlan whether the tests are to be planned, too, which takes about as long again.
 * @throws AuthorError
 */
export async function compileTests(
  directories: readonly string[],
  only: RegExp | null,
  withPlan = false,
): Promise<CompiledTests> {
  const stage = await mkdtemp(join(tmpdir(), 'egret-test-'));
  try {
    const files = await stagedFiles(directories);
    await writeFiles(stage, files);
    const modules = await testModules(stage, files);
    const all = [...modules.values()].flatMap(({ rules }) => rules);
    const kept = all.filter((rule) => only === null || only.test(`${rule.package}.${rule.name}`));
    const compiled = await compiledWith(stage, modules, kept, files);
    if (!withPlan) return { ...compiled, plan: null };
    const policies = files.filter((file) => isPolicy(file) && isBelow(file.file, directories));
    return { ...compiled, plan: await planned(stage, compiled.rules, policies, files) };
  } finally {
    await rm(stage, { recursive: true, force: true });
  }
}

const isPolicy = ({ staged }: StagedFile) =>
  staged.endsWith('.rego') && !staged.endsWith('_test.rego');

const isBelow = (file: string, directories: readonly string[]) =>
  directories.some((directory) => resolve(file).startsWith(`${resolve(directory)}/`));

/** The library is taken along unless the directories hold one; its own tests are not. */
async function stagedFiles(directories: readonly string[]): Promise<readonly StagedFile[]> {
  const { modules, data } = await readSources(await repositorySources(directories));
  const tests: StagedFile[] = [];
  for (const [number, directory] of directories.entries()) {
    tests.push(...(await testFiles(directory, join('sources', `tests-${number + 1}`))));
  }
  return [...modules, ...data, ...tests];
}

async function testFiles(directory: string, stage: string): Promise<readonly StagedFile[]> {
  const names = (await readdir(directory, { recursive: true })).filter((name) =>
    name.endsWith('_test.rego'),
  );
  if (names.length > FILES_MAX) {
    throw new AuthorError(
      `${directory}: found ${names.length} tests, expected at most ${FILES_MAX}`,
    );
  }
  return Promise.all(
    names.sort().map(async (name) => {
      const file = join(directory, name);
      return { file, staged: join(stage, name), content: await readFile(file) };
    }),
  );
}

async function writeFiles(stage: string, files: readonly StagedFile[]): Promise<void> {
  for (const { staged, content } of files) {
    await mkdir(dirname(join(stage, staged)), { recursive: true });
    await writeFile(join(stage, staged), content);
  }
}

const topNames = async (stage: string) => (await readdir(join(stage, 'sources'))).sort();

/** Every module that speaks of tests, by its place in the stage. */
async function testModules(
  stage: string,
  files: readonly StagedFile[],
): Promise<ReadonlyMap<string, TestModule>> {
  const modules = new Map<string, TestModule>();
  for (const source of files) {
    const { file, staged } = source;
    const text = textOf(source);
    if (!staged.endsWith('.rego') || !/\b(todo_)?test_/.test(text)) continue;
    modules.set(staged, testModule(await parsed(stage, source), text, file));
  }
  return modules;
}

const textOf = ({ content }: StagedFile) => Buffer.from(content).toString('utf8');

/** OPA's syntax tree. A module that has none is an error of its author, with the author's name for the file. */
async function parsed(stage: string, { file, staged }: StagedFile): Promise<unknown> {
  const options = ['--format', 'json', '--json-include', 'locations,-comments'];
  const args = ['parse', ...options, basename(staged)];
  const { code, stdout, stderr } = await runOpa(args, '', dirname(join(stage, staged)));
  if (code === 0) return JSON.parse(stdout);
  throw new AuthorError((stderr || stdout).replaceAll(basename(staged), file).trim());
}

type CompiledWasm = Omit<CompiledTests, 'plan'>;

async function compiledWith(
  stage: string,
  modules: ReadonlyMap<string, TestModule>,
  kept: readonly TestRule[],
  files: readonly StagedFile[],
): Promise<CompiledWasm> {
  const run = kept.filter(({ skipped }) => !skipped);
  if (run.length === 0) return { rules: kept, wasm: new Uint8Array(), data: '{}' };
  await writeModules(stage, modules, true);
  const first = await build(stage, 'wasm', entrypointsOf(run));
  if (first.code === 0) return { rules: kept, ...(await built(stage)) };
  // A list of cases may not compile where its test does; then the tests are run without.
  await writeModules(stage, modules, false);
  const rules = kept.map((rule) => ({ ...rule, casesEntrypoint: null }));
  const second = await build(stage, 'wasm', entrypointsOf(rules));
  if (second.code !== 0) throw new AuthorError(withNames(second.stderr || second.stdout, files));
  return { rules, ...(await built(stage)) };
}

async function writeModules(
  stage: string,
  modules: ReadonlyMap<string, TestModule>,
  cases: boolean,
): Promise<void> {
  for (const [staged, { text, caseRules }] of modules) {
    await writeFile(join(stage, staged), cases ? text + caseRules : text);
  }
}

/** The same modules as a plan, with one beside them that makes it hold what no test asks for. */
async function planned(
  stage: string,
  rules: readonly TestRule[],
  policies: readonly StagedFile[],
  files: readonly StagedFile[],
): Promise<TestPlan> {
  const trees: unknown[] = [];
  for (const policy of policies) trees.push(await parsed(stage, policy));
  await writeFile(join(stage, 'sources', COVERAGE_FILE), coverageModule(trees));
  const { code, stdout, stderr } = await build(stage, 'plan', [
    ...entrypointsOf(rules),
    COVERAGE_ENTRYPOINT,
  ]);
  if (code !== 0) throw new AuthorError(withNames(stderr || stdout, files));
  const plan = parsePlan(textIn(await outputOf(stage, 'plan'), 'plan.json'));
  const counted = (policy: StagedFile) =>
    [
      relative('sources', policy.staged),
      { file: policy.file, lines: textOf(policy).split('\n').length },
    ] as const;
  return { plan, policies: new Map(policies.map(counted)) };
}

const entrypointsOf = (rules: readonly TestRule[]) =>
  rules
    .filter(({ skipped }) => !skipped)
    .flatMap(({ entrypoint, casesEntrypoint: cases }) =>
      cases === null ? [entrypoint] : [entrypoint, cases],
    );

type Target = 'wasm' | 'plan';

async function build(stage: string, target: Target, entrypoints: readonly string[]) {
  const rules = entrypoints.flatMap((entrypoint) => ['-e', entrypoint]);
  // Otherwise whatever uses an entrypoint becomes one, too, and a function cannot be one.
  const options = ['-t', target, '--prune-unused', ...rules, '-o', `../${target}.tar.gz`];
  const sources = join(stage, 'sources');
  return runOpa(['build', ...options, ...(await topNames(stage))], '', sources);
}

const outputOf = async (stage: string, target: Target) =>
  readArchive(await readFile(join(stage, `${target}.tar.gz`)), `opa build -t ${target}`);

async function built(stage: string): Promise<{ readonly wasm: Uint8Array; readonly data: string }> {
  const files = await outputOf(stage, 'wasm');
  const wasm = files.get('policy.wasm');
  if (wasm === undefined) throw new AuthorError('opa build: found no policy.wasm in its output');
  return { wasm, data: files.has('data.json') ? textIn(files, 'data.json') : '{}' };
}

function textIn(files: ReadonlyMap<string, Uint8Array>, name: string): string {
  const content = files.get(name);
  if (content === undefined) throw new AuthorError(`opa build: found no ${name} in its output`);
  return Buffer.from(content).toString('utf8');
}

/** Names of the stage turned back into those that the person wrote. */
function withNames(text: string, files: readonly StagedFile[]): string {
  let named = text.trim();
  for (const { staged, file } of files) named = named.replaceAll(relative('sources', staged), file);
  return named;
}
