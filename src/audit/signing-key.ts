/**
 * The Ed25519 key that signs a log's checkpoints: read from the operator's file, or made once in a directory and
 * kept there (0600). Errors name the file and never show what is in it.
 * Shell: reads and writes the key file.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';
import { join } from 'node:path';
import { makeDirectory, readIfThere, writeDurably } from './disk.ts';

export const OWN_KEY_FILE = 'log-key.pem';

export interface SigningKey {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/** @param keyFile must exist when given; otherwise the key is read from, or made in, `keyDirectory`. */
export async function loadSigningKey(
  keyFile: string | null,
  keyDirectory: string,
): Promise<SigningKey> {
  const path = keyFile ?? join(keyDirectory, OWN_KEY_FILE);
  const pem = await readIfThere(path);
  if (pem !== null) return parseKey(pem, path);
  if (keyFile !== null)
    throw new Error(`${path}: no such file; expected an Ed25519 private key (PEM)`);
  const made = generateKeyPairSync('ed25519');
  await makeDirectory(keyDirectory);
  await writeDurably(path, made.privateKey.export({ format: 'pem', type: 'pkcs8' }));
  return made;
}

function parseKey(pem: Buffer, path: string): SigningKey {
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(pem);
  } catch (cause) {
    throw new Error(`${path}: not a private key; expected Ed25519 in PEM`, { cause });
  }
  if (privateKey.asymmetricKeyType !== 'ed25519') {
    const found = privateKey.asymmetricKeyType ?? 'unknown';
    throw new Error(`${path}: found a key of type ${found}, expected ed25519`);
  }
  return { privateKey, publicKey: createPublicKey(privateKey) };
}
