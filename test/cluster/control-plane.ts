/**
 * A real Kubernetes control plane for one test file: etcd, kube-apiserver and, on request, kube-controller-manager, on
 * loopback with free ports, everything over TLS, RBAC on, real service account tokens. No node: pods stay pending.
 *
 *   const { skip, plane } = controlPlaneForTests();
 *   void test('a sentence', { skip }, async () => {
 *     const sidecar = await plane().callerFor({ serviceAccount: 'sidecar', namespace: 'default' });
 *     const { status } = await sidecar.request('GET', '/api/v1/namespaces/default/configmaps');
 *     const { stdout } = await plane().admin.kubectl(['get', 'configmaps', '-o', 'name']);
 *     … any client with sidecar.kubeconfig …
 *   });
 *
 * A watch or list of an old resourceVersion is answered with 410 after `compactAll()`, but only when the server asks
 * etcd: start with `watchCache: false`, or stop and start the API server, as its memory of events goes with it.
 * Without the controller manager there is no garbage collection, no `default` service account, and a namespace that is
 * deleted stays. Shell: owns the processes and their directory until `stop`, or the end of the test process.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KeyPair, Subject } from './authority.ts';
import {
  type Account,
  type Caller,
  type Credential,
  createCaller,
  requestPodToken,
  requestToken,
} from './caller.ts';
import { type Daemon, freePort, startDaemon } from './daemon.ts';
import { missingPrograms, programPath } from './programs.ts';
import {
  apiserverFlags,
  etcdFlags,
  type Flags,
  LOOPBACK,
  managerFlags,
  type Secrets,
  type ServerOptions,
  writeSecrets,
} from './server-flags.ts';
import { createStore, type Store } from './store.ts';

export interface ControlPlaneOptions extends ServerOptions {
  /** Runs the controllers, too: garbage collection, service accounts, namespaces. Default false. */
  readonly controllerManager?: boolean;
}

/** Who calls. A service account is created when it does not exist. */
export type Identity = { readonly user: string; readonly groups?: readonly string[] } | Account;

export interface ControlPlane {
  readonly url: string;
  readonly caFile: string;
  readonly authorityPem: string;
  /** For files of the test; gone after `stop`. */
  readonly directory: string;
  /** May everything. */
  readonly admin: Caller;
  callerFor(identity: Identity): Promise<Caller>;
  /** From TokenRequest, for the API server itself or for an audience. */
  tokenFor(account: Account, audience?: string): Promise<string>;
  /** A token for the audience that is bound to a pod, which is created; nothing runs it. */
  podToken(account: Account, audience: string): Promise<{ token: string; podUid: string }>;
  /** A certificate for a server of the test, by the authority in `caFile`. */
  serve(subject: Subject): Promise<KeyPair>;
  readonly etcd: Store;
  readonly apiserver: {
    /** For signals of the test: SIGSTOP makes it a server that accepts and says nothing. */
    pid(): number;
    stop(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>;
    /** On the same port; resolves when it is ready. */
    start(): Promise<void>;
  };
  stop(): Promise<void>;
}

const READY_MS = 90_000;
const POLL_MS = 50;
const TRIES = 3;

/** Programs that a cut off test leaves are ended by daemon.ts; this is for their files. */
const directories = new Set<string>();
process.once('exit', () => {
  for (const one of directories) rmSync(one, { recursive: true, force: true, maxRetries: 5 });
});

/** One control plane for all tests of a file, prepared as they need it; or a reason to skip them, said loudly. */
export function controlPlaneForTests(
  options: ControlPlaneOptions = {},
  prepare: (plane: ControlPlane) => Promise<void> = async () => undefined,
): {
  readonly skip: string | false;
  plane(): ControlPlane;
} {
  const missing = missingPrograms();
  if (missing !== null) {
    process.stderr.write(`SKIPPED: every test against a real Kubernetes API server: ${missing}\n`);
  }
  let running: ControlPlane | null = null;
  before(async () => {
    if (missing !== null) return;
    running = await startControlPlane(options);
    await prepare(running);
  });
  after(() => running?.stop());
  return {
    skip: missing === null ? false : `SKIPPED: ${missing}`,
    plane() {
      if (running === null) throw new Error('the control plane runs only during tests');
      return running;
    },
  };
}

/** Rejects with the ends of the logs when it is not ready in time. */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await start(options);
    } catch (error) {
      // Another process was faster on a port.
      if (tries === TRIES || !/address already in use/.test(String(error))) throw error;
    }
  }
}

