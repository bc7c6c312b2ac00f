/**
 * The child processes of a benchmark run: each is started here, logs into a file, and is ended by its own process id,
 * also when the run fails or is interrupted. Shell: owns the processes.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const GRACE_MS = 5000;
const POLL_MS = 5;

export interface Child {
  readonly name: string;
  readonly pid: number;
  readonly process: ChildProcess;
  /** What it wrote to stdout and stderr. */
  readonly logFile: string;
}

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export class Children {
  readonly #directory: string;
  readonly #live = new Set<ChildProcess>();

  /** @param directory where the log files go. */
  constructor(directory: string) {
    this.#directory = directory;
    process.once('exit', () => this.#killAll());
  }

  /** Starts a process that serves until it is ended. */
  start(name: string, command: string, args: readonly string[], options: StartOptions = {}): Child {
    const logFile = join(this.#directory, `${name}.log`);
    const log = openSync(logFile, 'w');
    const child = spawn(command, args, {
      stdio: ['ignore', log, log],
      env: { ...process.env, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    closeSync(log);
    this.#adopt(child);
    if (child.pid === undefined) throw new Error(`${name}: ${command} could not be started`);
    return { name, pid: child.pid, process: child, logFile };
  }

  /** Runs a process to its end. @returns its stdout. @throws with its stderr when it fails or takes too long. */
  run(command: string, args: readonly string[], timeoutMs: number, env = {}): Promise<string> {
    return new Promise((resolve, reject) => {
      const options = { timeout: timeoutMs, env: { ...process.env, ...env }, maxBuffer: 1 << 24 };
      const child = execFile(command, args, options, (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`${command}: ${error.message}\n${stderr}`, { cause: error }));
      });
      this.#adopt(child);
    });
  }

  /** Ends one child: SIGTERM, then SIGKILL after the grace time. */
  async end(child: Child): Promise<void> {
    await this.#endProcess(child.process);
  }

  /** Ends everything that is still running. */
  async close(): Promise<void> {
    await Promise.all([...this.#live].map((child) => this.#endProcess(child)));
  }

  #adopt(child: ChildProcess): void {
    this.#live.add(child);
    child.once('exit', () => this.#live.delete(child));
    child.once('error', () => this.#live.delete(child));
  }

  async #endProcess(child: ChildProcess): Promise<void> {
    if (!this.#live.has(child)) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    const late = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
    child.kill('SIGTERM');
    await gone;
    clearTimeout(late);
  }

  #killAll(): void {
    for (const child of this.#live) child.kill('SIGKILL');
  }
}

/** Resolves when something accepts connections. @throws with the child's last words when it exits or takes too long. */
export async function waitForPort(child: Child, port: number, timeoutMs = 15_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await accepts(port))) {
    if (child.process.exitCode !== null || performance.now() > deadline) {
      const why = child.process.exitCode === null ? 'does not listen' : 'exited';
      throw new Error(`${child.name} ${why}:\n${lastWords(child)}`);
    }
    await sleep(POLL_MS);
  }
}

export function lastWords(child: Child): string {
  return readFileSync(child.logFile, 'utf8').slice(-2000);
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    const settle = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
  });
}

/** Free loopback ports, distinct from each other. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
