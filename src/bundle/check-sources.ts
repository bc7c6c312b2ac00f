/**
 * Everything that can be wrong with a policy repository before it is built: Rego, the tool catalogue, YAML policies and
 * data files, each problem with file, line and what was expected. Shell: reads the sources, runs programs.
 */
import { dirname, join } from 'node:path';
import { isNode, LineCounter, parseDocument } from 'yaml';
import { CatalogueError, parseCatalogue } from '../call/catalogue.ts';
import { parseRego, renderRego } from '../decision/rego-value.ts';
import { readSources, type SourceFile, type Sources } from './build-source.ts';
import { libraryDirectory } from './built-in.ts';
import { BundleRefused } from './bundle-error.ts';
import { bundleData } from './data.ts';
import {
  type Finding,
  formatFindings,
  opaFindings,
  regalFindings,
  yamlPolicyErrors,
} from './opa-check.ts';
import { findProgram, opaProgram } from './opa-program.ts';
import { hasLibrary } from './repository.ts';

export interface CheckReport {
  readonly findings: readonly Finding[];
  /** Checks that were not made because their program is missing. */
  readonly skipped: readonly string[];
  /** Files looked at. */
  readonly files: number;
}

/** @throws BundleBuildError when the sources cannot be read or there is no compiler. */
export async function checkSources(directory: string): Promise<CheckReport> {
  const opa = opaProgram();
  const sources = await readSources([directory]);
  const library = hasLibrary(sources) ? [] : [libraryDirectory()];
  const regal = findProgram('regal');
  const [compiled, formatted, linted] = await Promise.all([
    opaFindings(opa, [directory], library),
    formatFindings(opa, [directory]),
    regal === null ? [] : regalFindings(regal, [directory]),
  ]);
  const data = dataFindings(sources);
  const yaml = data.length > 0 ? [] : await yamlFindings(opa, directory, sources);
  const findings = [
    ...compiled,
    ...catalogueFindings(sources),
    ...data,
    ...yaml,
    ...formatted,
    ...linted,
  ];
  const { modules, data: dataFiles, catalogue } = sources;
  return {
    findings: findings.sort(byPlace),
    skipped: regal === null ? ['Regal is not installed, so its rules were not checked'] : [],
    files: modules.length + dataFiles.length + (catalogue === null ? 0 : 1),
  };
}

const byPlace = (a: Finding, b: Finding) =>
  a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1;

function catalogueFindings({ catalogue }: Sources): Finding[] {
  if (catalogue === null) return [];
  try {
    parseCatalogue(Buffer.from(catalogue.content).toString('utf8'), catalogue.file);
    return [];
  } catch (error) {
    if (!(error instanceof CatalogueError)) throw error;
    return error.message.split('\n').map((line) => placed('catalogue', catalogue.file, line));
  }
}

/** `file:line:column: message` taken apart; the reader of the catalogue writes it so. */
function placed(check: Finding['check'], file: string, text: string): Finding {
  const rest = text.startsWith(`${file}:`) ? text.slice(file.length + 1) : text;
  const [, line = '0', column = '0', message = rest] = /^(\d+):(\d+): (.*)$/s.exec(rest) ?? [];
  return { check, file, line: Number(line), column: Number(column), message: message.trim() };
}

/** Path in the bundle, as the compiler sees it: below `sources/<name of the directory>`. */
const pathOf = ({ staged }: SourceFile) => staged.split('/').slice(2).join('/');

/** Every root is fine here: the build says which are allowed. */
function dataFindings({ data }: Sources): Finding[] {
  return data.flatMap((source): Finding[] => {
    try {
      readData(source);
      return [];
    } catch (error) {
      if (!(error instanceof BundleRefused)) throw error;
      return error.errors.map(({ path, found, expected }) => ({
        check: 'data',
        file: source.file,
        line: lineOf(source, path.split('.')),
        column: 0,
        message: `${path === '' ? '' : `${path}: `}found ${found}, expected ${expected}`,
      }));
    }
  });
}

/** JSON text of one data file. @throws BundleRefused */
function readData(source: SourceFile): string {
  const path = pathOf(source);
  const name = path.slice(path.lastIndexOf('/') + 1);
  const text = bundleData(new Map([[`x/${name}`, source.content]]), ['x']);
  const whole = parseRego(text, 'json');
  return renderRego(whole instanceof Map ? (whole.get('x') ?? null) : null);
}

async function yamlFindings(opa: string, directory: string, sources: Sources): Promise<Finding[]> {
  const policies = sources.data.filter((source) =>
    /^yaml\/([^/]+\/)?data\.ya?ml$/.test(pathOf(source)),
  );
  if (policies.length === 0) return [];
  const members = policies.map((source) => {
    const name = dirname(pathOf(source)).replace(/^yaml\/?/, '');
    const content = readData(source);
    // The file at the top holds `policies` itself, the others are below their directory.
    return name === '' ? content.slice(1, -1) : `${JSON.stringify(name)}:${content}`;
  });
  const errors = await yamlPolicyErrors(opa, libraryDirectory(), `{${members.join(',')}}`);
  return errors.map(({ path, found, expected }) => {
    const [named = '', pointer = ''] = path.split('#', 2);
    const source = policies.find((one) => sameFile(pathOf(one), named));
    const keys = pointer.split('/').slice(1);
    const file = source?.file ?? join(directory, named);
    const line = source === undefined ? 0 : lineOf(source, keys);
    const message = `${pointer || '(document)'}: found ${found}, expected ${expected}`;
    return { check: 'yaml', file, line, column: 0, message };
  });
}

/** The library names every YAML file data.yaml. */
const sameFile = (path: string, named: string) => path.replace(/\.yml$/, '.yaml') === named;

/** Line of the deepest part of the path that is there; 0 when nothing is. */
function lineOf({ content }: SourceFile, keys: readonly string[]): number {
  const lines = new LineCounter();
  const document = parseDocument(Buffer.from(content).toString('utf8'), {
    lineCounter: lines,
    logLevel: 'silent',
  });
  if (document.errors[0] !== undefined) return lines.linePos(document.errors[0].pos[0]).line;
  for (let depth = keys.length; depth >= 0; depth--) {
    const path = keys.slice(0, depth).map((key) => (/^\d+$/.test(key) ? Number(key) : key));
    const node = depth === 0 ? document.contents : document.getIn(path, true);
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
  }
  return 0;
}
