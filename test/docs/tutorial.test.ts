/** The tutorial and the recipes: whatever they tell a person to write and run is written and run. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { directory } from '../author/egret.ts';
import { needsOpa, ROOT } from '../policy/opa.ts';
import { type CodeBlock, codeBlocks, expectedOutput } from './page.ts';
import { runBlocks } from './shell-session.ts';

const page = (name: string) => codeBlocks(readFileSync(join(ROOT, 'docs', name), 'utf8'));

/** The port of the page may be taken; the other listeners would take theirs. */
function onPort(blocks: readonly CodeBlock[], port: number): readonly CodeBlock[] {
  const free = ['proxy', 'gateway', 'admin'].map((name) => `${name}: {port: 0}`).join(', ');
  const changed = (text: string) =>
    text
      .replace('listen: {decision', `listen: {${free}, decision`)
      .replaceAll('15020', String(port));
  return blocks.map((block) => ({
    ...block,
    text: changed(block.text),
    file: block.file && { ...block.file, content: changed(block.file.content) },
  }));
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

test('every command of the tutorial does what the page says', async (t) => {
  if (!needs(t, 'bash', 'openssl', 'curl', 'sed')) return;
  const blocks = onPort(page('tutorial.md'), await freePort());
  const results = [...runBlocks(directory(t), blocks)];
  const commands = blocks.filter(({ language }) => language === 'sh');
  assert.equal(results.length, commands.length, results.at(-1)?.output);
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
