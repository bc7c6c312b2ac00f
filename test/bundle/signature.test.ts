/** Signatures: ours are read by opa, those of opa by us, for every algorithm; and the form that is hashed is Go's. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { readArchive } from '../../src/bundle/archive.ts';
import { BundleRefused } from '../../src/bundle/bundle-error.ts';
import { HashFormError, hashOfFile, structuredForm } from '../../src/bundle/hash-form.ts';
import { SIGNATURES_FILE, verifySignature } from '../../src/bundle/signature.ts';
import { KeyError, signingKey, verificationKey } from '../../src/bundle/signature-key.ts';
import { ALGORITHMS, type SignatureAlgorithm } from '../../src/config/bundle.ts';
import { needsOpa, opa, sourceDirectory } from '../policy/opa.ts';
import { contentOf, filesOf } from './bundle-files.ts';
import { archiveOf, keyPair, signed, verificationWith } from './signature-keys.ts';

const NOW_MS = 1_795_341_600_000;
const REGO = 'package egret\n\ndecision := {"allowed": input.x == data.config.x.limit}\n';
/** Numbers, escapes and keys on which a plain JSON round trip would give another hash. */
const AWKWARD =
  '{"config": {"z": 1.0, "a": 1E5, "n": 12345678901234567890123, "s": "<&>\\u2028\\u0007\\b/é", "\\ue000": 1, "\\ud83d\\ude00": 2, "neg": -0.0}}';
const SOURCES = {
  'p.rego': REGO,
  'data.json': AWKWARD,
  'config/x/data.yaml': 'limit: 5\nlist: [a, {b: true}]\n',
  '.manifest': '{"roots": ["egret", "config"], "revision": "7"}',
};

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'accepted';
  } catch (error) {
    assert.ok(error instanceof BundleRefused, String(error));
    return error.errors.map(({ code }) => code).join(' ');
  }
}

function keyFiles(directory: string, algorithm: SignatureAlgorithm) {
  const { signingText, verifyingText } = keyPair(algorithm);
  const [signing, verifying] = [join(directory, 'signing'), join(directory, 'verifying')];
  writeFileSync(signing, signingText);
  writeFileSync(verifying, verifyingText);
  return { signing, verifying };
}

function written(t: TestContext, files: ReadonlyMap<string, Uint8Array>): string {
  const directory = sourceDirectory(t, {});
  for (const [path, bytes] of files) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), bytes);
  }
  return directory;
}

/** `opa sign` names files as it finds them, so it has to stand in the directory. */
function signedByOpa(directory: string, output: string, options: readonly string[]) {
  const command = ['sign', ...options, '-b', '.', '-o', output];
  const { status, stdout, stderr } = spawnSync('opa', command, {
    cwd: directory,
    encoding: 'utf8',
  });
  return { status, output: `${stdout}${stderr}` };
}

