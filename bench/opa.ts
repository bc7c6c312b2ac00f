/**
 * OPA as a remote decision point with the same Rego sources and data as Egret's bundle, and OPA-Envoy with the rules
 * on Envoy's input. Both keep a decision log, as Egret keeps its record. Shell: owns nothing, starts children.
 */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Child, type Children, waitForPort } from './children.ts';

const ROOT = join(import.meta.dirname, '..');
const SOURCES = ['rego/egret', 'rego/packs/receipts', 'rego/packs/mcp-session'];

/** Loopback only, no version check, nothing logged but errors. */
const plainArguments = (port: number) => [
  'run',
  '--server',
  '--skip-version-check',
  '--log-level=error',
  `--addr=127.0.0.1:${port}`,
];

/** The same with the decision log on the console, which is a file here. */
const serverArguments = (port: number) => [
  ...plainArguments(port),
  '--set=decision_logs.console=true',
];

export interface OpaOptions {
  readonly program: string;
  readonly port: number;
  /** Folder with data.json of the policy. */
  readonly policyDirectory: string;
}

/** The Rego sources of the receipts policy. */
export const receiptsSources = (): string[] =>
  SOURCES.flatMap((folder) => policyFiles(join(ROOT, folder)));

/** @returns OPA answering POST /v1/data for the given sources and data, without a decision log. */
export async function startOpaServer(
  children: Children,
  program: string,
  port: number,
  files: readonly string[],
): Promise<Child> {
  const child = children.start('opa-server', program, [...plainArguments(port), ...files]);
  await waitForPort(child, port);
  return child;
}

/** @returns OPA answering POST /v1/data/egret/decision. */
export async function startOpa(children: Children, options: OpaOptions): Promise<Child> {
  const files = receiptsSources();
  const data = join(options.policyDirectory, 'data.json');
  const args = [...serverArguments(options.port), ...files, data];
  const child = children.start('opa', options.program, args);
  await waitForPort(child, options.port);
  return child;
}

export interface OpaEnvoyOptions {
  readonly program: string;
  readonly directory: string;
  readonly port: number;
  readonly authorisationPort: number;
}

/** @returns OPA-Envoy answering external authorisation over gRPC. */
export async function startOpaEnvoy(children: Children, options: OpaEnvoyOptions): Promise<Child> {
  const accountants = ['accountant@example.com', 'backup@example.com'];
  const data = join(options.directory, 'opa-envoy-data.json');
  writeFileSync(data, JSON.stringify({ bench: { accountants } }));
  const plugin = 'plugins.envoy_ext_authz_grpc';
  const child = children.start('opa-envoy', options.program, [
    ...serverArguments(options.port),
    `--set=${plugin}.addr=127.0.0.1:${options.authorisationPort}`,
    `--set=${plugin}.path=bench/envoy/allow`,
    join(import.meta.dirname, 'envoy-authz.rego'),
    data,
  ]);
  await waitForPort(child, options.authorisationPort);
  return child;
}

function policyFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.rego') && !file.endsWith('_test.rego'))
    .map((file) => join(folder, file))
    .sort();
}
