/**
 * The processes of the demo: each is started here, answers in JSON lines or logs into a file, and is ended by its own
 * process id whatever happens. A child gets the environment it is given and nothing of ours but PATH.
 * Shell: owns the processes.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

const GRACE_MS = 10_000;
const LINE_MS_MAX = 30_000;

type Environment = Readonly<Record<string, string>>;

interface Program {
  readonly args: readonly string[];
  readonly env: Environment;
  readonly talks: boolean;
}

export interface Child {
  readonly name: string;
  readonly process: ChildProcess;
  /** What it wrote to stderr, and to stdout unless it talks. */
  readonly logFile: string;
}

/** A child whose standard streams carry one JSON value a line. */
export interface TalkingChild extends Child {
  /** Sends a line unless the message is null, and returns the next line. @throws when there is none in time. */
  readonly exchange: (message: unknown) => Promise<unknown>;
}

export class Children {
  readonly #directory: string;
  readonly #live = new Set<Child>();

  /** @param directory where the log files go. */
  constructor(directory: string) {
    this.#directory = directory;
    process.once('exit', () => {
      for (const child of this.#live) child.process.kill('SIGKILL');
    });
  }

  /** Starts a Node program; both its streams go into the log file. */
  start(name: string, args: readonly string[], env: Environment = {}): Child {
    return this.#spawn(name, { args, env, talks: false });
  }

  startTalking(name: string, args: readonly string[], env: Environment = {}): TalkingChild {
    const child = this.#spawn(name, { args, env, talks: true });
    return { ...child, exchange: jsonLines(child) };
  }

  #spawn(name: string, { args, env, talks }: Program): Child {
    const logFile = join(this.#directory, `${name}.log`);
    const log = openSync(logFile, 'w', 0o600);
    const started = spawn(process.execPath, args, {
      stdio: talks ? ['pipe', 'pipe', log] : ['ignore', log, log],
      env: { PATH: process.env['PATH'], ...env },
    });
    closeSync(log);
    const child: Child = { name, process: started, logFile };
    this.#live.add(child);
    started.once('exit', () => this.#live.delete(child));
    return child;
  }

  /** SIGTERM, then SIGKILL after the grace time. @returns the exit code; null when a signal ended it. */
  async end({ process: ending }: Child): Promise<number | null> {
    if (ending.exitCode === null && ending.signalCode === null) {
      const gone = new Promise((resolve) => ending.once('exit', resolve));
      const late = setTimeout(() => ending.kill('SIGKILL'), GRACE_MS);
      ending.kill('SIGTERM');
      await gone;
      clearTimeout(late);
    }
    return ending.exitCode;
  }

  /** Ends everything that still runs, newest first. */
  async close(): Promise<void> {
    for (const child of [...this.#live].reverse()) await this.end(child);
  }
}

export function lastWords(child: Child): string {
  return readFileSync(child.logFile, 'utf8').slice(-2000);
}

function jsonLines(child: Child): TalkingChild['exchange'] {
  const { stdin, stdout } = child.process as ChildProcess & { stdin: Writable; stdout: Readable };
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  stdin.on('error', () => child.process.kill()); // It is gone; the next read says so.
  return async (message) => {
    if (message !== null) stdin.write(`${JSON.stringify(message)}\n`);
    const late = setTimeout(() => child.process.kill(), LINE_MS_MAX);
    const { value, done } = await lines.next();
    clearTimeout(late);
    if (done === true) throw new Error(`${child.name} gave no answer:\n${lastWords(child)}`);
    return JSON.parse(value);
  };
}

/** Runs a Node program to its end. @returns its exit code and what it printed. */
export function runToEnd(
  args: readonly string[],
): Promise<{ readonly code: number | null; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const started = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    for (const stream of [started.stdout, started.stderr]) {
      stream.setEncoding('utf8').on('data', (piece: string) => {
        text += piece;
      });
    }
    started.once('error', reject);
    started.once('close', (code) => resolve({ code, text }));
  });
}
