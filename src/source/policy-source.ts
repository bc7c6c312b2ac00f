/**
 * Where policy comes from, as the sidecar sees it: a source says what should be in force, over and over (level-triggered),
 * and the sidecar puts each bundle through the one gate. A source never decides what is good: it names bundles by digest
 * and carries their bytes. Its last word counts; what is held already is not fetched again. Pure.
 */
import type { BundleContent } from '../bundle/activation.ts';
import type { BundleError } from '../bundle/bundle-error.ts';
import type { Directive } from '../rollout/directive.ts';

/** One bundle that should be held. */
export interface WantedBundle {
  readonly digest: string;
  /** Null when it is held already, or was handed on before and refused. */
  readonly content: BundleContent | null;
}

export type WantedCandidate =
  | WantedBundle
  /** It should be held, and its bytes cannot be had: that is reported and disturbs nothing. */
  | { readonly digest: string; readonly errors: readonly BundleError[] };

export interface Wanted {
  readonly stable: WantedBundle;
  readonly candidate: WantedCandidate | null;
  /** Null for sources that know of no rollouts. */
  readonly directive: Directive | null;
}

export interface SourceListener {
  /** Whether a bundle with this digest passed the gate and is still loaded. */
  holds(digest: string): boolean;
  /**
   * @param keptAtMs of what is only remembered: when it was kept, milliseconds since 1970.
   * @returns true when `stable` is in force now; false when the gate refused it and the last good one stays.
   */
  onWanted(wanted: Wanted, keptAtMs?: number): Promise<boolean>;
  /** The source was read and says what it said before. */
  onUnchanged(): void;
  /** The source cannot be read, or says nothing that can be used. What is in force stays. */
  onError(errors: readonly BundleError[]): void;
}

export interface PolicySource {
  /** Resolves after the first word of the source, or when it takes too long; it goes on until `close`. */
  start(): Promise<void>;
  close(): Promise<void>;
}
