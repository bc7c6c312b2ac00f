/**
 * Watches a directory for bundles. Level-triggered: what counts is what is there now, so no event can be missed for
 * longer than one poll; file events only make it faster. Never stops after an error; each problem is reported once
 * until it changes. Trusts nobody: what it reads goes through the gate. Shell: owns one watcher and one loop.
 */
import { type FSWatcher, watch } from 'node:fs';
import type { BundleContent } from './activation.ts';
import { type BundleError, BundleRefused, bundleError } from './bundle-error.ts';
import { listDirectory, readSnapshot } from './directory-snapshot.ts';

export interface DirectorySourceOptions {
  readonly directory: string;
  /** Milliseconds between looks. Default 1000, at least 5. */
  readonly pollMs?: number;
  /** The directory holds this bundle now. Called for every content that may be new; equal digests may repeat. */
  readonly onContent: (content: BundleContent) => void | Promise<void>;
  /** The directory was looked at and still holds what was reported last. */
  readonly onUnchanged?: () => void;
  /** The directory holds no bundle that can be read. */
  readonly onError: (errors: readonly BundleError[]) => void;
}

/** File times are coarse: a file changed so recently may change again without showing it. */
const RACY_MS = 2000;

export class DirectorySource {
  readonly #options: DirectorySourceOptions;
  readonly #pollMs: number;
  #watcher: FSWatcher | null = null;
  #loop: Promise<void> | null = null;
  #closed = false;
  #wake: () => void = () => {};
  /** An event came while the directory was being looked at. */
  #pending = false;
  /** Fingerprint and digest of what was reported last; null when it has to be read again. */
  #seen: { readonly fingerprint: string; readonly digest: string } | null = null;
  #problem: string | null = null;

  constructor(options: DirectorySourceOptions) {
    this.#options = options;
    this.#pollMs = Math.max(5, options.pollMs ?? 1000);
  }

  /** Looks once, reports, and goes on looking until `close`. Resolves after the first look. */
  async start(): Promise<void> {
    if (this.#loop !== null) throw new Error('already started');
    await this.#look();
    this.#loop = this.#run();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#unwatch();
    this.#wake();
    await this.#loop;
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      if (this.#watcher === null) this.#watchDirectory();
      if (!this.#pending) await this.#rest();
      this.#pending = false;
      if (!this.#closed) await this.#look();
    }
  }

  #rest(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#pollMs);
      timer.unref();
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Events are a luxury: without them (no inotify left, directory replaced) the poll still sees every change. */
  #watchDirectory(): void {
    try {
      const watcher = watch(this.#options.directory, { persistent: false }, () => {
        this.#pending = true;
        this.#wake();
      });
      watcher.on('error', () => this.#unwatch());
      this.#watcher = watcher;
    } catch {
      this.#watcher = null;
    }
  }

  #unwatch(): void {
    this.#watcher?.close();
    this.#watcher = null;
  }

  async #look(): Promise<void> {
    try {
      const { directory, onContent, onUnchanged } = this.#options;
      const { fingerprint, modifiedMs } = await listDirectory(directory);
      if (fingerprint === this.#seen?.fingerprint) return onUnchanged?.();
      const content = await readSnapshot(directory);
      const settled = Math.abs(Date.now() - modifiedMs) > RACY_MS;
      const repeated = content.digest === this.#seen?.digest;
      this.#seen = { fingerprint: settled ? fingerprint : '', digest: content.digest };
      this.#problem = null;
      if (repeated) onUnchanged?.();
      else await onContent(content);
    } catch (error) {
      this.#report(error);
    }
  }

  #report(error: unknown): void {
    const errors =
      error instanceof BundleRefused
        ? error.errors
        : [bundleError('internal', { file: 'bundle' }, 'a failing reader', 'a bundle')];
    this.#seen = null;
    const problem = errors.map(({ message }) => message).join('\n');
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.#options.onError(errors);
  }
}
