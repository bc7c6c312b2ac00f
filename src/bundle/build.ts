/**
 * Builds a bundle from policy sources: Rego modules, data files and a tool catalogue. OPA compiles them, once to WASM
 * and once to a plan, from the same staged files and without optimisation; the result is reproducible to the byte.
 * Trusts its sources: whoever builds a bundle writes the policy. Shell: owns one temporary directory and the compiler
 * processes, and leaves neither behind.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { readArchive } from './archive.ts';
import { writeArchive } from './archive-writer.ts';
import { BundleBuildError, readSources, type SourceFile } from './build-source.ts';
import { refusedUses } from './capabilities.ts';

export interface BuildOptions {
  /** Directories; the path of a file below its directory is its place in the bundle. */
  readonly sources: readonly string[];
  /** Rules to compile as `package/rule`. Default: `egret/decision` and `egret/yaml/errors`. */
  readonly entrypoints?: readonly string[];
  /** Default: `sha256:` and the hash of everything else in the bundle. */
  readonly revision?: string;
  /** What the bundle may define. Default: those of `policies`, `egret`, `config` and `yaml` that it does define. */
  readonly roots?: readonly string[];
  /** Joins `metadata.egret` of the manifest, beside `api_version`. */
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** The compiler. Default: `opa` on PATH. */
  readonly opa?: string;
}

export const DEFAULT_ENTRYPOINTS = ['egret/decision', 'egret/yaml/errors'] as const;
const ROOTS = ['config', 'egret', 'policies', 'yaml'] as const;
const API_VERSION = 'egret.dev/v1';
const COMPILE_TIMEOUT_MS = 60_000;
const MESSAGE_CHARACTERS_MAX = 4000;
const run = promisify(execFile);

/**
 * @returns the bytes of a `.tar.gz` with `policy.wasm`, `plan.json`, `data.json`, `.manifest` and, when a source has
 * one, `tools.yaml`.
 * @throws BundleBuildError naming the source file, what was found and what was expected, or what the compiler said.
 */
export async function buildBundle(options: BuildOptions): Promise<Uint8Array> {
  const { modules, data, catalogue } = await readSources(options.sources);
  const stage = await mkdtemp(join(tmpdir(), 'egret-build-'));
  try {
    await stageFiles(stage, [...modules, ...data]);
    const entrypoints = options.entrypoints ?? DEFAULT_ENTRYPOINTS;
    const opa = options.opa ?? 'opa';
    await checkBuiltins(opa, stage);
    const compile = (target: 'wasm' | 'plan') => compiled(opa, stage, target, entrypoints);
    const [wasm, plan] = await bothOf(compile('wasm'), compile('plan'));
    const dataJson = fileIn(wasm, 'data.json');
    const roots = rootsOf(options.roots ?? ROOTS, modules, dataJson);
    return bundle(options, {
      entrypoints,
      roots,
      files: [
        ['policy.wasm', fileIn(wasm, 'policy.wasm')],
        ['plan.json', fileIn(plan, 'plan.json')],
        ['data.json', dataJson],
        ...(catalogue === null ? [] : [['tools.yaml', catalogue.content] as const]),
      ],
    });
  } finally {
    await rm(stage, { recursive: true, force: true });
  }
}

/** As Promise.all, but no compiler still runs in the stage when it returns. */
async function bothOf<T>(one: Promise<T>, other: Promise<T>): Promise<[T, T]> {
  await Promise.allSettled([one, other]);
  return [await one, await other];
}

interface Parts {
  readonly entrypoints: readonly string[];
  readonly roots: readonly string[];
  readonly files: readonly (readonly [string, Uint8Array])[];
}

function bundle(options: BuildOptions, { entrypoints, roots, files }: Parts): Uint8Array {
  const manifest = (revision: string) =>
    Buffer.from(
      JSON.stringify({
        revision,
        roots,
        wasm: entrypoints.map((entrypoint) => ({ entrypoint, module: 'policy.wasm' })),
        rego_version: 1,
        metadata: { egret: { api_version: API_VERSION, ...options.metadata } },
      }),
    );
  const revision = options.revision ?? contentHash([...files, ['.manifest', manifest('')]]);
  return writeArchive([...files, ['.manifest', manifest(revision)]]);
}

