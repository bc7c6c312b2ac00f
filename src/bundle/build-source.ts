/**
 * The sources of a bundle on disk: which files of the given directories belong to it, and under which name each is
 * compiled. Tests stay out. A file nobody would load is left where it is; a link is refused. Shell: owns nothing,
 * reads directories.
 */
import { readdir, readFile } from 'node:fs/promises';
import { basename, join, relative, resolve } from 'node:path';

/** The message names the file or the compiler, what was found and what was expected. */
export class BundleBuildError extends Error {
  override readonly name = 'BundleBuildError';
}

export interface SourceFile {
  /** As the person building wrote it, for messages. */
  readonly file: string;
  /** Where the compiler sees it, relative to the stage. */
  readonly staged: string;
  readonly content: Uint8Array;
}

export interface Sources {
  readonly modules: readonly SourceFile[];
  readonly data: readonly SourceFile[];
  readonly catalogue: SourceFile | null;
  /** Inputs that `egret bundle verify` asks the bundle about. */
  readonly cases: SourceFile | null;
}

const SOURCE_FILES_MAX = 10_000;
const DATA_NAMES: ReadonlySet<string> = new Set(['data.json', 'data.yaml', 'data.yml']);
const CATALOGUE_NAME = 'tools.yaml';
const CASES_NAME = 'cases.json';

/**
 * Reads `*.rego` except `*_test.rego`, `data.json`, `data.yaml` and `data.yml` at any depth, and `tools.yaml` and
 * `cases.json` at the top of a directory.
 * @throws BundleBuildError for a link, two catalogues or files of cases, too many files, or when there is no module at all.
 */
export async function readSources(directories: readonly string[]): Promise<Sources> {
  const files: SourceFile[] = [];
  const taken = new Set<string>();
  for (const directory of directories)
    files.push(...(await filesOf(directory, nameFor(directory, taken))));
  const modules = files.filter(({ staged }) => staged.endsWith('.rego'));
  if (modules.length === 0) {
    throw new BundleBuildError(
      `${directories.join(', ')}: found no Rego module, expected at least one`,
    );
  }
  return {
    modules,
    data: files.filter(({ staged }) => DATA_NAMES.has(basename(staged))),
    catalogue: onlyOne(files, CATALOGUE_NAME, 'catalogue'),
    cases: onlyOne(files, CASES_NAME, 'list of cases'),
  };
}

function onlyOne(files: readonly SourceFile[], name: string, what: string): SourceFile | null {
  const [first = null, second] = files.filter(({ staged }) => basename(staged) === name);
  if (second === undefined) return first;
  throw new BundleBuildError(`${second.file}: found a second ${what}, expected one ${name}`);
}

/** Directories keep their name in the compiled plan; the second of one name gets a number. */
function nameFor(directory: string, taken: Set<string>): string {
  const wanted = basename(resolve(directory));
  let name = wanted;
  for (let copy = 2; taken.has(name); copy += 1) name = `${wanted}-${copy}`;
  taken.add(name);
  return name;
}

async function filesOf(directory: string, name: string): Promise<SourceFile[]> {
  const entries = await listing(directory);
  if (entries.length > SOURCE_FILES_MAX) {
    throw new BundleBuildError(
      `${directory}: found ${entries.length} files, expected at most ${SOURCE_FILES_MAX}`,
    );
  }
  const files: SourceFile[] = [];
  for (const entry of entries) {
    const file = join(entry.parentPath, entry.name);
    const path = relative(directory, file);
    if (!belongs(path) || entry.isDirectory()) continue;
    if (!entry.isFile()) {
      throw new BundleBuildError(`${file}: found a link or a device, expected a plain file`);
    }
    files.push({ file, staged: join('sources', name, path), content: await readFile(file) });
  }
  return files;
}

async function listing(directory: string) {
  try {
    const entries = await readdir(directory, { recursive: true, withFileTypes: true });
    const path = (entry: (typeof entries)[number]) => join(entry.parentPath, entry.name);
    return entries.sort((one, other) => (path(one) < path(other) ? -1 : 1));
  } catch (error) {
    throw new BundleBuildError(`${directory}: cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function belongs(path: string): boolean {
  const name = basename(path);
  if (name.endsWith('.rego')) return !name.endsWith('_test.rego');
  return DATA_NAMES.has(name) || path === CATALOGUE_NAME || path === CASES_NAME;
}