for (const algorithm of ALGORITHMS) {
  test(`${algorithm}: what we sign opa verifies, and refuses with another key`, async (t) => {
    if (!needsOpa(t)) return;
    const files = await signed(filesOf(SOURCES), algorithm, { keyId: null, scope: 'prod' });
    const directory = sourceDirectory(t, {});
    const archive = join(directory, 'b.tar.gz');
    writeFileSync(archive, archiveOf(files));
    const { verifying } = keyFiles(directory, algorithm);
    const verify = (key: string) =>
      opa(
        ...['build', '-b', archive, '--verification-key', key, '--signing-alg', algorithm],
        ...['--scope', 'prod', '-o', join(directory, 'out.tar.gz')],
      );
    const good = verify(verifying);
    assert.equal(good.status, 0, good.output);
    writeFileSync(join(directory, 'other'), keyPair(algorithm, 'other').verifyingText);
    const bad = verify(join(directory, 'other'));
    assert.equal(bad.status, 1, bad.output);
    assert.match(bad.output, /failed to verify JWT signature/);
  });

  test(`${algorithm}: what opa signs, with sign and with build, we verify`, async (t) => {
    if (!needsOpa(t)) return;
    const directory = written(t, filesOf(SOURCES));
    const keys = sourceDirectory(t, {});
    const { signing } = keyFiles(keys, algorithm);
    const options = ['--signing-key', signing, '--signing-alg', algorithm];
    const sign = signedByOpa(directory, keys, options);
    assert.equal(sign.status, 0, sign.output);
    const signature = readFileSync(join(keys, SIGNATURES_FILE));
    const files = new Map([...filesOf(SOURCES), [SIGNATURES_FILE, signature]]);
    const verification = verificationWith(algorithm);
    await verifySignature(contentOf(files), verification, NOW_MS);
    const changed = new Map([...files, ['p.rego', Buffer.from(`${REGO}\n`)]]);
    const code = await codeOf(verifySignature(contentOf(changed), verification, NOW_MS));
    assert.equal(code, 'signature_file_changed');

    const archive = join(keys, 'b.tar.gz');
    const build = ['build', '-t', 'wasm', '-e', 'egret/decision', '-b', directory, '-o', archive];
    const built = opa(...build, ...options);
    assert.equal(built.status, 0, built.output);
    const content = contentOf(readArchive(readFileSync(archive)));
    // `opa build` names its key "default" in the token; a configured keyId wins over that.
    assert.equal(
      await codeOf(verifySignature(content, verification, NOW_MS)),
      'signature_key_unknown',
    );
    const checked = await verifySignature(content, { ...verification, keyId: 'main' }, NOW_MS);
    assert.equal(checked.keyId, 'main');
    assert.ok(checked.covers(content.digest) && !checked.covers('sha256:other'));
  });
}

test('white space and the order of keys may change, values and digits may not', async () => {
  const files = await signed(filesOf({ 'data.json': '{"a": 1.0, "b": [1, 2]}' }), 'ES256');
  const variants: readonly (readonly [string, string])[] = [
    ['{"b":[1,2],"a":1.0}', 'accepted'],
    ['{"b":[1,2],"a":1}', 'signature_file_changed'],
    ['{"b":[2,1],"a":1.0}', 'signature_file_changed'],
    ['{"a":1.0,"a":1.0,"b":[1,2]}', 'signature_file_changed'],
    ['{"a":1.0,"b":[1,2]', 'signature_file_changed'],
  ];
  for (const [text, expected] of variants) {
    const content = contentOf(new Map([...files, ['data.json', Buffer.from(text)]]));
    const code = await codeOf(verifySignature(content, verificationWith('ES256'), NOW_MS));
    assert.equal(code, expected, text);
  }
});

test('a YAML file that YAML 1.1 and 1.2 read differently is refused', async (t) => {
  if (!needsOpa(t)) return;
  const sources = { ...SOURCES, 'config/x/data.yaml': 'limit: yes\n' };
  const directory = written(t, filesOf(sources));
  const keys = sourceDirectory(t, {});
  const { signing } = keyFiles(keys, 'ES256');
  const sign = signedByOpa(directory, keys, ['--signing-key', signing, '--signing-alg', 'ES256']);
  assert.equal(sign.status, 0, sign.output);
  const signature = readFileSync(join(keys, SIGNATURES_FILE));
  const content = contentOf(new Map([...filesOf(sources), [SIGNATURES_FILE, signature]]));
  const code = await codeOf(verifySignature(content, verificationWith('ES256'), NOW_MS));
  assert.equal(code, 'signature_file_changed');
});

test('the form that is hashed keeps digits, sorts keys by bytes and escapes as Go does', () => {
  const forms: readonly (readonly [string, string])[] = [
    [' { "b" : 1.0 , "a" : [ ] } ', '{"a":[],"b":1.0}'],
    ['{"\\ud83d\\ude00":1,"\\ue000":2}', '{"\ue000":2,"\u{1f600}":1}'],
    ['"<\\u003c\\/\\u2028\\u2029\\u0001\\t\\u007f"', '"<</\\u2028\\u2029\\u0001\\t\u007f"'],
    ['[-0.0,1E+5,12345678901234567890123]', '[-0.0,1E+5,12345678901234567890123]'],
  ];
  for (const [text, form] of forms) assert.equal(structuredForm(text), form);
  const none = ['', '{', '[1,]', '{"a":1,"a":1}', '"\\ud800"', '01', '1 2', 'nul', '"\t"', '{1:2}'];
  for (const text of [...none, '['.repeat(200)]) {
    assert.throws(() => structuredForm(text), HashFormError, text);
  }
});

