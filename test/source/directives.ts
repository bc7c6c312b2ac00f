/** Directives, archives and a listener that remembers, for tests of policy sources. Pure, but for what it remembers. */
import { createHash } from 'node:crypto';
import type { BundleError } from '../../src/bundle/bundle-error.ts';
import type { Directive, RevisionName } from '../../src/rollout/directive.ts';
import type { SourceListener, Wanted } from '../../src/source/policy-source.ts';
import { packed } from '../bundle/bundle-files.ts';

export const archiveOf = (word: string): Buffer =>
  packed([{ path: '/data.json', content: JSON.stringify({ word }) }]);

export const digestOf = (bytes: Uint8Array): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

export const revisionOf = (word: string): RevisionName => ({
  digest: digestOf(archiveOf(word)),
  revision: word,
  pieces: 1,
});

export function directiveOf(
  generation: number,
  stable: string | null,
  candidate: string | null = null,
  change: Partial<Directive> = {},
): Directive {
  return {
    set: 'main',
    generation,
    phase: candidate === null ? 'Stable' : 'Canary',
    rolloutId: candidate === null ? null : 'r1',
    stable: stable === null ? null : revisionOf(stable),
    candidate: candidate === null ? null : revisionOf(candidate),
    mode: 'guarded',
    unit: 'agent',
    weight: candidate === null ? 0 : 100,
    salt: '00'.repeat(16),
    selector: {},
    replayLastMs: null,
    maxStaleness: null,
    ...change,
  };
}

/** Behaves as a sidecar whose gate refuses what is in `refuses`, and says what it was told, with names for digests. */
export class Remembering implements SourceListener {
  readonly words: string[] = [];
  readonly errors: string[] = [];
  readonly generations: number[] = [];
  readonly refuses = new Set<string>();
  unchanged = 0;
  stable: string | null = null;
  candidate: string | null = null;
  /** Awaited inside of each word. */
  busy: () => Promise<void> = () => Promise.resolve();
  readonly #names: ReadonlyMap<string, string>;
  #speaking = false;

  constructor(names: readonly string[]) {
    this.#names = new Map(names.map((name) => [revisionOf(name).digest, name]));
  }

  holds(digest: string): boolean {
    return [this.stable, this.candidate].includes(this.#nameOf(digest));
  }

  async onWanted({ stable, candidate, directive }: Wanted): Promise<boolean> {
    if (this.#speaking) throw new Error('two words at once');
    this.#speaking = true;
    await this.busy();
    this.#speaking = false;
    const name = this.#nameOf(stable.digest);
    if (stable.content === null && !this.holds(stable.digest)) throw new Error(`no ${name} here`);
    if (this.refuses.has(name)) {
      this.words.push(`${name} refused`);
      return false;
    }
    this.stable = name;
    this.generations.push(directive?.generation ?? -1);
    this.words.push(candidate === null ? name : `${name} + ${this.#said(candidate)}`);
    if (candidate === null) this.candidate = null;
    else if ('errors' in candidate) this.candidate = null;
    else {
      const other = this.#nameOf(candidate.digest);
      if (candidate.content !== null && !this.refuses.has(other)) this.candidate = other;
    }
    return true;
  }

  onUnchanged(): void {
    this.unchanged += 1;
  }

  onError(errors: readonly BundleError[]): void {
    this.errors.push(...errors.map(({ code }) => code));
  }

  #nameOf(digest: string): string {
    return this.#names.get(digest) ?? digest;
  }

  #said(candidate: NonNullable<Wanted['candidate']>): string {
    const name = this.#nameOf(candidate.digest);
    if ('errors' in candidate) return `${name} ${candidate.errors[0]?.code}`;
    return candidate.content === null ? `${name} as before` : name;
  }
}
