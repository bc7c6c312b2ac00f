// The webhook on a real socket: reviews in and out, and readable answers to everything else.
import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createWebhook, WEBHOOK_SERVER } from '../../src/admission/webhook.ts';
import { applied, type InjectedPod, type Json, options, pod } from './pods.ts';

type Answer = Json & {
  response: Json & { uid: string; allowed: boolean; patch?: string; status?: { message: string } };
};

async function serve(t: TestContext, pathToken: string | null = null) {
  const counted: string[] = [];
  const bugs: unknown[] = [];
  const app = createWebhook({
    config: options().config,
    pathToken,
    answered: (result, reason) => counted.push(`${result} ${reason}`),
    failed: (error) => bugs.push(error),
  });
  const server = createServer(WEBHOOK_SERVER, app as RequestListener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
    assert.deepEqual(bugs, []);
  });
  const { port } = server.address() as AddressInfo;
  const send = async (body: string | Buffer | null, init: RequestInit = {}, path = '/inject') => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: body as string,
      ...init,
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: JSON.parse(text) as Json };
  };
  return { counted, send };
}

const review = (object: unknown, more: Json = {}) =>
  JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: 'a-1',
      kind: { group: '', version: 'v1', kind: 'Pod' },
      namespace: 'shop',
      operation: 'CREATE',
      dryRun: false,
      object,
      oldObject: null,
      ...more,
    },
  });

