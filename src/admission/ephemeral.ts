/**
 * Ephemeral containers, which somebody adds to a running pod to look into it: they share its network, so the same rules
 * hold for them, and they are hardened like any container of the user. Pure.
 */
import { harden } from './agent-container.ts';
import { containerObjection, SIDECAR } from './examine.ts';
import type { Injection, InjectOptions } from './inject.ts';
import { patchBetween } from './json-patch.ts';
import { type Pod, readPod } from './pod.ts';

/** @param value the pod with the new containers. @param before the pod as it was. */
export function checkEphemeral(
  value: unknown,
  before: unknown,
  { config }: Pick<InjectOptions, 'config'>,
): Injection {
  const now = readPod(value);
  const then = readPod(before);
  if (!now.ok) return { kind: 'refuse', reason: 'malformed', message: now.error };
  if (!then.ok) return { kind: 'refuse', reason: 'malformed', message: then.error };
  const { pod } = now;
  if (!(then.pod.spec.initContainers ?? []).some(({ name }) => name === SIDECAR)) {
    return { kind: 'skip', reason: 'not_injected', message: 'the pod has no sidecar' };
  }
  const known = new Set((then.pod.spec.ephemeralContainers ?? []).map(({ name }) => name));
  const all = pod.spec.ephemeralContainers ?? [];
  for (const one of all.filter(({ name }) => !known.has(name))) {
    if (one['targetContainerName'] === SIDECAR) {
      const message = `container ${one.name}: targetContainerName, it could act as the sidecar`;
      return { kind: 'refuse', reason: 'share_process_namespace', message };
    }
    const objection = containerObjection(one, pod, config);
    if (objection !== null) return { kind: 'refuse', ...objection };
  }
  const hardened: Pod = {
    ...pod,
    spec: {
      ...pod.spec,
      ephemeralContainers: all.map((one) => (known.has(one.name) ? one : harden(one))),
    },
  };
  const patch = patchBetween(pod, hardened);
  return patch.length === 0
    ? { kind: 'skip', reason: 'already_injected', message: 'nothing to change' }
    : { kind: 'patch', patch, warnings: [] };
}
