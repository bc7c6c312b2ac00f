// The table of pod shapes: each becomes the pod in its golden file, which a person can read, or is refused with a stable
// reason. UPDATE_GOLDEN=1 writes the files anew.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { stringify } from 'yaml';
import { inject } from '../../src/admission/inject.ts';
import { configSchema } from '../../src/config/schema.ts';
import { planOf } from '../../src/redirect/ruleset.ts';
import { type InjectedPod, injected, type Json, options, pod } from './pods.ts';

const sidecarOfMesh = {
  name: 'linkerd-proxy',
  image: 'mesh.example/proxy:2',
  restartPolicy: 'Always',
};
const meshUser = { securityContext: { runAsUser: 2102 } };

interface Row {
  readonly name: string;
  readonly shape: Json;
  readonly options?: Json;
}

const PATCHED: readonly Row[] = [
  {
    name: 'deployment',
    shape: pod({
      agent: {
        ports: [{ containerPort: 8080 }],
        readinessProbe: { httpGet: { path: '/', port: 8081 } },
      },
    }),
  },
  {
    name: 'job',
    shape: pod({
      spec: { restartPolicy: 'Never' },
      metadata: { labels: { 'batch.kubernetes.io/job-name': 'receipts' } },
    }),
  },
  {
    name: 'cron-job',
    shape: pod({
      spec: { restartPolicy: 'OnFailure', activeDeadlineSeconds: 600 },
      metadata: { annotations: { 'egret.dev/policy-set': 'strict' } },
    }),
  },
  {
    name: 'stateful-set',
    shape: pod({
      metadata: { name: 'buyer-0', generateName: undefined },
      spec: {
        hostname: 'buyer-0',
        volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'data-buyer-0' } }],
      },
      agent: { volumeMounts: [{ name: 'data', mountPath: '/data' }] },
    }),
  },
  {
    name: 'init-containers',
    shape: pod({
      spec: {
        initContainers: [
          { name: 'migrate', image: 'shop.example/migrate:7', ...meshUser },
          { name: 'warm', image: 'shop.example/warm:7', ...meshUser },
        ],
      },
    }),
  },
  {
    name: 'mesh-sidecar',
    shape: pod({ spec: { initContainers: [{ ...sidecarOfMesh, ...meshUser }] } }),
  },
  { name: 'no-token', shape: pod({ spec: { automountServiceAccountToken: false } }) },
  {
    name: 'no-token-watching-the-api',
    shape: pod({ spec: { automountServiceAccountToken: false } }),
    options: {
      caConfigMap: undefined,
      sidecar: { bundles: [{ configMap: { namespace: 'egret-system' } }], audit: {} },
    },
  },
  {
    name: 'read-only-root',
    shape: pod({
      agent: {
        securityContext: {
          runAsUser: 1000,
          readOnlyRootFilesystem: true,
          capabilities: { add: ['NET_BIND_SERVICE'], drop: ['MKNOD'] },
        },
      },
    }),
  },
  {
    name: 'own-ssl-cert-file',
    shape: pod({ agent: { env: [{ name: 'SSL_CERT_FILE', value: '/etc/own.pem' }] } }),
  },
  {
    name: 'explicit',
    shape: pod({
      metadata: { annotations: { 'egret.dev/mode': 'explicit' } },
      agent: { env: [{ name: 'NO_PROXY', value: 'db' }] },
    }),
    options: { modes: ['transparent', 'explicit'] },
  },
  {
    name: 'every-annotation',
    shape: pod({
      metadata: {
        annotations: {
          'egret.dev/inject': 'enabled',
          'egret.dev/mode': 'transparent',
          'egret.dev/policy-set': 'strict',
          'egret.dev/ports': '8080,8443',
          'egret.dev/inbound-ports': '9000',
          'egret.dev/log-level': 'debug',
          'egret.dev/resources-cpu-request': '100m',
          'egret.dev/resources-memory-request': '128Mi',
          'egret.dev/resources-memory-limit': '1Gi',
        },
      },
    }),
  },
];

for (const row of PATCHED) {
  void test(`a pod of the shape ${row.name} gets the sidecar as in its golden file`, () => {
    const using = options(row.options);
    const given = JSON.parse(JSON.stringify(row.shape)) as Json;
    const result = injected(given, using);
    const file = new URL(`golden/${row.name}.yaml`, import.meta.url);
    const text = `# A pod of the shape ${row.name}, with the sidecar.\n${readable(result)}`;
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(file, text);
    assert.equal(text, readFileSync(file, 'utf8'));
    const again = inject(result, using);
    assert.equal(again.kind === 'skip' && again.reason, 'already_injected');
    holds(result, using.config.uid);
  });
}

