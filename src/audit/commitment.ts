/**
 * Salted commitments: they stand in an entry for a value that must not stand there in the clear. Every value gets a
 * random salt of its own, so equal or guessable values (a mail address, an amount) show nothing. Whoever gets salt and
 * value of one field (its opening) can check that field and no other. Without the opening a value is gone for good,
 * and the log stays verifiable. Pure.
 */
import { hash } from 'node:crypto';
import { HASH_BYTES, type Hash } from './tree.ts';

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

export const SALT_BYTES = HASH_BYTES;
/** Before the value: prefix, salt, length. */
const HEAD_BYTES = 1 + HASH_BYTES + 8;
const PREFIX = 0x02;
const TWO_32 = 2 ** 32;
/** Reused hash input; filled and read inside one synchronous call. */
const valueInput = Buffer.alloc(16 * 1024);

/**
 * Makes commitments.
 * @param salt gives 32 fresh random bytes each time; no two values may share one.
 */
export function committer(salt: () => Hash): (pointer: string, value: string) => Commitment {
  return (pointer, value) => {
    const fresh = salt();
    return { pointer, commit: commitTo(fresh, value), salt: fresh, value };
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
