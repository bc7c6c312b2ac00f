/**
 * The policy compiler as a program: one command, its output, or what it said went wrong. Shell: runs `opa`.
 */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { opaProgram } from '../bundle/opa-program.ts';
import { AuthorError } from './policy-source.ts';

const TIMEOUT_MS = 120_000;
const MESSAGE_CHARACTERS_MAX = 4000;

export interface OpaRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** @throws BundleBuildError when there is no `opa`, AuthorError when it does not start. */
export async function runOpa(args: readonly string[], input = '', cwd?: string): Promise<OpaRun> {
  const child = spawn(opaProgram(), args, { cwd, timeout: TIMEOUT_MS, stdio: 'pipe' });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', (error) => {
      reject(
        new AuthorError(`opa: found no program of this name that runs (${error.message})`, {
          cause: error,
        }),
      );
    });
    child.once('close', resolve);
  });
  child.stdin.on('error', () => undefined); // it may end without reading
  child.stdin.end(input);
  const [code, stdout, stderr] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  return { code, stdout, stderr };
}

/** @throws AuthorError with what the compiler said. */
export async function opaOutput(
  args: readonly string[],
  input = '',
  cwd?: string,
): Promise<string> {
  const { code, stdout, stderr } = await runOpa(args, input, cwd);
  if (code === 0) return stdout;
  const said = (stderr || stdout).trim().slice(0, MESSAGE_CHARACTERS_MAX);
  throw new AuthorError(`opa ${args[0] ?? ''}: ${said}`);
}

export const formatRego = (rego: string): Promise<string> => opaOutput(['fmt'], rego);
