// The authority of a process vouches for single hosts, for a short time, and for nothing outside its names.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { createCertificateAuthority, NotPermitted } from '../../src/tls/certificate-authority.ts';
import { createLeafCache } from '../../src/tls/leaf-cache.ts';
import { encodeNameConstraints, permitsHost } from '../../src/tls/name-constraints.ts';
import { minted, run, temporaryDirectory } from './wire.ts';

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
const NOW_MS = Date.now();

const authorityOf = (names: readonly string[] = [], validHours = 24) =>
  createCertificateAuthority({ names, validHours, nowMs: NOW_MS });

/** What OpenSSL says of a leaf under strict rules. */
async function verify(
  t: TestContext,
  pems: { ca: string; leaf: string },
  args: readonly string[],
): Promise<string> {
  const directory = temporaryDirectory(t);
  const [ca, leaf] = [join(directory, 'ca.crt'), join(directory, 'leaf.crt')];
  writeFileSync(ca, pems.ca);
  writeFileSync(leaf, pems.leaf);
  const strict = ['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', ca, ...args, leaf];
  const { out, error } = await run('openssl', strict);
  return `${out}${error}`;
}

for (const [host, flag] of [
  ['api.example.com', '-verify_hostname'],
  ['192.0.2.7', '-verify_ip'],
  ['2001:db8::1', '-verify_ip'],
] as const) {
  test(`OpenSSL strictly accepts the leaf for ${host}, and for no other host`, async (t) => {
    const authority = await authorityOf();
    const { certificatePem } = await authority.issue(host, NOW_MS);
    const pems = { ca: authority.certificatePem, leaf: certificatePem };
    assert.match(await verify(t, pems, [flag, host]), /leaf\.crt: OK/);
    const other = flag === '-verify_ip' ? '192.0.2.8' : 'other.example.com';
    assert.match(await verify(t, pems, [flag, other]), /mismatch/i);
  });
}

test('a leaf cannot sign, and a leaf of another authority is not believed', async (t) => {
  const [authority, other] = [await authorityOf(), await authorityOf()];
  const leaf = new X509Certificate((await authority.issue('a.test', NOW_MS)).certificatePem);
  assert.equal(leaf.ca, false);
  assert.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.1']);
  const pems = { ca: other.certificatePem, leaf: leaf.toString() };
  assert.match(await verify(t, pems, []), /unable to get local issuer certificate/);
});

test('leaves live a day at most, never longer than their authority, and began five minutes ago', async () => {
  const lives = async (validHours: number) => {
    const authority = await authorityOf([], validHours);
    const { certificatePem, notAfterMs } = await authority.issue('a.test', NOW_MS);
    const { validFrom, validTo } = new X509Certificate(certificatePem);
    assert.equal(Date.parse(validTo), notAfterMs);
    return [Date.parse(validFrom) - NOW_MS, notAfterMs - NOW_MS].map((ms) =>
      Math.round(ms / MINUTE_MS),
    );
  };
  assert.deepEqual(await lives(168), [-5, 24 * 60]);
  assert.deepEqual(await lives(2), [-5, 2 * 60]);
});

test('serial numbers and names of authorities never repeat', async () => {
  const authority = await authorityOf();
  const leaves = await Promise.all(
    Array.from({ length: 50 }, () => authority.issue('a.test', NOW_MS)),
  );
  const serials = leaves.map(({ certificatePem }) => new X509Certificate(certificatePem));
  assert.equal(new Set(serials.map(({ serialNumber }) => serialNumber)).size, 50);
  assert.ok(serials.every(({ serialNumber }) => serialNumber.length === 32));
  const subject = ({ certificatePem }: { certificatePem: string }) =>
    new X509Certificate(certificatePem).subject;
  assert.notEqual(subject(authority), subject(await authorityOf()));
});

const NAMES = ['*.example.com', 'api.other.test'];

test('a constrained authority signs for its names and OpenSSL accepts them', async (t) => {
  const authority = await authorityOf(NAMES);
  for (const host of ['a.example.com', 'b.a.example.com', 'api.other.test']) {
    const { certificatePem } = await authority.issue(host, NOW_MS);
    const pems = { ca: authority.certificatePem, leaf: certificatePem };
    assert.match(await verify(t, pems, ['-verify_hostname', host]), /OK/);
  }
});

test('a constrained authority signs for nothing else', async () => {
  const authority = await authorityOf(NAMES);
  for (const host of ['example.com', 'other.test', 'x.api.other.test', '192.0.2.1', '::1']) {
    await assert.rejects(authority.issue(host, NOW_MS), NotPermitted);
  }
});

