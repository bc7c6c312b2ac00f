/**
 * Signatures of bundles in OPA's form: `.signatures.json` holds one JWT whose payload lists every file with its hash.
 * Key and algorithm come from configuration; of the token only the name of one of the configured keys is taken. A
 * signature covers all files or it covers nothing: one file too many, too few or changed refuses the bundle. Pure.
 */
import type { KeyObject } from 'node:crypto';
import { decodeProtectedHeader } from 'jose/decode/protected_header';
import { CompactSign } from 'jose/jws/compact/sign';
import { compactVerify } from 'jose/jws/compact/verify';
import { z } from 'zod';
import type { SignatureAlgorithm } from '../config/bundle.ts';
import {
  type BundleError,
  type BundleErrorCode,
  BundleRefused,
  bundleError,
  ERRORS_MAX,
  refuseBundle,
} from './bundle-error.ts';
import { HASHES, HashFormError, hashOfFile } from './hash-form.ts';
import type { VerificationKey } from './signature-key.ts';

export const SIGNATURES_FILE = '.signatures.json';

export interface Verification {
  readonly keys: readonly VerificationKey[];
  /** The key to use, whatever the token names; null: the one it names, or the only one when it names none. */
  readonly keyId: string | null;
  /** Must be the scope of the token exactly; empty for a token without one. */
  readonly scope: string;
  /** A bundle without a signature is refused. */
  readonly required: boolean;
}

/** A bundle's signature was looked at and is in order. Only `verifySignature` makes one. */
export class CheckedSignature {
  /** Of the bundle it was found in. */
  readonly digest: string;
  /** The key that verified it; null when the bundle has none and none is required. */
  readonly keyId: string | null;
  readonly #made = true;

  private constructor(digest: string, keyId: string | null) {
    this.digest = digest;
    this.keyId = keyId;
  }

  /** @throws BundleRefused `signature_*` */
  static async of(
    bundle: SignedContent,
    verification: Verification,
    nowMs: number,
  ): Promise<CheckedSignature> {
    return new CheckedSignature(bundle.digest, await checked(bundle.files, verification, nowMs));
  }

  covers(digest: string): boolean {
    return this.#made && this.digest === digest;
  }
}

interface SignedContent {
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly digest: string;
}

/**
 * @param nowMs wall clock in milliseconds since 1970, for the ends of keys and tokens.
 * @throws BundleRefused with a `signature_*` code for each cause.
 */
export const verifySignature = (
  bundle: SignedContent,
  verification: Verification,
  nowMs: number,
): Promise<CheckedSignature> => CheckedSignature.of(bundle, verification, nowMs);

const place = { file: SIGNATURES_FILE };
const refuse = (code: BundleErrorCode, found: string, expected: string) =>
  refuseBundle(code, place, found, expected);

async function checked(
  files: ReadonlyMap<string, Uint8Array>,
  verification: Verification,
  nowMs: number,
): Promise<string | null> {
  const bytes = files.get(SIGNATURES_FILE);
  if (bytes === undefined) {
    if (!verification.required) return null;
    return refuse('signature_missing', 'no such file', 'a signed bundle');
  }
  const token = tokenIn(bytes);
  const key = keyFor(token, verification);
  if (key.expiresMs !== null && nowMs >= key.expiresMs) {
    const ended = `the key ${key.id}, which ended ${new Date(key.expiresMs).toISOString()}`;
    refuse('signature_key_expired', ended, 'a key that is still good');
  }
  const payload = payloadOf(await verifiedBytes(token, key));
  if (payload.scope !== verification.scope) {
    const wanted = JSON.stringify(verification.scope);
    refuse('signature_scope', `the scope ${JSON.stringify(payload.scope)}`, `${wanted}`);
  }
  checkTime(payload, nowMs);
  checkFiles(files, payload.files);
  return key.id;
}

const signaturesSchema = z.strictObject({
  signatures: z.tuple([z.string()]),
  plugin: z.literal(['', '_default']).optional(),
});

function tokenIn(bytes: Uint8Array): string {
  const parsed = signaturesSchema.safeParse(jsonOf(bytes));
  if (parsed.success) return parsed.data.signatures[0];
  return refuse('signature_malformed', 'another shape', '{"signatures": [one JWT]}');
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}

/** Of the token's header only the name of the key is used; the algorithm must be the one configured for that key. */
function keyFor(token: string, { keys, keyId }: Verification): VerificationKey {
  const { alg, kid } = headerOf(token);
  if (typeof alg !== 'string' || alg.toLowerCase() === 'none') {
    return refuse('signature_none', `the algorithm ${shown(alg)}`, 'a signature');
  }
  const named = keyId ?? (kid || namedInPayload(token) || null);
  const [only] = keys.length === 1 ? keys : [];
  const key = named === null ? only : keys.find(({ id }) => id === named);
  if (key === undefined) {
    const found = named === null ? 'no name of a key' : `the key ${shown(named)}`;
    const wanted = `one of ${keys.map(({ id }) => id).join(', ') || 'none'}`;
    return refuse('signature_key_unknown', found, wanted);
  }
  if (alg === key.algorithm) return key;
  const wanted = `${key.algorithm}, as the key ${key.id} is configured`;
  return refuse('signature_algorithm', `the algorithm ${shown(alg)}`, wanted);
}

const shown = (value: unknown) => JSON.stringify(value) ?? 'undefined';

