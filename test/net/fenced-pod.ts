/**
 * A pod as a user has it: rules installed by a non-root init container, a sidecar with its own user and no capability,
 * and an internet behind it that answers everything and reports every packet. Policy lets everything pass (dry run), so
 * what is held back here is held back by the fence alone. Shell: owns the lab, the sidecar and a directory.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { stringify } from 'yaml';
import { eventually } from '../e2e/agent.ts';
import { ROOT } from '../e2e/sidecar-process.ts';
import { type Actor, EGRET, INIT, type Lab, SIDECAR, stageLab, testFile } from './namespace.ts';

/** What the internet saw. */
export interface Sighting {
  readonly event: 'packet' | 'connection' | 'data' | 'datagram' | 'question' | 'ready';
  readonly to?: string;
  readonly port?: number;
  readonly protocol?: number;
  readonly source?: number;
  readonly text?: string;
  readonly name?: string;
  readonly ethertype?: string;
}

export interface FencedPod {
  readonly lab: Lab;
  readonly config: string;
  readonly directory: string;
  /** Every line of the sidecar's log so far. */
  readonly log: readonly string[];
  /** Tries to get out. @returns what the attempt says came of it. */
  attempt(actor: Actor, ...args: readonly string[]): Promise<string>;
  /** Runs `act`, and tells its result and what the internet saw meanwhile. */
  seenDuring<T>(act: () => Promise<T>): Promise<readonly [T, readonly Sighting[]]>;
  redirect(actor: Actor, ...args: readonly string[]): ReturnType<Lab['inPod']>;
  startSidecar(): Promise<SidecarInPod>;
  /** GET on the admin listener, as the agent; status and body. */
  admin(path: string): Promise<string>;
}

export interface SidecarInPod {
  readonly pid: number;
  readonly proxyPort: number;
  kill(): Promise<void>;
}

const ADMIN_PORT = 15_090;
const BEACON_PORT = 5353;
const BEACON_SOURCE = 4999;
const UDP = 17;

/** @returns null where this machine cannot have a lab; that was said loudly then. */
export async function stageFencedPod(
  t: TestContext,
  more: Readonly<Record<string, unknown>> = {},
): Promise<FencedPod | null> {
  const lab = await stageLab(t);
  if (lab === null) return null;
  const directory = mkdtempSync(join(tmpdir(), 'egret-net-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const config = writeConfig(directory, more);
  const seen: Sighting[] = [];
  const internet = lab.startOutside(['python3', testFile('internet.py')]);
  createInterface({ input: internet.stdout as NodeJS.ReadableStream }).on('line', (line) => {
    seen.push(JSON.parse(line) as Sighting);
  });
  internet.stderr?.pipe(process.stderr);
  await eventually(() => seen.some(({ event }) => event === 'ready'));
  const log: string[] = [];
  const pod: FencedPod = {
    lab,
    config,
    directory,
    log,
    async attempt(actor, ...args) {
      const { code, stdout, stderr } = await lab.inPod(actor, [
        'python3',
        testFile('agent.py'),
        ...args,
      ]);
      return code === 0 ? stdout.trim() : `failed: ${stderr}`;
    },
    async seenDuring(act) {
      await beacon(lab, seen);
      const before = seen.length;
      const result = await act();
      await beacon(lab, seen);
      return [result, seen.slice(before).filter((sighting) => !isBeacon(sighting))];
    },
    redirect: (actor, verb, ...args) =>
      lab.inPod(actor, [...EGRET, 'redirect', verb ?? '', ...args]),
    startSidecar: () => startSidecar(lab, config, log),
    async admin(path) {
      const url = `http://127.0.0.1:${ADMIN_PORT}${path}`;
      return (await lab.inPod({ uid: 1000 }, ['curl', '-sS', '-w', ' %{http_code}', url])).stdout;
    },
  };
  return pod;
}

/** Installs the rules as an init container would. */
export async function install(pod: FencedPod): Promise<void> {
  const { code, stderr } = await pod.redirect(INIT, 'install', '--config', pod.config);
  if (code !== 0) throw new Error(stderr);
}

function writeConfig(directory: string, more: Readonly<Record<string, unknown>>): string {
  const bundles = join(directory, 'bundles');
  mkdirSync(bundles);
  copyFileSync(join(ROOT, 'rego/dist/receipts.tar.gz'), join(bundles, 'bundle.tar.gz'));
  const free = { port: 0 };
  const config = {
    apiVersion: 'egret.dev/v1',
    kind: 'SidecarConfig',
    agent: { id: 'fenced-bot', environment: 'test' },
    enforcement: 'dryrun',
    listen: { proxy: free, gateway: free, decision: free, admin: { port: ADMIN_PORT } },
    bundles: [{ name: 'main', directory: bundles }],
    audit: { directory: join(directory, 'audit') },
    capture: {
      dns: { names: ['*.example'] },
      inboundPorts: [7000],
      probe: { intervalMs: 500 },
    },
    tls: { trustDirectory: join(directory, 'trust') },
    upstream: {
      // The lab's internet lives on addresses kept for documentation.
      privateAddresses: ['203.0.113.0/24'],
      dnsServers: ['198.51.100.53:53'],
    },
    ...more,
  };
  const file = join(directory, 'egret.yaml');
  writeFileSync(file, stringify(config, { aliasDuplicateObjects: false }));
  execFileSync('chown', ['-R', `${SIDECAR.uid}:${SIDECAR.uid}`, directory]);
  execFileSync('chmod', ['755', directory]);
  return file;
}

async function startSidecar(lab: Lab, config: string, log: string[]): Promise<SidecarInPod> {
  const child = lab.startInPod(SIDECAR, [...EGRET, 'sidecar', '--config', config]);
  const errors: string[] = [];
  child.stderr?.on('data', (chunk: Buffer) => errors.push(chunk.toString()));
  const from = log.length;
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
    log.push(line);
  });
  const lines = () => log.slice(from);
  await eventually(() => {
    if (child.exitCode !== null) throw new Error(`the sidecar ended: ${errors.join('')}${log}`);
    return lines().some((line) => /"(fence\.proven|fence\.open)"/.test(line));
  });
  const listening = lines().find((line) => line.includes('"listener":"proxy"')) ?? '{}';
  return {
    pid: child.pid ?? 0,
    proxyPort: (JSON.parse(listening) as { port: number }).port,
    kill: () =>
      new Promise((resolve) => {
        child.once('exit', () => resolve());
        child.kill('SIGKILL');
      }),
  };
}

const isBeacon = ({ event, port, source }: Sighting) =>
  (event === 'packet' && source === BEACON_SOURCE) ||
  (event === 'datagram' && port === BEACON_PORT);

/** The wire keeps order: when this datagram of the sidecar's user has arrived, so has all that was sent before. */
async function beacon(lab: Lab, seen: readonly Sighting[]): Promise<void> {
  const before = seen.length;
  const send = `import socket; s=socket.socket(2,2); s.bind(('',${BEACON_SOURCE})); s.sendto(b'', ('203.0.113.10',${BEACON_PORT}))`;
  const { code, stderr } = await lab.inPod(SIDECAR, ['python3', '-c', send]);
  if (code !== 0) throw new Error(`the beacon was not sent: ${stderr}`);
  await eventually(() =>
    seen.slice(before).some(({ protocol, source }) => protocol === UDP && source === BEACON_SOURCE),
  );
}
