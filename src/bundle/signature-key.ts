/**
 * Keys for signing and verifying bundles. Which algorithm a key is for is said by whoever configures it, never by what
 * it signed, and the key must be of that algorithm's kind and strong enough: so a public key can never serve as the
 * secret of an HMAC. Pure.
 */
import {
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  type KeyObject,
  X509Certificate,
} from 'node:crypto';
import type { SignatureAlgorithm } from '../config/bundle.ts';

export interface VerificationKey {
  /** Name of the key, which a signature may give as `kid`. */
  readonly id: string;
  readonly algorithm: SignatureAlgorithm;
  /** A public key, or a secret for HS256, HS384 and HS512. */
  readonly key: KeyObject;
  /** From this moment on the key verifies nothing; milliseconds since 1970, null for never. */
  readonly expiresMs: number | null;
}

/** The message says what was found and what was expected, and holds nothing of the key. */
export class KeyError extends Error {
  override readonly name = 'KeyError';
}

const CURVES: Readonly<Record<string, string>> = {
  ES256: 'prime256v1',
  ES384: 'secp384r1',
  ES512: 'secp521r1',
};
const RSA_BITS_MIN = 2048;
const SECRET_BYTES_MIN = 32;
const PEM = /-----BEGIN ([A-Z0-9 ]+)-----/;

/**
 * @param material PEM of a public key or a certificate; for HS256, HS384 and HS512 the bytes of the secret as they are,
 *   a line feed at the end included, as OPA takes them.
 * @throws KeyError
 */
export function verificationKey(
  id: string,
  algorithm: SignatureAlgorithm,
  material: Uint8Array,
  expiresMs: number | null = null,
): VerificationKey {
  if (isHmac(algorithm)) return { id, algorithm, key: secret(algorithm, material), expiresMs };
  const label = pemLabel(algorithm, material);
  if (label.endsWith('PRIVATE KEY')) {
    throw new KeyError('found a private key, expected a public key or a certificate');
  }
  const text = Buffer.from(material);
  const key = fitting(algorithm, () => createPublicKey(text));
  if (label !== 'CERTIFICATE') return { id, algorithm, key, expiresMs };
  const validToMs = Date.parse(new X509Certificate(text).validTo);
  return { id, algorithm, key, expiresMs: Math.min(validToMs, expiresMs ?? validToMs) };
}

/**
 * @param material PEM of a private key, or the bytes of a secret.
 * @throws KeyError
 */
export function signingKey(algorithm: SignatureAlgorithm, material: Uint8Array): KeyObject {
  if (isHmac(algorithm)) return secret(algorithm, material);
  const label = pemLabel(algorithm, material);
  if (!label.endsWith('PRIVATE KEY')) {
    throw new KeyError(`found a PEM of ${label}, expected a private key`);
  }
  return fitting(algorithm, () => createPrivateKey(Buffer.from(material)));
}

const isHmac = (algorithm: SignatureAlgorithm) => algorithm.startsWith('HS');

function secret(algorithm: SignatureAlgorithm, material: Uint8Array): KeyObject {
  if (PEM.test(Buffer.from(material).toString('latin1'))) {
    throw new KeyError(`found a PEM, expected the secret of ${algorithm}: no key is ever a secret`);
  }
  if (material.length < SECRET_BYTES_MIN) {
    const found = `a secret of ${material.length} bytes`;
    throw new KeyError(`found ${found}, expected at least ${SECRET_BYTES_MIN} for ${algorithm}`);
  }
  return createSecretKey(material);
}

function pemLabel(algorithm: SignatureAlgorithm, material: Uint8Array): string {
  const label = PEM.exec(Buffer.from(material).toString('latin1'))?.[1];
  if (label === undefined) throw new KeyError(`found no PEM, expected a key for ${algorithm}`);
  return label;
}

function fitting(algorithm: SignatureAlgorithm, read: () => KeyObject): KeyObject {
  let key: KeyObject;
  try {
    key = read();
  } catch (error) {
    throw new KeyError(`found a broken PEM, expected a key for ${algorithm}`, { cause: error });
  }
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  const curve = CURVES[algorithm];
  const kind = key.asymmetricKeyType ?? 'unknown';
  if (curve !== undefined) {
    if (namedCurve === curve) return key;
    throw new KeyError(`found ${namedCurve ?? kind}, expected ${curve} for ${algorithm}`);
  }
  if (kind === 'rsa' && modulusLength >= RSA_BITS_MIN) return key;
  const found = kind === 'rsa' ? `RSA of ${modulusLength} bits` : kind;
  throw new KeyError(`found ${found}, expected RSA of at least ${RSA_BITS_MIN} for ${algorithm}`);
}
