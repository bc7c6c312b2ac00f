/**
 * Every way a signed bundle can be wrong, through the directory, the signature and the gate, as a sidecar takes it:
 * refused, each with a reason of its own, while the last good bundle stays in force.
 */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { ActivePolicy } from '../../src/bundle/active-policy.ts';
import { readArchive } from '../../src/bundle/archive.ts';
import { BundleRefused } from '../../src/bundle/bundle-error.ts';
import { readSnapshot } from '../../src/bundle/directory-snapshot.ts';
import { SIGNATURES_FILE, type Verification } from '../../src/bundle/signature.ts';
import { compileRego } from '../decision/compiled-policy.ts';
import { needsOpa, opa, sourceDirectory } from '../policy/opa.ts';
import { withAbiMinor } from './abi-patch.ts';
import { bundleFiles, filesOf, MANIFEST, packed, type TarEntry, tarOf } from './bundle-files.ts';
import { archiveOf, keyPair, type Signing, signed, verificationWith } from './signature-keys.ts';

const NOW_MS = 1_795_341_600_000;
const NOW_SECONDS = NOW_MS / 1000;
type Files = Map<string, Uint8Array>;

/** The code a sidecar would show in log, status and metrics; `activated` when it is used. */
async function outcome(
  t: TestContext,
  archive: Uint8Array,
  verification: Verification,
): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'egret-refusal-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  writeFileSync(join(directory, 'b.tar.gz'), archive);
  const policy = new ActivePolicy({ name: 'main', nowMs: () => NOW_MS, verification });
  try {
    await policy.admit(await readSnapshot(directory));
  } catch (error) {
    if (!(error instanceof BundleRefused)) throw error;
    policy.fail(error.errors);
  }
  policy.current()?.engine.close();
  const { errors, active_revision } = policy.status();
  assert.equal(active_revision === null, errors.length > 0);
  for (const { message, found, expected } of errors) {
    assert.ok(message.length < 1000 && found !== '' && expected !== '', message);
  }
  return [...new Set(errors.map(({ code }) => code))].join(' ') || 'activated';
}

/** Signed bytes with the files changed afterwards. */
const changedAfter =
  (change: (files: Files) => void, signing: Signing = {}) =>
  async (files: Files) => {
    const after = await signed(files, 'RS256', signing);
    change(after);
    return archiveOf(after);
  };

/** The files changed first and then signed: the signature is good, the bundle is not. */
const changedBefore = (change: (files: Files) => void) => async (files: Files) => {
  change(files);
  return archiveOf(await signed(files, 'RS256'));
};

/** Other entries beside a signed bundle, as a plain tar writer would put them there. */
const withEntry = (entry: TarEntry) => async (files: Files) => {
  const entries = [...(await signed(files, 'RS256'))];
  return packed([...entries.map(([path, content]) => ({ path, content })), entry]);
};

const text = (files: Files, path: string) => Buffer.from(files.get(path) ?? []).toString();
const base64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** The same token with another header; the signature is kept, cut off or made anew by `sign`. */
function reheaded(files: Files, header: object, sign: (input: string) => string): void {
  const document = JSON.parse(text(files, SIGNATURES_FILE)) as { signatures: [string] };
  const payload = document.signatures[0].split('.')[1];
  const input = `${base64(header)}.${payload}`;
  const token = `${input}.${sign(input)}`;
  files.set(SIGNATURES_FILE, Buffer.from(JSON.stringify({ signatures: [token] })));
}

/** The forgery: an HMAC whose secret is the public key that everybody has. */
function hmacWithPublicKey(input: string): string {
  const secret = keyPair('RS256').verifyingText;
  return createHmac('sha256', secret).update(input).digest('base64url');
}

const REACHES_OUT =
  'package egret\n\ndecision := http.send({"method": "get", "url": "http://x.example"})\n';

const OPTIMISED = 'package egret\n\ndecision := input.x if input.y == 1\n';

interface Row {
  readonly name: string;
  readonly code: string;
  readonly make: (files: Files, t: TestContext) => Promise<Uint8Array>;
  readonly verification?: Parameters<typeof verificationWith>[1];
}

