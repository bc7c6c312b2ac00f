/**
 * The containers and volumes that injection adds: `egret-init` installs the kernel rules and ends, `egret` is a native
 * sidecar that is ready before anything of the user starts. Neither is root. Pure.
 */
import type { AdmissionConfig } from '../config/admission.ts';
import type { Config } from '../config/schema.ts';
import { CA_VOLUME, INIT, SIDECAR, STATE_VOLUME, TOKEN_VOLUME, TRUST_VOLUME } from './examine.ts';
import type { Container, Pod } from './pod.ts';
import { CA_DIRECTORY, STATE_DIRECTORY, TOKEN_DIRECTORY } from './sidecar-config.ts';
import type { Wishes } from './wishes.ts';

type Volume = NonNullable<Pod['spec']['volumes']>[number];

export interface Addition {
  readonly admission: AdmissionConfig;
  readonly wishes: Wishes;
  /** The SidecarConfig, as text and as read. */
  readonly text: string;
  readonly config: Config;
}

/** The variable that holds the SidecarConfig. */
const CONFIG_VARIABLE = 'EGRET_CONFIG';
const CONFIG_ARGUMENT = `env:${CONFIG_VARIABLE}`;
/** What the API server would fill in, said here, so that a second invocation finds what the first one made. */
const DEFAULTED = {
  terminationMessagePath: '/dev/termination-log',
  terminationMessagePolicy: 'File',
};
/** Where client libraries look for the service account. */
const ACCOUNT_DIRECTORY = '/var/run/secrets/kubernetes.io/serviceaccount';

export function initContainersOf(addition: Addition): Container[] {
  const sidecar = sidecarOf(addition);
  return addition.wishes.mode === 'transparent' ? [initOf(addition), sidecar] : [sidecar];
}

function initOf({ admission, text }: Addition): Container {
  return {
    name: INIT,
    image: admission.image,
    imagePullPolicy: admission.imagePullPolicy,
    args: ['redirect', 'install', '--config', CONFIG_ARGUMENT],
    env: [{ name: CONFIG_VARIABLE, value: literal(text) }],
    resources: { requests: { cpu: '10m', memory: '64Mi' }, limits: { memory: '128Mi' } },
    securityContext: locked(admission.initUid, ['NET_ADMIN']),
    ...DEFAULTED,
  };
}

function sidecarOf({ admission, wishes, text, config }: Addition): Container {
  const { cpuRequest, memoryRequest, memoryLimit } = wishes.resources;
  const probe = (path: string, periodSeconds: number, failureThreshold: number) => ({
    httpGet: { path, port: config.listen.admin.port, scheme: 'HTTP' },
    successThreshold: 1,
    periodSeconds,
    failureThreshold,
    timeoutSeconds: 2,
  });
  return {
    name: SIDECAR,
    image: admission.image,
    imagePullPolicy: admission.imagePullPolicy,
    args: ['sidecar', '--config', CONFIG_ARGUMENT],
    restartPolicy: 'Always',
    env: [
      { name: CONFIG_VARIABLE, value: literal(text) },
      field('EGRET_POD_NAMESPACE', 'metadata.namespace'),
      field('EGRET_POD_NAME', 'metadata.name'),
      field('EGRET_POD_UID', 'metadata.uid'),
      field('EGRET_POD_SERVICE_ACCOUNT', 'spec.serviceAccountName'),
    ],
    ports: [{ name: 'egret-admin', containerPort: config.listen.admin.port, protocol: 'TCP' }],
    resources: {
      requests: { cpu: cpuRequest, memory: memoryRequest },
      limits: { memory: memoryLimit },
    },
    securityContext: locked(admission.uid, []),
    // Ready, not only started: nothing of the user runs before a policy is active and the fence is proven.
    startupProbe: probe('/readyz', 1, 60),
    readinessProbe: probe('/readyz', 5, 3),
    livenessProbe: probe('/healthz', 10, 6),
    volumeMounts: mountsOf(admission, config),
    ...DEFAULTED,
  };
}

function mountsOf(admission: AdmissionConfig, config: Config): Mount[] {
  const source = sourceOf(config);
  const mounts: Mount[] = [{ name: STATE_VOLUME, mountPath: STATE_DIRECTORY }];
  if (admission.tls) mounts.push({ name: TRUST_VOLUME, mountPath: admission.trustDirectory });
  if (source === 'distributor') {
    mounts.push({ name: TOKEN_VOLUME, mountPath: TOKEN_DIRECTORY, readOnly: true });
  }
  if (source === 'configMap') {
    mounts.push({ name: TOKEN_VOLUME, mountPath: ACCOUNT_DIRECTORY, readOnly: true });
  }
  if (admission.caConfigMap !== undefined) {
    mounts.push({ name: CA_VOLUME, mountPath: CA_DIRECTORY, readOnly: true });
  }
  return mounts;
}

interface Mount {
  readonly [key: string]: unknown;
  name: string;
  mountPath: string;
  readOnly?: boolean;
}

export function volumesOf({ admission, config }: Addition): Volume[] {
  const source = sourceOf(config);
  const { audience, expirationSeconds } = admission.token;
  const projected = (sources: readonly unknown[]): Volume => ({
    name: TOKEN_VOLUME,
    projected: { defaultMode: 0o644, sources },
  });
  const volumes: Volume[] = [{ name: STATE_VOLUME, emptyDir: {} }];
  if (admission.tls) volumes.push({ name: TRUST_VOLUME, emptyDir: { medium: 'Memory' } });
  if (source === 'distributor') {
    const token = { path: 'token', audience, expirationSeconds };
    volumes.push(projected([{ serviceAccountToken: token }]));
  }
  if (source === 'configMap') volumes.push(projected(ACCOUNT_SOURCES));
  if (admission.caConfigMap !== undefined) {
    volumes.push({
      name: CA_VOLUME,
      configMap: { name: admission.caConfigMap, defaultMode: 0o644 },
    });
  }
  return volumes;
}

/** As the API server itself mounts a service account, which a pod can refuse for its own containers. */
const ACCOUNT_SOURCES = [
  { serviceAccountToken: { path: 'token', expirationSeconds: 3607 } },
  { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
  {
    downwardAPI: {
      items: [
        { path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } },
      ],
    },
  },
];

function sourceOf({ bundles }: Config): 'distributor' | 'configMap' | null {
  if (bundles.some(({ distributor }) => distributor !== undefined)) return 'distributor';
  return bundles.some(({ configMap }) => configMap !== undefined) ? 'configMap' : null;
}

const locked = (user: number, add: readonly string[]) => ({
  runAsUser: user,
  runAsGroup: user,
  runAsNonRoot: true,
  readOnlyRootFilesystem: true,
  allowPrivilegeEscalation: false,
  capabilities: { ...(add.length === 0 ? {} : { add: [...add] }), drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
});

const field = (name: string, fieldPath: string) => ({
  name,
  valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath } },
});

/** Kubernetes would put variables in place of `$(NAME)`; two dollar signs stand for one. */
const literal = (text: string) => text.replaceAll('$', '$$$$');
