/**
 * The load generator of a run: wrk when it is installed, else bench/load.ts; always the same one for every contender.
 * Shell: owns nothing, runs child processes.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Children } from './children.ts';
import { findProgram } from './program.ts';
import { ALLOWED_BODY } from './request.ts';

export interface Sample {
  readonly requests: number;
  readonly durationUs: number;
  /** Bytes of all answers with their headers. */
  readonly bytes: number;
  /** Connect, read, write and time-out errors, and answers of a status other than 200. */
  readonly errors: number;
  readonly p50Us: number;
  readonly p90Us: number;
  readonly p99Us: number;
}

export interface Load {
  readonly url: string;
  readonly connections: number;
  readonly seconds: number;
}

export interface Generator {
  readonly title: string;
  generate(load: Load): Promise<Sample>;
}

const SLACK_MS = 15_000;

export function createGenerator(children: Children, directory: string): Generator {
  const bodyFile = join(directory, 'request-body.json');
  writeFileSync(bodyFile, ALLOWED_BODY);
  const wrk = findProgram('wrk');
  const lua = join(import.meta.dirname, 'wrk.lua');
  const own = join(import.meta.dirname, 'load.ts');
  const commandOf = ({ url, connections, seconds }: Load): readonly [string, string[]] =>
    wrk === null
      ? [process.execPath, [own, url, String(connections), String(seconds), bodyFile]]
      : [wrk, ['-t', '1', '-c', String(connections), '-d', `${seconds}s`, '-s', lua, url]];
  return {
    title: wrk === null ? 'bench/load.ts (wrk is not installed)' : 'wrk, one thread',
    async generate(load) {
      const [command, args] = commandOf(load);
      const env = { EGRET_BENCH_BODY_FILE: bodyFile };
      const stdout = await children.run(command, args, load.seconds * 1000 + SLACK_MS, env);
      const line = stdout.split('\n').find((text) => text.startsWith('{'));
      if (line === undefined) throw new Error(`${command}: no result in:\n${stdout}`);
      return JSON.parse(line) as Sample;
    },
  };
}