function headerOf(token: string): { readonly alg?: unknown; readonly kid?: string } {
  try {
    const { alg, kid } = decodeProtectedHeader(token);
    return { alg, ...(typeof kid === 'string' ? { kid } : {}) };
  } catch {
    return refuse('signature_malformed', 'no JWT', 'a JWT in compact form');
  }
}

/** The deprecated claim `keyid`. Not verified yet, so good for nothing but choosing among configured keys. */
function namedInPayload(token: string): string | null {
  const value = jsonOf(Buffer.from(token.split('.')[1] ?? '', 'base64url'));
  const keyid = (value as { keyid?: unknown } | null | undefined)?.keyid;
  return typeof keyid === 'string' && keyid !== '' ? keyid : null;
}

async function verifiedBytes(token: string, key: VerificationKey): Promise<Uint8Array> {
  try {
    const { payload } = await compactVerify(token, key.key, { algorithms: [key.algorithm] });
    return payload;
  } catch {
    const found = `a signature that the key ${key.id} did not make over this content`;
    return refuse('signature_invalid', found, `one by the key ${key.id} with ${key.algorithm}`);
  }
}

/** Up to the year 9999. */
const seconds = z.number().min(0).max(253_402_300_799);

const payloadSchema = z.looseObject({
  files: z
    .array(
      z.looseObject({
        name: z.string().min(1),
        hash: z.string().regex(/^[0-9a-fA-F]{2,128}$/),
        algorithm: z.string(),
      }),
    )
    .max(4096),
  scope: z.string().default(''),
  exp: seconds.optional(),
  nbf: seconds.optional(),
});
type Payload = z.output<typeof payloadSchema>;

function payloadOf(bytes: Uint8Array): Payload {
  const parsed = payloadSchema.safeParse(jsonOf(bytes));
  if (!parsed.success) {
    const path = parsed.error.issues[0]?.path.map(String).join('.') ?? '';
    return refuse('signature_malformed', `another shape at ${path || 'the top'}`, 'files');
  }
  const names = new Set(parsed.data.files.map(({ name }) => name));
  if (names.size === parsed.data.files.length) return parsed.data;
  return refuse('signature_malformed', 'a file listed twice', 'each file once');
}

function checkTime({ exp, nbf }: Payload, nowMs: number): void {
  const at = (seconds: number) => new Date(Math.trunc(seconds * 1000)).toISOString();
  if (exp !== undefined && nowMs >= exp * 1000) {
    refuse('signature_expired', `a signature that ended ${at(exp)}`, 'one that is still good');
  }
  if (nbf !== undefined && nowMs < nbf * 1000) {
    refuse('signature_expired', `a signature that begins ${at(nbf)}`, 'one that is good already');
  }
}

function checkFiles(files: ReadonlyMap<string, Uint8Array>, listed: Payload['files']): void {
  const byName = new Map(listed.map((entry) => [entry.name, entry]));
  const errors: BundleError[] = [];
  for (const [file, content] of files) {
    if (file === SIGNATURES_FILE) continue;
    const entry = byName.get(file);
    byName.delete(file);
    const error =
      entry === undefined
        ? bundleError('signature_file_extra', { file }, 'a file nobody signed', 'signed files only')
        : difference(file, content, entry);
    if (error !== null) errors.push(error);
  }
  for (const file of byName.keys()) {
    errors.push(
      bundleError('signature_file_missing', { file }, 'no such file', 'every signed file'),
    );
  }
  if (errors.length > 0) throw new BundleRefused(errors.slice(0, ERRORS_MAX));
}

function difference(
  file: string,
  content: Uint8Array,
  { hash, algorithm }: Payload['files'][number],
): BundleError | null {
  if (!HASHES.has(algorithm)) {
    const wanted = [...HASHES.keys()].join(', ');
    return bundleError('signature_hash', { file }, `the hash ${shown(algorithm)}`, wanted);
  }
  try {
    const actual = hashOfFile(file, content, algorithm);
    if (actual === hash.toLowerCase()) return null;
    return bundleError('signature_file_changed', { file }, actual, hash.toLowerCase());
  } catch (error) {
    if (!(error instanceof HashFormError)) throw error;
    const wanted = 'content with one reading, as it was signed';
    return bundleError('signature_file_changed', { file }, error.message, wanted);
  }
}

export interface SignOptions {
  readonly key: KeyObject;
  readonly algorithm: SignatureAlgorithm;
  /** Goes into the header as `kid`; null for none. */
  readonly keyId: string | null;
  /** Empty for none. */
  readonly scope: string;
  /** When the signature ends, in seconds since 1970; null for never. */
  readonly expiresSeconds: number | null;
}

/**
 * @returns the content of `.signatures.json` over all files but itself.
 * @throws HashFormError for a structured file that cannot be read.
 */
export async function signatureOver(
  files: ReadonlyMap<string, Uint8Array>,
  { key, algorithm, keyId, scope, expiresSeconds }: SignOptions,
): Promise<Uint8Array> {
  const listed = [...files]
    .filter(([name]) => name !== SIGNATURES_FILE)
    .map(([name, content]) => ({ name, hash: hashOfFile(name, content), algorithm: 'SHA-256' }));
  const payload = {
    files: listed,
    ...(scope === '' ? {} : { scope }),
    ...(expiresSeconds === null ? {} : { exp: expiresSeconds }),
  };
  const token = await new CompactSign(Buffer.from(JSON.stringify(payload)))
    .setProtectedHeader({ alg: algorithm, ...(keyId === null ? {} : { kid: keyId }) })
    .sign(key);
  return Buffer.from(`${JSON.stringify({ signatures: [token] }, null, 1)}\n`);
}
