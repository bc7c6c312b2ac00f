/** What a sidecar remembers of its policy, and what it does not believe. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DirectiveFollower } from '../../src/source/directive-follower.ts';
import { LastGood } from '../../src/source/last-good.ts';
import { archiveOf, digestOf, directiveOf, Remembering } from './directives.ts';

function place(t: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), 'egret-last-good-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const failures: unknown[] = [];
  const open = () => new LastGood(join(directory, 'kept'), (error) => failures.push(error));
  const file = (word: string) => `${digestOf(archiveOf(word)).replace('sha256:', '')}.tar.gz`;
  return { kept: join(directory, 'kept'), failures, open, file };
}

test('what was kept is recalled by the next process, as stable alone', async (t) => {
  const { open, failures } = place(t);
  assert.equal(await open().recall(), null);
  await open().keep(directiveOf(3, 'a', 'b'), archiveOf('a'));
  const recalled = await open().recall();
  assert.deepEqual(recalled?.directive.stable, directiveOf(3, 'a').stable);
  assert.deepEqual([recalled?.directive.candidate, recalled?.directive.weight], [null, 0]);
  assert.deepEqual(Buffer.from(recalled?.archive ?? []), archiveOf('a'));
  assert.deepEqual(failures, []);
});

test('bytes that are not what they were, and half of a file, are not believed', async (t) => {
  const { open, kept, file } = place(t);
  await open().keep(directiveOf(3, 'a'), archiveOf('a'));
  writeFileSync(join(kept, file('a')), archiveOf('b'));
  assert.equal(await open().recall(), null);
  writeFileSync(join(kept, file('a')), archiveOf('a'));
  const text = readFileSync(join(kept, 'directive.json'), 'utf8');
  writeFileSync(join(kept, 'directive.json'), text.slice(0, text.length >> 1));
  assert.equal(await open().recall(), null);
});

test('a process that died while writing leaves what was kept before', async (t) => {
  const { open, kept, file } = place(t);
  await open().keep(directiveOf(3, 'a'), archiveOf('a'));
  // It died before the second rename: the new archive is there, the word about it is not.
  writeFileSync(join(kept, file('b')), archiveOf('b'));
  writeFileSync(join(kept, 'directive.json.new'), '{"at": 1, "dir');
  assert.equal((await open().recall())?.directive.generation, 3);
  await open().keep(directiveOf(4, 'c'), archiveOf('c'));
  assert.deepEqual(readdirSync(kept).sort(), [file('c'), 'directive.json'].sort());
});

test('a directory that cannot be written is told and stops nothing', async (t) => {
  const { open, kept, failures } = place(t);
  writeFileSync(kept, 'a file in its place');
  await open().keep(directiveOf(3, 'a'), archiveOf('a'));
  assert.equal(failures.length, 1);
  assert.equal(await open().recall(), null);
});

test('a promoted candidate is remembered without being handed out again', async (t) => {
  const { open, kept, file } = place(t);
  const listener = new Remembering(['a', 'b']);
  const follower = new DirectiveFollower({
    listener,
    selected: () => true,
    lastGood: open(),
    fetch: async ({ revision }) => archiveOf(revision),
  });
  t.after(() => follower.close());
  await follower.take(directiveOf(1, 'a', 'b'));
  while (listener.candidate === null) await new Promise((resolve) => setImmediate(resolve));
  await follower.take(directiveOf(2, 'a', 'b', { weight: 500 }));
  await follower.take(directiveOf(3, 'b'));
  assert.equal((await open().recall())?.directive.stable?.revision, 'b');
  assert.deepEqual(readdirSync(kept).sort(), [file('b'), 'directive.json'].sort());
});