void test('a new pod gets a patch, and the answer has the uid of the question', async (t) => {
  const { send, counted } = await serve(t);
  const { status, body, headers } = await send(review(pod()));
  const { response, ...rest } = body as Answer;
  assert.equal(status, 200);
  assert.match(headers.get('content-type') ?? '', /^application\/json/);
  assert.equal(headers.get('keep-alive'), 'timeout=90');
  assert.deepEqual(rest, { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview' });
  assert.equal(response.uid, 'a-1');
  assert.equal(response.allowed, true);
  assert.equal(response['patchType'], 'JSONPatch');
  const patch = JSON.parse(Buffer.from(response.patch ?? '', 'base64').toString()) as never;
  const result = applied(pod(), patch) as InjectedPod;
  assert.deepEqual(
    result.spec.initContainers.map(({ name }) => name),
    ['egret-init', 'egret'],
  );
  assert.deepEqual(counted, ['patch injected']);
});

void test('a dry run is answered in the same way', async (t) => {
  const { send } = await serve(t);
  const [dry, wet] = await Promise.all([
    send(review(pod(), { dryRun: true })),
    send(review(pod(), { dryRun: false })),
  ]);
  assert.deepEqual(dry.body, wet.body);
});

void test('a refusal says why, for people and for counters', async (t) => {
  const { send, counted } = await serve(t);
  const { status, body } = await send(review(pod({ spec: { hostPID: true } })));
  const { response } = body as Answer;
  assert.equal(status, 200);
  assert.equal(response.allowed, false);
  assert.match(response.status?.message ?? '', /^egret refuses this pod: hostPID: .*\[host_pid\]$/);
  assert.deepEqual(counted, ['refuse host_pid']);
});

void test('what is no new pod is let through', async (t) => {
  const { send, counted } = await serve(t);
  const service = { kind: { group: '', version: 'v1', kind: 'Service' } };
  for (const more of [service, { operation: 'UPDATE' }, { subResource: 'status' }]) {
    const { body } = await send(review(pod(), more));
    assert.equal((body as Answer).response.allowed, true);
    assert.equal((body as Answer).response.patch, undefined);
  }
  assert.deepEqual(counted, ['skip not_a_pod', 'skip not_created', 'skip not_created']);
});

const PADDING = 'x'.repeat(2 * 1024 * 1024);
const HOSTILE: readonly (readonly [sentence: string, body: string | Buffer, status: number])[] = [
  ['nothing', '', 400],
  ['no JSON', '{"apiVersion":', 400],
  ['a list', '[]', 400],
  ['bytes that are no text', Buffer.from([0xff, 0xfe, 0x00]), 400],
  ['a review of the beta version', review(pod()).replace('k8s.io/v1"', 'k8s.io/v1beta1"'), 400],
  ['a review without a uid', review(pod(), { uid: undefined }), 400],
  ['a uid that is a number', review(pod(), { uid: 7 }), 400],
  ['a review without a namespace', review(pod(), { namespace: undefined }), 400],
  ['more than 2 MiB', review(pod({ metadata: { annotations: { a: PADDING } } })), 413],
  ['a pod that is a text', review('pod'), 200],
  ['no pod', review(undefined), 200],
  [
    'a pod with a prototype',
    review(pod()).replace('"metadata":{', '"metadata":{"__proto__":{"annotations":7},'),
    200,
  ],
  ['a pod nested 200000 times', review('@').replace('"@"', '['.repeat(2e5) + ']'.repeat(2e5)), 200],
  [
    'nesting in a place nobody reads',
    review(pod({ spec: { x: '@' } })).replace('"@"', '['.repeat(2e5) + ']'.repeat(2e5)),
    200,
  ],
];

for (const [sentence, body, status] of HOSTILE) {
  void test(`${sentence}: a readable answer, ${status}`, async (t) => {
    const { send, counted } = await serve(t);
    const answer = await send(body);
    assert.equal(answer.status, status, JSON.stringify(answer.body));
    if (status !== 200) assert.match(String(answer.body['error']), /.{8,}/);
    assert.equal(counted.length, 1);
  });
}

void test('another path, method, content type or coding: said with its status', async (t) => {
  const { send } = await serve(t);
  assert.equal((await send(review(pod()), {}, '/')).status, 404);
  assert.equal((await send(review(pod()), {}, '/inject/%')).status, 404);
  assert.equal((await send(null, { method: 'GET', body: null })).status, 405);
  const type = { headers: { 'content-type': 'application/yaml' } };
  assert.equal((await send(review(pod()), type)).status, 415);
  const coded = { headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' } };
  assert.equal((await send(review(pod()), coded)).status, 415);
  const charset = { headers: { 'content-type': 'application/json; charset=latin1' } };
  assert.equal((await send(review(pod()), charset)).status, 415);
});

void test('with a random word in the path nobody else is answered', async (t) => {
  const { send } = await serve(t, 'wZ81kQ0p');
  assert.equal((await send(review(pod()))).status, 404);
  assert.equal((await send(review(pod()), {}, '/inject/wZ81kQ0p')).status, 200);
});

const running = (more: readonly Json[] = []) =>
  pod({
    spec: { initContainers: [{ name: 'egret' }], ephemeralContainers: more },
    metadata: { annotations: { 'egret.dev/status': '{}' } },
  });
const EPHEMERAL: readonly (readonly [sentence: string, added: Json, outcome: string])[] = [
  ['is hardened', { name: 'debug' }, 'patch injected'],
  [
    "with the sidecar's user is refused",
    { name: 'debug', securityContext: { runAsUser: 64_777 } },
    'refuse uid_clash',
  ],
  [
    'that may trace is refused',
    { name: 'debug', securityContext: { capabilities: { add: ['SYS_PTRACE'] } } },
    'refuse forbidden_capability',
  ],
  [
    'that is privileged is refused',
    { name: 'debug', securityContext: { privileged: true } },
    'refuse privileged',
  ],
  [
    'beside the process of the sidecar is refused',
    { name: 'debug', targetContainerName: 'egret' },
    'refuse share_process_namespace',
  ],
];

for (const [sentence, added, outcome] of EPHEMERAL) {
  void test(`an ephemeral container ${sentence}`, async (t) => {
    const { send, counted } = await serve(t);
    const old = { name: 'old', image: 'a' };
    const after = running([old, added]);
    const more = {
      operation: 'UPDATE',
      subResource: 'ephemeralcontainers',
      oldObject: running([old]),
    };
    const { body } = await send(review(after, more));
    assert.deepEqual(counted, [outcome]);
    const { patch } = (body as Answer).response;
    if (patch === undefined) return;
    const result = applied(after, JSON.parse(Buffer.from(patch, 'base64').toString()) as never);
    assert.deepEqual((result as InjectedPod).spec['ephemeralContainers' as never], [
      old,
      {
        name: 'debug',
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
      },
    ]);
  });
}

void test('an ephemeral container in a pod without the sidecar is not our affair', async (t) => {
  const { send, counted } = await serve(t);
  const more = { operation: 'UPDATE', subResource: 'ephemeralcontainers', oldObject: pod() };
  await send(review(pod(), more));
  assert.deepEqual(counted, ['skip not_injected']);
});

const GOOD_SET = `apiVersion: egret.dev/v1alpha1
kind: PolicySet
metadata: {name: agents}
spec:
  candidate: {bundle: agents-policy}
  steps:
    - shadow: 10m
    - {weight: 100, for: 30m}
`;

const configMap = (data: unknown, labels: unknown = { 'egret.dev/policy-set': 'agents' }) =>
  review(
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'agents', labels }, data },
    { kind: { group: '', version: 'v1', kind: 'ConfigMap' } },
  );

const SETS: readonly (readonly [sentence: string, body: string, outcome: string, says: RegExp])[] =
  [
    ['a good policy set passes', configMap({ 'rollout.yaml': GOOD_SET }), 'skip valid', /^$/],
    [
      'a policy set with an unknown field is refused, with its place',
      configMap({ 'rollout.yaml': GOOD_SET.replace('steps:', 'step:') }),
      'refuse policy_set',
      /^egret refuses this policy set: rollout\.yaml:\d+:\d+: spec.*unknown key "step"/s,
    ],
    [
      'a policy set with another name than its label is refused',
      configMap({ 'rollout.yaml': GOOD_SET.replace('agents}', 'other}') }),
      'refuse policy_set',
      /other/,
    ],
    [
      'a policy set without rollout.yaml is refused',
      configMap({}),
      'refuse policy_set',
      /found nothing/,
    ],
    [
      'a policy set that is no YAML is refused',
      configMap({ 'rollout.yaml': '{' }),
      'refuse policy_set',
      /not valid YAML/,
    ],
    ['another ConfigMap passes', configMap({ a: 'b' }, {}), 'skip not_a_policy_set', /^$/],
    ['a ConfigMap without labels passes', configMap(null, null), 'skip not_a_policy_set', /^$/],
    ['labels that are a number pass', configMap(7, 7), 'skip not_a_policy_set', /^$/],
  ];

for (const [sentence, body, outcome, says] of SETS) {
  void test(sentence, async (t) => {
    const { send, counted } = await serve(t);
    const answer = (await send(body, {}, '/validate')).body as Answer;
    assert.deepEqual(counted, [outcome]);
    assert.equal(answer.response.allowed, outcome.startsWith('skip'));
    assert.match(answer.response.status?.message ?? '', says);
  });
}