/** JSON texts as people and programs write them: spaces, escapes, numbers of every spelling, keys from all planes. */
const jsonText = fc.letrec<{ value: string; text: string }>((tie) => ({
  text: fc.oneof(
    fc.string({ unit: 'binary', maxLength: 6 }).map((text) => JSON.stringify(text)),
    fc.constantFrom(
      '"<&>"',
      '"\\u2028\\/"',
      '"\\ud83d\\ude00"',
      '"\u2029\u007f"',
      '"\ue000"',
      '"😀"',
    ),
  ),
  value: fc.oneof(
    { maxDepth: 4 },
    tie('text'),
    fc.constantFrom(
      'null',
      'true',
      ' false ',
      '1.0',
      '-0.0',
      '1E+5',
      '1e-7',
      '12345678901234567890123',
    ),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
    fc.array(tie('value'), { maxLength: 4 }).map((items) => `[ ${items.join(' ,\n')} ]`),
    fc
      .uniqueArray(fc.tuple(tie('text'), tie('value')), {
        maxLength: 5,
        selector: ([key]) => JSON.parse(key) as string,
      })
      .map((members) => `{${members.map(([key, value]) => `${key}:\t${value}`).join(', ')}}`),
  ),
})).value;

test('three hundred random documents have the hash that opa gives them', (t) => {
  if (!needsOpa(t)) return;
  const documents = fc.sample(jsonText, 300);
  const files = documents.map((text, at) => [`d${at}/data.json`, text] as const);
  const directory = sourceDirectory(t, Object.fromEntries(files));
  const keys = sourceDirectory(t, {});
  const { signing } = keyFiles(keys, 'HS256');
  const options = ['--signing-key', signing, '--signing-alg', 'HS256'];
  const sign = signedByOpa(directory, keys, options);
  assert.equal(sign.status, 0, sign.output);
  const { signatures } = JSON.parse(readFileSync(join(keys, SIGNATURES_FILE), 'utf8')) as {
    signatures: [string];
  };
  const payload = Buffer.from(signatures[0].split('.')[1] ?? '', 'base64url').toString();
  const listed = JSON.parse(payload) as { files: { name: string; hash: string }[] };
  const theirs = new Map(listed.files.map(({ name, hash }) => [name, hash]));
  for (const [name, text] of files) {
    assert.equal(hashOfFile(name, Buffer.from(text)), theirs.get(name), text);
  }
});

const BAD_KEYS: readonly (readonly [string, SignatureAlgorithm, () => string, RegExp])[] = [
  [
    'a public key as the secret of an HMAC',
    'HS256',
    () => keyPair('RS256').verifyingText,
    /found a PEM/,
  ],
  [
    'a short secret',
    'HS256',
    () => 'x'.repeat(31),
    /found a secret of 31 bytes, expected at least 32/,
  ],
  [
    'a private key',
    'RS256',
    () => keyPair('RS256').signingText,
    /found a private key, expected a public/,
  ],
  [
    'another curve',
    'ES256',
    () => keyPair('ES384').verifyingText,
    /found secp384r1, expected prime256v1/,
  ],
  [
    'RSA for a curve',
    'ES256',
    () => keyPair('RS256').verifyingText,
    /found rsa, expected prime256v1/,
  ],
  ['a curve for RSA', 'PS256', () => keyPair('ES256').verifyingText, /found ec, expected RSA/],
  ['text', 'RS256', () => 'hello', /found no PEM/],
  ['half a PEM', 'RS256', () => keyPair('RS256').verifyingText.slice(0, 80), /found a broken PEM/],
];

test('a key that does not fit its algorithm is refused and not shown', () => {
  for (const [name, algorithm, material, message] of BAD_KEYS) {
    const read = () => verificationKey('main', algorithm, Buffer.from(material()));
    assert.throws(
      read,
      (error: Error) => error instanceof KeyError && message.test(error.message),
      name,
    );
  }
  const publicKey = Buffer.from(keyPair('RS256').verifyingText);
  assert.throws(() => signingKey('RS256', publicKey), /found a PEM of PUBLIC KEY/);
});
