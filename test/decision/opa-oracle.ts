/**
 * Asks the real OPA on PATH for the results of many builtin calls at once: the oracle for our host builtins.
 * Shell: runs opa, owns a temporary directory.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import fc from 'fast-check';
import { BUILTINS } from '../../src/decision/builtins.ts';
import { plainJson } from '../../src/decision/go-json.ts';
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
function askOpa(
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

const context = { timeNs: 5n, charge: () => {} };

function ours([name, ...args]: BuiltinCall): string | undefined {
  const result = BUILTINS.get(name)?.(args, context);
  return result === undefined ? undefined : canonicalRego(plainJson(result)); // OPA prints JSON
}

/** The same values in every run, so that a difference can be found again. */
export const sample = <T>(arbitrary: fc.Arbitrary<T>, count: number): T[] =>
  fc.sample(arbitrary, { numRuns: count, seed: 42 });

/** The calls with one argument of each list, all combinations. */
export const every = (name: string, ...lists: readonly (readonly RegoValue[])[]): BuiltinCall[] =>
  lists
    .reduce<readonly RegoValue[][]>(
      (rows, list) => rows.flatMap((row) => list.map((item) => [...row, item])),
      [[]],
    )
    .map((args) => [name, ...args] as BuiltinCall);

/**
 * Fails with the first differences between our builtins and OPA's.
 * @param settled puts what OPA leaves to chance into one order. Default: nothing is left to chance.
 */
export function compareWithOpa(
  t: TestContext,
  calls: readonly BuiltinCall[],
  settled: (result: RegoValue) => RegoValue = (result) => result,
): void {
  const theirs = askOpa(t, calls);
  if (theirs === null) return;
  const text = (result: string | undefined) =>
    result === undefined ? undefined : canonicalRego(settled(parseRego(result)));
  const different = calls.flatMap((call, i) => {
    const mine = text(ours(call));
    const other = text(theirs[i]);
    return mine === other ? [] : [`${canonicalRego([...call])}\n  ours ${mine}\n  OPA  ${other}`];
  });
  assert.equal(
    different.length,
    0,
    `${different.length} of ${calls.length} differ:\n${different.slice(0, 25).join('\n')}`,
  );
}
