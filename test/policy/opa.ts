/**
 * The compiler on PATH, for tests that cannot do without it, and a directory of policy sources to give it.
 * Shell: runs opa; owns temporary directories, removed when the test ends.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';

export const ROOT = join(import.meta.dirname, '../..');

/** True when there is an `opa`; else the test is skipped, loudly. */
export function needsOpa(t: TestContext): boolean {
  if (spawnSync('opa', ['version']).status === 0) return true;
  t.skip('SKIPPED LOUDLY: no opa on PATH; run make tools');
  return false;
}

/** Runs opa at the top of the repository and returns everything it said. */
export function opa(...args: readonly string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync('opa', args, { cwd: ROOT, encoding: 'utf8' });
  return { status, output: `${stdout}${stderr}` };
}

export function sourceDirectory(t: TestContext, files: Readonly<Record<string, string>>): string {
  const directory = mkdtempSync(join(tmpdir(), 'egret-policy-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
  return directory;
}
