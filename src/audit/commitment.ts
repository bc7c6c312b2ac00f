/**
 * Salted commitments: they stand in an entry for a value that must not stand there in the clear. Every record has
 * its own random key; a salt is derived from it for each place in the record, so equal or guessable values (a mail
 * address, an amount) show nothing. Whoever gets salt and value of one field (its opening) can check that field and
 * no other. Without the opening a value is gone for good, and the log stays verifiable. Pure.
 */
import { hash } from 'node:crypto';
import { HASH_BYTES, type Hash, sha256 } from './tree.ts';

/** An opening as it is kept apart from the log. */
export interface Opening {
  /** JSON pointer of the value in the record. */
  readonly pointer: string;
  /** Hex. */
  readonly salt: string;
  /** Canonical JSON text of the value. */
  readonly value: string;
}

export interface Commitment extends Opening {
  /** Hex. */
  readonly commit: string;
}

export const RECORD_KEY_BYTES = 32;
const BLOCK_BYTES = 64;
const PREFIX = 0x02;
/** Reused hash inputs; filled and read inside one synchronous call. */
const inner = Buffer.alloc(BLOCK_BYTES + 4096);
const outer = Buffer.alloc(BLOCK_BYTES + HASH_BYTES);

/** Makes commitments under one record key of 32 random bytes. The key must never be used for a second record. */
export function committer(key: Hash): (pointer: string, value: string) => Commitment {
  return (pointer, value) => {
    const salt = hmac(key, pointer);
    return { pointer, commit: commitTo(salt, value), salt: salt.toString('hex'), value };
  };
}

/** SHA-256(0x02 || salt || length of the value in 8 bytes || value). */
export function commitTo(salt: Hash, value: string): string {
  const head = 1 + HASH_BYTES + 8;
  const bytes = Buffer.allocUnsafe(head + value.length * 3);
  const length = bytes.write(value, head);
  bytes[0] = PREFIX;
  bytes.set(salt, 1);
  bytes.writeBigUInt64BE(BigInt(length), 1 + HASH_BYTES);
  return hash('sha256', bytes.subarray(0, head + length), 'hex');
}

/** Does this opening belong to this commitment? */
export function opens(opening: Opening, commit: string): boolean {
  const salt = Buffer.from(opening.salt, 'hex');
  return salt.length === HASH_BYTES && commitTo(salt, opening.value) === commit;
}

/** HMAC-SHA-256 from two one-shot hashes, which costs a tenth of an Hmac object. The key is at most a block long. */
function hmac(key: Hash, text: string): Hash {
  inner.fill(0x36, 0, BLOCK_BYTES);
  outer.fill(0x5c, 0, BLOCK_BYTES);
  for (let i = 0; i < key.length; i += 1) {
    inner[i] = (key[i] as number) ^ 0x36;
    outer[i] = (key[i] as number) ^ 0x5c;
  }
  const length = inner.write(text, BLOCK_BYTES);
  outer.set(sha256(inner.subarray(0, BLOCK_BYTES + length)), BLOCK_BYTES);
  return sha256(outer);
}
