/**
 * Keeps what is known about the candidate of one set: whether its pieces fit together, whether it passed the gate, and
 * where its copy is. Each bundle is gated once; pieces that do not fit together get a few seconds, because a person or a
 * tool applies them one after the other. Shell: owns the last answer.
 */
import type { ReadObject } from '../kubernetes/object.ts';
import type { PolicySetSpec } from '../rollout/policy-set.ts';
import type { CandidateSeen, StoredRevision } from '../rollout/state.ts';
import { type Gated, type Joined, joinedBundle } from './candidate.ts';

export interface CandidateParts {
  /** Every bundle ConfigMap of the set. */
  readonly bundles: () => readonly ReadObject[];
  readonly gate: (archive: Uint8Array, expectedDigest: string | undefined) => Promise<Gated>;
  readonly copy: (archive: Uint8Array, revision: string) => Promise<StoredRevision>;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonicMs: () => number;
}

export const SETTLE_MS = 10_000;

export class Candidates {
  readonly #parts: CandidateParts;
  #joined: { readonly print: string; readonly joined: Joined } | null = null;
  #broken: { readonly digest: string; readonly sinceMs: number } | null = null;
  #gated: { readonly key: string; readonly seen: CandidateSeen } | null = null;

  constructor(parts: CandidateParts) {
    this.#parts = parts;
  }

  async see({ candidate }: PolicySetSpec): Promise<CandidateSeen> {
    const joined = this.#join(candidate.bundle);
    if (joined.status === 'missing') return { status: 'missing' };
    if (joined.status === 'broken') return this.#settling(joined);
    this.#broken = null;
    const { digest, archive } = joined;
    const key = `${digest} ${candidate.digest ?? ''}`;
    if (this.#gated?.key === key) return this.#gated.seen;
    const gated = await this.#parts.gate(archive, candidate.digest);
    const seen: CandidateSeen = gated.ok
      ? { status: 'stored', revision: await this.#parts.copy(archive, gated.revision) }
      : { status: 'rejected', digest, errors: gated.errors };
    this.#gated = { key, seen };
    return seen;
  }

  /** When broken pieces will count; null when nothing is waited for. */
  settlesInMs(): number | null {
    if (this.#broken === null) return null;
    return Math.max(0, this.#broken.sinceMs + SETTLE_MS - this.#parts.monotonicMs());
  }

  #join(name: string): Joined {
    const maps = this.#parts.bundles();
    const versions = maps.map(({ metadata }) => `${metadata.name} ${metadata.resourceVersion}`);
    const print = [name, ...versions].join('\n');
    if (this.#joined?.print !== print) this.#joined = { print, joined: joinedBundle(maps, name) };
    return this.#joined.joined;
  }

  #settling({ digest, errors }: Joined & { readonly status: 'broken' }): CandidateSeen {
    const nowMs = this.#parts.monotonicMs();
    if (this.#broken?.digest !== digest) this.#broken = { digest, sinceMs: nowMs };
    if (nowMs - this.#broken.sinceMs < SETTLE_MS) return { status: 'missing' };
    return { status: 'rejected', digest, errors };
  }
}
