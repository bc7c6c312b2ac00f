/**
 * Refuses policies that use a builtin that is refused here. The compiler is asked with capabilities that lack those
 * builtins, so it names the file and the line of every use. Shell: runs the compiler, writes one file.
 */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { REFUSED_BUILTINS } from '../decision/refused-builtins.ts';

const run = promisify(execFile);
const LIMITS = { timeout: 60_000, maxBuffer: 16 << 20 };

/**
 * @param sources names of the sources inside of `directory`, as the build has them.
 * @param file where the capabilities are written.
 * @returns one line for each use, as `a.rego:3: …`; other errors are left to the build.
 */
export async function refusedUses(
  opa: string,
  directory: string,
  sources: readonly string[],
  file: string,
): Promise<readonly string[]> {
  const { stdout } = await run(opa, ['capabilities', '--current'], LIMITS);
  const all = JSON.parse(stdout) as { builtins: { name: string }[] };
  const builtins = all.builtins.filter(({ name }) => !REFUSED_BUILTINS.has(name));
  await writeFile(file, JSON.stringify({ ...all, builtins }));
  try {
    await run(opa, ['check', '--capabilities', file, ...sources], { ...LIMITS, cwd: directory });
    return [];
  } catch (error) {
    const { stderr = '', stdout: output = '' } = error as { stderr?: string; stdout?: string };
    return `${stderr}\n${output}`.split('\n').flatMap(explained);
  }
}

function explained(line: string): readonly string[] {
  const name = /undefined function ([a-z0-9_.]+)/.exec(line)?.[1] ?? '';
  const why = REFUSED_BUILTINS.get(name);
  if (why === undefined) return [];
  const place = /[^\s:]+:\d+(?=: rego_)/.exec(line)?.[0] ?? line;
  return [`${place}: found ${name}, expected none of the refused builtins: ${why}`];
}