/** The configuration is one long line in the pod; here it is opened. */
function readable(result: InjectedPod): string {
  const copy = structuredClone(result);
  for (const container of copy.spec.initContainers) {
    for (const one of (container['env'] ?? []) as Json[]) {
      if (one['name'] === 'EGRET_CONFIG') one['value'] = JSON.parse(String(one['value']));
    }
  }
  const { annotations } = copy.metadata;
  // The hash is of the whole configuration and would change every file at once.
  annotations['egret.dev/status'] = annotations['egret.dev/status']?.replace(
    /("templateHash":")[0-9a-f]{16}/,
    '$1…',
  ) as string;
  return stringify(copy, { aliasDuplicateObjects: false, lineWidth: 120 });
}

/** What must be true of every injected pod, whatever the golden files say. */
function holds({ spec }: InjectedPod, uid: number): void {
  const names = spec.initContainers.map(({ name }) => name);
  const at = names.indexOf('egret');
  assert.ok(at === 0 || (at === 1 && names[0] === 'egret-init'), `${names}`);
  for (const one of [...spec.initContainers.slice(at + 1), ...spec.containers]) {
    const context = one['securityContext'] as Json;
    assert.equal(context['allowPrivilegeEscalation'], false);
    assert.ok(((context['capabilities'] as Json)['drop'] as string[]).includes('ALL'));
    assert.notEqual(context['runAsUser'], uid);
    const mounts = (one['volumeMounts'] ?? []) as Json[];
    assert.ok(!mounts.some(({ name }) => name === 'egret-state' || name === 'egret-token'));
  }
  for (const container of spec.initContainers.slice(0, at + 1)) {
    const [{ value }] = container['env'] as [Json];
    const config = configSchema.parse(JSON.parse(String(value)));
    if (at === 1) assert.equal(planOf(config).ok, true);
    assert.equal(config.capture === undefined, at === 0);
  }
}

const secured = (securityContext: Json) => pod({ agent: { securityContext } });
const annotated = (annotations: Json) => pod({ metadata: { annotations } });

const REFUSED: readonly (readonly [
  sentence: string,
  shape: unknown,
  reason: string,
  more?: Json,
])[] = [
  ['in the network of the node', pod({ spec: { hostNetwork: true } }), 'host_network'],
  ['in the process space of the node', pod({ spec: { hostPID: true } }), 'host_pid'],
  ['with the IPC of the node', pod({ spec: { hostIPC: true } }), 'host_ipc'],
  [
    'that shares one process space',
    pod({ spec: { shareProcessNamespace: true } }),
    'share_process_namespace',
  ],
  ['for Windows', pod({ spec: { os: { name: 'windows' } } }), 'windows'],
  ['with a privileged container', secured({ privileged: true }), 'privileged'],
  [
    'whose container may escalate',
    secured({ allowPrivilegeEscalation: true }),
    'privilege_escalation',
  ],
  ["with the sidecar's user in a container", secured({ runAsUser: 64_777 }), 'uid_clash'],
  [
    "with the sidecar's user for all",
    pod({ spec: { securityContext: { runAsUser: 64_777 } } }),
    'uid_clash',
  ],
  [
    "with the sidecar's user in an init container",
    pod({ spec: { initContainers: [{ name: 'a', securityContext: { runAsUser: 64_777 } }] } }),
    'uid_clash',
  ],
  ['without a user, where one is required', secured({}), 'uid_unknown', { requireRunAsUser: true }],
  [
    'that adds NET_ADMIN',
    secured({ capabilities: { add: ['NET_ADMIN'] } }),
    'forbidden_capability',
  ],
  [
    'that adds SETUID by its other name',
    secured({ capabilities: { add: ['cap_setuid'] } }),
    'forbidden_capability',
  ],
  ['that adds ALL', secured({ capabilities: { add: ['ALL'] } }), 'forbidden_capability'],
  [
    'whose mesh installs rules of its own',
    pod({
      spec: {
        initContainers: [
          {
            name: 'istio-init',
            securityContext: { capabilities: { add: ['NET_ADMIN', 'NET_RAW'] } },
          },
        ],
      },
    }),
    'forbidden_capability',
  ],
  ['with a container called egret', pod({ agent: { name: 'egret' } }), 'name_taken'],
  [
    'with an init container called egret',
    pod({ spec: { initContainers: [{ name: 'egret' }] } }),
    'name_taken',
  ],
  [
    'with a volume called egret-state',
    pod({ spec: { volumes: [{ name: 'egret-state' }] } }),
    'name_taken',
  ],
  [
    'that says it is injected and mounts the audit log',
    {
      ...pod({
        metadata: { annotations: { 'egret.dev/status': '{}' } },
        agent: { volumeMounts: [{ name: 'egret-state', mountPath: '/x' }] },
      }),
    },
    'private_volume',
  ],
  [
    'that mounts the token of the sidecar',
    pod({ agent: { volumeMounts: [{ name: 'egret-token', mountPath: '/x' }] } }),
    'private_volume',
  ],
  [
    'with something else where the certificates are',
    pod({ agent: { volumeMounts: [{ name: 'mine', mountPath: '/run/egret/trust/' }] } }),
    'mount_clash',
  ],
  ['that opts out', annotated({ 'egret.dev/inject': 'disabled' }), 'opt_out_forbidden'],
  [
    'that opts out by a label',
    pod({ metadata: { labels: { 'egret.dev/inject': 'disabled' } } }),
    'opt_out_forbidden',
  ],
  [
    'whose label and annotation disagree',
    pod({
      metadata: {
        labels: { 'egret.dev/inject': 'enabled' },
        annotations: { 'egret.dev/inject': 'disabled' },
      },
    }),
    'bad_annotation',
  ],
  [
    'with an annotation nobody knows',
    annotated({ 'egret.dev/policyset': 'strict' }),
    'unknown_annotation',
  ],
  [
    'that wants destinations to be skipped',
    annotated({ 'egret.dev/skip-destinations': '10.0.0.0/8' }),
    'unknown_annotation',
  ],
  ['with true for enabled', annotated({ 'egret.dev/inject': 'true' }), 'bad_annotation'],
  ['with a port twice', annotated({ 'egret.dev/ports': '80,80' }), 'bad_annotation'],
  ['with a blank among its ports', annotated({ 'egret.dev/ports': '80, 81' }), 'bad_annotation'],
  ['with port 65536', annotated({ 'egret.dev/ports': '65536' }), 'bad_annotation'],
  [
    'with a quantity that is none',
    annotated({ 'egret.dev/resources-memory-limit': '1 GB' }),
    'bad_annotation',
  ],
  [
    'in a mode the cluster does not allow',
    annotated({ 'egret.dev/mode': 'explicit' }),
    'not_allowed',
  ],
  [
    'with a policy set the cluster does not allow',
    annotated({ 'egret.dev/policy-set': 'lax' }),
    'not_allowed',
  ],
  [
    'for which the template makes no configuration',
    pod(),
    'sidecar_configuration',
    { sidecar: {} },
  ],
  ['that is none', { metadata: {}, spec: { containers: 'agent' } }, 'malformed'],
];

for (const [sentence, shape, reason, more] of REFUSED) {
  void test(`a pod ${sentence} is refused: ${reason}`, () => {
    const answer = inject(shape, options(more));
    assert.equal(answer.kind, 'refuse', JSON.stringify(answer));
    assert.equal(answer.kind === 'refuse' && answer.reason, reason);
    assert.match(answer.kind === 'refuse' ? answer.message : '', /.{10,}/);
  });
}

void test('a pod may opt out where the cluster allows it', () => {
  const shape = annotated({ 'egret.dev/inject': 'disabled' });
  const answer = inject(shape, options({ optOut: true }));
  assert.equal(answer.kind === 'skip' && answer.reason, 'opted_out');
});

void test('a pod in the network of the node is let in unmediated where the operator says so', () => {
  const answer = inject(pod({ spec: { hostNetwork: true } }), options({ hostNetwork: 'skip' }));
  assert.equal(answer.kind === 'skip' && answer.reason, 'host_network');
});

void test('what cannot be seen at admission is a warning', () => {
  const shape = pod({
    spec: { volumes: [{ name: 'run', hostPath: { path: '/run' } }] },
    agent: { securityContext: {}, envFrom: [{ secretRef: { name: 'keys' } }] },
  });
  const answer = inject(shape, options());
  const warnings = answer.kind === 'patch' ? answer.warnings.join('\n') : '';
  assert.match(
    warnings,
    /agent has no runAsUser.*64777\n.*agent has envFrom.*\n.*run is a hostPath/,
  );
});
