/**
 * A real controller process against a real API server, with the rights that the chart grants it and none besides, and
 * the policy sets and bundles of a test. Shell: owns the controllers it starts until the end of the test.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { stringify } from 'yaml';
import { renderConfigMaps } from '../../src/bundle/configmap.ts';
import { PROGRAM, ROOT } from '../program.ts';
import type { Caller, KubeObject } from './caller.ts';
import type { ControlPlane } from './control-plane.ts';
import { programPath } from './programs.ts';

export const NAMESPACE = 'egret-system';
const RELEASE = 'egret';

/** Installs the chart as `helm template` renders it. */
export async function applyChart({ admin }: ControlPlane): Promise<void> {
  await admin.kubectl(['create', 'namespace', NAMESPACE]);
  const rendered = execFileSync(
    programPath('helm'),
    ['template', RELEASE, join(ROOT, 'charts/egret'), '--namespace', NAMESPACE],
    { encoding: 'utf8' },
  );
  await kubectl(admin, ['apply', '--server-side', '-f', '-'], rendered);
}

/** @throws with what kubectl said. */
export async function kubectl(
  caller: Caller,
  args: readonly string[],
  input?: string,
): Promise<string> {
  const { code, stdout, stderr } = await caller.kubectl(args, input);
  if (code === 0) return stdout;
  throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
}

export interface ControllerProcess {
  readonly process: ChildProcess;
  /** Every log line so far, parsed. */
  readonly events: readonly Readonly<Record<string, unknown>>[];
  readonly errors: readonly string[];
  /** Port of a listener, when it is open. */
  port(listener: 'admin' | 'distributor' | 'admission'): number;
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

export interface ControllerSetup {
  readonly config?: Readonly<Record<string, unknown>>;
  /** Default PROGRAM, with this Node. */
  readonly command?: readonly string[];
  /** Default: returns when it leads. */
  readonly awaits?: 'leading' | 'listening';
}

/** As the chart's service account; ended with the test. */
export async function startController(
  t: TestContext,
  plane: ControlPlane,
  setup: ControllerSetup = {},
): Promise<ControllerProcess> {
  const controller = await spawnController(plane, setup);
  t.after(() => controller.stop());
  await untilReady(controller, setup);
  return controller;
}

/** Whoever starts it ends it. */
export async function spawnController(
  plane: ControlPlane,
  setup: ControllerSetup,
): Promise<ControllerProcess> {
  const serviceAccount = `${RELEASE}-controller`;
  const caller = await plane.callerFor({ serviceAccount, namespace: NAMESPACE });
  const directory = mkdtempSync(join(plane.directory, 'controller-'));
  const file = join(directory, 'controller.yaml');
  const config = {
    apiVersion: 'egret.dev/v1',
    kind: 'ControllerConfig',
    namespace: NAMESPACE,
    kubeconfig: caller.kubeconfig,
    lease: { durationSeconds: 6, renewDeadlineSeconds: 4, retrySeconds: 1 },
    writeIntervalSeconds: 0,
    admin: { port: 0 },
    ...setup.config,
  };
  writeFileSync(file, stringify(config));
  const [command = '', ...args] = setup.command ?? [process.execPath, PROGRAM];
  const child = spawn(command, [...args, 'controller', '--config', file], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], EGRET_POD_SERVICE_ACCOUNT: serviceAccount },
  });
  const events: Record<string, unknown>[] = [];
  const errors: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    events.push(JSON.parse(line) as Record<string, unknown>);
  });
  createInterface({ input: child.stderr }).on('line', (line) => errors.push(line));
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
    return child.exitCode;
  };
  return {
    process: child,
    events,
    errors,
    port: (listener) => {
      const open = events.find(
        (one) => one['event'] === 'controller.listening' && one['listener'] === listener,
      );
      return Number(open?.['port']);
    },
    stop,
  };
}

/** @throws when it ends instead. */
export async function untilReady(
  controller: ControllerProcess,
  { awaits = 'leading' }: ControllerSetup = {},
): Promise<void> {
  const { events, errors, process: child } = controller;
  const leads = () =>
    events.some((one) => one['event'] === 'controller.leading' && one['leads'] === true);
  const isReady = awaits === 'listening' ? () => Number.isFinite(controller.port('admin')) : leads;
  await until('the controller starts', () => {
    if (child.exitCode !== null) throw new Error(errors.join('\n'));
    return isReady();
  });
}

const UNTIL_MS = 60_000;

/** Asks until it is true. @throws after a minute, with what was waited for. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + UNTIL_MS;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`not within ${UNTIL_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** What people and tools apply: a bundle as ConfigMaps. */
export const bundleManifest = (
  set: string,
  name: string,
  archive: Uint8Array,
  chunkBytes = 700_000,
) =>
  renderConfigMaps(archive, {
    name,
    namespace: NAMESPACE,
    revision: name,
    chunkBytes,
    immutable: false,
  }).replaceAll(`egret.dev/bundle: ${name}`, `egret.dev/bundle: ${set}`);

export const setManifest = (set: string, spec: Readonly<Record<string, unknown>>): string =>
  setManifestOf(
    set,
    stringify({
      apiVersion: 'egret.dev/v1alpha1',
      kind: 'PolicySet',
      metadata: { name: set },
      spec,
    }),
  );

export const setManifestOf = (set: string, rollout: string): string =>
  stringify({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: set, namespace: NAMESPACE, labels: { 'egret.dev/policy-set': set } },
    data: { 'rollout.yaml': rollout },
  });

export const apply = (caller: Caller, ...manifests: readonly string[]) =>
  kubectl(
    caller,
    ['apply', '--server-side', '--field-manager=gitops', '-f', '-'],
    manifests.join('---\n'),
  );

/** The flat part of the state; empty without one. */
export async function stateOf(
  { admin }: ControlPlane,
  set: string,
): Promise<Readonly<Record<string, string>>> {
  const path = `/api/v1/namespaces/${NAMESPACE}/configmaps/${set}-state`;
  const { status, body } = await admin.request('GET', path);
  return status === 200 ? (body.data ?? {}) : {};
}

export const untilState = (
  plane: ControlPlane,
  set: string,
  holds: (state: Readonly<Record<string, string>>) => boolean,
) => until(`the state of ${set} is as expected`, async () => holds(await stateOf(plane, set)));

export async function configMaps(
  { admin }: ControlPlane,
  labelSelector: string,
): Promise<readonly KubeObject[]> {
  const path = `/api/v1/namespaces/${NAMESPACE}/configmaps?labelSelector=${encodeURIComponent(labelSelector)}`;
  return (await admin.request('GET', path)).body.items ?? [];
}

/** Reasons of the Events about a ConfigMap. */
export async function eventReasons({ admin }: ControlPlane, about: string): Promise<string[]> {
  const path = `/api/v1/namespaces/${NAMESPACE}/events?fieldSelector=involvedObject.name%3D${about}`;
  const { body } = await admin.request('GET', path);
  return (body.items ?? []).map((event) => String(event.reason));
}
