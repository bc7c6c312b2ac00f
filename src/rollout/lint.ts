/**
 * `egret rollout lint`: a policy set as it stands in Git, alone or in a ConfigMap manifest, also among other documents.
 * Errors are the very texts that the controller writes into Events; places are those of the file that was given. Pure.
 */
import {
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseAllDocuments,
  parseDocument,
  type YAMLMap,
} from 'yaml';
import { type WarningCode, warningsOf } from './lint-warning.ts';
import { LABELS } from './objects.ts';
import { POLICY_SET_KEY, readPolicySet } from './policy-set.ts';

export interface LintWarning {
  readonly code: WarningCode;
  /** As a problem: place, path, what is risky. */
  readonly text: string;
}

export interface LintReport {
  /** Policy sets that were found. */
  readonly sets: number;
  readonly problems: readonly string[];
  readonly warnings: readonly LintWarning[];
}

/** The text is no YAML at all, or holds no policy set. */
export class LintUnreadable extends Error {
  override readonly name = 'LintUnreadable';
}

/** A whole file that was given. */
interface Source {
  readonly text: string;
  readonly file: string;
  readonly lines: LineCounter;
}

/** @throws LintUnreadable */
export function lintPolicySets(text: string, file: string): LintReport {
  const lines = new LineCounter();
  const source = { text, file, lines };
  const options = { lineCounter: lines, prettyErrors: false, logLevel: 'silent' } as const;
  const reports = [...parseAllDocuments(text, options)].map((document): LintReport => {
    const [broken] = document.errors;
    if (broken !== undefined) {
      const place = placeOf(source, broken.pos[0]);
      throw new LintUnreadable(`${place}: not valid YAML: ${broken.message}`);
    }
    const root: unknown = document.contents;
    if (!isMap(root)) return NOTHING;
    if (root.get('kind') !== 'PolicySet')
      return join(configMapsIn(root).map((one) => lintObject(one, source)));
    const from = root.range?.[0] ?? 0;
    return lintText(placed(source, from, document.range?.[1] ?? text.length), file).report;
  });
  const report = join(reports);
  if (report.sets > 0) return report;
  throw new LintUnreadable(`${file}: found neither a PolicySet nor a ConfigMap with one`);
}

const NOTHING: LintReport = { sets: 0, problems: [], warnings: [] };

const join = (reports: readonly LintReport[]): LintReport => ({
  sets: reports.reduce((sum, { sets }) => sum + sets, 0),
  problems: reports.flatMap(({ problems }) => problems),
  warnings: reports.flatMap(({ warnings }) => warnings),
});

const placeOf = ({ file, lines }: Source, offset: number) => {
  const { line, col } = lines.linePos(offset);
  return `${file}:${line}:${col}`;
};

/** A part of the file behind so many empty lines that everything keeps its line and column. */
function placed({ text, lines }: Source, from: number, to: number): string {
  const { line, col } = lines.linePos(from);
  return `${'\n'.repeat(line - 1)}${' '.repeat(col - 1)}${text.slice(from, to)}`;
}

/** The ConfigMaps that hold or should hold a set: the document itself, or the items of a List. */
function configMapsIn(root: YAMLMap): YAMLMap[] {
  const items = root.get('items');
  if (isSeq(items)) return items.items.filter(isMap).flatMap(configMapsIn);
  if (root.get('kind') !== 'ConfigMap') return [];
  const marked = root.hasIn(['metadata', 'labels', LABELS.set]);
  return marked || root.hasIn(['data', POLICY_SET_KEY]) ? [root] : [];
}

function lintObject(object: YAMLMap, source: Source): LintReport {
  const at = (path: readonly string[]) => {
    const node = object.getIn(path, true);
    return placeOf(source, isScalar(node) ? (node.range?.[0] ?? 0) : (object.range?.[0] ?? 0));
  };
  const key = ['data', POLICY_SET_KEY];
  const label = object.getIn(['metadata', 'labels', LABELS.set]);
  const node = object.getIn(key, true);
  if (!isScalar(node) || typeof node.value !== 'string') {
    const found = object.hasIn(key) ? 'something else' : 'nothing';
    const problem = `${at(key)}: ${key.join('.')}: found ${found}, expected the text of a PolicySet`;
    return { sets: 1, problems: [problem], warnings: [] };
  }
  const { name, report } = lintScalar(node.value, node, source);
  const labelled = ['metadata', 'labels', LABELS.set];
  if (label === undefined) {
    const text = `${at(labelled)}: ${labelled.join('.')}: without it the controller does not find the set`;
    return join([report, { ...NOTHING, warnings: [{ code: 'no-label', text }] }]);
  }
  if (name === null || name === label) return report;
  const problem = `${at(labelled)}: ${labelled.join('.')}: found ${JSON.stringify(label)}, expected ${JSON.stringify(name)}, the metadata.name of the set`;
  return join([report, { ...NOTHING, problems: [problem] }]);
}

interface TextReading {
  /** As the set calls itself; null when it is wrong. */
  readonly name: string | null;
  readonly report: LintReport;
}

function lintScalar(
  value: string,
  node: { readonly type?: unknown; readonly range?: readonly number[] | null | undefined },
  source: Source,
): TextReading {
  const [from = 0, to = 0] = node.range ?? [];
  const head = source.text.indexOf('\n', from);
  // A literal block keeps its lines, and YAML may be indented as a whole, so its places are those of the file.
  if (node.type === 'BLOCK_LITERAL' && head !== -1 && head < to && !/^(---|\.\.\.)/m.test(value)) {
    return lintText(placed(source, head + 1, to), source.file);
  }
  const { line } = source.lines.linePos(from);
  return lintText(value, `${source.file}:${line}:data[${POLICY_SET_KEY}]`);
}

function lintText(text: string, file: string): TextReading {
  const reading = readPolicySet(text, file);
  if (!reading.ok) {
    return { name: null, report: { sets: 1, problems: reading.problems, warnings: [] } };
  }
  const warnings = warningsOf(reading.value.spec).map(({ code, path, message }) => ({
    code,
    text: `${nearest(text, file, path)}: ${path.join('.')}: ${message}`,
  }));
  return { name: reading.value.metadata.name, report: { sets: 1, problems: [], warnings } };
}

/** Place of what the path names, or of what surrounds it when that is left to its default. */
function nearest(text: string, file: string, path: readonly (string | number)[]): string {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  for (let length = path.length; length >= 0; length -= 1) {
    const node = document.getIn(path.slice(0, length), true) as YAMLMap | undefined;
    const start = node?.range?.[0];
    if (start !== undefined) return placeOf({ text, file, lines }, start);
  }
  return file;
}
