/**
 * Finds programs and asks them for their version. Shell: owns nothing, reads the file system, runs short programs.
 */
import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** @param folders where to look after PATH. @returns the path of the program, or null. */
export function findProgram(name: string, folders: readonly string[] = []): string | null {
  const searched = [...(process.env['PATH'] ?? '').split(delimiter), ...folders];
  for (const folder of searched) {
    const file = join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not here: look in the next folder.
    }
  }
  return null;
}

/** The first match of a pattern in what the program prints, e.g. its version number; `unknown` without one. */
export function versionOf(program: string, args: readonly string[], pattern: RegExp): string {
  const shell = ['-c', '"$0" "$@" 2>&1 || true', program, ...args];
  const text = execFileSync('/bin/sh', shell, { encoding: 'utf8', timeout: 20_000 });
  return pattern.exec(text)?.[1] ?? 'unknown';
}