/** Signs with the key of a constrained authority whatever it is asked for, as a thief of the key would. */
async function stolen(t: TestContext, names: readonly string[], san: string): Promise<string> {
  const directory = temporaryDirectory(t);
  const at = (name: string) => join(directory, name);
  const der = Buffer.from(encodeNameConstraints(names) ?? []).toString('hex');
  writeFileSync(
    at('ca.cnf'),
    `[req]\ndistinguished_name=dn\nx509_extensions=ca\nprompt=no\n[dn]\nCN=thief\n[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n2.5.29.30=critical,DER:${der}\n`,
  );
  writeFileSync(at('leaf.ext'), `subjectAltName=${san}\nauthorityKeyIdentifier=keyid\n`);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const steps: string[][] = [
    [
      'req',
      '-x509',
      ...key,
      '-keyout',
      at('ca.key'),
      '-out',
      at('ca.crt'),
      '-config',
      at('ca.cnf'),
    ],
    ['req', ...key, '-keyout', at('leaf.key'), '-out', at('leaf.csr'), '-subj', '/O=leaf'],
    ['x509', '-req', '-in', at('leaf.csr'), '-CA', at('ca.crt'), '-CAkey', at('ca.key')].concat([
      '-CAcreateserial',
      '-extfile',
      at('leaf.ext'),
      '-out',
      at('leaf.crt'),
    ]),
  ];
  for (const step of steps) {
    const { code, error } = await run('openssl', step);
    assert.equal(code, 0, error);
  }
  const strict = ['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', at('ca.crt')];
  const { out, error } = await run('openssl', [...strict, at('leaf.crt')]);
  return `${out}${error}`;
}

for (const [names, san, expected] of [
  [NAMES, 'DNS:a.example.com', /OK/],
  [NAMES, 'DNS:evil.test', /permitted subtree violation/],
  [NAMES, 'DNS:a.example.com,DNS:evil.test', /permitted subtree violation/],
  [NAMES, 'DNS:notexample.com', /permitted subtree violation/],
  [NAMES, 'IP:192.0.2.1', /excluded subtree violation/],
  [NAMES, 'IP:2001:db8::1', /excluded subtree violation/],
  [['192.0.2.1'], 'IP:192.0.2.1', /OK/],
  [['192.0.2.1'], 'IP:192.0.2.2', /permitted subtree violation/],
  [['192.0.2.1'], 'IP:2001:db8::1', /permitted subtree violation/],
  [['192.0.2.1'], 'DNS:a.example.com', /excluded subtree violation/],
] as const) {
  const verdict = String(expected).includes('OK') ? 'accepts' : 'refuses';
  test(`even with a stolen key OpenSSL ${verdict} ${san} under ${names.join(', ')}`, async (t) => {
    assert.match(await stolen(t, names, san), expected);
  });
}

test('what the authority permits is what a list of its names says', () => {
  const label = fc.constantFrom('a', 'b', 'api');
  const host = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
  const pattern = fc.tuple(fc.boolean(), host).map(([wild, name]) => (wild ? `*.${name}` : name));
  fc.assert(
    fc.property(fc.array(pattern, { minLength: 1, maxLength: 4 }), host, (names, asked) => {
      const above = asked.split('.').map((_, at, labels) => labels.slice(at).join('.'));
      const twin = names.includes(asked) || above.slice(1).some((up) => names.includes(`*.${up}`));
      assert.equal(permitsHost(names, asked), twin);
    }),
  );
});

test('connections that ask for one name at once get one certificate', async () => {
  const { cache } = await minted();
  const contexts = await Promise.all(Array.from({ length: 20 }, () => cache.contextFor('a.test')));
  assert.equal(new Set(contexts).size, 1);
  assert.equal(cache.size, 1);
});

test('at most leavesMax are kept, and the one unused longest goes first', async () => {
  const { cache } = await minted({ leavesMax: 3 });
  const first = await cache.contextFor('a.test');
  const second = await cache.contextFor('b.test');
  await cache.contextFor('c.test');
  assert.equal(await cache.contextFor('a.test'), first);
  await cache.contextFor('d.test');
  assert.equal(cache.size, 3);
  assert.equal(await cache.contextFor('a.test'), first);
  assert.notEqual(await cache.contextFor('b.test'), second);
});

test('a name that is not permitted leaves nothing in the cache', async () => {
  const { cache } = await minted({ names: ['*.example.com'] });
  await assert.rejects(cache.contextFor('evil.test'), NotPermitted);
  assert.equal(cache.size, 0);
});

test('a leaf is made anew in the second half of its life, and when the authority changes', async () => {
  let nowMs = NOW_MS;
  let authority = await authorityOf();
  const options = { leavesMax: 9, nowMs: () => nowMs, authority: async () => authority };
  const cache = createLeafCache(options);
  const first = await cache.contextFor('a.test');
  nowMs += 11 * HOUR_MS;
  assert.equal(await cache.contextFor('a.test'), first);
  nowMs += 2 * HOUR_MS;
  const second = await cache.contextFor('a.test');
  assert.notEqual(second, first);
  authority = await authorityOf();
  assert.notEqual(await cache.contextFor('a.test'), second);
});
