/**
 * Keys on the command line of `egret bundle`: options that say which key, of which algorithm, and read it. Shell: reads
 * key files and the environment.
 */
import { readFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import type { SignOptions, Verification } from '../bundle/signature.ts';
import { KeyError, signingKey, verificationKey } from '../bundle/signature-key.ts';
import { ALGORITHMS } from '../config/bundle.ts';
import { loadConfig } from '../config/load.ts';
import { verificationOf } from '../sidecar/verification.ts';
import { KitError } from './kit-verb.ts';

type Algorithm = (typeof ALGORITHMS)[number];

export interface SigningOptions {
  readonly signingKey?: string;
  readonly signingKeyEnv?: string;
  readonly algorithm: Algorithm;
  readonly keyId?: string;
  readonly scope: string;
  readonly expires?: string;
}

const algorithmOption = () =>
  new Option('--algorithm <name>', 'algorithm of the key').choices(ALGORITHMS).default('ES256');

export function withSigningOptions(command: Command): Command {
  return command
    .option('--signing-key <file>', 'private key (PEM), or the secret of HS256, HS384, HS512')
    .option('--signing-key-env <name>', 'environment variable with the same')
    .addOption(algorithmOption())
    .option('--key-id <id>', 'name of the key, goes into the signature as kid')
    .option('--scope <scope>', 'scope that the verifier must expect', '')
    .option('--expires <time>', 'RFC 3339; the signature is refused from then on');
}

/** @returns null when no key is named. @throws KitError, KeyError */
export function signingFrom(options: SigningOptions): SignOptions | null {
  const { signingKey: file, signingKeyEnv: env, algorithm, keyId = null, scope } = options;
  if (file === undefined && env === undefined) return null;
  if (file !== undefined && env !== undefined) {
    throw new KitError('found --signing-key and --signing-key-env, expected one of them');
  }
  const material = materialOf(file, env, '--signing-key-env');
  const key = keyIn(file ?? env ?? '', () => signingKey(algorithm, material));
  return { key, algorithm, keyId, scope, expiresSeconds: secondsOf(options.expires) };
}

function secondsOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  const ms = /^\d{4}-\d\d-\d\dT/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isFinite(ms)) return Math.floor(ms / 1000);
  throw new KitError(`--expires: found ${text}, expected a time such as 2027-01-31T00:00:00Z`);
}

export interface VerifyingOptions {
  readonly key?: string;
  readonly keyEnv?: string;
  readonly algorithm: Algorithm;
  readonly keyId?: string;
  readonly scope: string;
  readonly config?: string;
}

export function withVerifyingOptions(command: Command): Command {
  return command
    .option('--key <file>', 'public key or certificate (PEM), or the secret of HS256, HS384, HS512')
    .option('--key-env <name>', 'environment variable with the same')
    .addOption(algorithmOption())
    .option('--key-id <id>', 'only a signature that names this key, or names none')
    .option('--scope <scope>', 'scope the signature must have', '')
    .option('--config <file>', 'take bundles[].verification of a configuration of the sidecar');
}

const UNNAMED = 'key';

/** @returns null when neither a key nor a configuration is named. @throws KitError, KeyError, ConfigError */
export function verificationFrom(options: VerifyingOptions): Verification | null {
  const { key: file, keyEnv: env, algorithm, keyId, scope, config } = options;
  const named = [file, env, config].filter((one) => one !== undefined).length;
  if (named === 0) return null;
  if (named > 1) throw new KitError('found several of --key, --key-env, --config, expected one');
  if (config !== undefined) return configured(config);
  const material = materialOf(file, env, '--key-env');
  const key = keyIn(file ?? env ?? '', () =>
    verificationKey(keyId ?? UNNAMED, algorithm, material),
  );
  // With one key on the command line that key is meant, unless its name is asked for.
  return { keys: [key], keyId: keyId === undefined ? UNNAMED : null, scope, required: true };
}

function configured(file: string): Verification {
  const config = loadConfig(file).bundles[0]?.verification;
  const verification = verificationOf(config, process.env);
  if (verification !== undefined) return verification;
  throw new KitError(`${file}: bundles.0.verification: found nothing, expected keys`);
}

function materialOf(file: string | undefined, env: string | undefined, option: string): Uint8Array {
  if (file !== undefined) return readFileSync(file);
  const value = process.env[env ?? ''];
  if (value === undefined)
    throw new KitError(`${option}: found no variable ${env}, expected a key`);
  return Buffer.from(value);
}

function keyIn<T>(place: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof KeyError)) throw error;
    throw new KeyError(`${place}: ${error.message}`, { cause: error });
  }
}
