/**
 * The keys that bundles of a configuration must be signed with, read at start from files and environment variables.
 * Shell: reads key files.
 */
import { readFileSync } from 'node:fs';
import type { Verification } from '../bundle/signature.ts';
import { KeyError, type VerificationKey, verificationKey } from '../bundle/signature-key.ts';
import type { VerificationConfig } from '../config/bundle.ts';
import { StartError } from './start-error.ts';

/** Whose signature bundles must have; undefined when none is checked. */
export type BundleVerification = Verification | undefined;

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws StartError naming the key, what was found and what was expected; never what is in it. */
export function verificationOf(
  config: VerificationConfig | undefined,
  environment: Environment,
): BundleVerification {
  if (config === undefined) return undefined;
  const { keys, keyId = null, scope, required } = config;
  return { keys: keys.map((key) => keyOf(key, environment)), keyId, scope, required };
}

type KeyConfig = VerificationConfig['keys'][number];

function keyOf(config: KeyConfig, environment: Environment): VerificationKey {
  const { id, algorithm, file, env, expires } = config;
  const place = `bundles.0.verification.keys "${id}": ${file ?? env ?? ''}`;
  const expiresMs = expires === undefined ? null : Date.parse(expires);
  try {
    return verificationKey(id, algorithm, materialOf(config, environment), expiresMs);
  } catch (error) {
    const known = error instanceof KeyError || (error as NodeJS.ErrnoException).code !== undefined;
    if (!known) throw error;
    throw new StartError(`${place}: ${(error as Error).message}`, { cause: error });
  }
}

function materialOf({ file, env = '' }: KeyConfig, environment: Environment): Uint8Array {
  if (file !== undefined) return readFileSync(file);
  const value = environment[env];
  if (value === undefined) throw new KeyError('found no such variable, expected a key in it');
  return Buffer.from(value);
}
