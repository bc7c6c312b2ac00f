/**
 * Egret's own sidecar as a user would start it: policy, audit and metrics on. Shell: owns nothing, starts a child.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Child, type Children, freePorts, lastWords } from './children.ts';

const ROOT = join(import.meta.dirname, '..');
const READY_MS_MAX = 20_000;

export interface SidecarOptions {
  /** Names its files and its log. */
  readonly name: string;
  readonly directory: string;
  /** Folder with the policy bundle. */
  readonly bundleDirectory: string;
  readonly upstreamPort: number;
  /** When a record counts as durable. */
  readonly durability: 'write' | 'fsync';
  /** Over what every sidecar of a run has. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Options of its Node besides its own. */
  readonly nodeOptions?: readonly string[];
}

export interface Sidecar {
  readonly child: Child;
  readonly gatewayUrl: string;
  readonly proxyPort: number;
  readonly auditDirectory: string;
  /** Milliseconds from before the start of the process until /readyz said 200. */
  readonly readyMs: number;
  /** Decision records written so far, by its own metrics. */
  recorded(): Promise<number>;
}

/** The built program, or the sources when it was not built. */
export function sidecarProgram(): string {
  const built = join(ROOT, 'dist/egret.mjs');
  return existsSync(built) ? built : join(ROOT, 'src/main.ts');
}

/** What stands in the first line of the built program, where a shell would find it: variables and options of node. */
function ownWords(program: string): { env: Record<string, string>; options: string[] } {
  const [firstLine = ''] = readFileSync(program, 'utf8').split('\n', 1);
  const words = firstLine.startsWith('#!') ? firstLine.split(' ') : [];
  const env = words.filter((word) => /^[A-Z_]+=/.test(word)).map((word) => word.split('=', 2));
  return { env: Object.fromEntries(env), options: words.filter((word) => word.startsWith('--')) };
}

/** @throws with its last words when it exits or is not ready in twenty seconds. */
export async function startSidecar(children: Children, options: SidecarOptions): Promise<Sidecar> {
  const [gateway, proxy, decision, admin] = (await freePorts(4)) as [
    number,
    number,
    number,
    number,
  ];
  const directory = join(options.directory, options.name);
  const auditDirectory = join(directory, 'audit');
  mkdirSync(directory, { recursive: true });
  const config = join(directory, 'egret.yaml');
  const { durability } = options;
  const settings = {
    apiVersion: 'egret.dev/v1',
    kind: 'SidecarConfig',
    agent: { id: 'bench', environment: 'prod' },
    listen: {
      gateway: { port: gateway },
      proxy: { port: proxy },
      decision: { port: decision },
      admin: { port: admin },
    },
    bundles: [{ name: 'main', directory: options.bundleDirectory }],
    mcpServers: { mail: { url: `http://127.0.0.1:${options.upstreamPort}/mcp` } },
    audit: { directory: auditDirectory, durability: { write: durability, read: durability } },
    ...options.settings,
  };
  writeFileSync(config, JSON.stringify(settings, null, 1));
  const extra = (process.env['EGRET_BENCH_NODE_OPTIONS'] ?? '').split(' ').filter(Boolean);
  const program = sidecarProgram();
  const own = ownWords(program);
  const forNode = [...own.options, ...(options.nodeOptions ?? []), ...extra];
  const args = [...forNode, program, 'sidecar', '--config', config];
  const startMs = performance.now();
  const child = children.start(options.name, process.execPath, args, {
    cwd: directory,
    env: own.env,
  });
  await waitUntilReady(child, `http://127.0.0.1:${admin}/readyz`);
  return {
    child,
    gatewayUrl: `http://127.0.0.1:${gateway}`,
    proxyPort: proxy,
    auditDirectory,
    readyMs: performance.now() - startMs,
    recorded: () => decisionRecords(`http://127.0.0.1:${admin}/metrics`),
  };
}

async function waitUntilReady(child: Child, url: string): Promise<void> {
  const deadline = performance.now() + READY_MS_MAX;
  for (;;) {
    const status = await fetch(url).then(
      (response) => response.status,
      () => 0, // Not listening yet.
    );
    if (status === 200) return;
    if (child.process.exitCode !== null || performance.now() > deadline) {
      throw new Error(`${child.name} is not ready (last status ${status}):\n${lastWords(child)}`);
    }
    await sleep(5);
  }
}

async function decisionRecords(metricsUrl: string): Promise<number> {
  const text = await (await fetch(metricsUrl)).text();
  const count = /^egret_audit_records_total\{[^}]*kind="decision"[^}]*\} (\d+)/m.exec(text)?.[1];
  return Number(count ?? 0);
}
