/**
 * Injection with a real API server, a real controller and a real webhook configuration: pods of a labelled namespace
 * come out with the sidecar, or are refused with the words of the webhook.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { request } from 'undici';
import { inject } from '../../src/admission/inject.ts';
import { admissionSchema } from '../../src/config/admission.ts';
import { type Json, pod } from '../admission/pods.ts';
import { type ControlPlane, controlPlaneForTests } from './control-plane.ts';
import {
  applyChart,
  type ControllerProcess,
  kubectl,
  startController,
} from './controller-stage.ts';

const { skip, plane } = controlPlaneForTests({}, applyChart);
const SHOP = 'shop';
const ADMISSION = {
  image: 'egret.example/egret:1.0.0',
  policySet: 'agents',
  caConfigMap: 'egret-ca',
  sidecar: {
    bundles: [{ distributor: { url: 'https://egret.egret-system.svc:15443' } }],
    audit: {},
  },
};

async function stage(t: TestContext, cluster: ControlPlane): Promise<ControllerProcess> {
  const { certificatePem, keyPem } = await cluster.serve({
    commonName: 'egret-controller',
    addresses: ['127.0.0.1'],
  });
  const file = (name: string, text: string) => {
    const path = join(cluster.directory, name);
    writeFileSync(path, text);
    return path;
  };
  const certFile = file('inject.crt', certificatePem);
  const keyFile = file('inject.key', keyPem);
  const controller = await startController(t, cluster, {
    awaits: 'listening',
    config: {
      distributor: { host: '127.0.0.1', port: 0, certFile, keyFile },
      admission: {
        ...ADMISSION,
        host: '127.0.0.1',
        port: 0,
        pathTokenFile: file('inject.word', 'k3Vt90sLq1\n'),
      },
    },
  });
  for (let tries = 0; !Number.isFinite(controller.port('admission')); tries += 1) {
    assert.ok(tries < 600, controller.errors.join('\n'));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const manifest = JSON.stringify(webhooks(controller.port('admission'), cluster.authorityPem));
  await kubectl(cluster.admin, ['apply', '-f', '-'], manifest);
  t.after(() => kubectl(cluster.admin, ['delete', 'mutatingwebhookconfiguration', 'egret-test']));
  return controller;
}

function webhooks(port: number, authority: string): object {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name: 'egret-test' },
    webhooks: [
      {
        name: 'inject.egret.dev',
        admissionReviewVersions: ['v1'],
        sideEffects: 'None',
        failurePolicy: 'Fail',
        reinvocationPolicy: 'IfNeeded',
        timeoutSeconds: 5,
        namespaceSelector: { matchLabels: { 'egret.dev/injection': 'enabled' } },
        clientConfig: {
          url: `https://127.0.0.1:${port}/inject/k3Vt90sLq1`,
          caBundle: Buffer.from(authority).toString('base64'),
        },
        rules: [
          { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] },
          {
            apiGroups: [''],
            apiVersions: ['v1'],
            operations: ['UPDATE'],
            resources: ['pods/ephemeralcontainers'],
          },
        ],
      },
    ],
  };
}

const named = (name: string, shape: Parameters<typeof pod>[0] = {}, namespace = SHOP) =>
  JSON.stringify(pod({ ...shape, metadata: { ...shape.metadata, name, namespace } }));

void test('a real API server takes what injection makes, and fills in nothing', {
  skip,
}, async (t) => {
  const cluster = plane();
  const { admin } = cluster;
  for (const [name, label] of [
    [SHOP, 'enabled'],
    ['elsewhere', 'disabled'],
  ] as const) {
    const labels = { 'egret.dev/injection': label };
    const metadata = { name, labels };
    await kubectl(
      admin,
      ['apply', '-f', '-'],
      JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata }),
    );
    const account = {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'buyer', namespace: name },
    };
    await kubectl(admin, ['apply', '-f', '-'], JSON.stringify(account));
  }
  const controller = await stage(t, cluster);
  const create = (manifest: string) => admin.kubectl(['create', '-o', 'json', '-f', '-'], manifest);
  const initNames = (text: string) => {
    const made = JSON.parse(text) as { spec: { initContainers?: { name: string }[] } };
    return (made.spec.initContainers ?? []).map(({ name }) => name);
  };

  const one = await create(
    named('one', { spec: { initContainers: [{ name: 'migrate', image: 'a' }] } }),
  );
  assert.equal(one.code, 0, one.stderr);
  assert.deepEqual(initNames(one.stdout), ['egret-init', 'egret', 'migrate']);
  assert.match(one.stderr, /Warning: .*migrate has no runAsUser/);

  // Every default that the server filled in is already ours. Its own admission gave the sidecar the token of the pod,
  // and the second invocation took it away.
  const stored = JSON.parse(one.stdout) as unknown;
  const using = { config: admissionSchema.parse(ADMISSION), namespace: SHOP };
  const answer = inject(stored, using);
  assert.equal(answer.kind === 'skip' && answer.reason, 'already_injected', JSON.stringify(answer));

  const dry = await admin.kubectl(
    ['create', '--dry-run=server', '-o', 'json', '-f', '-'],
    named('dry'),
  );
  assert.deepEqual(initNames(dry.stdout), ['egret-init', 'egret']);
  const outside = await create(named('outside', {}, 'elsewhere'));
  assert.deepEqual(initNames(outside.stdout), []);

  const refused = await create(named('host', { spec: { hostNetwork: true } }));
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, /egret refuses this pod: hostNetwork: .* \[host_network\]/);

  const debug = async (more: Json) => {
    const path = `/api/v1/namespaces/${SHOP}/pods/one/ephemeralcontainers`;
    const container = { name: `debug-${Object.keys(more).length}`, image: 'busybox', ...more };
    const patch = { spec: { ephemeralContainers: [container] } };
    return admin.request('PATCH', path, patch, 'application/strategic-merge-patch+json');
  };
  const bad = await debug({ securityContext: { runAsUser: 64_777 } });
  assert.equal(bad.status, 403);
  const good = await debug({});
  assert.equal(good.status, 200, JSON.stringify(good.body));
  assert.match(JSON.stringify(good.body), /"allowPrivilegeEscalation":false/);

  const scrape = await request(`http://127.0.0.1:${controller.port('admin')}/metrics`);
  const metrics = await scrape.body.text();
  assert.match(
    metrics,
    /egret_admission_requests_total\{result="refuse",reason="host_network"\} 1/,
  );
});
