/**
 * What the commands about bundles and policy repositories share: what a person can mend becomes one line each and exit
 * code 2, and results are a report or one JSON object. Shell: writes to standard output and error, sets the exit code.
 */
import { LogUnreadable } from '../audit/read-log.ts';
import { printable } from '../audit/report.ts';
import { AuthorError } from '../author/policy-source.ts';
import { BundleBuildError } from '../bundle/build-source.ts';
import { BundleRefused } from '../bundle/bundle-error.ts';
import { HashFormError } from '../bundle/hash-form.ts';
import { KeyError } from '../bundle/signature-key.ts';
import { ConfigError } from '../config/load.ts';
import { AccessError } from '../kubernetes/access.ts';
import { ApiError } from '../kubernetes/api-error.ts';
import { PlanFormatError } from '../plan/plan.ts';
import { LintUnreadable } from '../rollout/lint.ts';
import { StartError } from '../sidecar/start-error.ts';

export const REFUSED = 1;
export const UNUSABLE = 2;

/** Wrong use that only shows when the options are looked at together. */
export class KitError extends Error {
  override readonly name = 'KitError';
}

/** Sets the exit code that the work returns; what cannot be used is said and is exit code 2. */
export async function runVerb(verb: string, work: () => Promise<number> | number): Promise<void> {
  try {
    process.exitCode = await work();
  } catch (error) {
    if (!isMendable(error)) throw error;
    for (const line of error.message.split('\n')) {
      process.stderr.write(printable(`egret ${verb}: ${line}\n`));
    }
    process.exitCode = UNUSABLE;
  }
}

const MENDABLE = [
  AuthorError,
  KitError,
  LogUnreadable,
  LintUnreadable,
  AccessError,
  ApiError,
  BundleBuildError,
  BundleRefused,
  HashFormError,
  KeyError,
  PlanFormatError,
  ConfigError,
  StartError,
] as const;

const isMendable = (error: unknown): error is Error =>
  MENDABLE.some((kind) => error instanceof kind) ||
  error instanceof RangeError ||
  (error instanceof Error && typeof (error as NodeJS.ErrnoException).code === 'string');

export interface Progress {
  /** Says how far the work is; cheap enough for every step. */
  step(done: number): void;
  /** Takes the line away. */
  end(): void;
}

/** Work that takes less needs no progress. */
const QUIET_MS = 1000;
const REDRAW_MS = 200;

/** One line on a terminal once the work has taken a second; nothing anywhere else. */
export function progressOf(what: string): Progress {
  if (!process.stderr.isTTY) return { step: () => undefined, end: () => undefined };
  const started = performance.now();
  let drawn = 0;
  const draw = (text: string) => {
    drawn = performance.now();
    process.stderr.write(`\r${text}\u001b[K`);
  };
  const timer = setTimeout(() => draw(`${what} …`), QUIET_MS);
  return {
    step(done) {
      const now = performance.now();
      if (now - started > QUIET_MS && now - drawn > REDRAW_MS) draw(`${what}: ${done}`);
    },
    end() {
      clearTimeout(timer);
      if (drawn > 0) process.stderr.write('\r\u001b[K');
    },
  };
}

/** Control characters in texts of a bundle must not reach a terminal. */
export function say(text: string): void {
  process.stdout.write(printable(`${text}\n`));
}

export function sayJson(value: unknown): void {
  // Nanoseconds do not fit into a JSON number that everybody reads alike.
  const text = JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'bigint' ? String(part) : part,
  );
  process.stdout.write(`${text}\n`);
}
