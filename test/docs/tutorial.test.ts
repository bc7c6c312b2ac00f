/** The tutorial and the recipes: whatever they tell a person to write and run is written and run. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { loadPolicy } from '../../src/author/policy-source.ts';
import { scenarioFiles, simulate } from '../../src/author/simulate.ts';
import { directory, egret } from '../author/egret.ts';
import { needsOpa, ROOT } from '../policy/opa.ts';
import { type CodeBlock, codeBlocks, expectedOutput } from './page.ts';
import { runBlocks } from './shell-session.ts';

const page = (name: string) => codeBlocks(readFileSync(join(ROOT, 'docs', name), 'utf8'));

/** The port of the page may be taken, and those that it leaves out, too. */
function onPort(blocks: readonly CodeBlock[], port: number): readonly CodeBlock[] {
  const free = ['proxy', 'gateway', 'admin'].map((name) => `${name}: {port: 0}`).join(', ');
  return blocks.map((block) => {
    const listening = block.text.replace('listen: {decision', `listen: {${free}, decision`);
    return { ...block, text: listening.replaceAll('15020', String(port)) };
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return address !== null && typeof address === 'object' ? address.port : 0;
}

function needs(t: TestContext, ...programs: readonly string[]): boolean {
  const missing = programs.filter((name) => spawnSync('which', [name]).status !== 0);
  if (missing.length === 0) return needsOpa(t);
  t.skip(`SKIPPED LOUDLY: no ${missing.join(', ')} on PATH`);
  return false;
}

const filesOf = (blocks: readonly CodeBlock[]) =>
  Object.fromEntries(blocks.flatMap(({ path, text }) => (path === null ? [] : [[path, text]])));

test('every command of the tutorial, and those of the recipes after it, does what the page says', async (t) => {
  if (!needs(t, 'bash', 'openssl', 'curl', 'sed', 'grep')) return;
  const recipes = page('recipes.md').filter(({ language }) => language === 'sh');
  const blocks = onPort([...page('tutorial.md'), ...recipes], await freePort());
  const results = [...runBlocks(directory(t), blocks)];
  const commands = blocks.filter(({ language }) => language === 'sh');
  assert.equal(results.length, commands.length, results.at(-1)?.output);
  assert.ok(results.length > 10, `found ${results.length} blocks of commands`);
  for (const [at, { language, text }] of blocks.entries()) {
    if (language !== 'sh') continue;
    const { output, status } = results.shift() ?? { output: '', status: -1 };
    const wanted = Number(/# exit code (\d)/.exec(text)?.[1] ?? 0);
    assert.equal(status, wanted, `${text}${output}`);
    const next = blocks[at + 1];
    if (next?.language !== 'text') continue;
    const pattern = expectedOutput(next.text);
    assert.ok(pattern.test(output), `${text}--- found\n${output}--- expected\n${next.text}`);
  }
});

test('every recipe compiles, and its calls become what it says', async (t) => {
  if (!needsOpa(t)) return;
  const blocks = page('recipes.md').filter(({ path }) => path !== null);
  const sections = Map.groupBy(blocks, ({ section }) => section);
  assert.ok(sections.size >= 10, `found ${sections.size} recipes`);
  for (const [section, own] of sections) {
    await t.test(section, async (inner) => {
      const place = directory(inner, filesOf(own));
      const tested = own.some(({ path }) => path?.endsWith('_test.rego'));
      if (tested) {
        const ran = egret(['test', place]);
        assert.equal(ran.status, 0, ran.stdout + ran.stderr);
      }
      if (own.some(({ path }) => path?.startsWith('scenarios/'))) await play(place);
      else assert.ok(tested, 'found neither scenarios nor tests');
    });
  }
});

async function play(place: string): Promise<void> {
  const policy = await loadPolicy(place);
  const files = scenarioFiles(join(place, 'scenarios'));
  try {
    const onPlayed = () => undefined;
    const { results } = await simulate({ policy, files, only: null, mutate: null, onPlayed });
    for (const { name, problems } of results) assert.deepEqual([name, ...problems], [name]);
  } finally {
    policy.engine.close();
  }
}

test('egret check finds nothing in the recipes together', (t) => {
  if (!needsOpa(t)) return;
  const checked = egret(['check', directory(t, filesOf(page('recipes.md')))]);
  assert.equal(checked.status, 0, checked.stdout + checked.stderr);
});

test('a page that says something else than the command is noticed', () => {
  const pattern = expectedOutput('one … three\n…\nend\n');
  assert.ok(pattern.test('one two three\nmore\nand more\nend\n'));
  assert.ok(pattern.test('one two three\nend\n'));
  for (const other of ['one two\nend\n', 'one two three\nend\nmore\n', 'one two three\nends\n']) {
    assert.ok(!pattern.test(other), other);
  }
});
