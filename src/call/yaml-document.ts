/**
 * YAML that a person wrote, read against a schema: each problem is one line with file, line, column, path, what was
 * found and what was expected. Aliases are refused, because a small file of them can grow without bound. Pure.
 */
import { LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';

export type YamlReading<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: readonly string[] };

const PROBLEMS_MAX = 20;

/** @param file name for messages only. */
export function readYaml<S extends z.ZodType>(
  text: string,
  file: string,
  schema: S,
): YamlReading<z.output<S>> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const place = (offset: number) => {
    const at = lines.linePos(offset);
    return `${file}:${at.line}:${at.col}`;
  };
  const broken = document.errors[0];
  if (broken !== undefined) {
    return problem(`${place(broken.pos[0])}: not valid YAML: ${broken.message}`);
  }
  const plain = plainValue(document);
  if (!plain.ok) return problem(`${file}: found a YAML alias, expected none`);
  const parsed = schema.safeParse(plain.value);
  if (parsed.success) return { ok: true, value: parsed.data };
  const problems = parsed.error.issues.flatMap(meant).map((issue) => {
    const node = nodeAt(document, issue.path);
    const where = node?.range == null ? file : place(node.range[0]);
    const path = issue.path.length === 0 ? '(document)' : issue.path.map(String).join('.');
    return `${where}: ${path}: ${found(issue, node)}, ${expected(issue)}`;
  });
  return { ok: false, problems: problems.slice(0, PROBLEMS_MAX) };
}

type Issue = z.core.$ZodIssue;

/**
 * The issues of the one alternative that comes nearest to what was written; the issue itself when none is nearer than
 * the others.
 */
function meant(issue: Issue): readonly Issue[] {
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return [issue];
  const counted = issue.errors.map((issues) => ({ issues, count: distance(issues) }));
  const least = Math.min(...counted.map(({ count }) => count));
  const [nearest, second] = counted.filter(({ count }) => count === least);
  if (nearest === undefined || second !== undefined) return [issue];
  return nearest.issues
    .map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] }) as Issue)
    .flatMap(meant);
}

const distance = (issues: readonly Issue[]): number =>
  issues.reduce((sum, one) => sum + (one.code === 'unrecognized_keys' ? one.keys.length : 1), 0);

const problem = (text: string) => ({ ok: false, problems: [text] }) as const;

type YamlDocument = ReturnType<typeof parseDocument>;
interface YamlNode {
  readonly range?: readonly [number, number, number] | null;
  toJSON(): unknown;
}

function plainValue(document: YamlDocument) {
  try {
    return { ok: true, value: document.toJS({ maxAliasCount: 0 }) as unknown } as const;
  } catch {
    return { ok: false } as const;
  }
}

const nodeAt = (document: YamlDocument, path: readonly PropertyKey[]) =>
  (path.length === 0 ? document.contents : document.getIn(path, true)) as YamlNode | undefined;

function found(issue: Issue, node: YamlNode | undefined): string {
  if (issue.code === 'unrecognized_keys') {
    return `found unknown key ${issue.keys.map((key) => JSON.stringify(key)).join(', ')}`;
  }
  const shown = typeof node?.toJSON === 'function' ? JSON.stringify(node.toJSON()) : undefined;
  return `found ${shown?.slice(0, 80) ?? 'nothing'}`;
}

function expected(issue: Issue): string {
  if (issue.code === 'unrecognized_keys') return 'expected only documented keys';
  // An alternative without words of its own: what each part of it wants.
  if (issue.code === 'invalid_union' && issue.message === 'Invalid input') {
    const parts = issue.errors.flatMap(([first]) => (first === undefined ? [] : [expected(first)]));
    if (parts.length > 0)
      return `expected ${parts.map((one) => one.replace(/^expected /, '')).join(' or ')}`;
  }
  return issue.message.replace(/^Invalid (input|option): /, '');
}
