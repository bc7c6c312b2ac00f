/**
 * Policies and their tests as one compiled module, built as bundles are: the same sources, the same compiler, each test
 * an entrypoint. Shell: owns one temporary directory while it compiles, runs the compiler.
 */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { readArchive } from '../bundle/archive.ts';
import { readSources } from '../bundle/build-source.ts';
import { opaOutput, runOpa } from './opa.ts';
import { AuthorError, repositorySources } from './policy-source.ts';
import { type TestModule, type TestRule, testModule } from './test-rules.ts';

export interface CompiledTests {
  readonly rules: readonly TestRule[];
  readonly wasm: Uint8Array;
  /** JSON text of the data of the policies. */
  readonly data: string;
}

interface StagedFile {
  readonly file: string;
  readonly staged: string;
  readonly content: Uint8Array;
}

const FILES_MAX = 10_000;
const WASM_FILE = 'tests.tar.gz';

/** @param only names of tests to keep, as `data.package.test_name`. @throws AuthorError */
export async function compileTests(
  directories: readonly string[],
  only: RegExp | null,
): Promise<CompiledTests> {
  const stage = await mkdtemp(join(tmpdir(), 'egret-test-'));
  try {
    const files = await stagedFiles(directories);
    await writeFiles(stage, files);
    const modules = await testModules(stage, files);
    const all = [...modules.values()].flatMap(({ rules }) => rules);
    const kept = all.filter((rule) => only === null || only.test(`${rule.package}.${rule.name}`));
    const compiled = await compiledWith(stage, modules, kept, files);
    return { ...compiled, rules: compiled.rules };
  } finally {
    await rm(stage, { recursive: true, force: true });
  }
}

/** Line coverage of the policies by their tests, as OPA measures it: its JSON, and which file is which. */
export async function opaCoverage(directories: readonly string[]): Promise<{
  readonly report: unknown;
  readonly fileOf: (staged: string) => string | null;
}> {
  const stage = await mkdtemp(join(tmpdir(), 'egret-test-'));
  try {
    const files = await stagedFiles(directories);
    await writeFiles(stage, files);
    const names = await topNames(stage);
    const text = await opaOutput(
      ['test', '--coverage', '--format', 'json', ...names],
      '',
      join(stage, 'sources'),
    );
    const own = files.filter(({ file }) => isBelow(file, directories));
    const given = new Map(own.map(({ file, staged }) => [relative('sources', staged), file]));
    return { report: JSON.parse(text), fileOf: (staged) => given.get(staged) ?? null };
  } finally {
    await rm(stage, { recursive: true, force: true });
  }
}

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
  for (const { file, staged, content } of files) {
    const text = Buffer.from(content).toString('utf8');
    if (!staged.endsWith('.rego') || !/\btest_/.test(text)) continue;
    const args = [
      'parse',
      '--format',
      'json',
      '--json-include',
      'locations,-comments',
      basename(staged),
    ];
    const { code, stdout, stderr } = await runOpa(args, '', dirname(join(stage, staged)));
    // A module that does not parse is no test yet; the build says what is wrong with it, and where.
    if (code !== 0)
      throw new AuthorError((stderr || stdout).replaceAll(basename(staged), file).trim());
    modules.set(staged, testModule(JSON.parse(stdout), text, file));
  }
  return modules;
}

async function compiledWith(
  stage: string,
  modules: ReadonlyMap<string, TestModule>,
  kept: readonly TestRule[],
  files: readonly StagedFile[],
): Promise<CompiledTests> {
  const run = kept.filter(({ skipped }) => !skipped);
  if (run.length === 0) return { rules: kept, wasm: new Uint8Array(), data: '{}' };
  const withCases = run.flatMap(({ casesEntrypoint: one }) => (one === null ? [] : [one]));
  await writeModules(stage, modules, true);
  const first = await build(stage, [...run.map(({ entrypoint }) => entrypoint), ...withCases]);
  if (first.code === 0) return { rules: kept, ...(await built(stage)) };
  // A list of cases may not compile where its test does; then the tests are run without.
  await writeModules(stage, modules, false);
  const second = await build(
    stage,
    run.map(({ entrypoint }) => entrypoint),
  );
  if (second.code !== 0) throw new AuthorError(withNames(second.stderr || second.stdout, files));
  const rules = kept.map((rule) => ({ ...rule, casesEntrypoint: null }));
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

async function build(stage: string, entrypoints: readonly string[]) {
  const rules = entrypoints.flatMap((entrypoint) => ['-e', entrypoint]);
  // Otherwise whatever uses an entrypoint becomes one, too, and a function cannot be one.
  const command = ['build', '-t', 'wasm', '--prune-unused', ...rules, '-o', `../${WASM_FILE}`];
  return runOpa([...command, ...(await topNames(stage))], '', join(stage, 'sources'));
}

async function built(stage: string): Promise<{ readonly wasm: Uint8Array; readonly data: string }> {
  const files = readArchive(await readFile(join(stage, WASM_FILE)), 'opa build -t wasm');
  const wasm = files.get('policy.wasm');
  if (wasm === undefined) throw new AuthorError('opa build: found no policy.wasm in its output');
  const data = files.get('data.json');
  return { wasm, data: data === undefined ? '{}' : Buffer.from(data).toString('utf8') };
}

/** Names of the stage turned back into those that the person wrote. */
function withNames(text: string, files: readonly StagedFile[]): string {
  let named = text.trim();
  for (const { staged, file } of files) named = named.replaceAll(relative('sources', staged), file);
  return named;
}
