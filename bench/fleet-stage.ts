/**
 * Where a fleet is measured: a real etcd and kube-apiserver, the chart as Helm renders it, and one controller process
 * with a distributor. Shell: owns all of them until `close`.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ControlPlane, startControlPlane } from '../test/cluster/control-plane.ts';
import {
  apply,
  applyChart,
  bundleManifest,
  type ControllerProcess,
  NAMESPACE,
  setManifest,
  spawnController,
  stateOf,
  untilReady,
} from '../test/cluster/controller-stage.ts';
import { receiptsFor } from '../test/e2e/bundle-variant.ts';
import {
  type FleetSidecar,
  type SidecarPlace,
  startFleetSidecar,
  type Transport,
} from './fleet-sidecar.ts';
import { sidecarProgram } from './sidecar.ts';
import { usageOf } from './usage.ts';

export const SET = 'fleet';
const AGENTS = { serviceAccount: 'agents', namespace: 'default' };
/** Pods are made so many at a time. */
const AT_ONCE = 16;
const POLL_MS = 100;
const WAIT_MS_MAX = 180_000;

export interface FleetStage {
  readonly plane: ControlPlane;
  readonly sidecars: readonly FleetSidecar[];
  /** Until there are so many, half of them on each transport. */
  growTo(count: number, reportMs: number): Promise<void>;
  /** What Git would apply: the set with these steps and this bundle. */
  merge(revision: string, steps: readonly object[]): Promise<void>;
  /** Waits until every sidecar has such a directive in force. @throws with what is missing. */
  untilAll(what: string, holds: (sidecar: FleetSidecar) => boolean): Promise<void>;
  /** @returns the milliseconds of the monotonic clock just before the request was sent. */
  command(verb: string, rolloutId: string): Promise<number>;
  state(): Promise<Readonly<Record<string, string>>>;
  /** Writes of the controller to the API server so far, by object. */
  writes(): Promise<Readonly<Record<string, number>>>;
  memory(): { readonly nowBytes: number; readonly peakBytes: number };
  close(): Promise<void>;
}

export async function startFleetStage(writeIntervalSeconds: number): Promise<FleetStage> {
  const plane = await startControlPlane();
  let controller: ControllerProcess | null = null;
  const sidecars: FleetSidecar[] = [];
  const close = async () => {
    await Promise.all(sidecars.map((sidecar) => sidecar.close()));
    await controller?.stop();
    await plane.stop();
  };
  try {
    await applyChart(plane);
    controller = await spawnController(plane, {
      command: controllerCommand(),
      config: { writeIntervalSeconds, distributor: await distributorConfig(plane) },
    });
    await untilReady(controller);
    return { plane, sidecars, ...staged(plane, controller, sidecars), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** As the image starts it, with the options for memory in its first line; the sources when it was not built. */
function controllerCommand(): readonly string[] {
  const program = sidecarProgram();
  return program.endsWith('.mjs') ? [program] : [process.execPath, program];
}

async function distributorConfig(plane: ControlPlane) {
  const { certificatePem, keyPem } = await plane.serve({
    commonName: 'egret-controller',
    addresses: ['127.0.0.1'],
  });
  const certFile = join(plane.directory, 'distributor.crt');
  const keyFile = join(plane.directory, 'distributor.key');
  writeFileSync(certFile, certificatePem);
  writeFileSync(keyFile, keyPem);
  return { host: '127.0.0.1', port: 0, certFile, keyFile };
}

function staged(
  plane: ControlPlane,
  controller: ControllerProcess,
  sidecars: FleetSidecar[],
): Omit<FleetStage, 'plane' | 'sidecars' | 'close'> {
  const admin = `http://127.0.0.1:${controller.port('admin')}`;
  return {
    async growTo(count, reportMs) {
      const { kubeconfig } = await plane.callerFor(AGENTS);
      while (sidecars.length < count) {
        const from = sidecars.length;
        const names = Array.from(
          { length: Math.min(AT_ONCE, count - from) },
          (_, index) => from + index,
        );
        const port = controller.port('distributor');
        const made = names.map((at) => sidecarAt(plane, { at, port, kubeconfig, reportMs }));
        sidecars.push(...(await Promise.all(made)));
      }
    },
    async merge(revision, steps) {
      const archive = receiptsFor(['accountant@example.com'], revision);
      const spec = {
        candidate: { bundle: `${SET}-${revision}` },
        steps,
        analysis: { interval: '2s', minSamples: 10 },
      };
      const bundle = bundleManifest(SET, `${SET}-${revision}`, archive);
      await apply(plane.admin, setManifest(SET, spec), bundle);
    },
    async untilAll(what, holds) {
      const deadline = performance.now() + WAIT_MS_MAX;
      for (;;) {
        const missing = sidecars.filter((sidecar) => !holds(sidecar));
        if (missing.length === 0) return;
        if (performance.now() > deadline) {
          const failures = new Set(missing.flatMap((sidecar) => sidecar.failures).slice(0, 5));
          throw new Error(`${missing.length} sidecars never: ${what}; ${[...failures].join('; ')}`);
        }
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
    },
    async command(verb, rolloutId) {
      const path = `/api/v1/namespaces/${NAMESPACE}/configmaps/${SET}`;
      const annotations = {
        'egret.dev/command': `${verb}:${rolloutId}`,
        'egret.dev/command-by': 'admin',
      };
      const sentMs = performance.now();
      const type = 'application/merge-patch+json';
      const patch = { metadata: { annotations } };
      const { status, text } = await plane.admin.request('PATCH', path, patch, type);
      if (status !== 200) throw new Error(text);
      return sentMs;
    },
    state: () => stateOf(plane, SET),
    writes: async () => writesIn(await (await fetch(`${admin}/metrics`)).text()),
    memory() {
      const usage = usageOf([controller.process.pid ?? 0]);
      return { nowBytes: usage?.nowBytes ?? 0, peakBytes: usage?.peakBytes ?? 0 };
    },
  };
}

function writesIn(metrics: string): Readonly<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const [, labels = '', value] of metrics.matchAll(WRITES)) {
    const object = /object="(\w+)"/.exec(labels)?.[1] ?? '';
    found[object] = (found[object] ?? 0) + Number(value);
  }
  return found;
}
const WRITES = /^egret_controller_writes_total\{(.*)\} (\d+)/gm;

interface Seat {
  readonly at: number;
  /** Of the distributor. */
  readonly port: number;
  readonly kubeconfig: string;
  readonly reportMs: number;
}

async function sidecarAt(plane: ControlPlane, seat: Seat): Promise<FleetSidecar> {
  const { token } = await plane.podToken(AGENTS, 'egret');
  const tokenFile = join(plane.directory, `sidecar-${seat.at}.token`);
  writeFileSync(tokenFile, token, { mode: 0o600 });
  const transport: Transport = seat.at % 2 === 0 ? 'configMap' : 'distributor';
  const place: SidecarPlace = {
    set: SET,
    name: `sidecar-${seat.at}`,
    transport,
    url: `https://127.0.0.1:${seat.port}`,
    caFile: plane.caFile,
    tokenFile,
    kubeconfig: seat.kubeconfig,
    namespace: NAMESPACE,
    reportMs: seat.reportMs,
  };
  return startFleetSidecar(place);
}
