/** Tokens and certificates beside the real OPA: the same keys, the same confusions, the same answers. */
import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { test } from 'node:test';
import type { RegoValue } from '../../src/decision/rego-value.ts';
import { createCertificateAuthority } from '../../src/tls/certificate-authority.ts';
import { type BuiltinCall, compareWithOpa, every } from './opa-oracle.ts';

const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const object = (fields: Readonly<Record<string, RegoValue>>): RegoValue =>
  new Map(Object.entries(fields));

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ed = generateKeyPairSync('ed25519');
const pem = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }).toString();
const jwk = (key: KeyObject, more: object = {}) => ({ ...key.export({ format: 'jwk' }), ...more });

function token(algorithm: string, header: object, claims: object): string {
  const text = `${encoded({ alg: algorithm, ...header })}.${encoded(claims)}`;
  const bytes = Buffer.from(text);
  const hash = `sha${algorithm.slice(2)}`;
  const signatures: Readonly<Record<string, () => Buffer>> = {
    HS256: () => createHmac('sha256', 'secret').update(bytes).digest(),
    RS256: () => sign(hash, bytes, rsa.privateKey),
    PS256: () => sign(hash, bytes, { key: rsa.privateKey, padding: 6, saltLength: 32 }),
    ES256: () => sign(hash, bytes, { key: ec.privateKey, dsaEncoding: 'ieee-p1363' }),
    EdDSA: () => sign(null, bytes, ed.privateKey),
  };
  const signature = signatures[algorithm]?.() ?? Buffer.alloc(0);
  return `${text}.${signature.toString('base64url')}`;
}

test('tokens are decoded and verified as in OPA, and no key is taken for another', (t) => {
  const claims = { iss: 'me', aud: ['you'], exp: 4_000_000_000, nbf: 1 };
  const plain = ['HS256', 'RS256', 'PS256', 'ES256', 'EdDSA', 'none'].map((algorithm) =>
    token(algorithm, { typ: 'JWT' }, claims),
  );
  const publicPem = pem(rsa.publicKey);
  // The public key as the secret of an HMAC: the classic confusion.
  const head = `${encoded({ alg: 'HS256' })}.${encoded(claims)}`;
  const confused = `${head}.${createHmac('sha256', publicPem).update(head).digest('base64url')}`;
  const odd = [
    token('RS256', { kid: 'b' }, claims),
    token('RS256', { kid: 'a' }, claims),
    token('RS256', { crit: ['x'], x: 1 }, claims),
    token('RS256', { crit: [] }, claims),
    token('RS256', { cty: 'JWT' }, claims),
    token('RS256', { enc: 'A128GCM' }, claims),
    token('RS256', {}, { aud: 'you', exp: 1 }),
    token('RS256', {}, { nbf: 5_000_000_000 }),
    token('RS256', {}, { exp: 'soon' }),
    `${plain[1]}x`,
    `${plain[1]}.`,
    plain[1]?.replace('.', '..') ?? '',
    'a.b',
    '',
    confused,
  ];
  const set = JSON.stringify({
    keys: [jwk(ec.publicKey, { kid: 'a', alg: 'ES256' }), jwk(rsa.publicKey, { kid: 'b' })],
  });
  const keys = [
    publicPem,
    pem(ec.publicKey),
    pem(ed.publicKey),
    set,
    `${publicPem}x`,
    'nope',
    '{}',
  ];
  const time = 2_000_000_000_000_000_000n;
  const constraints = [
    object({ cert: set, aud: 'you', time }),
    object({ cert: publicPem, aud: 'you', time }),
    object({ cert: publicPem, aud: 'you', iss: 'you', time }),
    object({ cert: publicPem, alg: 'PS256', aud: 'you', time }),
    object({ cert: publicPem, time }),
    object({ secret: 'secret', aud: 'you', time }),
    object({ secret: publicPem, cert: publicPem, time }),
    object({ aud: 'you', time }),
    object({ cert: publicPem, unknown: 1, time }),
    object({ secret: 'secret', time: -1 }),
  ];
  const tokens = [...plain, ...odd];
  const verifiers = ['rs256', 'ps256', 'es256', 'eddsa'].map((name) => `io.jwt.verify_${name}`);
  compareWithOpa(t, [
    ...tokens.map((one) => ['io.jwt.decode', one] as BuiltinCall),
    ...tokens.map((one) => ['io.jwt.verify_hs256', one, 'secret'] as BuiltinCall),
    ...verifiers.flatMap((name) =>
      tokens.flatMap((one) => keys.map((key) => [name, one, key] as BuiltinCall)),
    ),
    ...tokens.flatMap((one) =>
      constraints.map((given) => ['io.jwt.decode_verify', one, given] as BuiltinCall),
    ),
  ]);
});

test('certificates and private keys are taken apart as in OPA', async (t) => {
  const nowMs = 1_795_341_600_000;
  const authority = await createCertificateAuthority({ names: [], validHours: 24, nowMs });
  const other = await createCertificateAuthority({ names: ['*.b.example'], validHours: 24, nowMs });
  const [leaf, address] = [
    await authority.issue('a.example', nowMs),
    await authority.issue('2001:db8::1', nowMs),
  ];
  const root = authority.certificatePem;
  const chains = [
    root + leaf.certificatePem,
    leaf.certificatePem + root,
    other.certificatePem + leaf.certificatePem,
    root + other.certificatePem + leaf.certificatePem,
    root,
    `${root}x`,
    'x',
  ];
  const at = BigInt(nowMs) * 1_000_000n;
  const options = [
    object({ CurrentTime: at }),
    object({ CurrentTime: at, DNSName: 'a.example' }),
    object({ CurrentTime: at, DNSName: 'b.example' }),
    object({ CurrentTime: at + 10n ** 15n }),
    object({ CurrentTime: at, KeyUsages: ['KeyUsageClientAuth'] }),
    object({ CurrentTime: at, KeyUsages: ['KeyUsageAny'] }),
    object({ CurrentTime: at, KeyUsages: ['x'] }),
    object({ CurrentTime: 'now' }),
    object({ Unknown: 1 }),
  ];
  const rsaPem = rsa.privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
  const ecPem = ec.privateKey.export({ type: 'sec1', format: 'pem' }).toString();
  const edPem = ed.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const keyTexts = [
    rsaPem,
    ecPem,
    edPem,
    rsaPem + ecPem,
    Buffer.from(rsaPem).toString('base64'),
    'x',
  ];
  compareWithOpa(t, [
    ...keyTexts.map((one) => ['crypto.parse_private_keys', one] as BuiltinCall),
    ...keyTexts.map((one) => ['crypto.x509.parse_rsa_private_key', one] as BuiltinCall),
    ...[...chains.slice(0, 2), address.certificatePem, other.certificatePem, 'x'].map(
      (one) => ['crypto.x509.parse_certificates', one] as BuiltinCall,
    ),
    ...every('crypto.x509.parse_and_verify_certificates_with_options', chains, options),
    ['crypto.x509.parse_keypair', leaf.certificatePem, leaf.keyPem],
    ['crypto.x509.parse_keypair', leaf.certificatePem, ecPem],
  ]);
});
