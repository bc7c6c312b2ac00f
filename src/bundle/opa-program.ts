/** Where the policy compiler is: `opa` on PATH, or in `.tools/bin` of the working directory. Shell: looks for files. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { BundleBuildError } from './build-source.ts';

/** @throws BundleBuildError when there is none. */
export function opaProgram(): string {
  const program = findProgram('opa');
  if (program !== null) return program;
  throw new BundleBuildError(
    'opa: found none on PATH or in .tools/bin, expected OPA 1.19 or newer',
  );
}

/** @returns an absolute path; null when there is no such program. */
export function findProgram(name: string): string | null {
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), '.tools/bin'];
  const places = directories.filter((directory) => directory !== '').map((at) => join(at, name));
  return places.map((place) => resolve(place)).find(isProgram) ?? null;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
