/**
 * `egret rollout` as a process of its own against a fake API server, and a controller that is nothing but the state
 * machine: it carries out a command as soon as it is written. Shell: owns the server, a directory and processes.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { commandOf } from '../../src/controller/commands.ts';
import { advance } from '../../src/rollout/machine.ts';
import type { SetObject } from '../../src/rollout/set-view.ts';
import type { RolloutEvent, RolloutState } from '../../src/rollout/state.ts';
import { renderState } from '../../src/rollout/state-codec.ts';
import { MAIN, type Ran } from '../author/egret.ts';
import { FakeApiServer } from '../kubernetes/fake-api-server.ts';
import { CANDIDATE, setObject, stateObject, viewWith } from './set-stage.ts';

const MAPS = '/api/v1/namespaces/agents/configmaps';
const EVENTS = '/api/v1/namespaces/agents/events';
const RUN_MS = 60_000;
const how = { manager: 'test' };

export interface RolloutStage {
  readonly fake: FakeApiServer;
  readonly kubeconfig: string;
  /** `egret rollout …` with this kubeconfig and namespace `agents`. */
  run(args: readonly string[], environment?: Readonly<Record<string, string>>): Promise<Ran>;
  setState(state: RolloutState): void;
  annotations(): Readonly<Record<string, string>>;
  /** Carries commands out from now on. @param onState sees each state it writes. */
  startController(state: RolloutState, onState?: (state: RolloutState) => void): void;
}

export async function rolloutStage(
  t: TestContext,
  state: RolloutState | null,
): Promise<RolloutStage> {
  const fake = await FakeApiServer.start();
  t.after(() => fake.close());
  const directory = mkdtempSync(join(tmpdir(), 'egret-rollout-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const kubeconfig = join(directory, 'config');
  writeFileSync(kubeconfig, kubeconfigOf(fake));
  const set = setObject();
  fake.store.create(MAPS, { ...set, metadata: withoutVersion(set) }, how);
  const setState = (next: RolloutState) => {
    const { metadata } = stateObject(next);
    const data = renderState(next);
    if (fake.store.list(MAPS, (one) => one.metadata.name === metadata.name).length === 0) {
      fake.store.create(MAPS, { metadata: withoutVersion(stateObject(next)), data }, how);
    } else fake.store.mergePatch(MAPS, metadata.name, { data }, how);
  };
  if (state !== null) setState(state);
  const annotations = () => fake.store.get(MAPS, 'mail-policy').metadata.annotations ?? {};
  return {
    fake,
    kubeconfig,
    setState,
    annotations,
    run: (args, environment = { KUBECONFIG: kubeconfig }) =>
      run(args, { HOME: directory, ...environment }),
    startController(first, onState = () => undefined) {
      let now = first;
      const stop = fake.store.watch(MAPS, fake.store.version, isSet, () => {
        const { state: next, events } = carriedOut(now, annotations());
        if (next === now) return;
        now = next;
        for (const event of events) fake.store.create(EVENTS, eventObject(event), how);
        // Not within the write that it answers.
        setImmediate(() => {
          setState(next);
          onState(next);
        });
      });
      t.after(stop);
    },
  };
}

const isSet = ({ metadata }: { metadata: { name: string } }) => metadata.name === 'mail-policy';

const withoutVersion = ({ metadata: { resourceVersion: _, ...rest } }: SetObject) =>
  ({ ...rest, labels: rest.labels ?? {}, annotations: rest.annotations ?? {} }) as const;

export function carriedOut(state: RolloutState, annotations: Readonly<Record<string, string>>) {
  const reading = commandOf(annotations);
  if (!reading.ok || reading.command === null) return { state, events: [] };
  const observation = {
    spec: viewWith(state).spec,
    candidate: { status: 'stored', revision: CANDIDATE } as const,
    command: reading.command,
    analysis: null,
    author: null,
    fresh: { rolloutId: 'r-new', salt: '11'.repeat(16) },
  };
  return advance(state, observation, Date.now());
}

let events = 0;
function eventObject({ type, reason, message }: RolloutEvent) {
  events += 1;
  const lastTimestamp = new Date().toISOString();
  const involvedObject = { kind: 'ConfigMap', name: 'mail-policy', namespace: 'agents' };
  const metadata = { name: `mail-policy.${events}`, namespace: 'agents' };
  return { metadata, involvedObject, type, reason, message, lastTimestamp };
}

function run(args: readonly string[], environment: Readonly<Record<string, string>>): Promise<Ran> {
  const { PATH = '', NODE_COMPILE_CACHE = '' } = process.env;
  const env = { PATH, NO_COLOR: '1', NODE_COMPILE_CACHE, ...environment };
  const child = spawn(process.execPath, [MAIN, 'rollout', ...args], { env, timeout: RUN_MS });
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  const text = (chunks: Buffer[]) => Buffer.concat(chunks).toString();
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, stdout: text(out), stderr: text(err) }));
  });
}

/** JSON, which is YAML. */
function kubeconfigOf({ url, authorityPem, tokens }: FakeApiServer): string {
  const authority = Buffer.from(authorityPem).toString('base64');
  const cluster = { server: url, 'certificate-authority-data': authority };
  const [token] = tokens;
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'fake', cluster }],
    users: [
      { name: 'believed', user: { token } },
      { name: 'stranger', user: { token: 'another' } },
    ],
    contexts: [
      { name: 'agents', context: { cluster: 'fake', user: 'believed', namespace: 'agents' } },
      { name: 'stranger', context: { cluster: 'fake', user: 'stranger', namespace: 'agents' } },
    ],
    'current-context': 'agents',
  });
}
