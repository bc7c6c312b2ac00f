/**
 * Egret's sidecar as a user would run it: a configuration file, a folder with the policy bundle, one process. The
 * bundle is the committed one with a single change, which the demo tells its reader: an upload grows stale within
 * seconds instead of half an hour. Shell: writes into the demo's folder, starts one child.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { readArchive } from '../../src/bundle/archive.ts';
import { type Child, type Children, lastWords } from './children.ts';

const ROOT = join(import.meta.dirname, '../..');
const READY_MS_MAX = 30_000;

/** Seconds until an upload is stale. Long enough for a busy machine, short enough to wait for. */
export const STALE_SECONDS = 6;

export interface SidecarOptions {
  /** For the configuration and the bundle. */
  readonly directory: string;
  readonly auditDirectory: string;
  readonly mcpUrl: string;
  /** Where requests to gmail.googleapis.com go. */
  readonly mailApiPort: number;
  /** Bearer token of the front end; the agent never has it. */
  readonly uploadToken: string;
}

export interface Sidecar {
  readonly child: Child;
  readonly configFile: string;
  readonly gatewayUrl: string;
  readonly proxyUrl: string;
  readonly decisionUrl: string;
  readonly adminUrl: string;
}

/** The built program, or the sources when it was not built. */
export function egretProgram(): string {
  const built = join(ROOT, 'dist/egret.mjs');
  return existsSync(built) ? built : join(ROOT, 'src/main.ts');
}

/** @throws with its last words when it exits or is not ready in thirty seconds. */
export async function startSidecar(children: Children, options: SidecarOptions): Promise<Sidecar> {
  const [gateway = 0, proxy = 0, decision = 0, admin = 0] = await freePorts(4);
  unpackBundle(join(options.directory, 'bundle'));
  const configFile = join(options.directory, 'egret.yaml');
  const config = {
    apiVersion: 'egret.dev/v1',
    kind: 'SidecarConfig',
    agent: { id: 'receipts-bot', environment: 'demo' },
    listen: {
      proxy: { port: proxy },
      gateway: { port: gateway },
      decision: { port: decision },
      admin: { port: admin },
    },
    bundles: [{ name: 'main', directory: './bundle' }],
    mcpServers: { mail: { url: options.mcpUrl } },
    upstream: { hosts: { 'gmail.googleapis.com:80': `127.0.0.1:${options.mailApiPort}` } },
    audit: {
      directory: options.auditDirectory,
      // Kept apart from the log, and with the demo only: what replaying its calls needs.
      openingsDirectory: join(options.directory, 'openings'),
      durability: { write: 'fsync', read: 'write' },
    },
    decisionApi: {
      clients: [{ id: 'frontend', tokenEnv: 'EGRET_UPLOAD_TOKEN', may: 'upload' }],
    },
    telemetry: { logLevel: 'debug' },
  };
  writeFileSync(configFile, stringify(config));
  const args = [egretProgram(), 'sidecar', '--config', configFile];
  const child = children.start('sidecar', args, { EGRET_UPLOAD_TOKEN: options.uploadToken });
  const adminUrl = `http://127.0.0.1:${admin}`;
  await waitUntilReady(child, `${adminUrl}/readyz`);
  return {
    child,
    configFile,
    adminUrl,
    gatewayUrl: `http://127.0.0.1:${gateway}`,
    proxyUrl: `http://127.0.0.1:${proxy}`,
    decisionUrl: `http://127.0.0.1:${decision}`,
  };
}

/** The front end's part: registers a file that the user uploaded, by its bytes. */
export async function registerUpload(
  sidecar: Sidecar,
  token: string,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const answer = await fetch(`${sidecar.decisionUrl}/v1/uploads`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/octet-stream' },
    body: bytes,
  });
  if (answer.status === 201) return;
  throw new Error(`POST /v1/uploads: found ${answer.status}, expected 201: ${await answer.text()}`);
}

function unpackBundle(directory: string): void {
  const file = join(ROOT, 'rego/dist/receipts.tar.gz');
  for (const [path, content] of readArchive(readFileSync(file), file)) {
    const target = join(directory, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, adapted(path, content));
  }
}

/** The bundle says another thing now, so it gets another revision, too. */
function adapted(path: string, content: Uint8Array): Uint8Array | string {
  if (path !== 'data.json' && path !== '.manifest') return content;
  const value = JSON.parse(Buffer.from(content).toString('utf8'));
  if (path === 'data.json') value.config.receipts.attachment_minutes_max = STALE_SECONDS / 60;
  else value.revision = `demo of ${value.revision}`;
  return JSON.stringify(value);
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
      throw new Error(`the sidecar is not ready (last status ${status}):\n${lastWords(child)}`);
    }
    await sleep(20);
  }
}

/** Free loopback ports, distinct from each other. */
async function freePorts(count: number): Promise<number[]> {
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
