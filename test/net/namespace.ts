/**
 * A small network for one test: a pod behind a router that plays the internet. Both are network namespaces of this
 * kernel with real rules and sockets; nothing of it reaches the machine's own network. Everything is taken away when the
 * test ends. Shell: owns two namespaces and the processes in them.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { ROOT } from '../e2e/sidecar-process.ts';

const run = promisify(execFile);

/** Addresses of the lab. The outside owns whole public-looking networks, so any address in them answers. */
export const POD = { ipv4: '10.77.0.2', ipv6: 'fd77::2' };
export const ROUTER = { ipv4: '10.77.0.1', ipv6: 'fd77::1' };
/** Addresses the outside answers on: an internet, a metadata service, a name server. */
export const OUTSIDE = [
  '203.0.113.10',
  '198.51.100.53',
  '169.254.169.254',
  '192.0.2.1',
  '2001:db8::1',
  '2001:db8:10::10',
  'fd00:ec2::254',
];

/** The name server that the pod is told of. */
export const NAME_SERVER = '198.51.100.53';

/** The capabilities a container runtime gives root by default. */
export const CONTAINER_CAPABILITIES =
  'chown,dac_override,fsetid,fowner,mknod,net_raw,setgid,setuid,setfcap,setpcap,net_bind_service,sys_chroot,kill,audit_write';

export interface Actor {
  readonly uid: number;
  /** Comma-separated capabilities without `cap_`; default none. */
  readonly capabilities?: string;
}

/** Where the namespaces see this checkout, whatever the rights of the folders above it. */
const CHECKOUT = '/mnt';
/** The program, as it is called inside the lab. */
export const EGRET = [`${CHECKOUT}/node_modules/.bin/node`, `${CHECKOUT}/src/main.ts`];
export const testFile = (name: string) => `${CHECKOUT}/test/net/${name}`;

export const AGENT: Actor = { uid: 1000 };
export const ROOT_AGENT: Actor = { uid: 0, capabilities: CONTAINER_CAPABILITIES };
export const SIDECAR: Actor = { uid: 64_777 };
export const INIT: Actor = { uid: 65_534, capabilities: 'net_admin' };
/** Root with everything, as no container has it. */
export const OPERATOR: Actor = { uid: 0, capabilities: 'all' };

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Lab {
  /** Runs a command in the pod to its end. */
  inPod(actor: Actor, command: readonly string[], timeoutMs?: number): Promise<Ended>;
  /** Starts a process that ends with the test. */
  startInPod(actor: Actor, command: readonly string[]): ChildProcess;
  startOutside(command: readonly string[]): ChildProcess;
  outside(command: readonly string[]): Promise<Ended>;
}

/** @returns null, after saying so loudly, where this machine cannot have namespaces. */
export async function stageLab(t: TestContext): Promise<Lab | null> {
  const why = impossible();
  if (why !== null) {
    process.stderr.write(`SKIPPED: ${t.name}: ${why}\n`);
    t.skip(`SKIPPED: ${why}`);
    return null;
  }
  const id = `${process.pid.toString(36)}${Math.random().toString(36).slice(2, 6)}`;
  const names = { pod: `egret-p-${id}`, outside: `egret-o-${id}` };
  const children = new Set<ChildProcess>();
  // Every process of a namespace has this file in place of the machine's own.
  const resolvers = `/etc/netns/${names.pod}`;
  t.after(async () => {
    await Promise.all([...children].map(ended));
    for (const name of Object.values(names)) execFileSync('ip', ['netns', 'delete', name]);
    rmSync(resolvers, { recursive: true, force: true });
  });
  mkdirSync(resolvers, { recursive: true });
  writeFileSync(`${resolvers}/resolv.conf`, `nameserver ${NAME_SERVER}\n`);
  build(names);
  const start = (namespace: string, command: readonly string[]) => {
    const child = spawn('ip', entering(namespace, command), {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.add(child);
    child.once('exit', () => children.delete(child));
    return child;
  };
  return {
    inPod: (actor, command, timeoutMs) =>
      finish(entering(names.pod, [...as(actor), ...command]), timeoutMs),
    startInPod: (actor, command) => start(names.pod, [...as(actor), ...command]),
    startOutside: (command) => start(names.outside, command),
    outside: (command) => finish(entering(names.outside, command)),
  };
}

/** A command in a namespace; each has a mount namespace of its own, so the checkout can be bound to one place. */
function entering(namespace: string, command: readonly string[]): string[] {
  const bound = 'mount --bind "$0" "$1" && shift && exec "$@"';
  // Programs in somebody's home are out of reach for other users.
  const path = 'PATH=/usr/sbin:/usr/bin:/sbin:/bin';
  return ['netns', 'exec', namespace, 'env', path, 'sh', '-c', bound, ROOT, CHECKOUT, ...command];
}

function impossible(): string | null {
  if (process.getuid?.() !== 0) return 'not root, which network namespaces need here';
  for (const program of ['ip', 'nft', 'setpriv']) {
    try {
      execFileSync(program, ['--version'], { stdio: 'ignore' });
    } catch {
      try {
        execFileSync(program, ['-V'], { stdio: 'ignore' });
      } catch {
        return `${program} is not installed`;
      }
    }
  }
  try {
    execFileSync('unshare', ['--net', 'true'], { stdio: 'ignore' });
    return null;
  } catch {
    return 'this kernel forbids network namespaces';
  }
}

function build({ pod, outside }: { pod: string; outside: string }): void {
  const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' });
  for (const name of [pod, outside]) {
    ip('netns', 'add', name);
    ip('-n', name, 'link', 'set', 'lo', 'up');
  }
  ip('-n', pod, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', outside);
  for (const [name, own] of [
    [pod, POD],
    [outside, ROUTER],
  ] as const) {
    ip('-n', name, 'address', 'add', `${own.ipv4}/24`, 'dev', 'eth0');
    ip('-n', name, 'address', 'add', `${own.ipv6}/64`, 'dev', 'eth0', 'nodad');
    ip('-n', name, 'link', 'set', 'eth0', 'up');
  }
  for (const address of OUTSIDE) {
    const length = address.includes(':') ? 128 : 32;
    ip('-n', outside, 'address', 'add', `${address}/${length}`, 'dev', 'lo', ...nodad(address));
  }
  ip('-n', pod, 'route', 'add', 'default', 'via', ROUTER.ipv4);
  ip('-n', pod, '-6', 'route', 'add', 'default', 'via', ROUTER.ipv6);
}

const nodad = (address: string) => (address.includes(':') ? ['nodad'] : []);

/** Becomes the actor: user id, exactly these capabilities, and no way to more. */
function as({ uid, capabilities = '' }: Actor): string[] {
  if (capabilities === 'all') return [];
  const wanted = capabilities.split(',').filter(Boolean);
  const set = ['-all', ...wanted.map((name) => `+${name}`)].join(',');
  const user = ['--reuid', String(uid), '--regid', String(uid), '--clear-groups'];
  const capable = [`--bounding-set=${set}`, `--inh-caps=${set}`, `--ambient-caps=${set}`];
  return ['setpriv', ...user, ...capable, '--no-new-privs', '--'];
}

async function finish(args: readonly string[], timeoutMs = 20_000): Promise<Ended> {
  try {
    const { stdout, stderr } = await run('ip', args, { timeout: timeoutMs, killSignal: 'SIGKILL' });
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as Error & Ended;
    if (typeof code !== 'number') return { code: -1, stdout, stderr: `${stderr}${String(error)}` };
    return { code, stdout, stderr };
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
