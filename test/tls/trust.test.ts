// What agents read is whole, public, theirs to read, and never written through what somebody planted.
import assert from 'node:assert/strict';
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { getCACertificates } from 'node:tls';
import { type InterceptionOptions, startInterception } from '../../src/tls/interception.ts';
import { TrustError, trustFiles, writeTrust } from '../../src/tls/trust.ts';
import { minted, run, temporaryDirectory } from './wire.ts';

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
const certificates = (file: string) =>
  readFileSync(file, 'utf8').match(/-----BEGIN CERTIFICATE-----/g)?.length ?? 0;
const someRoots = () => getCACertificates('bundled').slice(0, 5);

async function interception(
  t: TestContext,
  options: Partial<InterceptionOptions> & { trustDirectory: string },
) {
  const started = await startInterception({
    roots: someRoots(),
    names: [],
    validHours: 24,
    leavesMax: 10,
    onFailure: (error) => {
      throw error;
    },
    ...options,
  });
  t.after(() => started.close());
  return started;
}

test('ca.crt holds our certificate, bundle.pem the public roots besides, in a folder made for them', async (t) => {
  const directory = join(temporaryDirectory(t), 'deep', 'trust');
  const { authorities } = await interception(t, { trustDirectory: directory });
  assert.equal(readFileSync(join(directory, 'ca.crt'), 'utf8'), authorities().join(''));
  assert.equal(certificates(join(directory, 'bundle.pem')), 6);
  assert.deepEqual(readdirSync(directory).toSorted(), ['bundle.p12', 'bundle.pem', 'ca.crt']);
});

test('everyone may read the files and only their owner write them, whatever the umask', async (t) => {
  const directory = temporaryDirectory(t);
  const umask = process.umask(0o077);
  t.after(() => process.umask(umask));
  await interception(t, { trustDirectory: directory });
  for (const name of readdirSync(directory)) {
    assert.equal(statSync(join(directory, name)).mode & 0o777, 0o644);
  }
});

test('nothing private is ever in the folder: no key, in no encoding', async (t) => {
  const directory = temporaryDirectory(t);
  const { contextFor } = await interception(t, { trustDirectory: directory });
  await contextFor('api.example.com');
  const ecPrivateKey = Buffer.from('06072a8648ce3d0201', 'hex');
  for (const name of readdirSync(directory)) {
    const bytes = readFileSync(join(directory, name));
    assert.equal(bytes.includes('PRIVATE'), false);
    if (name !== 'bundle.p12') continue;
    // Keys of certificates are there, each behind the version number 0 of PKCS #8 they are not.
    const privateKey = Buffer.concat([
      Buffer.from('020100301306', 'hex'),
      ecPrivateKey.subarray(1),
    ]);
    assert.equal(bytes.includes(ecPrivateKey), true);
    assert.equal(bytes.includes(privateKey), false);
  }
});

test('links planted in the folder are replaced, and what they lead to is untouched', async (t) => {
  const directory = temporaryDirectory(t);
  const victim = join(temporaryDirectory(t), 'victim');
  writeFileSync(victim, 'untouched');
  for (const file of Object.values(trustFiles(directory))) symlinkSync(victim, file);
  await interception(t, { trustDirectory: directory });
  assert.equal(readFileSync(victim, 'utf8'), 'untouched');
  assert.ok(Object.values(trustFiles(directory)).every((file) => lstatSync(file).isFile()));
});

test('a trust directory that is a link is refused, and the message names it', async (t) => {
  const link = join(temporaryDirectory(t), 'trust');
  symlinkSync(temporaryDirectory(t), link);
  await assert.rejects(interception(t, { trustDirectory: link }), (error: Error) => {
    assert.ok(error instanceof TrustError);
    assert.ok(error.message.startsWith(link));
    return true;
  });
});

test('a folder where a file should be is refused, and nothing is left behind', async (t) => {
  const directory = temporaryDirectory(t);
  mkdirSync(join(directory, 'bundle.pem'));
  const { authority } = await minted();
  await assert.rejects(writeTrust(directory, [authority.certificatePem], []), TrustError);
  assert.deepEqual(readdirSync(directory), ['bundle.pem']);
});

test('a trust directory below a file is refused', async (t) => {
  const file = join(temporaryDirectory(t), 'file');
  writeFileSync(file, '');
  const { authority } = await minted();
  await assert.rejects(writeTrust(join(file, 'trust'), [authority.certificatePem], []), TrustError);
});

test('the successor is published at half time, and signs when its predecessor is about to end', async (t) => {
  const directory = temporaryDirectory(t);
  let nowMs = Date.now();
  const { authorities, contextFor, renew } = await interception(t, {
    trustDirectory: directory,
    nowMs: () => nowMs,
  });
  const [first] = authorities();
  const before = await contextFor('a.test');
  nowMs += 12 * HOUR_MS - MINUTE_MS;
  await renew();
  assert.deepEqual(authorities(), [first]);
  nowMs += 2 * MINUTE_MS;
  await renew();
  const [still, second] = authorities();
  assert.equal(still, first);
  assert.equal(certificates(join(directory, 'ca.crt')), 2);
  assert.equal(certificates(join(directory, 'bundle.pem')), 7);
  nowMs += 12 * HOUR_MS;
  await renew();
  assert.equal(authorities()[0], second);
  assert.equal(authorities().length, 2);
  assert.notEqual(await contextFor('a.test'), before);
});

test('after a long sleep the first connection gets an authority that is valid', async (t) => {
  const directory = temporaryDirectory(t);
  let nowMs = Date.now();
  const { authorities, contextFor } = await interception(t, {
    trustDirectory: directory,
    nowMs: () => nowMs,
  });
  const [first] = authorities();
  nowMs += 100 * HOUR_MS;
  await Promise.all([contextFor('a.test'), contextFor('b.test')]);
  assert.equal(authorities().length, 1);
  assert.notEqual(authorities()[0], first);
});

test('a clock that goes back a little changes nothing', async (t) => {
  let nowMs = Date.now();
  const { authorities, contextFor, renew } = await interception(t, {
    trustDirectory: temporaryDirectory(t),
    nowMs: () => nowMs,
  });
  const before = authorities();
  nowMs -= 2 * MINUTE_MS;
  await renew();
  await contextFor('a.test');
  assert.deepEqual(authorities(), before);
});

test('an authority that cannot be published signs nothing, and the old one stays', async (t) => {
  const directory = temporaryDirectory(t);
  let nowMs = Date.now();
  const { authorities, contextFor, renew } = await interception(t, {
    trustDirectory: directory,
    nowMs: () => nowMs,
  });
  const before = authorities();
  // Whoever removes the folder and puts a link in its place.
  rmSync(directory, { recursive: true });
  symlinkSync(temporaryDirectory(t), directory);
  nowMs += 13 * HOUR_MS;
  await assert.rejects(renew(), TrustError);
  assert.deepEqual(authorities(), before);
  await contextFor('a.test');
  nowMs += 12 * HOUR_MS;
  await assert.rejects(contextFor('a.test'), TrustError);
});

test('OpenSSL reads bundle.p12, and every certificate of the bundle is in it', async (t) => {
  const directory = temporaryDirectory(t);
  await interception(t, { trustDirectory: directory });
  const store = trustFiles(directory).javaTrustStore;
  const { out, error } = await run('openssl', [
    'pkcs12',
    '-in',
    store,
    '-nomacver',
    '-passin',
    'pass:',
  ]);
  assert.equal(out.match(/BEGIN CERTIFICATE/g)?.length, 6, error);
});
