/** Bundles from a directory: every layout, every swap, every mess; what arrives is always one whole bundle. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { BundleContent } from '../../src/bundle/activation.ts';
import { DirectorySource } from '../../src/bundle/directory-source.ts';
import { packed } from './bundle-files.ts';

function directoryOf(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'egret-source-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

const archive = (text: string) => packed([{ path: '.manifest', content: text }]);

function put(directory: string, files: Record<string, string | Uint8Array>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, `${path}.new`), content);
    renameSync(join(directory, `${path}.new`), join(directory, path));
  }
}

/** Collects what a source reports; `next` waits for one more report that is not `unchanged`. */
async function watched(t: TestContext, directory: string, pollMs = 5) {
  const events = new EventEmitter();
  const reports: string[] = [];
  let unchanged = 0;
  const report = (text: string) => {
    reports.push(text);
    events.emit('report');
  };
  const source = new DirectorySource({
    directory,
    pollMs,
    onContent: (content) => report(described(content)),
    onUnchanged: () => {
      unchanged++;
      events.emit('unchanged');
    },
    onError: (errors) => report(errors.map(({ code }) => code).join(', ')),
  });
  t.after(() => source.close());
  await source.start();
  let taken = 0;
  const next = async () => {
    while (reports.length <= taken) await once(events, 'report');
    return reports[taken++];
  };
  const settled = async () => {
    const before = unchanged;
    while (unchanged < before + 2) await once(events, 'unchanged');
  };
  return { next, settled, reports, source };
}

const described = ({ files }: BundleContent) =>
  [...files].map(([path, bytes]) => `${path}=${Buffer.from(bytes).toString()}`).join(' ');

test('one archive in a directory is the bundle, and a renamed one replaces it', async (t) => {
  const directory = directoryOf(t);
  put(directory, { 'b.tar.gz': archive('1'), 'notes.txt': 'ignored' });
  const { next, settled } = await watched(t, directory);
  assert.equal(await next(), '.manifest=1');
  await settled();
  put(directory, { 'b.tar.gz': archive('2') });
  assert.equal(await next(), '.manifest=2');
});

test('an unpacked bundle is read with its subdirectories, without hidden files', async (t) => {
  const directory = directoryOf(t);
  put(directory, {
    '.manifest': 'm',
    'data.json': 'd',
    'yaml/mail/data.yaml': 'y',
    '.git/config': 'no',
    '.swap': 'no',
  });
  const { next } = await watched(t, directory);
  assert.equal(await next(), '.manifest=m data.json=d yaml/mail/data.yaml=y');
  put(directory, { 'yaml/mail/data.yaml': 'z' });
  assert.equal(await next(), '.manifest=m data.json=d yaml/mail/data.yaml=z');
});

test('a mounted ConfigMap is followed through its ..data link', async (t) => {
  const directory = directoryOf(t);
  const publish = (name: string, text: string) => {
    put(directory, { [`..${name}/.manifest`]: text, [`..${name}/data.json`]: text });
    symlinkSync(`..${name}`, join(directory, '..data_tmp'));
    renameSync(join(directory, '..data_tmp'), join(directory, '..data'));
  };
  publish('v1', 'one');
  symlinkSync('..data/.manifest', join(directory, '.manifest'));
  symlinkSync('..data/data.json', join(directory, 'data.json'));
  const { next } = await watched(t, directory);
  assert.equal(await next(), '.manifest=one data.json=one');
  publish('v2', 'two');
  assert.equal(await next(), '.manifest=two data.json=two');
});

test('swaps in quick succession never show a mixture, and the last one is seen', async (t) => {
  const directory = directoryOf(t);
  const publish = (i: number) => {
    put(directory, { [`..v${i}/.manifest`]: `${i}`, [`..v${i}/data.json`]: `${i}` });
    symlinkSync(`..v${i}`, join(directory, '..data_tmp'));
    renameSync(join(directory, '..data_tmp'), join(directory, '..data'));
    if (i > 2) rmSync(join(directory, `..v${i - 2}`), { recursive: true });
  };
  publish(1);
  const { next, reports } = await watched(t, directory);
  for (let i = 2; i <= 60; i++) {
    publish(i);
    await pause(i % 7);
  }
  while ((await next()) !== '.manifest=60 data.json=60');
  // On a busy machine every look may fall into a swap; that is said, and a mixture is never taken.
  const taken = reports.filter((report) => report !== 'source_unstable');
  for (const report of taken) assert.match(report, /^\.manifest=(\d+) data\.json=\1$/);
});

test('an archive in pieces is the bundle once all of them are there, and a changed piece is seen', async (t) => {
  const directory = directoryOf(t);
  const [one, two] = [archive('1'), archive('2')];
  put(directory, { 'b.tar.gz.000': one.subarray(0, 20) });
  const { next, settled } = await watched(t, directory);
  assert.equal(await next(), 'archive_invalid');
  put(directory, { 'b.tar.gz.001': one.subarray(20) });
  assert.equal(await next(), '.manifest=1');
  await settled();
  put(directory, { 'b.tar.gz.001': Buffer.concat([one.subarray(20), Buffer.from('x')]) });
  assert.equal(await next(), 'archive_invalid');
  rmSync(join(directory, 'b.tar.gz.001'));
  put(directory, { 'b.tar.gz.000': two });
  let report = await next();
  if (report === 'archive_invalid') report = await next(); // seen between the two changes
  assert.equal(report, '.manifest=2');
});

test('whatever is wrong with the directory is reported once, and reading goes on', async (t) => {
  const directory = directoryOf(t);
  const inner = join(directory, 'bundles');
  const { next } = await watched(t, inner);
  assert.equal(await next(), 'source_missing');
  mkdirSync(inner);
  put(inner, { 'a.tar.gz': archive('1') });
  let report = await next();
  if (report === 'source_missing') report = await next(); // the directory was seen while it was empty
  assert.equal(report, '.manifest=1');
  put(inner, { 'b.tar.gz': archive('2') });
  assert.equal(await next(), 'source_ambiguous');
  rmSync(join(inner, 'a.tar.gz'));
  assert.equal(await next(), '.manifest=2');
  put(inner, { '.manifest': 'x' });
  assert.equal(await next(), 'source_ambiguous');
  rmSync(join(inner, '.manifest'));
  assert.equal(await next(), '.manifest=2');
  put(inner, { 'b.tar.gz': 'no archive, but text' });
  assert.equal(await next(), 'archive_invalid');
  rmSync(inner, { recursive: true });
  assert.equal(await next(), 'source_missing');
  put(inner, { 'c.tar.gz': archive('3') });
  assert.equal(await next(), '.manifest=3');
});

test('a receiver that throws is reported and does not stop the source', async (t) => {
  const directory = directoryOf(t);
  put(directory, { 'b.tar.gz': archive('1') });
  const events = new EventEmitter();
  let calls = 0;
  const source = new DirectorySource({
    directory,
    pollMs: 5,
    onContent: () => {
      calls++;
      events.emit('content');
      throw new Error('receiver');
    },
    onError: ([error]) => assert.equal(error?.code, 'internal'),
  });
  t.after(() => source.close());
  await source.start();
  while (calls < 3) await once(events, 'content');
});

test('a closed source ends its loop and reports nothing more', async (t) => {
  const directory = directoryOf(t);
  put(directory, { 'b.tar.gz': archive('1') });
  const { source, reports } = await watched(t, directory, 600_000);
  await source.close();
  put(directory, { 'b.tar.gz': archive('2') });
  await new Promise(setImmediate);
  assert.deepEqual(reports, ['.manifest=1']);
});
