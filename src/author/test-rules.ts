/**
 * The test rules of a Rego module, read from OPA's syntax tree: which rules are tests, where they stand, and the cases
 * of those that have some (`test_x[name] if …`). A compiled rule shows only the cases that hold, so a second rule is
 * written that lists all of them: the body of the test up to the place where the name is known. Pure.
 */
import { z } from 'zod';

export interface TestRule {
  /** `data.` and the package. */
  readonly package: string;
  readonly name: string;
  readonly skipped: boolean;
  readonly file: string;
  readonly line: number;
  /** As `package/rule`. */
  readonly entrypoint: string;
  /** The rule is a map from the names of cases to true. */
  readonly hasCases: boolean;
  /** Lists the names of all cases, each as a list; null when that cannot be told. */
  readonly casesEntrypoint: string | null;
}

export interface TestModule {
  readonly rules: readonly TestRule[];
  /** The module with a name of its own for each test. */
  readonly text: string;
  /** To be written below it: the rules that list cases. */
  readonly caseRules: string;
}

const location = z.object({ row: z.int(), col: z.int(), text: z.string().default('') });
const term = z.looseObject({ type: z.string(), value: z.unknown(), location: location.optional() });
const rule = z.looseObject({
  default: z.boolean().default(false),
  location,
  head: z.looseObject({
    key: term.optional(),
    value: term.optional(),
    args: z.array(term).optional(),
    ref: z.array(term).default([]),
  }),
  body: z.array(z.looseObject({ location })).default([]),
});
const moduleTree = z.object({
  package: z.object({ path: z.array(term) }),
  rules: z.array(rule).default([]),
});

type Rule = z.output<typeof rule>;
type Term = z.output<typeof term>;

const PREFIX = 'test_';
const SKIPPED_PREFIX = 'todo_test_';

/** @param tree what `opa parse --format json --json-include locations` says. @param text the module itself. */
export function testModule(tree: unknown, text: string, file: string): TestModule {
  const { package: own, rules } = moduleTree.parse(tree);
  const path = own.path.slice(1).map(({ value }) => String(value));
  const lines = text.split('\n');
  const found: TestRule[] = [];
  const caseRules: string[] = [];
  const taken = new Map<string, number>();
  for (const one of rules) {
    const name = testName(one);
    if (name === null || one.default || one.head.args !== undefined) continue;
    const skipped = name.startsWith(SKIPPED_PREFIX);
    const copy = (taken.get(name) ?? 0) + 1;
    taken.set(name, copy);
    const rest = one.head.ref.slice(1);
    const hasCases = one.head.key !== undefined && one.head.value !== undefined;
    const renamed = copy > 1 && renameHead(lines, one, name, `${name}__${copy}`);
    const cases = hasCases && !skipped ? caseRule(one, rest, `egret_cases_${found.length}`) : null;
    if (cases !== null) caseRules.push(cases.text);
    found.push({
      package: ['data', ...path].join('.'),
      name: copy > 1 ? `${name}#${String(copy - 1).padStart(2, '0')}` : name,
      skipped,
      file,
      line: one.location.row,
      entrypoint: [...path, renamed ? `${name}__${copy}` : name].join('/'),
      hasCases,
      casesEntrypoint: cases === null ? null : [...path, cases.name].join('/'),
    });
  }
  return { rules: found, text: lines.join('\n'), caseRules: caseRules.join('') };
}

function testName({ head }: Rule): string | null {
  const value = head.ref[0]?.value;
  if (typeof value !== 'string') return null;
  return value.startsWith(PREFIX) || value.startsWith(SKIPPED_PREFIX) ? value : null;
}

/** Two rules of one name are two tests; compiled under one name, one could hide that the other fails. */
function renameHead(lines: string[], { location: { row, col } }: Rule, from: string, to: string) {
  const line = Buffer.from(lines[row - 1] ?? '');
  const at = col - 1;
  if (line.toString('utf8', at, at + from.length) !== from) return false;
  lines[row - 1] = `${line.toString('utf8', 0, at)}${to}${line.toString('utf8', at + from.length)}`;
  return true;
}

function caseRule({ body }: Rule, keys: readonly Term[], name: string) {
  const texts = keys.map(({ location: at }) => textOf(at?.text ?? ''));
  if (texts.length === 0 || texts.includes('')) return null;
  const variables = new Set(keys.flatMap(variablesOf));
  // The last of the places where a variable of the name is first spoken of.
  const known = [...variables].map((variable) =>
    body.findIndex((expression) => variablesOf(expression).includes(variable)),
  );
  if (known.includes(-1)) return null;
  const needed = body.slice(0, Math.max(-1, ...known) + 1);
  const lines = needed.map(({ location: at }) => `\t${textOf(at.text)}\n`);
  const condition = lines.length === 0 ? ' if true' : ` if {\n${lines.join('')}}`;
  return { name, text: `\n${name} contains [${texts.join(', ')}]${condition}\n` };
}

const textOf = (base64: string) => Buffer.from(base64, 'base64').toString();

/** Names of variables anywhere below a node of the tree. */
function variablesOf(node: unknown): readonly string[] {
  if (node === null || typeof node !== 'object') return [];
  const { type, value } = node as { type?: unknown; value?: unknown };
  if (type === 'var' && typeof value === 'string') return [value];
  return Object.values(node).flatMap(variablesOf);
}
