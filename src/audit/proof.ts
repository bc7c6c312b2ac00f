/**
 * A proof that one entry is in the log, as text to hand to somebody else: C2SP tlog-proof. It holds the index, the
 * Merkle path and the signed checkpoint, so the log's public key and the entry are all that is needed to check it.
 * Pure.
 */
import { decodeBase64, openCheckpoint, type VerifierKey } from './checkpoint.ts';
import { HASH_BYTES, type Hash, hashLeaf, verifyInclusion } from './tree.ts';

const HEADER = 'c2sp.org/tlog-proof@v1';
const HASHES_MAX = 64;

export interface LogProof {
  readonly index: number;
  /** Sibling of the leaf first. */
  readonly hashes: readonly Hash[];
  /** Signed note. */
  readonly checkpoint: string;
}

export type ProofVerdict =
  | { readonly ok: true; readonly index: number; readonly size: number }
  | { readonly ok: false; readonly detail: string };

export function renderProof(proof: LogProof): string {
  const hashes = proof.hashes.map((h) => `${h.toString('base64')}\n`).join('');
  return `${HEADER}\nindex ${proof.index}\n${hashes}\n${proof.checkpoint}`;
}

/** @returns null when the text is no tlog-proof. An `extra` line is skipped: nothing authenticates it. */
export function parseProof(text: string): LogProof | null {
  const split = text.indexOf('\n\n');
  if (split < 0) return null;
  const [header, ...rest] = text.slice(0, split).split('\n');
  const [indexLine = '', ...hashLines] = rest[0]?.startsWith('extra ') ? rest.slice(1) : rest;
  const index = /^index (0|[1-9][0-9]{0,15})$/.exec(indexLine)?.[1];
  if (header !== HEADER || index === undefined || hashLines.length > HASHES_MAX) return null;
  const hashes = hashLines.map(decodeBase64);
  if (!hashes.every((h): h is Buffer => h?.length === HASH_BYTES)) return null;
  return { index: Number(index), hashes, checkpoint: text.slice(split + 2) };
}

/** Does the log with this key vouch for this entry? The entry is the line without its line feed. */
export function verifyProof(text: string, leaf: Uint8Array, verifier: VerifierKey): ProofVerdict {
  const proof = parseProof(text);
  if (proof === null) return { ok: false, detail: 'not a tlog-proof' };
  const opened = openCheckpoint(proof.checkpoint, verifier);
  if (!opened.ok) return { ok: false, detail: `checkpoint: ${opened.detail}` };
  const { size, root } = opened.checkpoint;
  const at = { hash: hashLeaf(leaf), index: proof.index };
  return verifyInclusion(at, { size, root }, proof.hashes)
    ? { ok: true, index: proof.index, size }
    : { ok: false, detail: 'the entry is not at this index of the signed tree' };
}
