/** A bundle of several ConfigMaps in one volume: the pieces are one archive, or nothing. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { BundleRefused } from '../../src/bundle/bundle-error.ts';
import { bundleObjects } from '../../src/bundle/configmap.ts';
import { readSnapshot } from '../../src/bundle/directory-snapshot.ts';
import { packed } from './bundle-files.ts';

function directoryOf(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'egret-pieces-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

const bundle = (content: string) =>
  packed([
    { path: '.manifest', content },
    { path: 'noise.txt', content: randomBytes(2500).toString('hex') },
  ]);

const objects = (archive: Uint8Array, chunkBytes = 1000) =>
  bundleObjects(archive, {
    name: 'policy',
    namespace: null,
    revision: 'r1',
    chunkBytes,
    immutable: false,
  });

/** As the kubelet shows a projected volume with a source for each ConfigMap: files behind a link that is swapped. */
function mount(directory: string, version: string, pieces: ReturnType<typeof objects>): void {
  mkdirSync(join(directory, `..${version}`));
  for (const { binaryData } of pieces) {
    for (const [key, text] of Object.entries(binaryData)) {
      writeFileSync(join(directory, `..${version}`, key), Buffer.from(text, 'base64'));
      if (!readdirSync(directory).includes(key)) {
        symlinkSync(join('..data', key), join(directory, key));
      }
    }
  }
  symlinkSync(`..${version}`, join(directory, '..data_tmp'));
  renameSync(join(directory, '..data_tmp'), join(directory, '..data'));
}

const manifestOf = (files: ReadonlyMap<string, Uint8Array>) =>
  Buffer.from(files.get('.manifest') ?? '').toString();

test('ConfigMaps of one bundle in one projected volume are that bundle, with its digest', async (t) => {
  const directory = directoryOf(t);
  const first = bundle('one');
  const pieces = objects(first);
  assert.ok(pieces.length > 2);
  mount(directory, 'v1', pieces);
  const { files, digest } = await readSnapshot(directory);
  assert.equal(manifestOf(files), 'one');
  assert.equal(digest, `sha256:${createHash('sha256').update(first).digest('hex')}`);
  assert.equal(digest, pieces[0]?.metadata.annotations['egret.dev/bundle-digest']);
  mount(directory, 'v2', objects(bundle('two'), 700));
  assert.equal(manifestOf((await readSnapshot(directory)).files), 'two');
  // In one piece it has the usual name; the links of the old pieces lead nowhere.
  mount(directory, 'v3', objects(bundle('three'), 100_000));
  assert.equal(manifestOf((await readSnapshot(directory)).files), 'three');
});

test('pieces are put together by number, beyond a thousand too', async (t) => {
  const directory = directoryOf(t);
  const archive = bundle('many');
  for (let index = 0; index <= archive.length; index += 1) {
    const name = `b.tar.gz.${String(index).padStart(3, '0')}`;
    writeFileSync(join(directory, name), archive.subarray(index, index + 1));
    if (index === 1010) {
      writeFileSync(join(directory, name), archive.subarray(index));
      break;
    }
  }
  assert.equal(manifestOf((await readSnapshot(directory)).files), 'many');
});

const WHOLE = bundle('whole');
const half = (index: 0 | 1) =>
  index === 0 ? WHOLE.subarray(0, WHOLE.length >> 1) : WHOLE.subarray(WHOLE.length >> 1);

const TABLE: readonly (readonly [
  sentence: string,
  files: Readonly<Record<string, Uint8Array>>,
  found: string,
])[] = [
  [
    'a piece between is missing',
    { 'b.tar.gz.000': half(0), 'b.tar.gz.002': half(1) },
    'source_ambiguous: pieces of b.tar.gz without b.tar.gz.001',
  ],
  [
    'the first piece is missing',
    { 'b.tar.gz.001': half(1) },
    'source_ambiguous: pieces of b.tar.gz without b.tar.gz.000',
  ],
  [
    'a number is written in two ways',
    { 'b.tar.gz.000': half(0), 'b.tar.gz.001': half(1), 'b.tar.gz.0001': half(1) },
    'source_ambiguous: pieces of b.tar.gz without b.tar.gz.002',
  ],
  [
    'pieces of two archives',
    { 'a.tar.gz.000': WHOLE, 'b.tar.gz.000': WHOLE },
    'source_ambiguous: pieces of a.tar.gz, pieces of b.tar.gz',
  ],
  [
    'an archive beside pieces',
    { 'b.tar.gz': WHOLE, 'b.tar.gz.000': WHOLE },
    'source_ambiguous: b.tar.gz, pieces of b.tar.gz',
  ],
  [
    'an unpacked bundle beside pieces',
    { '.manifest': Buffer.from('{}'), 'b.tar.gz.000': WHOLE },
    'source_ambiguous: pieces of b.tar.gz, .manifest',
  ],
  ['the last piece is missing', { 'b.tar.gz.000': half(0) }, 'archive_invalid'],
  [
    'pieces of two bundles',
    { 'b.tar.gz.000': half(0), 'b.tar.gz.001': bundle('other').subarray(half(0).length) },
    'archive_invalid',
  ],
];

for (const [sentence, files, found] of TABLE) {
  test(`${sentence}: ${found}`, async (t) => {
    const directory = directoryOf(t);
    for (const [name, content] of Object.entries(files)) {
      writeFileSync(join(directory, name), content);
    }
    await assert.rejects(readSnapshot(directory), (error) => {
      assert.ok(error instanceof BundleRefused, String(error));
      const [{ code, found: what } = { code: '', found: '' }] = error.errors;
      assert.ok(`${code}: ${what}`.startsWith(found), `${code}: ${what}`);
      return true;
    });
  });
}
