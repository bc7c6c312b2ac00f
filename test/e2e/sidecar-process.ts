/**
 * A real sidecar process for tests, on free ports and in a directory of its own, with everything it logs at hand.
 * Shell: owns the child process and the directory until `stop`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { stringify } from 'yaml';

const ROOT = resolve(import.meta.dirname, '../..');
export const UPLOAD_TOKEN = 'upload-token-of-the-front-end-0123456789';
export const REVIEW_TOKEN = 'review-token-of-the-agent-0123456789abcd';

export interface SidecarPorts {
  readonly proxy: number;
  readonly gateway: number;
  readonly decision: number;
  readonly admin: number;
}

export interface SidecarProcess {
  readonly directory: string;
  readonly ports: SidecarPorts;
  readonly process: ChildProcess;
  /** Every log line so far. */
  readonly lines: readonly string[];
  /** SIGTERM, and the exit code. */
  stop(): Promise<number | null>;
  /** SIGKILL, and wait until it is gone. */
  kill(): Promise<void>;
  /** Removes the directory; the process must have ended. */
  remove(): void;
}

export interface SidecarSetup {
  /** Bundle file under rego/dist, or null for an empty bundle directory. */
  readonly bundle?: string | null;
  /** Merged over the configuration. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** An existing directory of an earlier process; its log goes on. */
  readonly directory?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

export async function startSidecarProcess(setup: SidecarSetup = {}): Promise<SidecarProcess> {
  const directory = setup.directory ?? mkdtempSync(join(tmpdir(), 'egret-e2e-'));
  const bundles = join(directory, 'bundles');
  mkdirSync(bundles, { recursive: true });
  const bundle = setup.bundle === undefined ? 'receipts.tar.gz' : setup.bundle;
  if (bundle !== null && setup.directory === undefined) {
    copyFileSync(join(ROOT, 'rego/dist', bundle), join(bundles, 'bundle.tar.gz'));
  }
  const file = join(directory, 'egret.yaml');
  writeFileSync(file, stringify({ ...baseConfig(directory), ...setup.config }));
  const child = spawn(process.execPath, [join(ROOT, 'src/main.ts'), 'sidecar', '--config', file], {
    env: {
      ...process.env,
      EGRET_UPLOAD_TOKEN: UPLOAD_TOKEN,
      EGRET_REVIEW_TOKEN: REVIEW_TOKEN,
      ...setup.environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  const ports = await listening(child, lines);
  return {
    directory,
    ports,
    process: child,
    lines,
    async stop() {
      const code = exitCode(child);
      child.kill('SIGTERM');
      return await code;
    },
    async kill() {
      const gone = exitCode(child);
      child.kill('SIGKILL');
      await gone;
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

async function exitCode(child: ChildProcess): Promise<number | null> {
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
function listening(child: ChildProcess, lines: string[]): Promise<SidecarPorts> {
  return new Promise((resolvePorts, reject) => {
    const found: Record<string, number> = {};
    const errors: string[] = [];
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
