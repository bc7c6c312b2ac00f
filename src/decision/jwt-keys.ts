/**
 * Keys and signatures of JSON Web Tokens. A key is bound to what it is: a public key never checks an HMAC, and the
 * algorithm is always named by the caller. Pure.
 */
import {
  constants,
  createHmac,
  createPublicKey,
  type JsonWebKey,
  type KeyObject,
  timingSafeEqual,
  verify,
  X509Certificate,
} from 'node:crypto';

export interface JwtKey {
  /** Empty when the key names none. */
  readonly algorithm: string;
  readonly id: string;
  /** A secret, or a public key; null for a key that can check nothing. */
  readonly key: Buffer | KeyObject | null;
}

const HASHES: Readonly<Record<string, string>> = {
  '256': 'sha256',
  '384': 'sha384',
  '512': 'sha512',
};

/** The algorithms that are known. */
const ALGORITHM = /^(?:(?:RS|PS|ES|HS)(?:256|384|512)|EdDSA)$/;

const PEM = /-----BEGIN ([A-Z0-9 ]+)-----[ \t]*\r?\n[\s\S]*?-----END \1-----[ \t]*(?:\r?\n)?/;

/** A certificate, a public key, a JSON Web Key or a set of them; null when the text is none of it. */
export function parseJwtKeys(text: string): readonly JwtKey[] | null {
  try {
    const pem = PEM.exec(text);
    if (pem === null) return parseJwks(text);
    if (pem.index + pem[0].length !== text.length) return null; // more than one block
    const kinds: Readonly<Record<string, () => KeyObject>> = {
      CERTIFICATE: () => new X509Certificate(pem[0]).publicKey,
      'PUBLIC KEY': () => createPublicKey(pem[0]),
    };
    const key = Object.hasOwn(kinds, pem[1] as string) ? kinds[pem[1] as string]?.() : undefined;
    return key === undefined ? null : [{ algorithm: '', id: '', key }];
  } catch {
    return null; // node:crypto throws errors of many kinds for keys that are none
  }
}

type Jwk = JsonWebKey & { readonly alg?: unknown; readonly kid?: unknown };

function parseJwks(text: string): readonly JwtKey[] | null {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null) return null;
  const list: unknown = 'keys' in value ? value.keys : [value];
  if (!Array.isArray(list)) return null;
  const keys = list.map((jwk: Jwk) => ({
    algorithm: typeof jwk.alg === 'string' ? jwk.alg : '',
    id: typeof jwk.kid === 'string' ? jwk.kid : '',
    key: keyOf(jwk),
  }));
  return keys.filter(({ algorithm }) => algorithm === '' || ALGORITHM.test(algorithm));
}

function keyOf(jwk: Jwk): Buffer | KeyObject | null {
  if (jwk.kty === 'oct') return Buffer.from(jwk.k ?? '', 'base64url');
  const key = createPublicKey({ key: jwk, format: 'jwk' });
  return jwk.d === undefined ? key : null;
}

/** As `alg` says; `saltLength` is for PS algorithms. False for anything that does not fit together. */
export function verifyJwt(
  algorithm: string,
  key: Buffer | KeyObject | null,
  signed: string,
  signature: Buffer,
  saltLength: 'any' | 'digest',
): boolean {
  if (key === null || !ALGORITHM.test(algorithm)) return false;
  if (algorithm === 'EdDSA')
    return !Buffer.isBuffer(key) && key.asymmetricKeyType === 'ed25519'
      ? verify(null, Buffer.from(signed), key, signature)
      : false;
  const hash = HASHES[algorithm.slice(2)] as string;
  if (Buffer.isBuffer(key)) {
    if (!algorithm.startsWith('HS')) return false;
    const expected = createHmac(hash, key).update(signed).digest();
    return expected.length === signature.length && timingSafeEqual(expected, signature);
  }
  return verifyAsymmetric(algorithm, hash, key, Buffer.from(signed), signature, saltLength);
}

function verifyAsymmetric(
  algorithm: string,
  hash: string,
  key: KeyObject,
  signed: Buffer,
  signature: Buffer,
  saltLength: 'any' | 'digest',
): boolean {
  const kind = algorithm.slice(0, 2);
  if (kind === 'ES') {
    if (key.asymmetricKeyType !== 'ec') return false;
    return verify(hash, signed, { key, dsaEncoding: 'ieee-p1363' }, signature);
  }
  if (key.asymmetricKeyType !== 'rsa') return false;
  if (kind === 'RS') return verify(hash, signed, key, signature);
  if (kind !== 'PS') return false;
  const { RSA_PKCS1_PSS_PADDING, RSA_PSS_SALTLEN_AUTO, RSA_PSS_SALTLEN_DIGEST } = constants;
  const salt = saltLength === 'any' ? RSA_PSS_SALTLEN_AUTO : RSA_PSS_SALTLEN_DIGEST;
  return verify(hash, signed, { key, padding: RSA_PKCS1_PSS_PADDING, saltLength: salt }, signature);
}
