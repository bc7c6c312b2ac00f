// The house rules. Each is one sentence; a broken one names the file and the line.
import assert from 'node:assert/strict';
import { builtinModules } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { REASONS } from '../src/decision/reason.ts';
import { CONTROLLER_METRICS } from '../src/telemetry/controller-metric.ts';
import { EVENTS } from '../src/telemetry/log-event.ts';
import { METRICS, type MetricDeclaration, type Unit } from '../src/telemetry/metric-catalogue.ts';
import { ATTRIBUTES } from '../src/telemetry/semconv.ts';
import { firstComment, impurities, wrongDirections } from './tidy/direction.ts';
import {
  functionsOf,
  importsOf,
  isSource,
  isTest,
  isTypeScript,
  matches,
  readIfThere,
  readTree,
  type SourceFile,
  type Violation,
} from './tidy/source-tree.ts';

const FILE_LINES_MAX = 400;
const FUNCTION_LINES_MAX = 70;

const tree = readTree();
const typeScript = tree.filter(isTypeScript);
const sources = tree.filter(isSource);
const tests = tree.filter(isTest);
const imports = typeScript.flatMap(importsOf);
const importsIn = (file: SourceFile) => imports.filter((one) => one.file === file);

function rule(sentence: string, broken: () => Violation[]): void {
  void test(sentence, () => {
    const violations = broken();
    assert.equal(violations.length, 0, `${sentence}:\n${violations.join('\n')}`);
  });
}

void test('there is something to check', () => {
  assert.ok(sources.length > 5);
  assert.ok(imports.length > 20);
  assert.ok(sources.flatMap(functionsOf).length > 50);
});

rule('imports point downward', () => wrongDirections(imports));

rule('pure files have no input, output, clock or randomness', () =>
  sources.flatMap((file) => impurities(file, importsIn(file))),
);

rule(`files have at most ${FILE_LINES_MAX} lines`, () =>
  typeScript
    .filter(({ lines }) => lines.length - 1 > FILE_LINES_MAX)
    .map(({ path, lines }) => `${path}:${lines.length - 1}: ${lines.length - 1} lines`),
);

rule(`functions have at most ${FUNCTION_LINES_MAX} lines`, () =>
  typeScript.flatMap((file) =>
    functionsOf(file)
      .filter(({ lines }) => lines > FUNCTION_LINES_MAX)
      .map(({ name, line, lines }) => `${file.path}:${line}: ${name} has ${lines} lines`),
  ),
);

rule('no file or folder is a drawer: utils, common, misc, helpers, types, index', () =>
  tree
    .filter(({ path }) =>
      /(^|\/)(utils?|common|misc|helpers?|types|index)(\.[a-z.]+|\/)/i.test(path),
    )
    .filter(({ path }) => !path.endsWith('.md') && !path.endsWith('.html'))
    .map(({ path }) => `${path}:1: a name that says nothing`),
);

rule('file names are kebab-case', () =>
  typeScript
    .filter(({ path }) => !/\/?[a-z0-9]+([-.][a-z0-9]+)*\.ts$/.test(path.split('/').at(-1) ?? ''))
    .map(({ path }) => `${path}:1: expected kebab-case`),
);

rule('nothing is exported as default or passed on from another file', () => [
  ...matches(sources, /^export default\b/, 'default export'),
  ...matches(sources, /^export (type )?(\*|\{[^}]*\}) from/, 'barrel export'),
]);

rule('every source file starts with what it is, and says Pure or Shell: what it owns', () =>
  sources
    .filter(({ text }) => !/\bPure[.,;]|\bShell: /.test(firstComment(text)))
    .map(({ path }) => `${path}:1: expected a first comment with "Pure." or "Shell: owns ..."`),
);

rule('every test file starts with a comment', () =>
  tests
    .filter(({ text }) => firstComment(text) === '')
    .map(({ path }) => `${path}:1: expected a first comment`),
);

rule('every reason code has a row in docs/reason-codes.md', () => {
  const documented = readIfThere('docs/reason-codes.md');
  return Object.keys(REASONS)
    .filter((code) => !documented.includes(`| \`${code}\` |`))
    .map((code) => `docs/reason-codes.md:1: no row for ${code}`);
});

rule('every reason code is named in a test', () => {
  const named = tests.filter(({ path }) => !path.startsWith('test/tidy')).map(({ text }) => text);
  const all = named.join('\n');
  return Object.keys(REASONS)
    .filter((code) => !all.includes(`'${code}'`) && !all.includes(`"${code}"`))
    .map((code) => `src/decision/reason.ts:${lineOf(code)}: no test names ${code}`);
});

rule('every metric has a unit in its name, a help sentence and a row in docs/metrics.md', () => {
  const documented = readIfThere('docs/metrics.md');
  const all = [...Object.values(METRICS), ...Object.values(CONTROLLER_METRICS)];
  return all.flatMap((metric: MetricDeclaration) => [
    ...(fitsUnit(metric) ? [] : [`${metric.name}: the name does not say ${metric.unit}`]),
    ...(/^[A-Z].{10,}\.$/.test(metric.help) ? [] : [`${metric.name}: help is not a sentence`]),
    ...(documented.includes(`\`${metric.name}\``) ? [] : [`docs/metrics.md:1: no ${metric.name}`]),
  ]);
});

