/**
 * Injection: what must be changed of a pod so that its agent is mediated, or why it is left alone or refused. The pod
 * with the sidecar is made anew each time from what the user wrote, so a second run changes nothing and repairs what
 * another webhook moved. Pure.
 */
import { createHash } from 'node:crypto';
import type { AdmissionConfig } from '../config/admission.ts';
import { VERSION } from '../version.ts';
import { adaptAgent, agentEnvironment } from './agent-container.ts';
import { type Addition, initContainersOf, volumesOf } from './containers.ts';
import { INIT, objectionTo, type RefusalReason, SIDECAR, VOLUMES } from './examine.ts';
import { type JsonPatch, patchBetween } from './json-patch.ts';
import { type Pod, readPod } from './pod.ts';
import { fillConfig } from './sidecar-config.ts';
import { readWishes, STATUS_ANNOTATION, type Wishes, type WishReason } from './wishes.ts';

export interface InjectOptions {
  readonly config: AdmissionConfig;
  /** Namespace of the request: the pod itself need not name it. */
  readonly namespace: string;
}

export type InjectSkip =
  | 'already_injected'
  | 'opted_out'
  | 'host_network'
  | 'not_injected'
  | 'not_a_pod'
  | 'not_created'
  | 'not_a_policy_set'
  | 'valid';
export type InjectRefusal =
  | RefusalReason
  | WishReason
  | 'malformed'
  | 'opt_out_forbidden'
  | 'sidecar_configuration'
  | 'policy_set';

export type Injection =
  | {
      readonly kind: 'patch';
      readonly patch: JsonPatch;
      /** What a person should know, although the pod is let in. */
      readonly warnings: readonly string[];
    }
  | { readonly kind: 'skip'; readonly reason: InjectSkip; readonly message: string }
  | { readonly kind: 'refuse'; readonly reason: InjectRefusal; readonly message: string };

export function inject(value: unknown, { config, namespace }: InjectOptions): Injection {
  const reading = readPod(value);
  if (!reading.ok) return refuse('malformed', reading.error);
  const { pod } = reading;
  const wished = readWishes(pod, config);
  if (!wished.ok) return refuse(wished.reason, wished.message);
  const { wishes } = wished;
  if (!wishes.inject) {
    return config.optOut
      ? { kind: 'skip', reason: 'opted_out', message: 'egret.dev/inject: disabled' }
      : refuse('opt_out_forbidden', 'egret.dev/inject: this cluster lets no pod opt out');
  }
  if (pod.spec.hostNetwork === true && config.hostNetwork === 'skip') {
    return { kind: 'skip', reason: 'host_network', message: 'hostNetwork: not mediated' };
  }
  const injected = pod.metadata.annotations?.[STATUS_ANNOTATION] !== undefined;
  const bare = withoutOurs(pod);
  const containers = [...(bare.spec.initContainers ?? []), ...bare.spec.containers];
  const objection = objectionTo(pod, containers, config, injected);
  if (objection !== null) return refuse(objection.reason, objection.message);
  const filled = fillConfig(bare, namespace, wishes, config);
  if (!filled.ok) return refuse('sidecar_configuration', filled.message);
  const addition = { admission: config, wishes, text: filled.text, config: filled.config };
  const patch = patchBetween(pod, withOurs(bare, addition));
  return patch.length === 0
    ? { kind: 'skip', reason: 'already_injected', message: 'nothing to change' }
    : { kind: 'patch', patch, warnings: warningsOf(bare, config) };
}

/** The pod as the user wrote it, as far as whole containers and volumes go. */
function withoutOurs(pod: Pod): Pod {
  const { initContainers, volumes } = pod.spec;
  return {
    ...pod,
    spec: {
      ...pod.spec,
      ...(initContainers === undefined
        ? {}
        : {
            initContainers: initContainers.filter(({ name }) => name !== SIDECAR && name !== INIT),
          }),
      ...(volumes === undefined
        ? {}
        : { volumes: volumes.filter(({ name }) => !VOLUMES.includes(name)) }),
    },
  };
}

function withOurs(bare: Pod, addition: Addition): Pod {
  const { admission, wishes, config } = addition;
  const environment = agentEnvironment(wishes, admission, config);
  const adapt = (container: Pod['spec']['containers'][number]) =>
    adaptAgent(container, environment, admission);
  const before = (bare.spec.initContainers ?? []).map(adapt);
  const agents = bare.spec.containers.map(adapt);
  const kept = [...before, ...agents]
    .filter((one) => one.kept.length > 0)
    .map((one) => [one.container.name, one.kept] as const);
  return {
    ...bare,
    metadata: {
      ...bare.metadata,
      annotations: {
        ...bare.metadata.annotations,
        [STATUS_ANNOTATION]: statusOf(wishes, admission, Object.fromEntries(kept)),
      },
    },
    spec: {
      ...bare.spec,
      initContainers: [...initContainersOf(addition), ...before.map(({ container }) => container)],
      containers: agents.map(({ container }) => container),
      volumes: [...(bare.spec.volumes ?? []), ...volumesOf(addition)],
    },
  };
}

/** @param kept by container, the variables that the user had set. */
function statusOf(
  { mode, policySet }: Wishes,
  admission: AdmissionConfig,
  kept: Readonly<Record<string, readonly string[]>>,
): string {
  // Where the webhook listens says nothing about pods, and differs between replicas.
  const { host: _host, port: _port, pathTokenFile: _file, ...template } = admission;
  const templateHash = createHash('sha256').update(JSON.stringify(template)).digest('hex');
  return JSON.stringify({
    version: VERSION,
    templateHash: templateHash.slice(0, 16),
    mode,
    policySet,
    ...(Object.keys(kept).length === 0 ? {} : { kept }),
  });
}

function warningsOf({ spec }: Pod, { uid }: AdmissionConfig): string[] {
  const all = [...(spec.initContainers ?? []), ...spec.containers];
  const podUser = spec.securityContext?.runAsUser;
  const unknown = all.filter((one) => (one.securityContext?.runAsUser ?? podUser) === undefined);
  const foreign = all.filter(({ envFrom }) => (envFrom ?? []).length > 0);
  return [
    ...unknown.map(
      ({ name }) => `container ${name} has no runAsUser: its image must not run as ${uid}`,
    ),
    ...foreign.map(
      ({ name }) => `container ${name} has envFrom: variables of injection come before those in it`,
    ),
    ...(spec.volumes ?? [])
      .filter((volume) => volume['hostPath'] !== undefined)
      .map(
        ({ name }) => `volume ${name} is a hostPath: a socket of the node leads past the sidecar`,
      ),
  ];
}

const refuse = (reason: InjectRefusal, message: string): Injection => ({
  kind: 'refuse',
  reason,
  message,
});
