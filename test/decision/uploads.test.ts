/** Provenance of attachments: only what a front end registered is an upload. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UploadRegistry } from '../../src/decision/uploads.ts';

const MINUTE = 60_000;
const A = 'a'.repeat(64);
const B = 'b'.repeat(64);
const file = (sha256: string) => ({
  name: 'r.pdf',
  media_type: 'application/pdf',
  bytes: 3,
  sha256,
});
const bounds = { uploadsMax: 2, ageMsMax: 10 * MINUTE };

test('a file that nobody registered is of unknown source and has no age', () => {
  const [fact] = new UploadRegistry(bounds).facts([file(A)], 0);
  assert.equal(fact?.source, 'unknown');
  assert.equal(fact?.age_minutes, null);
});

test('a registered file is an explicit user upload with its age in minutes, rounded up', () => {
  const uploads = new UploadRegistry(bounds);
  uploads.register(A, 1000);
  const [fact] = uploads.facts([file(A)], 1000 + 90_001);
  assert.equal(fact?.source, 'explicit_user_upload');
  assert.equal(fact?.age_minutes, 1.501);
});

test('registering again makes the file young again', () => {
  const uploads = new UploadRegistry(bounds);
  uploads.register(A, 0);
  uploads.register(A, 5 * MINUTE);
  assert.equal(uploads.facts([file(A)], 6 * MINUTE)[0]?.age_minutes, 1);
});

test('a registration older than the bound counts for nothing', () => {
  const uploads = new UploadRegistry(bounds);
  uploads.register(A, 0);
  assert.equal(uploads.facts([file(A)], 10 * MINUTE)[0]?.source, 'explicit_user_upload');
  assert.equal(uploads.facts([file(A)], 10 * MINUTE + 1)[0]?.source, 'unknown');
});

test('beyond the bound the oldest registration is forgotten', () => {
  const uploads = new UploadRegistry(bounds);
  for (const [index, sha256] of [A, B, 'c'.repeat(64)].entries()) uploads.register(sha256, index);
  assert.equal(uploads.size, 2);
  assert.equal(uploads.facts([file(A)], 3)[0]?.source, 'unknown');
  assert.equal(uploads.facts([file(B)], 3)[0]?.source, 'explicit_user_upload');
});
