// Reads the project's own files for the house rules: every text file that git would keep, with its lines.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '..', '..');

export interface SourceFile {
  /** Relative to the project, with slashes. */
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
}

/** One broken rule: `file:line: what is wrong`. */
export type Violation = string;

const BINARY = /\.(wasm|gz|tgz|png|ico|eml|bin|zip)$/;
const BYTES_MAX = 2_000_000;

export function readTree(): SourceFile[] {
  return listed()
    .filter((path) => !BINARY.test(path) && path !== 'package-lock.json')
    .filter((path) => isSmallFile(join(ROOT, path)))
    .map((path) => {
      const text = readFileSync(join(ROOT, path), 'utf8');
      return { path, text, lines: text.split('\n') };
    });
}

/** Tracked files and new ones that are not ignored. */
function listed(): string[] {
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  const out = execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', maxBuffer: 64 << 20 });
  return [...new Set(out.split('\0'))].filter(Boolean).toSorted();
}

function isSmallFile(path: string): boolean {
  if (!existsSync(path)) return false;
  const stat = statSync(path);
  return stat.isFile() && stat.size <= BYTES_MAX;
}

/** A file that may not exist yet; empty then. */
export function readIfThere(path: string): string {
  const full = join(ROOT, path);
  return existsSync(full) ? readFileSync(full, 'utf8') : '';
}

export const isSource = ({ path }: SourceFile) => /^src\/.*\.ts$/.test(path);
export const isTest = ({ path }: SourceFile) => /^test\/.*\.ts$/.test(path);
export const isTypeScript = ({ path }: SourceFile) => path.endsWith('.ts');

/** Every line that a pattern matches, as violations. */
export function matches(files: readonly SourceFile[], pattern: RegExp, what: string): Violation[] {
  return files.flatMap(({ path, lines }) =>
    lines.flatMap((line, at) =>
      pattern.test(line) ? [`${path}:${at + 1}: ${what}: ${line.trim().slice(0, 80)}`] : [],
    ),
  );
}

export interface Import {
  readonly file: SourceFile;
  readonly line: number;
  /** As written. */
  readonly specifier: string;
  /** Relative to the project; null for packages and builtins. */
  readonly target: string | null;
  readonly typeOnly: boolean;
}

const IMPORT =
  /^(?:import|export)\s[^'";]*?from\s+'([^']+)'|^import\s+'([^']+)'|\bimport\('([^']+)'\)/gm;

export function importsOf(file: SourceFile): Import[] {
  return [...file.text.matchAll(IMPORT)].map((found) => {
    const specifier = found[1] ?? found[2] ?? found[3] ?? '';
    return {
      file,
      line: file.text.slice(0, found.index).split('\n').length,
      specifier,
      target: specifier.startsWith('.') ? join(file.path, '..', specifier) : null,
      typeOnly: /^(import|export) type\s/.test(found[0]),
    };
  });
}

export interface FunctionSpan {
  readonly name: string;
  /** First line, from 1. */
  readonly line: number;
  readonly lines: number;
}

const OPENERS = [
  /^(\s*)(?:export )?(?:async )?function\*? ?(\w+)/,
  /^(\s*)(?:export )?const (\w+)(?:: [^=]+)? = (?:async )?(?:<.*>)?\(.*$/,
  /^(\s+)(?:static |async |override |get |set )*\*?(#?\w+)(?:<.*>)?\((?:.*\{)?$/,
];
const KEYWORDS = new Set(['if', 'for', 'while', 'switch', 'catch', 'return', 'super', 'test']);

/**
 * Functions of formatted code: each ends at the first line that is indented no deeper than its first one and neither
 * goes on with the signature nor is blank. Good enough for a formatter's output, not a parser.
 */
export function functionsOf({ lines }: SourceFile): FunctionSpan[] {
  return lines.flatMap((line, at) => {
    const found = OPENERS.map((opener) => opener.exec(line)).find((match) => match !== null);
    const [, indent = '', name = ''] = found ?? [];
    if (found === undefined || KEYWORDS.has(name) || /;$|\}[;,)]*$/.test(line)) return [];
    const rest = lines.slice(at + 1);
    const more = rest.findIndex((other) => endsAt(other, indent.length));
    if (more === -1) return [];
    const closes = /^\s*[)}\]]/.test(rest[more] ?? '');
    const body = rest.slice(0, closes ? more + 1 : more);
    return [{ name, line: at + 1, lines: 2 + body.findLastIndex((other) => other !== '') }];
  });
}

function endsAt(line: string, indent: number): boolean {
  const depth = line.search(/\S/);
  const goesOnWithSignature = /^\s*[)}\]].*(\{|=>|\()$/.test(line);
  return depth !== -1 && depth <= indent && !goesOnWithSignature;
}
