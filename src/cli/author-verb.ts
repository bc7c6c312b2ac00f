/**
 * What the verbs of policy authors share: errors a person can mend become one line and exit code 2, and a long run
 * shows on a terminal how far it is. Shell: writes to standard error, sets the exit code.
 */

import { LogUnreadable } from '../audit/read-log.ts';
import { printable } from '../audit/report.ts';
import { AuthorError } from '../author/policy-source.ts';
import { BundleBuildError } from '../bundle/build-source.ts';
import { BundleRefused } from '../bundle/bundle-error.ts';

export const FOUND = 1;
export const UNUSABLE = 2;
/** A run shorter than this needs no progress. */
const QUIET_MS = 1000;
const REDRAW_MS = 200;

/** Sets the exit code that the work returns; what cannot be used is said and is exit code 2. */
export async function guarded(verb: string, work: () => Promise<number> | number): Promise<void> {
  try {
    process.exitCode = await work();
  } catch (error) {
    if (!isMendable(error)) throw error;
    process.stderr.write(printable(`egret ${verb}: ${error.message}\n`));
    process.exitCode = UNUSABLE;
  }
}

function isMendable(error: unknown): error is Error {
  return (
    error instanceof AuthorError ||
    error instanceof LogUnreadable ||
    error instanceof BundleBuildError ||
    error instanceof BundleRefused ||
    (error instanceof Error && typeof (error as NodeJS.ErrnoException).code === 'string')
  );
}

export interface Progress {
  /** Tells how many are done; cheap enough for every one. */
  step(done: number): void;
  /** Takes the line away. */
  end(): void;
}

/** One line on a terminal, once the work has taken a second; nothing anywhere else. */
export function progressOf(what: string): Progress {
  const started = performance.now();
  let drawn = 0;
  return {
    step(done) {
      if (!process.stderr.isTTY) return;
      const now = performance.now();
      if (now - started < QUIET_MS || now - drawn < REDRAW_MS) return;
      drawn = now;
      process.stderr.write(`\r${what}: ${done}\u001b[K`);
    },
    end() {
      if (drawn > 0) process.stderr.write('\r\u001b[K');
    },
  };
}

/** @throws AuthorError */
export function numberOption(name: string, text: string, min: number, max: number): number {
  const number = /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= min && number <= max) return number;
  throw new AuthorError(`${name}: found ${text}, expected a whole number from ${min} to ${max}`);
}

/** Null when there is none. @throws AuthorError */
export function patternOption(name: string, text: string | undefined): RegExp | null {
  if (text === undefined) return null;
  try {
    return new RegExp(text, 'u');
  } catch {
    throw new AuthorError(`${name}: found ${text}, expected a regular expression`);
  }
}
