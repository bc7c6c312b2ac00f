/**
 * The commands of a page in one shell, one block after the other, with `egret` on PATH as a person would have it.
 * Shell: runs bash; what it left running ends with it.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { PROGRAM } from '../program.ts';
import type { CodeBlock } from './page.ts';

export interface BlockResult {
  readonly output: string;
  readonly status: number;
}

const MARK = 'end-of-block-5c1d';
const TIMEOUT_MS = 240_000;

/** @returns for each block of shell what it printed, errors included, and the exit code of its last command. */
export function runBlocks(directory: string, blocks: readonly CodeBlock[]): readonly BlockResult[] {
  const bin = join(directory, '.bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, 'egret'), `#!/bin/sh\nexec "${process.execPath}" "${PROGRAM}" "$@"\n`);
  chmodSync(join(bin, 'egret'), 0o755);
  const work = join(directory, 'work');
  mkdirSync(work, { recursive: true });
  const script = ['exec 2>&1', "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT"];
  for (const { language, text, path } of blocks) {
    if (path !== null) script.push(written(path, text));
    else if (language === 'sh') script.push(text, `printf '%s %s\\n' ${MARK} $?`);
  }
  const { stdout, error } = spawnSync('bash', ['-c', script.join('\n')], {
    cwd: work,
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
    env: {
      NODE_COMPILE_CACHE: join(directory, '.compile-cache'),
      ...process.env,
      NO_COLOR: '1',
      PATH: `${bin}${delimiter}${process.env['PATH']}`,
    },
  });
  if (error !== undefined) throw error;
  return [...stdout.matchAll(new RegExp(`([\\s\\S]*?)${MARK} (\\d+)\\n`, 'g'))].map(
    ([, output = '', status]) => ({ output, status: Number(status) }),
  );
}

const written = (path: string, text: string) =>
  `mkdir -p "$(dirname ${path})" && cat > ${path} <<'${MARK}'\n${text}${MARK}`;