const ROWS: readonly Row[] = [
  { name: 'nothing: a good bundle', code: 'activated', make: changedAfter(() => {}) },
  {
    name: 'nothing: a good bundle with scope, end and a key that ends later',
    code: 'activated',
    make: changedAfter(() => {}, { scope: 'prod', expiresSeconds: NOW_SECONDS + 1 }),
    verification: { scope: 'prod', expiresMs: NOW_MS + 1 },
  },
  { name: 'no signature', code: 'signature_missing', make: async (files) => archiveOf(files) },
  {
    name: 'the wrong key',
    code: 'signature_invalid',
    make: changedAfter(() => {}, { pair: keyPair('RS256', 'stranger') }),
  },
  {
    name: 'a key nobody configured',
    code: 'signature_key_unknown',
    make: changedAfter(() => {}, { keyId: 'stranger' }),
  },
  {
    name: 'a missing file',
    code: 'signature_file_missing',
    make: changedAfter((files) => files.delete('data.json')),
  },
  {
    name: 'an extra file',
    code: 'signature_file_extra',
    make: changedAfter((files) => files.set('extra.txt', Buffer.from('x'))),
  },
  {
    name: 'an extra file that opa would take for a signature',
    code: 'signature_file_extra',
    make: changedAfter((files) => files.set('x/signatures.json', Buffer.from('{}'))),
  },
  {
    name: 'a changed byte',
    code: 'signature_file_changed',
    make: changedAfter((files) => {
      const wasm = Uint8Array.from(files.get('policy.wasm') as Uint8Array);
      wasm[wasm.length - 1] = (wasm.at(-1) as number) ^ 1;
      files.set('policy.wasm', wasm);
    }),
  },
  {
    name: 'a changed byte of the list that is signed',
    code: 'signature_invalid',
    make: changedAfter((files) => {
      const [token = ''] = (JSON.parse(text(files, SIGNATURES_FILE)) as { signatures: string[] })
        .signatures;
      const [head, payload = '', signature] = token.split('.');
      const list = Buffer.from(payload, 'base64url').toString().replace('SHA-256', 'SHA-512');
      const bent = [head, Buffer.from(list).toString('base64url'), signature].join('.');
      files.set(SIGNATURES_FILE, Buffer.from(JSON.stringify({ signatures: [bent] })));
    }),
  },
  {
    name: 'HS256 with the public RS256 key as its secret',
    code: 'signature_algorithm',
    make: changedAfter((files) =>
      reheaded(files, { alg: 'HS256', kid: 'main' }, hmacWithPublicKey),
    ),
  },
  {
    name: 'another algorithm of the same key',
    code: 'signature_algorithm',
    make: async (files) => archiveOf(await signed(files, 'PS256')),
  },
  {
    name: 'the algorithm none',
    code: 'signature_none',
    make: changedAfter((files) => reheaded(files, { alg: 'none', kid: 'main' }, () => '')),
  },
  {
    name: 'the algorithm None',
    code: 'signature_none',
    make: changedAfter((files) => reheaded(files, { alg: 'NoNe', kid: 'main' }, () => '')),
  },
  {
    name: 'an expired key',
    code: 'signature_key_expired',
    make: changedAfter(() => {}),
    verification: { expiresMs: NOW_MS },
  },
  {
    name: 'an expired token',
    code: 'signature_expired',
    make: changedAfter(() => {}, { expiresSeconds: NOW_SECONDS }),
  },
  {
    name: 'another scope',
    code: 'signature_scope',
    make: changedAfter(() => {}, { scope: 'staging' }),
    verification: { scope: 'prod' },
  },
  {
    name: 'a scope where none is expected',
    code: 'signature_scope',
    make: changedAfter(() => {}, { scope: 'prod' }),
  },
  {
    name: 'two signatures',
    code: 'signature_malformed',
    make: changedAfter((files) =>
      files.set(SIGNATURES_FILE, Buffer.from('{"signatures":["a","b"]}')),
    ),
  },
  {
    name: 'a signature that is no token',
    code: 'signature_malformed',
    make: changedAfter((files) => files.set(SIGNATURES_FILE, Buffer.from('{"signatures":["a"]}'))),
  },
  {
    name: 'a delta bundle',
    code: 'delta_unsupported',
    make: changedBefore((files) => files.set('patch.json', Buffer.from('{"data":[]}'))),
  },
  {
    name: 'path traversal',
    code: 'archive_path',
    make: withEntry({ path: '../outside', content: 'x' }),
  },
  { name: 'a symbolic link', code: 'archive_link', make: withEntry({ path: 'link', kind: '2' }) },
  { name: 'a hard link', code: 'archive_link', make: withEntry({ path: 'link', kind: '1' }) },
  { name: 'a device', code: 'archive_entry', make: withEntry({ path: 'null', kind: '3' }) },
  {
    name: 'a file twice',
    code: 'archive_duplicate',
    make: withEntry({ path: '/policy.wasm', content: 'x' }),
  },
  { name: 'a declared size of 1 GB', code: 'archive_too_large', make: async () => declared1GB() },
  {
    name: 'a wrong ABI',
    code: 'abi_unsupported',
    make: changedBefore((files) =>
      files.set('policy.wasm', withAbiMinor(files.get('policy.wasm') as Uint8Array, 9)),
    ),
  },
  {
    name: 'an unknown builtin',
    code: 'builtin_unknown',
    make: async (files, t) => {
      files.set('policy.wasm', compileRego(t, [REACHES_OUT]) as Uint8Array);
      return archiveOf(await signed(files, 'RS256'));
    },
  },
  {
    name: 'the root "", as opa build -O leaves it',
    code: 'roots_too_wide',
    make: changedBefore((files) => {
      const manifest = { ...MANIFEST, roots: [''] };
      files.set('.manifest', Buffer.from(JSON.stringify(manifest)));
    }),
  },
];

