/**
 * Compiles Rego for tests to a plan and to WebAssembly with the `opa` on PATH, and keeps the results under
 * .tools/test-plan by the hash of their sources. Shell: runs opa, owns files in the cache and a temporary directory.
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
import { type Plan, parsePlan } from '../../src/plan/plan.ts';

const CACHE = new URL('../../.tools/test-plan/', import.meta.url);
/** Changes when the way of compiling changes. */
const RECIPE = 'opa build v1';

/**
 * @param modules Rego sources by file name.
 * @returns null after the test was skipped because there is no compiler.
 */
export function compilePlan(
  t: TestContext,
  modules: Readonly<Record<string, string>>,
  entrypoint = 't/decision',
): { readonly plan: Plan; readonly wasm: Uint8Array } | null {
  const part = (target: 'plan' | 'wasm', file: string) => {
    const archive = compiled(t, modules, entrypoint, target);
    return archive === null ? null : (readArchive(archive).get(file) ?? null);
  };
  const plan = part('plan', 'plan.json');
  const wasm = part('wasm', 'policy.wasm');
  if (plan === null || wasm === null) return null;
  return { plan: parsePlan(Buffer.from(plan).toString()), wasm: new Uint8Array(wasm) };
}

function compiled(
  t: TestContext,
  modules: Readonly<Record<string, string>>,
  entrypoint: string,
  target: 'plan' | 'wasm',
): Uint8Array | null {
  const key = createHash('sha256')
    .update(JSON.stringify([RECIPE, modules, entrypoint, target]))
    .digest('hex');
  const cached = new URL(`${key}.tar.gz`, CACHE);
  if (existsSync(cached)) return readFileSync(cached);
  const directory = mkdtempSync(join(tmpdir(), 'egret-plan-'));
  try {
    for (const [name, source] of Object.entries(modules)) {
      writeFileSync(join(directory, name), source);
    }
    const bundle = join(directory, 'bundle.tar.gz');
    const sources = Object.keys(modules);
    execFileSync('opa', ['build', '-t', target, '-e', entrypoint, '-o', bundle, ...sources], {
      cwd: directory,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    mkdirSync(CACHE, { recursive: true });
    const partial = new URL(`${key}.${process.pid}.partial`, CACHE);
    writeFileSync(partial, readFileSync(bundle));
    renameSync(partial, cached);
    return readFileSync(cached);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    t.skip('SKIPPED LOUDLY: no opa on PATH and no compiled fixture; run make tools');
    return null;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
