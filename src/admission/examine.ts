/**
 * What a pod must not have, because no sidecar could mediate it then: namespaces of the node, the sidecar's user,
 * capabilities that lead around the rules, the names and private volumes of the sidecar. Pure.
 */
import type { AdmissionConfig } from '../config/admission.ts';
import type { Container, Pod } from './pod.ts';

/** Names of what injection adds. */
export const SIDECAR = 'egret';
export const INIT = 'egret-init';
export const TRUST_VOLUME = 'egret-trust';
export const STATE_VOLUME = 'egret-state';
export const TOKEN_VOLUME = 'egret-token';
export const CA_VOLUME = 'egret-distributor-ca';
export const VOLUMES: readonly string[] = [TRUST_VOLUME, STATE_VOLUME, TOKEN_VOLUME, CA_VOLUME];

export type RefusalReason =
  | 'host_network'
  | 'host_pid'
  | 'host_ipc'
  | 'share_process_namespace'
  | 'windows'
  | 'privileged'
  | 'privilege_escalation'
  | 'uid_clash'
  | 'uid_unknown'
  | 'forbidden_capability'
  | 'name_taken'
  | 'private_volume'
  | 'mount_clash';

export interface Objection {
  readonly reason: RefusalReason;
  readonly message: string;
}

/**
 * @param injected whether the pod says that it was injected before: our names are then ours, and are replaced.
 * @param containers those of the user.
 */
export function objectionTo(
  pod: Pod,
  containers: readonly Container[],
  config: AdmissionConfig,
  injected: boolean,
): Objection | null {
  const first = containers.map((one) => containerObjection(one, pod, config)).find(Boolean);
  return podObjection(pod, config) ?? nameObjection(pod, injected) ?? first ?? null;
}

function podObjection({ spec }: Pod, config: AdmissionConfig): Objection | null {
  if (spec.hostNetwork === true) {
    return objection('host_network', 'hostNetwork: the network of the node cannot be fenced');
  }
  if (spec.hostPID === true) {
    return objection('host_pid', 'hostPID: a process could act as the sidecar');
  }
  if (spec.hostIPC === true) return objection('host_ipc', 'hostIPC: not beside an agent');
  if (spec.shareProcessNamespace === true) {
    return objection(
      'share_process_namespace',
      'shareProcessNamespace: the agent could see and stop the sidecar',
    );
  }
  if (spec.os?.name === 'windows') {
    return objection('windows', 'os.name: found windows, expected linux');
  }
  return spec.securityContext?.runAsUser === config.uid
    ? objection('uid_clash', `securityContext.runAsUser: ${config.uid} is the sidecar's own user`)
    : null;
}

function nameObjection({ spec }: Pod, injected: boolean): Objection | null {
  const ours = [SIDECAR, INIT];
  const beside = spec.containers.find(({ name }) => ours.includes(name));
  const before = injected
    ? undefined
    : spec.initContainers?.find(({ name }) => ours.includes(name));
  const volume = injected ? undefined : spec.volumes?.find(({ name }) => VOLUMES.includes(name));
  const taken = beside ?? before ?? volume;
  return taken === undefined
    ? null
    : objection('name_taken', `${taken.name}: the name belongs to injection`);
}

/** @returns what keeps this container of a user out. */
export function containerObjection(
  container: Container,
  pod: Pod,
  config: AdmissionConfig,
): Objection | null {
  const context = container.securityContext ?? {};
  const where = `container ${container.name}`;
  if (context.privileged === true) {
    return objection('privileged', `${where}: privileged, it could remove the fence`);
  }
  if (context.allowPrivilegeEscalation === true) {
    return objection(
      'privilege_escalation',
      `${where}: allowPrivilegeEscalation, a program could become another user`,
    );
  }
  const user = context.runAsUser ?? pod.spec.securityContext?.runAsUser;
  if (user === config.uid) {
    return objection('uid_clash', `${where}: runAsUser ${config.uid} is the sidecar's own user`);
  }
  if (user === undefined && config.requireRunAsUser) {
    return objection('uid_unknown', `${where}: expected runAsUser, of the container or the pod`);
  }
  return capabilityObjection(container, where, config) ?? mountObjection(container, where, config);
}

function capabilityObjection(
  { securityContext }: Container,
  where: string,
  config: AdmissionConfig,
): Objection | null {
  const allowed: readonly string[] = config.capabilities;
  const added = securityContext?.capabilities?.add ?? [];
  const forbidden = added.find((name) => !allowed.includes(capabilityName(name)));
  if (forbidden === undefined) return null;
  const expected = allowed.length === 0 ? 'none' : allowed.join(', ');
  return objection(
    'forbidden_capability',
    `${where}: adds the capability ${forbidden}, this cluster allows ${expected}`,
  );
}

/** Runtimes take both forms. */
const capabilityName = (name: string) => name.toUpperCase().replace(/^CAP_/, '');

function mountObjection(
  { volumeMounts = [] }: Container,
  where: string,
  config: AdmissionConfig,
): Objection | null {
  const secret = volumeMounts.find(({ name }) => name !== TRUST_VOLUME && VOLUMES.includes(name));
  if (secret !== undefined) {
    return objection('private_volume', `${where}: mounts ${secret.name}, the sidecar's own volume`);
  }
  const clash = volumeMounts.find(
    ({ name, mountPath }) =>
      name !== TRUST_VOLUME && mountPath.replace(/\/+$/, '') === config.trustDirectory,
  );
  return clash === undefined
    ? null
    : objection(
        'mount_clash',
        `${where}: mounts ${clash.name} on ${config.trustDirectory}, where the certificates are`,
      );
}

const objection = (reason: RefusalReason, message: string): Objection => ({ reason, message });