rule('every log event and span attribute is in docs/telemetry.md', () => {
  const documented = readIfThere('docs/telemetry.md');
  return [...Object.keys(EVENTS), ...Object.values(ATTRIBUTES)]
    .filter((name) => !documented.includes(`\`${name}\``))
    .map((name) => `docs/telemetry.md:1: no ${name}`);
});

rule('docs/dependencies.md has exactly the dependencies of package.json', () => {
  const rows = readIfThere('docs/dependencies.md').matchAll(/^\| `([^`]+)` \|/gm);
  const documented = new Set([...rows].map((row) => row[1] ?? ''));
  const declared = new Set([...dependencies('dependencies'), ...dependencies('devDependencies')]);
  return [
    ...[...declared]
      .filter((name) => !documented.has(name))
      .map((name) => `docs/dependencies.md:1: no ${name}`),
    ...[...documented]
      .filter((name) => !declared.has(name))
      .map((name) => `package.json:1: no ${name}`),
  ];
});

rule('only declared dependencies are imported, and by src only those for running', () => {
  const running = dependencies('dependencies');
  const all = new Set([...running, ...dependencies('devDependencies')]);
  return imports.flatMap(({ file, line, specifier, target }) => {
    if (target !== null || isBuiltin(specifier)) return [];
    const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
    const declared = file.path.startsWith('src/') ? running : all;
    return declared.has(name) ? [] : [`${file.path}:${line}: ${name} is not declared`];
  });
});

rule('builtin modules are imported by their node: name', () =>
  imports
    .filter(({ specifier }) => !specifier.startsWith('node:') && isBuiltin(specifier))
    .map(({ file, line, specifier }) => `${file.path}:${line}: expected node:${specifier}`),
);

rule('no path of one machine is in a file', () =>
  matches(tree, /(^|[\s'"`(=:])\/(work|root|home)\/[a-z]/, 'a path of one machine'),
);

// In two pieces, so that this file does not break its own rules.
rule('no package registry is named', () =>
  matches(
    tree.filter(({ path }) => path !== '.npmrc'),
    new RegExp(
      ['registry\\.np', 'mjs|registry\\.yar', 'npkg|proxy\\.gol', 'ang\\.org|pypi\\.o', 'rg'].join(
        '',
      ),
    ),
    'a package registry',
  ),
);

rule('no work is left as a note', () =>
  matches(
    tree.filter(({ path }) => path !== 'LICENSE'),
    new RegExp(`\\b(${['TO', 'DO|FIX', 'ME|XX', 'X'].join('')})\\b`),
    'a note about work to do',
  ),
);

rule('no test is run alone, and none is skipped without a reason', () => [
  ...matches(tests, /\b(test|it|describe|suite)\.only\(|\bonly: true/, 'only'),
  ...matches(tests, /\b(test|it|describe|suite)\.(skip|todo)\(|\b(skip|todo): true/, 'no reason'),
]);

rule('README.md and CHANGELOG.md exist', () =>
  ['README.md', 'CHANGELOG.md']
    .filter((path) => readIfThere(path) === '')
    .map((path) => `${path}:1: missing or empty`),
);

const documents = tree.filter(({ path }) => path.endsWith('.md'));
const known = new Set(tree.map(({ path }) => path));

rule('links in documents lead to files', () =>
  documents.flatMap(({ path, lines }) =>
    lines.flatMap((line, index) =>
      [...line.matchAll(/\]\(([^)#\s:]+)(#[^)]*)?\)/g)]
        .map(([, link = '']) => join(dirname(path), link))
        .filter((target) => !known.has(target))
        .map((target) => `${path}:${index + 1}: no ${target}`),
    ),
  ),
);

rule('README.md leads to every document', () => {
  const readme = readIfThere('README.md');
  return documents
    .filter(({ path }) => /^docs\/[^/]+$/.test(path) && !readme.includes(`(${path})`))
    .map(({ path }) => `README.md:1: no link to ${path}`);
});

function dependencies(kind: 'dependencies' | 'devDependencies'): Set<string> {
  const manifest = JSON.parse(readIfThere('package.json')) as Record<string, object | undefined>;
  return new Set(Object.keys(manifest[kind] ?? {}));
}

const isBuiltin = (name: string) => name.startsWith('node:') || builtinModules.includes(name);

function lineOf(text: string): number {
  return readIfThere('src/decision/reason.ts').split(`'${text}'`)[0]?.split('\n').length ?? 1;
}

/** How the names of metrics in a unit end, counters aside, which end in `_total`. */
const ENDINGS: Readonly<Record<Unit, RegExp>> = {
  seconds: /_seconds$/,
  'unix seconds': /_timestamp_seconds$/,
  steps: /_fuel$/,
  calls: /_calls$/,
  tunnels: /_tunnels$/,
  records: /_(records|size)$/,
  files: /_registered$/,
  one: /_(info|phase)$/,
  truth: /_(proven|leader|connected)$/,
  evaluations: /_total$/,
  activations: /_total$/,
  bundles: /_total$/,
  errors: /_total$/,
  items: /_(total|sidecars|requests)$/,
  ratio: /_ratio$/,
};

function fitsUnit({ name, type, unit }: MetricDeclaration): boolean {
  return type === 'counter' ? name.endsWith('_total') : ENDINGS[unit].test(name);
}
