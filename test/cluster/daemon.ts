/**
 * A server program of the control plane: silent, with its log in a file, and ended with the test whatever happens to it.
 * Shell: owns one child process.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { basename, join } from 'node:path';

export interface Daemon {
  readonly pid: number;
  hasEnded(): boolean;
  /** The last lines of its log, under its name. */
  tail(): string;
  /** Sends the signal and waits; what does not obey in time is killed. */
  stop(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>;
}

const OBEY_MS = 10_000;
const TAIL_LINES = 25;
const TRIES_MAX = 50;

/** A test that is cut off must not leave a process behind. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
// Without these the process would end and the exit event never come. The signal can come twice, from the test runner and
// to the whole group, so they stay.
process.on('SIGTERM', () => process.exit(143));
process.on('SIGINT', () => process.exit(130));

/** @throws when the program cannot be run. */
export async function startDaemon(
  program: string,
  flags: Readonly<Record<string, string>>,
  directory: string,
): Promise<Daemon> {
  const name = basename(program);
  const logFile = join(directory, `${name}.log`);
  const log = openSync(logFile, 'a');
  const args = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
  const child = spawn(program, args, { cwd: directory, stdio: ['ignore', log, log] });
  closeSync(log);
  await once(child, 'spawn');
  running.add(child);
  child.once('exit', () => running.delete(child));
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  return {
    pid: child.pid ?? 0,
    hasEnded,
    tail() {
      const lines = readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-TAIL_LINES);
      const state = hasEnded() ? `ended with ${child.exitCode ?? child.signalCode}` : 'runs';
      return `--- ${name} (${state})\n${lines.join('\n')}`;
    },
    async stop(signal = 'SIGTERM') {
      if (hasEnded()) return;
      const gone = once(child, 'exit');
      child.kill(signal);
      const late = setTimeout(() => child.kill('SIGKILL'), OBEY_MS);
      await gone;
      clearTimeout(late);
    },
  };
}

/**
 * A port that nobody listens on. Not one that the kernel gives to outgoing connections: a server that is away for a
 * while must find its port free again.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const port = randomInt(20_000, 32_000);
    if (await isFree(port)) return port;
  }
  throw new Error('no free port between 20000 and 32000');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
