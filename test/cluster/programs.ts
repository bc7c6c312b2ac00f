/** Where `make tools-cluster` puts the programs of the control plane, and what is missing there. Shell: reads files. */
import { accessSync, constants, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../e2e/sidecar-process.ts';

const PROGRAMS = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kubectl', 'helm'] as const;

export const KUBERNETES_VERSION = pinnedVersion();
const FOLDER = join('.tools', 'cluster', KUBERNETES_VERSION);

export const programPath = (name: (typeof PROGRAMS)[number]) => join(ROOT, FOLDER, name);

/** @returns null when everything is there. */
export function missingPrograms(): string | null {
  const missing = PROGRAMS.filter((name) => !isExecutable(programPath(name)));
  if (missing.length === 0) return null;
  return `no ${missing.join(', ')} in ${FOLDER}; make tools-cluster builds them and needs Go`;
}

function pinnedVersion(): string {
  const manifest = readFileSync(join(ROOT, 'tools/kubernetes/go.mod'), 'utf8');
  const version = /^\s+k8s\.io\/kubernetes v([\d.]+)/m.exec(manifest)?.[1];
  if (version === undefined) throw new Error('tools/kubernetes/go.mod pins no k8s.io/kubernetes');
  return version;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