async function start(options: ControlPlaneOptions): Promise<ControlPlane> {
  const directory = mkdtempSync(join(tmpdir(), 'egret-cluster-'));
  directories.add(directory);
  const run: Run = { directory, daemons: new Map(), closing: [] };
  try {
    return await assemble(run, options);
  } catch (error) {
    const tails = [...run.daemons.values()].map((daemon) => daemon.tail());
    await end(run);
    throw new Error([String(error), ...tails].join('\n'), { cause: error });
  }
}

/** What one control plane holds. */
interface Run {
  readonly directory: string;
  /** By name, in the order of their start. */
  readonly daemons: Map<string, Daemon>;
  readonly closing: (() => Promise<void>)[];
}

async function end({ directory, daemons, closing }: Run): Promise<void> {
  await Promise.all(closing.map((close) => close()));
  for (const daemon of [...daemons.values()].toReversed()) await daemon.stop('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
  directories.delete(directory);
}

async function assemble(run: Run, options: ControlPlaneOptions): Promise<ControlPlane> {
  const { directory, daemons } = run;
  const secrets = await writeSecrets(directory);
  const etcd = await startEtcd(run, secrets);
  const port = await freePort();
  const url = `https://${LOOPBACK}:${port}`;
  const as = (name: string, credential: Credential) => {
    const authorityPem = secrets.authority.certificatePem;
    const caller = createCaller({ name, url, authorityPem, credential, directory });
    run.closing.push(() => caller.close());
    return caller;
  };
  const certified = async (user: string, groups: readonly string[]) => {
    const pair = await secrets.authority.issue({ commonName: user, organizations: groups });
    return as(`${user.replaceAll(/\W/g, '-')}-${run.closing.length}`, pair);
  };
  const admin = await certified('admin', ['system:masters']);
  const answers = async (path: string) => (await admin.request('GET', path)).status === 200;
  const startServer = () => {
    const flags = apiserverFlags(secrets, etcd.url, port, options);
    return launch(run, 'kube-apiserver', flags, () => answers('/readyz'));
  };
  await startServer();
  if (options.controllerManager === true) {
    const { kubeconfig } = await certified('system:kube-controller-manager', []);
    const flags = managerFlags(secrets, kubeconfig);
    await launch(run, 'kube-controller-manager', flags, () =>
      answers('/api/v1/namespaces/default/serviceaccounts/default'),
    );
  }
  return {
    url,
    caFile: secrets.file('ca.crt'),
    authorityPem: secrets.authority.certificatePem,
    directory,
    admin,
    async callerFor(identity) {
      if ('user' in identity) return certified(identity.user, identity.groups ?? []);
      const token = await requestToken(admin, identity);
      return as(`${identity.serviceAccount}-${run.closing.length}`, { token });
    },
    tokenFor: (account, audience) => requestToken(admin, account, audience),
    podToken: (account, audience) => requestPodToken(admin, account, audience),
    serve: (subject) => secrets.authority.issue(subject),
    etcd,
    apiserver: {
      pid: () => daemons.get('kube-apiserver')?.pid ?? 0,
      stop: async (signal) => daemons.get('kube-apiserver')?.stop(signal),
      start: startServer,
    },
    stop: () => end(run),
  };
}

async function startEtcd(run: Run, secrets: Secrets): Promise<Store> {
  const [url, peerUrl] = [
    `https://${LOOPBACK}:${await freePort()}`,
    `https://${LOOPBACK}:${await freePort()}`,
  ];
  const store = createStore(url, secrets.etcdAuthority.certificatePem, secrets.etcdPair);
  run.closing.push(() => store.close());
  await launch(run, 'etcd', etcdFlags(secrets, url, peerUrl), () => store.isReady());
  return store;
}

/** Rejects when it ends or is not ready in time. */
async function launch(
  run: Run,
  name: Parameters<typeof programPath>[0],
  flags: Flags,
  isReady: () => Promise<boolean>,
): Promise<void> {
  const daemon = await startDaemon(programPath(name), flags, run.directory);
  run.daemons.set(name, daemon);
  const until = Date.now() + READY_MS;
  // Until it listens, every question fails.
  while (!(await isReady().catch(() => false))) {
    if (daemon.hasEnded()) throw new Error(`${name} ended before it was ready`);
    if (Date.now() > until) throw new Error(`${name} was not ready within ${READY_MS} ms`);
    await sleep(POLL_MS);
  }
}
