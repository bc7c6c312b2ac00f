/**
 * Asks the real OPA on PATH for the results of many builtin calls at once: the oracle for our host builtins.
 * Shell: runs opa, owns a temporary directory.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import {
  canonicalRego,
  parseRego,
  type RegoValue,
  renderRego,
} from '../../src/decision/rego-value.ts';

export type BuiltinCall = readonly [name: string, ...args: RegoValue[]];

/**
 * @returns canonical text of one result per call, undefined where OPA reports an error; null after the test was
 *   skipped because there is no opa.
 */
export function askOpa(
  t: TestContext,
  calls: readonly BuiltinCall[],
): readonly (string | undefined)[] | null {
  const shapes = new Map(
    calls.map(([name, ...args]) => [`${name}/${args.length}`, { name, args }]),
  );
  const rules = [...shapes.values()].map(({ name, args }) => {
    const variables = args.map((_, i) => `a${i}`).join(', ');
    return `r[format_int(i, 10)] := x if {\n\tsome i, [n, ${variables}] in input\n\tn == "${name}"\n\tx := ${name}(${variables})\n}`;
  });
  const directory = mkdtempSync(join(tmpdir(), 'egret-oracle-'));
  try {
    writeFileSync(join(directory, 't.rego'), `package t\n\n${rules.join('\n\n')}\n`);
    writeFileSync(join(directory, 'input.json'), renderRego(calls));
    const args = [
      'eval',
      '-f',
      'raw',
      '-i',
      join(directory, 'input.json'),
      '-d',
      join(directory, 't.rego'),
    ];
    const run = spawnSync('opa', [...args, 'data.t.r'], { encoding: 'utf8', maxBuffer: 1e9 });
    if ((run.error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') {
      t.skip('SKIPPED LOUDLY: no opa on PATH to compare with; run make tools');
      return null;
    }
    if (run.status !== 0) throw new Error(run.stderr + run.stdout);
    const results = parseRego(run.stdout) as ReadonlyMap<string, RegoValue>;
    return calls.map((_, i) => {
      const result = results.get(String(i));
      return result === undefined ? undefined : canonicalRego(result);
    });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
