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

export interface Commitment {
  readonly pointer: string;
  /** Hex. */
  readonly commit: string;
  readonly salt: Hash;
  /** Canonical JSON text of the value. */
  readonly value: string;
}

export const RECORD_KEY_BYTES = 32;
const BLOCK_BYTES = 64;
const POINTER_BYTES_MAX = 4096;
/** Before the value: prefix, salt, length. */
const HEAD_BYTES = 1 + HASH_BYTES + 8;
const PREFIX = 0x02;
const TWO_32 = 2 ** 32;
/** Reused hash inputs; filled and read inside one synchronous call. */
const inner = Buffer.alloc(BLOCK_BYTES + POINTER_BYTES_MAX);
const outer = Buffer.alloc(BLOCK_BYTES + HASH_BYTES);
const valueInput = Buffer.alloc(16 * 1024);

/** Makes commitments under one record key of 32 random bytes. The key must never be used for a second record. */
export function committer(key: Hash): (pointer: string, value: string) => Commitment {
  const innerPad = Buffer.alloc(BLOCK_BYTES, 0x36);
  const outerPad = Buffer.alloc(BLOCK_BYTES, 0x5c);
  for (let i = 0; i < key.length; i += 1) {
    innerPad[i] = (key[i] as number) ^ 0x36;
    outerPad[i] = (key[i] as number) ^ 0x5c;
  }
  return (pointer, value) => {
    const salt = hmac(innerPad, outerPad, pointer);
    return { pointer, commit: commitTo(salt, value), salt, value };
  };
}

/** SHA-256(0x02 || salt || length of the value in 8 bytes || value), in hex. */
export function commitTo(salt: Hash, value: string): string {
  const bytesMax = HEAD_BYTES + value.length * 3;
  const bytes = bytesMax <= valueInput.length ? valueInput : Buffer.allocUnsafe(bytesMax);
  const length = bytes.write(value, HEAD_BYTES);
  bytes[0] = PREFIX;
  bytes.set(salt, 1);
  bytes.writeUInt32BE(Math.floor(length / TWO_32), 1 + HASH_BYTES);
  bytes.writeUInt32BE(length % TWO_32, 1 + HASH_BYTES + 4);
  return hash('sha256', bytes.subarray(0, HEAD_BYTES + length), 'hex');
}

export const openingOf = ({ pointer, salt, value }: Commitment): Opening => ({
  pointer,
  salt: salt.toString('hex'),
  value,
});

/** Does this opening belong to this commitment? */
export function opens(opening: Opening, commit: string): boolean {
  const salt = Buffer.from(opening.salt, 'hex');
  return salt.length === HASH_BYTES && commitTo(salt, opening.value) === commit;
}

/** HMAC-SHA-256 from two one-shot hashes, which costs a tenth of an Hmac object. */
function hmac(innerPad: Buffer, outerPad: Buffer, text: string): Hash {
  inner.set(innerPad);
  const length = inner.write(text, BLOCK_BYTES);
  outer.set(outerPad);
  outer.set(sha256(inner.subarray(0, BLOCK_BYTES + length)), BLOCK_BYTES);
  return sha256(outer);
}
