/**
 * What the journal is told and what it tells: options with their defaults, status, hooks for metrics, and the one
 * error of an append that was not taken. The options are the operator's and trusted.
 * Shell: names the default disk and clocks, owns nothing.
 */
import type { JsonObject } from '../call/tool-call.ts';
import type { ReasonCode } from '../decision/reason.ts';
import type { CommitLimits } from './commit-queue.ts';
import { type Disk, realDisk } from './disk.ts';

/** The log did not take an entry, so what the entry stands for must not happen. */
export class AuditUnavailable extends Error {
  override readonly name = 'AuditUnavailable';
  readonly reason: ReasonCode = 'audit.unavailable';
}

export type JournalOperation = 'write' | 'fsync' | 'seal' | 'checkpoint' | 'lock';

export interface JournalHooks {
  readonly recorded?: (kind: 'decision' | 'outcome' | 'lifecycle') => void;
  /** Seconds of one write or fdatasync and the lines it carried. */
  readonly committed?: (seconds: number, lines: number, operation: 'write' | 'fsync') => void;
  readonly failed?: (operation: JournalOperation, error: Error) => void;
  readonly checkpointed?: (size: number) => void;
  /** A former run did not end well: bytes of a torn tail that were cut, calls that got an `interrupted` outcome. */
  readonly recovered?: (bytesCut: number, interrupted: number) => void;
}

export interface JournalClock {
  readonly wallMs: () => number;
  readonly monotonicMs: () => number;
}

export interface JournalOptions {
  readonly directory: string;
  /** Name of a new log, without white space and `+`. Default: `egret-` and 12 random hex digits. */
  readonly origin?: string;
  /** Ed25519 private key, PEM. Default: made in `keyDirectory`. */
  readonly keyFile?: string;
  /** Default: the log directory. */
  readonly keyDirectory?: string;
  /** Where openings are kept. Default: they are not. */
  readonly openingsDirectory?: string;
  /** Written into every entry: OPA's `labels`. At most 8 KiB as JSON. */
  readonly labels?: JsonObject;
  /** Version of the sidecar, and SHA-256 (hex) of its effective configuration, for the start entry. */
  readonly version?: string;
  readonly configHash?: string;
  readonly hooks?: JournalHooks;
  readonly limits?: Partial<JournalLimits>;
  readonly disk?: Disk;
  readonly clock?: JournalClock;
}

export interface JournalLimits extends CommitLimits {
  /** Milliseconds between two looks at clock, space and checkpoint. */
  readonly checkpointMs: number;
  /** Leaves after which a checkpoint is made earlier. */
  readonly checkpointLeavesMax: number;
  /** Milliseconds between two checkpoints that are kept, and how many are kept. */
  readonly historyMs: number;
  readonly historyMax: number;
  /** Lines of one file of the live tail. */
  readonly walLinesMax: number;
  /** Blocks of 256 leaves that may wait in memory to be sealed. */
  readonly unsealedBlocksMax: number;
  /** Milliseconds without a beat after which an unseen holder of the lock counts as dead. */
  readonly lockSilenceMs: number;
  /** Milliseconds of wall clock against monotonic clock that are recorded as a step. */
  readonly clockStepMs: number;
}

const MiB = 1024 * 1024;

const DEFAULT_LIMITS: JournalLimits = {
  queueLinesMax: 8192,
  queueBytesMax: 64 * MiB,
  batchLinesMax: 512,
  batchBytesMax: MiB,
  checkpointMs: 1000,
  checkpointLeavesMax: 10_000,
  historyMs: 60_000,
  historyMax: 1024,
  walLinesMax: 4096,
  unsealedBlocksMax: 256,
  lockSilenceMs: 5000,
  clockStepMs: 1000,
};

const LABELS_CHARS_MAX = 8 * 1024;

export interface JournalSettings extends JournalLimits {
  readonly directory: string;
  readonly origin: string | null;
  readonly keyFile: string | null;
  readonly keyDirectory: string | null;
  readonly openingsDirectory: string | null;
  readonly labels: JsonObject;
  readonly version: string;
  readonly configHash: string;
  readonly hooks: JournalHooks;
  readonly disk: Disk;
  readonly clock: JournalClock;
}

export function settingsOf(options: JournalOptions): JournalSettings {
  const { limits, ...rest } = options;
  const labels = options.labels ?? {};
  const chars = JSON.stringify(labels).length;
  if (chars > LABELS_CHARS_MAX) {
    throw new Error(
      `audit labels: found ${chars} characters, expected at most ${LABELS_CHARS_MAX}`,
    );
  }
  return {
    ...DEFAULT_LIMITS,
    ...limits,
    origin: null,
    keyFile: null,
    keyDirectory: null,
    openingsDirectory: null,
    version: '',
    configHash: '',
    hooks: {},
    disk: realDisk,
    clock: { wallMs: () => Date.now(), monotonicMs: () => performance.now() },
    ...rest,
    labels,
  };
}

export interface JournalStatus {
  readonly healthy: boolean;
  /** What went wrong last; null when nothing did or it passed. */
  readonly error: string | null;
  /** Leaves in the log. */
  readonly size: number;
  /** Leaves in durable bundles. */
  readonly sealed: number;
  /** Entries that nobody has acknowledged yet. */
  readonly queue: number;
  readonly openCalls: number;
  /** Wall clock of the newest checkpoint, and its size. */
  readonly lastCheckpointMs: number;
  readonly lastCheckpointSize: number;
  /** Hex. */
  readonly root: string;
  readonly origin: string;
  /** Public key, text form. */
  readonly vkey: string;
}
