/** Keys for signature tests, made once per process, and bundles signed with them. Pure, but for the keys' randomness. */
import { createSecretKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { writeArchive } from '../../src/bundle/archive-writer.ts';
import { SIGNATURES_FILE, signatureOver, type Verification } from '../../src/bundle/signature.ts';
import type { SignatureAlgorithm } from '../../src/config/bundle.ts';

export interface KeyPair {
  readonly signing: KeyObject;
  readonly verifying: KeyObject;
  /** What stands in the files of the two keys; a secret is the same in both. */
  readonly signingText: string;
  readonly verifyingText: string;
}

const CURVES = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' } as const;
const made = new Map<string, KeyPair>();

/** One pair per kind of key: all RSA algorithms share theirs. */
export function keyPair(algorithm: SignatureAlgorithm, name = 'main'): KeyPair {
  const kind = /^[RP]S/.test(algorithm) ? 'RSA' : algorithm;
  const known = made.get(`${name} ${kind}`) ?? newPair(algorithm);
  made.set(`${name} ${kind}`, known);
  return known;
}

function newPair(algorithm: SignatureAlgorithm): KeyPair {
  if (algorithm.startsWith('HS')) {
    const text = randomBytes(48).toString('base64url');
    const secret = createSecretKey(Buffer.from(text));
    return { signing: secret, verifying: secret, signingText: text, verifyingText: text };
  }
  const { privateKey, publicKey } = algorithm.startsWith('ES')
    ? generateKeyPairSync('ec', { namedCurve: CURVES[algorithm as keyof typeof CURVES] })
    : generateKeyPairSync('rsa', { modulusLength: 2048 });
  return {
    signing: privateKey,
    verifying: publicKey,
    signingText: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
    verifyingText: String(publicKey.export({ type: 'spki', format: 'pem' })),
  };
}

export function verificationWith(
  algorithm: SignatureAlgorithm,
  change: Partial<Verification> & { readonly expiresMs?: number } = {},
): Verification {
  const { expiresMs = null, ...rest } = change;
  const key = keyPair(algorithm).verifying;
  const keys = [{ id: 'main', algorithm, key, expiresMs }];
  return { keys, keyId: null, scope: '', required: true, ...rest };
}

export interface Signing {
  readonly keyId?: string | null;
  readonly scope?: string;
  readonly expiresSeconds?: number;
  readonly pair?: KeyPair;
}

export async function signed(
  files: ReadonlyMap<string, Uint8Array>,
  algorithm: SignatureAlgorithm,
  { keyId = 'main', scope = '', expiresSeconds, pair = keyPair(algorithm) }: Signing = {},
): Promise<Map<string, Uint8Array>> {
  const key = pair.signing;
  const expires = expiresSeconds ?? null;
  const options = { key, algorithm, keyId, scope, expiresSeconds: expires };
  return new Map([...files, [SIGNATURES_FILE, await signatureOver(files, options)]]);
}

export const archiveOf = (files: ReadonlyMap<string, Uint8Array>): Uint8Array =>
  writeArchive([...files]);