function contentHash(files: readonly (readonly [string, Uint8Array])[]): string {
  const hash = createHash('sha256');
  for (const [name, content] of files) hash.update(`${name}\0${content.length}\0`).update(content);
  return `sha256:${hash.digest('hex')}`;
}

async function stageFiles(stage: string, files: readonly SourceFile[]): Promise<void> {
  for (const { staged, content } of files) {
    await mkdir(dirname(join(stage, staged)), { recursive: true });
    await writeFile(join(stage, staged), content);
  }
}

/** @throws BundleBuildError naming file and line of every builtin that no policy may use. */
async function checkBuiltins(opa: string, stage: string): Promise<void> {
  const sources = join(stage, 'sources');
  let uses: readonly string[];
  try {
    const names = (await readdir(sources)).sort();
    uses = await refusedUses(opa, sources, names, join(stage, 'capabilities.json'));
  } catch (error) {
    throw new BundleBuildError(`opa capabilities: ${compilerMessage(error)}`, { cause: error });
  }
  if (uses.length > 0) throw new BundleBuildError(uses.join('\n').slice(0, MESSAGE_CHARACTERS_MAX));
}

/** Runs the compiler inside the stage, so that no path of this machine reaches the bundle. Returns its files. */
async function compiled(
  opa: string,
  stage: string,
  target: 'wasm' | 'plan',
  entrypoints: readonly string[],
): Promise<ReadonlyMap<string, Uint8Array>> {
  const output = `../${target}.tar.gz`;
  const sources = join(stage, 'sources');
  const rules = entrypoints.flatMap((entrypoint) => ['-e', entrypoint]);
  try {
    const names = (await readdir(sources)).sort();
    const command = ['build', '-t', target, ...rules, '-o', output, ...names];
    await run(opa, command, { cwd: sources, timeout: COMPILE_TIMEOUT_MS, maxBuffer: 1 << 20 });
  } catch (error) {
    throw new BundleBuildError(`opa build -t ${target}: ${compilerMessage(error)}`, {
      cause: error,
    });
  }
  return readArchive(await readFile(join(stage, `${target}.tar.gz`)), `opa build -t ${target}`);
}

function compilerMessage(error: unknown): string {
  const { stderr, stdout, message } = error as {
    stderr?: string;
    stdout?: string;
    message: string;
  };
  return (stderr || stdout || message).trim().slice(0, MESSAGE_CHARACTERS_MAX);
}

function fileIn(files: ReadonlyMap<string, Uint8Array>, name: string): Uint8Array {
  const content = files.get(name);
  if (content === undefined)
    throw new BundleBuildError(`opa build: found no ${name} in its output`);
  return content;
}

/** The roots in use; every package and every piece of data must be below one of those permitted. */
function rootsOf(
  permitted: readonly string[],
  modules: readonly SourceFile[],
  dataJson: Uint8Array,
): string[] {
  const used = new Set<string>();
  const claim = (path: string, place: string) => {
    const root = permitted.find((one) => path === one || path.startsWith(`${one}/`));
    if (root === undefined) {
      throw new BundleBuildError(
        `${place}: found data.${path.replaceAll('/', '.')}, expected it below ${permitted.join(', ')}`,
      );
    }
    used.add(root);
  };
  for (const module of modules) claim(packagePath(module), module.file);
  for (const key of Object.keys(JSON.parse(Buffer.from(dataJson).toString('utf8')) as object)) {
    claim(key, 'data files');
  }
  return [...used].sort();
}

function packagePath({ content, file }: SourceFile): string {
  const name = /^package\s+([\w.]+)/m.exec(Buffer.from(content).toString('utf8'))?.[1];
  if (name === undefined) {
    throw new BundleBuildError(
      `${file}: found no package line, expected one such as policies.name`,
    );
  }
  const path = name.replaceAll('.', '/');
  if (/^policies(\/[^/]+\/|$)/.test(path)) {
    throw new BundleBuildError(`${file}: found package ${name}, expected policies.<name>`);
  }
  return path;
}
