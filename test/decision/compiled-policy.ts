/**
 * Compiles Rego for tests with the `opa` on PATH and keeps the results under .tools/test-wasm by the hash of their
 * sources, so that a machine without `opa` can still run what was compiled before.
 * Shell: runs opa, owns files in the cache and in a temporary directory.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { readArchive } from '../../src/bundle/archive.ts';

const CACHE = new URL('../../.tools/test-wasm/', import.meta.url);
/** Changes when the way of compiling changes. */
const RECIPE = 'opa build v1';

/**
 * @param modules Rego source texts.
 * @returns the module, or null after the test was skipped because there is no compiler.
 */
export function compileRego(
  t: TestContext,
  modules: readonly string[],
  entrypoints: readonly string[] = ['egret/decision'],
): Uint8Array | null {
  const key = createHash('sha256')
    .update(JSON.stringify([RECIPE, modules, entrypoints]))
    .digest('hex');
  const cached = new URL(`${key}.wasm`, CACHE);
  if (existsSync(cached)) return readFileSync(cached);
  const directory = mkdtempSync(join(tmpdir(), 'egret-rego-'));
  try {
    for (const [i, source] of modules.entries())
      writeFileSync(join(directory, `${i}.rego`), source);
    const bundle = join(directory, 'bundle.tar.gz');
    const targets = entrypoints.flatMap((name) => ['-e', name]);
    const sources = modules.map((_, i) => join(directory, `${i}.rego`));
    execFileSync('opa', ['build', '-t', 'wasm', ...targets, '-o', bundle, ...sources], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const wasm = readArchive(readFileSync(bundle)).get('policy.wasm') as Uint8Array;
    mkdirSync(CACHE, { recursive: true });
    const partial = new URL(`${key}.${process.pid}.partial`, CACHE);
    writeFileSync(partial, wasm);
    renameSync(partial, cached);
    return wasm;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    t.skip('SKIPPED LOUDLY: no opa on PATH and no compiled fixture; run make tools');
    return null;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
