/**
 * Checkpoints: the size and root of the log, signed. C2SP tlog-checkpoint inside a C2SP signed note, Ed25519. A note
 * with further signatures (of witnesses) is fine; only the log's own key is judged here. Text read from disk or
 * network is not trusted before `openCheckpoint` accepts it. Pure.
 */
import { createPublicKey, hash, type KeyObject, sign, verify } from 'node:crypto';
import { HASH_BYTES, type Hash } from './tree.ts';

export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Hash;
}

/** A log's public key and the name it signs under. Text form: `name+8 hex digits+base64`. */
export interface VerifierKey {
  readonly name: string;
  /** First four bytes of SHA-256 over name, LF, algorithm and key. */
  readonly id: Buffer;
  readonly key: KeyObject;
}

export interface Signer {
  readonly name: string;
  readonly privateKey: KeyObject;
}

export type Opened =
  | { readonly ok: true; readonly checkpoint: Checkpoint }
  | { readonly ok: false; readonly detail: string };

const ED25519 = 0x01;
const PUBLIC_KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
/** DER before the 32 key bytes of an Ed25519 public key. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const NOTE_BYTES_MAX = 64 * 1024;
const SIGNATURES_MAX = 16;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** A name may not be empty or hold white space or a plus sign. */
export const isKeyName = (name: string): boolean => /^[^\s+\p{Cc}]{1,255}$/u.test(name);

/** @returns the text form, for `log.vkey` and for whoever checks the log. */
export function renderVerifierKey(name: string, publicKey: KeyObject): string {
  const typed = typedKey(publicKey);
  return `${name}+${keyId(name, typed).toString('hex')}+${typed.toString('base64')}`;
}

/** @returns null when the text is no Ed25519 verifier key or its key id does not fit. */
export function parseVerifierKey(text: string): VerifierKey | null {
  const match = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/.exec(text.trim());
  const [, name = '', idHex = '', base64 = ''] = match ?? [];
  const typed = decodeBase64(base64);
  if (!isKeyName(name) || typed?.length !== 1 + PUBLIC_KEY_BYTES || typed[0] !== ED25519)
    return null;
  const id = keyId(name, typed);
  if (id.toString('hex') !== idHex) return null;
  const der = Buffer.concat([SPKI_PREFIX, typed.subarray(1)]);
  return { name, id, key: createPublicKey({ key: der, format: 'der', type: 'spki' }) };
}

export function signCheckpoint(checkpoint: Checkpoint, signer: Signer): string {
  const { origin, size, root } = checkpoint;
  const text = `${origin}\n${size}\n${root.toString('base64')}\n`;
  const id = keyId(signer.name, typedKey(createPublicKey(signer.privateKey)));
  const signature = sign(null, Buffer.from(text), signer.privateKey);
  return `${text}\n— ${signer.name} ${Buffer.concat([id, signature]).toString('base64')}\n`;
}

/** Accepts a checkpoint that the given key signed and whose origin is the key's name. */
export function openCheckpoint(note: string, verifier: VerifierKey): Opened {
  if (Buffer.byteLength(note) > NOTE_BYTES_MAX) return refused('the note is larger than 64 KiB');
  const end = note.indexOf('\n\n— ');
  if (end < 0 || !note.endsWith('\n'))
    return refused('no signed note: text, blank line, signatures');
  const text = note.slice(0, end + 1);
  const lines = note.slice(end + 2, -1).split('\n');
  if (lines.length > SIGNATURES_MAX) return refused(`more than ${SIGNATURES_MAX} signatures`);
  const signatures = lines.map(parseSignature);
  if (signatures.includes(null)) return refused('a signature line is malformed');
  const own = signatures.filter((s) => s?.name === verifier.name && s.id.equals(verifier.id));
  const [signature] = own;
  if (own.length !== 1 || !signature) return refused(`not signed once by ${verifier.name}`);
  const { bytes } = signature;
  const good =
    bytes.length === SIGNATURE_BYTES && verify(null, Buffer.from(text), verifier.key, bytes);
  if (!good) return refused(`the signature of ${verifier.name} is wrong`);
  const checkpoint = parseCheckpointText(text);
  if (checkpoint === null) return refused('the signed text is no checkpoint');
  if (checkpoint.origin !== verifier.name) return refused(`origin is ${checkpoint.origin}`);
  return { ok: true, checkpoint };
}

function parseCheckpointText(text: string): Checkpoint | null {
  const [origin = '', size = '', root = '', ...rest] = text.split('\n');
  const bytes = decodeBase64(root);
  if (rest.length !== 1 || rest[0] !== '' || bytes?.length !== HASH_BYTES) return null;
  if (!/^(0|[1-9][0-9]{0,15})$/.test(size) || !Number.isSafeInteger(Number(size))) return null;
  return { origin, size: Number(size), root: bytes };
}

function parseSignature(line: string): { name: string; id: Buffer; bytes: Buffer } | null {
  const [, name = '', base64 = ''] = /^— (\S+) (\S+)$/.exec(line) ?? [];
  const bytes = decodeBase64(base64);
  if (!isKeyName(name) || bytes === null || bytes.length < 5) return null;
  return { name, id: bytes.subarray(0, 4), bytes: bytes.subarray(4) };
}

function typedKey(publicKey: KeyObject): Buffer {
  const der = publicKey.export({ format: 'der', type: 'spki' });
  return Buffer.concat([Buffer.of(ED25519), der.subarray(-PUBLIC_KEY_BYTES)]);
}

function keyId(name: string, typed: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(`${name}\n`), typed]);
  return hash('sha256', named, 'buffer').subarray(0, 4);
}

/** Strict: standard alphabet, padded, and nothing else encodes to the same text. */
export function decodeBase64(text: string): Buffer | null {
  if (text === '' || !BASE64.test(text)) return null;
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : null;
}

const refused = (detail: string): Opened => ({ ok: false, detail });
