/**
 * A real sidecar process for tests, on free ports and in a directory of its own, with everything it prints at hand.
 * Shell: owns the child process and the directory until `stop`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { stringify } from 'yaml';
import { PROGRAM, ROOT } from '../program.ts';

export { ROOT };

export const UPLOAD_TOKEN = 'upload-token-of-the-front-end-0123456789';
export const REVIEW_TOKEN = 'review-token-of-the-agent-0123456789abcd';

export interface SidecarPorts {
  readonly proxy: number;
  readonly gateway: number;
  readonly decision: number;
  readonly admin: number;
  /** Present when configured. */
  readonly 'capture:80': number;
  readonly 'capture:443': number;
  readonly dns: number;
}

export interface SidecarProcess {
  readonly directory: string;
  readonly ports: SidecarPorts;
  readonly process: ChildProcess;
  /** Every log line so far. */
  readonly lines: readonly string[];
  /** Every line on the error output so far. */
  readonly errors: readonly string[];
  /** SIGTERM, and the exit code. */
  stop(): Promise<number | null>;
  /** SIGKILL, and wait until it is gone. */
  kill(): Promise<void>;
  /** Removes the directory; the process must have ended. */
  remove(): void;
}

export interface SidecarSetup {
  /** Bundle file under rego/dist, the bytes of one, or null for an empty bundle directory. */
  readonly bundle?: string | Uint8Array | null;
  /** Merged over the configuration. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** An existing directory of an earlier process; its log and its bundle go on. */
  readonly directory?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Files and connections the process may have open; default as many as the tests. */
  readonly descriptorsMax?: number;
}

/** Rejects with what was printed when the process ends before it is ready. */
export async function startSidecarProcess(setup: SidecarSetup = {}): Promise<SidecarProcess> {
  const directory = setup.directory ?? newDirectory();
  const file = prepared(directory, setup);
  const child = spawnEgret(['sidecar', '--config', file], setup);
  const lines: string[] = [];
  const errors: string[] = [];
  const ports = await listening(child, lines, errors);
  return {
    directory,
    ports,
    process: child,
    lines,
    errors,
    async stop() {
      const code = exitCode(child);
      child.kill('SIGTERM');
      return code;
    },
    async kill() {
      const gone = exitCode(child);
      child.kill('SIGKILL');
      await gone;
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one command of the program to its end. */
export async function runEgret(args: readonly string[]): Promise<Ended> {
  const child = spawnEgret(args);
  const printed = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    printed.stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    printed.stderr += text;
  });
  await once(child, 'close');
  return { code: child.exitCode, ...printed };
}

export const newDirectory = () => mkdtempSync(join(tmpdir(), 'egret-e2e-'));

/** Writes configuration and bundle. @returns the configuration file. */
export function prepared(directory: string, setup: SidecarSetup): string {
  const bundles = join(directory, 'bundles');
  mkdirSync(bundles, { recursive: true });
  const { bundle = 'receipts.tar.gz' } = setup;
  if (bundle !== null && setup.directory === undefined) {
    const target = join(bundles, 'bundle.tar.gz');
    if (typeof bundle === 'string') copyFileSync(join(ROOT, 'rego/dist', bundle), target);
    else writeFileSync(target, bundle);
  }
  const file = join(directory, 'egret.yaml');
  const config = { ...baseConfig(directory), ...setup.config };
  writeFileSync(file, stringify(config, { aliasDuplicateObjects: false }));
  return file;
}

function spawnEgret(
  args: readonly string[],
  { environment = {}, descriptorsMax }: SidecarSetup = {},
): ChildProcess {
  const tokens = { EGRET_UPLOAD_TOKEN: UPLOAD_TOKEN, EGRET_REVIEW_TOKEN: REVIEW_TOKEN };
  const command = [process.execPath, PROGRAM, ...args];
  const bounded = ['sh', '-c', 'ulimit -n "$0" && exec "$@"', String(descriptorsMax), ...command];
  const [program = '', ...rest] = descriptorsMax === undefined ? command : bounded;
  const child = spawn(program, rest, {
    env: { ...process.env, ...tokens, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

/** A test that is cut off must not leave a process behind. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export async function exitCode(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  await once(child, 'exit');
  return child.exitCode;
}

function baseConfig(directory: string): Record<string, unknown> {
  const free = { port: 0 };
  return {
    apiVersion: 'egret.dev/v1',
    kind: 'SidecarConfig',
    agent: { id: 'receipts-bot', environment: 'test' },
    listen: { proxy: free, gateway: free, decision: free, admin: free },
    bundles: [{ name: 'main', directory: join(directory, 'bundles'), pollMs: 50 }],
    audit: { directory: join(directory, 'audit') },
    decisionApi: {
      clients: [
        { id: 'frontend', tokenEnv: 'EGRET_UPLOAD_TOKEN', may: 'upload' },
        { id: 'agent', tokenEnv: 'EGRET_REVIEW_TOKEN', may: 'review' },
      ],
    },
  };
}

/** Resolves with the ports when all four listeners are up; rejects with what was printed when the process ends. */
function listening(child: ChildProcess, lines: string[], errors: string[]): Promise<SidecarPorts> {
  return new Promise((resolvePorts, reject) => {
    const found: Record<string, number> = {};
    createInterface({ input: child.stderr as NodeJS.ReadableStream }).on('line', (line) => {
      errors.push(line);
    });
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      lines.push(line);
      const event = JSON.parse(line) as { event?: string; listener?: string; port?: number };
      if (event.event === 'sidecar.listening' && event.listener && event.port) {
        found[event.listener] = event.port;
      }
      if (event.event === 'sidecar.ready') resolvePorts(found as unknown as SidecarPorts);
    });
    child.once('exit', (code) => {
      reject(new Error(`the sidecar ended with ${code}: ${[...errors, ...lines].join('\n')}`));
    });
  });
}
