/** Reading archives: what OPA and tar write is read; whatever is bent is refused with its own code. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { ARCHIVE_LIMITS, readArchive } from '../../src/bundle/archive.ts';
import { BundleRefused } from '../../src/bundle/bundle-error.ts';
import { packed, type TarEntry, tarOf } from './bundle-files.ts';

const texts = (archive: Uint8Array) =>
  Object.fromEntries(
    [...readArchive(archive)].map(([path, bytes]) => [path, Buffer.from(bytes).toString()]),
  );

function refusal(archive: Uint8Array, limits = ARCHIVE_LIMITS): string {
  try {
    readArchive(archive, 'b.tar.gz', limits);
    return 'accepted';
  } catch (error) {
    assert.ok(error instanceof BundleRefused, String(error));
    const [first] = error.errors;
    assert.equal(error.errors.length, 1);
    assert.equal(first?.file, 'b.tar.gz');
    return first?.code ?? '';
  }
}

test('files are read with and without a slash in front', () => {
  const archive = packed([
    { path: '/.manifest', content: '{}' },
    { path: './data.json', content: '1' },
    { path: 'yaml/', kind: '5' },
    { path: 'yaml/data.yaml', content: 'a: 1' },
    { path: 'empty' },
  ]);
  assert.deepEqual(texts(archive), {
    '.manifest': '{}',
    'data.json': '1',
    'yaml/data.yaml': 'a: 1',
    empty: '',
  });
});

test('what the tar program writes is read, long names included', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'egret-tar-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const long = `${'d'.repeat(90)}/${'e'.repeat(90)}`;
  mkdirSync(join(directory, 'in', 'd'.repeat(90)), { recursive: true });
  writeFileSync(join(directory, 'in', long), 'deep');
  writeFileSync(join(directory, 'in', 'é.txt'), 'accent');
  for (const format of ['ustar', 'pax']) {
    const archive = join(directory, `${format}.tar.gz`);
    execFileSync('tar', ['-C', join(directory, 'in'), `--format=${format}`, '-czf', archive, '.']);
    assert.deepEqual(texts(readFileSync(archive)), { [long]: 'deep', 'é.txt': 'accent' });
  }
});

const file: TarEntry = { path: 'a', content: 'x' };
const paxOf = (record: string) => ({ path: 'pax', kind: 'x', content: record });

const BENT: readonly (readonly [string, string, Uint8Array])[] = [
  ['text', 'archive_invalid', Buffer.from('this is no archive at all')],
  ['nothing', 'archive_invalid', new Uint8Array()],
  ['gzip of something else', 'archive_invalid', gzipSync(Buffer.alloc(2048, 65))],
  ['half an archive', 'archive_invalid', packed([file]).subarray(0, 60)],
  ['a byte after the archive', 'archive_invalid', Buffer.concat([packed([file]), Buffer.of(0)])],
  ['two gzip members', 'archive_invalid', Buffer.concat([packed([file]), packed([file])])],
  [
    'bytes after the end',
    'archive_invalid',
    gzipSync(Buffer.concat([tarOf([file]), Buffer.from('x')])),
  ],
  ['no end', 'archive_invalid', gzipSync(tarOf([file], Buffer.alloc(0)))],
  [
    'a file cut off',
    'archive_invalid',
    gzipSync(tarOf([{ path: 'a', content: 'x'.repeat(2000) }]).subarray(0, 1024)),
  ],
  ['a path upwards', 'archive_path', packed([{ path: '../a' }])],
  ['a path upwards in the middle', 'archive_path', packed([{ path: 'a/../../b' }])],
  ['a dot in the path', 'archive_path', packed([{ path: 'a/./b' }])],
  ['an empty part of a path', 'archive_path', packed([{ path: 'a//b' }])],
  ['a backslash', 'archive_path', packed([{ path: 'a\\b' }])],
  ['a control character', 'archive_path', packed([{ path: 'a\nb' }])],
  ['an entry without a name', 'archive_invalid', packed([{ path: '' }, file])],
  ['a directory upwards', 'archive_path', packed([{ path: '../', kind: '5' }])],
  ['a pax path upwards', 'archive_path', packed([paxOf('13 path=../x\n'), file])],
  ['a symbolic link', 'archive_link', packed([{ path: 'a', kind: '2' }])],
  ['a hard link', 'archive_link', packed([{ path: 'a', kind: '1' }])],
  ['a device', 'archive_entry', packed([{ path: 'a', kind: '3' }])],
  ['a GNU long name', 'archive_entry', packed([{ path: 'a', kind: 'L', content: 'b' }])],
  ['a global pax header', 'archive_entry', packed([{ path: 'a', kind: 'g', content: '' }])],
  ['a pax size', 'archive_entry', packed([paxOf('10 size=1\n'), file])],
  ['a broken pax record', 'archive_entry', packed([paxOf('99 path=x\n'), file])],
  ['the same file twice', 'archive_duplicate', packed([file, { path: '/a' }])],
  [
    'more entries than allowed',
    'archive_too_large',
    packed(Array.from({ length: 1025 }, (_, i) => ({ path: `f${i}` }))),
  ],
  ['a decompression bomb', 'archive_too_large', gzipSync(Buffer.alloc(40_000_000))],
];

test('a bent archive is refused with its code', () => {
  for (const [name, code, archive] of BENT) assert.equal(refusal(archive), code, name);
});

test('sizes are bounded before and after unpacking', () => {
  const archive = packed([{ path: 'a', content: 'x'.repeat(5000) }]);
  assert.equal(
    refusal(archive, { ...ARCHIVE_LIMITS, packedBytesMax: archive.length - 1 }),
    'archive_too_large',
  );
  assert.equal(
    refusal(archive, { ...ARCHIVE_LIMITS, unpackedBytesMax: 5000 }),
    'archive_too_large',
  );
  assert.equal(refusal(archive), 'accepted');
});

test('a changed byte is noticed or changes nothing that is read', () => {
  const archive = packed([{ path: 'a', content: 'some content of the file' }]);
  const whole = texts(archive);
  fc.assert(
    fc.property(fc.nat(archive.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const bent = Buffer.from(archive);
      bent[at] = (bent[at] as number) ^ change;
      try {
        assert.deepEqual(texts(bent), whole); // such as the time stamp in the header: it means nothing
      } catch (error) {
        assert.ok(error instanceof BundleRefused, `${at}: ${String(error)}`);
      }
    }),
    { numRuns: 500 },
  );
});

test('random tars are read like a plain reader reads them, or refused', () => {
  const part = fc.constantFrom('a', 'b', '..', '.', '', 'policy.wasm');
  const path = fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'));
  fc.assert(
    fc.property(
      fc.array(fc.record({ path, content: fc.string({ maxLength: 600 }) }), { maxLength: 4 }),
      (entries) => {
        const archive = packed(entries);
        const names = entries.map((entry) => entry.path.replace(/^(\.?\/)+/, ''));
        const clean = names.every((name) =>
          name.split('/').every((p) => !['', '.', '..'].includes(p)),
        );
        const expected =
          clean && new Set(names).size === names.length && entries.every(({ path: p }) => p !== '');
        assert.equal(refusal(archive) === 'accepted', expected, JSON.stringify(entries));
        if (!expected) return;
        const contents = entries.map(({ content }, i) => [
          names[i],
          Buffer.from(content).toString(),
        ]);
        assert.deepEqual(texts(archive), Object.fromEntries(contents));
        assert.ok(gunzipSync(archive).length > 0);
      },
    ),
    { numRuns: 300 },
  );
});
