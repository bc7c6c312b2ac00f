/**
 * What the commands about bundles and policy repositories share: what a person can mend becomes one line each and exit
 * code 2, and results are a report or one JSON object. Shell: writes to standard output and error, sets the exit code.
 */
import { printable } from '../audit/report.ts';
import { BundleBuildError } from '../bundle/build-source.ts';
import { BundleRefused } from '../bundle/bundle-error.ts';
import { HashFormError } from '../bundle/hash-form.ts';
import { KeyError } from '../bundle/signature-key.ts';
import { ConfigError } from '../config/load.ts';
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
  KitError,
  BundleBuildError,
  BundleRefused,
  HashFormError,
  KeyError,
  ConfigError,
  StartError,
] as const;

const isMendable = (error: unknown): error is Error =>
  MENDABLE.some((kind) => error instanceof kind) ||
  error instanceof RangeError ||
  (error instanceof Error && typeof (error as NodeJS.ErrnoException).code === 'string');

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