/** One file whose header says 1 GiB, with nothing behind it. */
function declared1GB(): Uint8Array {
  const tar = tarOf([{ path: 'policy.wasm' }]);
  tar.write('10000000000\0', 124, 'latin1');
  tar.write('        ', 148, 'latin1');
  const sum = tar.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return gzipSync(tar);
}

for (const { name, code, make, verification } of ROWS) {
  test(`${code}: ${name}`, async (t) => {
    const files = bundleFiles(t);
    if (files === null) return;
    const archive = await make(files, t);
    assert.equal(await outcome(t, archive, verificationWith('RS256', verification)), code);
  });
}

test('without keys a signed bundle is refused, and an unsigned one is used', async (t) => {
  const files = bundleFiles(t);
  if (files === null) return;
  const unverified = new ActivePolicy({ name: 'main', nowMs: () => NOW_MS });
  const content = { files: await signed(files, 'RS256'), digest: 'sha256:1' };
  await unverified.admit(content);
  assert.equal(unverified.status().errors[0]?.code, 'signature_unverifiable');
  await unverified.admit({ files, digest: 'sha256:2' });
  assert.equal(unverified.status().active_revision, 'r1');
  unverified.current()?.engine.close();
});

test('where a signature is not required, one that is there must still be good', async (t) => {
  const files = bundleFiles(t);
  if (files === null) return;
  const lax = verificationWith('RS256', { required: false });
  assert.equal(await outcome(t, archiveOf(files), lax), 'activated');
  const stranger = await signed(files, 'RS256', { pair: keyPair('RS256', 'stranger') });
  assert.equal(await outcome(t, archiveOf(stranger), lax), 'signature_invalid');
});

test('a refused bundle leaves the last good one in force, and going back checks the key again', async (t) => {
  const [files, other] = [bundleFiles(t), bundleFiles(t, { 'extra.txt': 'x' })];
  if (files === null || other === null) return;
  let nowMs = NOW_MS;
  const verification = verificationWith('RS256', { expiresMs: NOW_MS + 1000 });
  const policy = new ActivePolicy({ name: 'main', nowMs: () => nowMs, verification });
  const first = { files: await signed(files, 'RS256'), digest: 'sha256:1' };
  const second = { files: await signed(other, 'RS256'), digest: 'sha256:2' };
  await policy.admit(first);
  await policy.admit({ files: filesOf({ '.manifest': '{}' }), digest: 'sha256:3' });
  assert.equal(policy.status().errors[0]?.code, 'signature_missing');
  assert.equal(policy.current()?.ref.digest, 'sha256:1');
  await policy.admit(second);
  assert.deepEqual([policy.current()?.ref.digest, policy.status().code], ['sha256:2', null]);
  nowMs += 1000;
  await policy.admit(first);
  assert.equal(policy.status().errors[0]?.code, 'signature_key_expired');
  assert.equal(policy.current()?.ref.digest, 'sha256:2');
  for (const revision of [policy.current(), policy.previous()]) revision?.engine.close();
});

test('roots_too_wide: what opa build -O makes of sources without a manifest', async (t) => {
  if (!needsOpa(t)) return;
  const directory = sourceDirectory(t, { 'p.rego': OPTIMISED });
  const output = join(directory, 'b.tar.gz');
  const built = opa(
    ...['build', '-O1', '-t', 'wasm', '-e', 'egret/decision'],
    ...['-o', output, join(directory, 'p.rego')],
  );
  assert.equal(built.status, 0, built.output);
  const files = await signed(readArchive(readFileSync(output)), 'RS256');
  const verification = verificationWith('RS256');
  assert.equal(await outcome(t, archiveOf(files), verification), 'roots_too_wide');
});

test('every code of a refusal is explained in docs/bundles.md', () => {
  const source = readFileSync(new URL('../../src/bundle/bundle-error.ts', import.meta.url), 'utf8');
  const page = readFileSync(new URL('../../docs/bundles.md', import.meta.url), 'utf8');
  const codes = [...source.matchAll(/^ {2}\| '([a-z_0-9]+)'/gm)].map(([, code = '']) => code);
  assert.ok(codes.length > 40);
  assert.deepEqual(
    codes.filter((code) => !page.includes(`\`${code}\``)),
    [],
  );
});
