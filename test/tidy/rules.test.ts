// The house rules can fail: each reader of source finds what it is meant to find.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { firstComment, impurities, wrongDirections } from './direction.ts';
import { functionsOf, importsOf, matches, type SourceFile } from './source-tree.ts';

function file(path: string, text: string): SourceFile {
  return { path, text, lines: text.split('\n') };
}

const body = (lines: number) => Array.from({ length: lines }, () => '  work();').join('\n');

test('the lines of functions, arrows and methods are counted, whatever their signature', () => {
  const text = [
    `export async function plain() {\n${body(3)}\n}`,
    `function wide(\n  a: string,\n): void {\n${body(4)}\n}`,
    `const arrow = (a: string) => {\n${body(2)}\n};`,
    `const short = (a: string) =>\n  a.trim();`,
    `class Owner {\n  method(a: string): void {\n    work();\n  }\n}`,
    `if (a) {\n${body(90)}\n}`,
  ].join('\n\n');
  const found = functionsOf(file('src/a.ts', text)).map(({ name, lines }) => [name, lines]);
  assert.deepEqual(found, [
    ['plain', 5],
    ['wide', 8],
    ['arrow', 4],
    ['short', 2],
    ['method', 3],
  ]);
});

test('imports on one line, on many, for types only, for effect and dynamic ones are found', () => {
  const text = [
    "import { a } from '../decision/reason.ts';",
    "import type { B } from 'pino';",
    "import {\n  c,\n  d,\n} from './d.ts';",
    "import 'node:fs';",
    "const e = await import('../proxy/e.ts');",
  ].join('\n');
  const found = importsOf(file('src/call/x.ts', text));
  assert.deepEqual(
    found.map(({ specifier, line, target, typeOnly }) => [specifier, line, target, typeOnly]),
    [
      ['../decision/reason.ts', 1, 'src/decision/reason.ts', false],
      ['pino', 2, null, true],
      ['./d.ts', 3, 'src/call/d.ts', false],
      ['node:fs', 7, null, false],
      ['../proxy/e.ts', 8, 'src/proxy/e.ts', false],
    ],
  );
});

for (const [path, specifier, fits] of [
  ['src/call/x.ts', '../decision/reason.ts', true],
  ['src/call/x.ts', '../decision/verdict.ts', false],
  ['src/telemetry/x.ts', '../decision/reason.ts', true],
  ['src/telemetry/x.ts', '../proxy/pipeline.ts', false],
  ['src/decision/x.ts', '../call/tool-call.ts', true],
  ['src/decision/x.ts', '../audit/entry.ts', false],
  ['src/proxy/x.ts', '../bundle/activation.ts', false],
  ['src/proxy/x.ts', '../sidecar/sidecar.ts', false],
  ['src/sidecar/x.ts', '../proxy/pipeline.ts', true],
  ['src/sidecar/x.ts', '../cli/sidecar.ts', false],
  ['src/main.ts', './cli/sidecar.ts', true],
  ['src/unheard-of/x.ts', '../call/tool-call.ts', false],
] as const) {
  test(`${path} ${fits ? 'may' : 'may not'} import ${specifier}`, () => {
    const found = wrongDirections(importsOf(file(path, `import { a } from '${specifier}';`)));
    assert.equal(found.length, fits ? 0 : 1, found.join());
  });
}

test('a pure file may not read files, the clock or randomness, and may speak of them', () => {
  const text = [
    '/** What a Date.now() would say. Pure. */',
    "import { readFileSync } from 'node:fs';",
    "import type { Stats } from 'node:fs';",
    "import { createHash } from 'node:crypto';",
    'const a = Date.now();',
    'const b = Math.random() + new Date(0).getTime();',
    '// setTimeout() is for others.',
  ].join('\n');
  const pure = file('src/sidecar/x.ts', text);
  assert.deepEqual(impurities(pure, importsOf(pure)), [
    'src/sidecar/x.ts:2: a pure file imports node:fs',
    'src/sidecar/x.ts:5: a pure file uses Date.now(',
    'src/sidecar/x.ts:6: a pure file uses Math.random',
  ]);
  const shell = file('src/sidecar/x.ts', text.replace('Pure.', 'Shell: owns a clock.'));
  assert.deepEqual(impurities(shell, importsOf(shell)), []);
});

test('the first comment is found behind a shebang, and missing when code comes first', () => {
  assert.equal(firstComment('#!/usr/bin/env node\n/** A. Pure. */\nx;'), '/** A. Pure. */');
  assert.equal(firstComment('// A.\n// B.\nx;'), '// A.\n// B.\n');
  assert.equal(firstComment('x;\n/** A. */'), '');
});

test('a matching line is named with its file and number', () => {
  const found = matches([file('a.md', 'one\ntwo three')], /two/, 'a two');
  assert.deepEqual(found, ['a.md:2: a two: two three']);
});
