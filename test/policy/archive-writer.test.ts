// The bundle archive: what is written can be read again, by us and by tar, and is the same every time.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { readArchive } from '../../src/bundle/archive.ts';
import { writeArchive, writeTar } from '../../src/bundle/archive-writer.ts';

const entries = [
  ['policy.wasm', Buffer.alloc(1536, 7)],
  ['.manifest', Buffer.from('{}')],
  ['empty', Buffer.alloc(0)],
] as const;

test('what is written is read again, whatever the names, sizes and bytes', () => {
  const name = fc
    .stringMatching(/^[a-z.][a-z/_.-]{0,20}[a-z]$/)
    .filter((one) => !/\/\/|\.\.|\/\.|\.\//.test(one));
  const files = fc.uniqueArray(fc.tuple(name, fc.uint8Array({ maxLength: 1100 })), {
    selector: ([one]) => one,
    maxLength: 6,
  });
  fc.assert(
    fc.property(files, (written) => {
      const distinct = written.filter(
        ([one]) => !written.some(([other]) => other.startsWith(`${one}/`)),
      );
      const read = readArchive(writeArchive(distinct));
      assert.deepEqual(
        [...read].map(([one, bytes]) => [one, Buffer.from(bytes).toString('hex')]),
        distinct.map(([one, bytes]) => [one, Buffer.from(bytes).toString('hex')]),
      );
    }),
    { numRuns: 100 },
  );
});

test('tar lists names, sizes, modes, owners and times', () => {
  const listing = execFileSync('tar', ['--utc', '--numeric-owner', '-tvzf', '-'], {
    input: writeArchive(entries),
    encoding: 'utf8',
  });
  assert.match(listing, /^-rw------- 0\/0 +1536 1970-01-01 00:00 policy\.wasm$/m);
  assert.match(listing, /^-rw------- 0\/0 +2 1970-01-01 00:00 \.manifest$/m);
  assert.match(listing, /^-rw------- 0\/0 +0 1970-01-01 00:00 empty$/m);
});

test('the bytes are the same every time, and the gzip header holds no time and no platform', () => {
  const archive = writeArchive(entries);
  assert.deepEqual(archive, writeArchive(entries));
  assert.equal(Buffer.from(archive.subarray(0, 10)).toString('hex'), '1f8b08000000000002ff');
  assert.deepEqual(gunzipSync(archive), writeTar(entries));
});

for (const name of ['', '/policy.wasm', 'pölicy.wasm', 'a b', 'x'.repeat(101), 'a\u0000b']) {
  test(`the name ${JSON.stringify(name).slice(0, 20)} is refused`, () => {
    assert.throws(() => writeTar([[name, Buffer.alloc(0)]]), /expected a relative ASCII name/);
  });
}
