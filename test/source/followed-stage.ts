/** What tests of sources have in common: two bundles, directives that name them, and a listener that keeps every word. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Directive, RevisionName } from '../../src/rollout/directive.ts';
import type { SourceListener, Wanted } from '../../src/source/policy-source.ts';
import { receiptsFor } from '../e2e/bundle-variant.ts';

const ARCHIVES = new Map(
  ['stable', 'candidate'].map((revision) => {
    const archive = receiptsFor(['accountant@example.com'], revision);
    const digest = `sha256:${createHash('sha256').update(archive).digest('hex')}`;
    return [revision, { archive, name: { digest, revision, pieces: 1 } }] as const;
  }),
);

export const named = (revision: string): RevisionName =>
  ARCHIVES.get(revision)?.name ?? assert.fail(revision);

export const archiveOf = ({ revision }: RevisionName): Uint8Array =>
  ARCHIVES.get(revision)?.archive ?? assert.fail(revision);

export const directive = (generation: number, candidate: string | null): Directive => ({
  set: 'shop',
  generation,
  phase: candidate === null ? 'Aborted' : 'Shadow',
  rolloutId: candidate === null ? null : 'r1',
  stable: named('stable'),
  candidate: candidate === null ? null : named(candidate),
  mode: 'guarded',
  unit: 'agent',
  weight: 0,
  salt: '0'.repeat(32),
  selector: {},
  replayLastMs: null,
  maxStaleness: null,
});

/** Takes whatever it is given, and keeps what was said. */
export class Listener implements SourceListener {
  readonly words: Wanted[] = [];
  readonly errors: string[] = [];
  unchanged = 0;
  readonly #held = new Set<string>();

  holds(digest: string): boolean {
    return this.#held.has(digest);
  }

  async onWanted(wanted: Wanted): Promise<boolean> {
    const { stable, candidate } = wanted;
    for (const one of [stable, candidate]) {
      if (one !== null && !('errors' in one)) this.#held.add(one.digest);
    }
    this.words.push(wanted);
    return true;
  }

  onUnchanged(): void {
    this.unchanged += 1;
  }

  onError(errors: readonly { readonly code: string }[]): void {
    this.errors.push(...errors.map(({ code }) => code));
  }

  /** Generation and what is held of the candidate, word by word. */
  summary(): string[] {
    return this.words.map(({ directive: told, candidate }) => {
      const held = candidate === null ? 'none' : 'errors' in candidate ? 'refused' : 'candidate';
      return `${told?.generation} ${held}`;
    });
  }
}
