// Properties of injection: a second run changes nothing, a forged or moved sidecar is made good again, and the patch
// makes exactly the document it is for.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { inject } from '../../src/admission/inject.ts';
import { patchBetween } from '../../src/admission/json-patch.ts';
import { applied, injected, type Json, options, pod } from './pods.ts';

const envName = fc.constantFrom('SSL_CERT_FILE', 'HTTP_PROXY', 'NODE_EXTRA_CA_CERTS', 'A', 'B');
const env = fc.uniqueArray(fc.record({ name: envName, value: fc.string() }), {
  selector: ({ name }) => name,
});
const drop = fc.uniqueArray(fc.constantFrom('ALL', 'MKNOD', 'KILL'));
const container = (name: string) =>
  fc.record(
    {
      name: fc.constant(name),
      image: fc.constant('shop.example/one:1'),
      env,
      ports: fc.array(fc.record({ containerPort: fc.integer({ min: 1, max: 65_535 }) }), {
        maxLength: 3,
      }),
      volumeMounts: fc.constantFrom([], [{ name: 'data', mountPath: '/data' }]),
      securityContext: fc.record(
        {
          runAsUser: fc.integer({ min: 0, max: 64_000 }),
          capabilities: fc.record({ drop }, { requiredKeys: [] }),
        },
        { requiredKeys: [] },
      ),
    },
    { requiredKeys: ['name', 'image'] },
  );
const pods = fc
  .record({
    inits: fc.option(fc.tuple(container('one'), container('two')), { nil: undefined }),
    agents: fc.tuple(container('agent'), container('front')),
    mode: fc.constantFrom('transparent', 'explicit'),
    labels: fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 }),
    volumes: fc.constantFrom(undefined, [], [{ name: 'data', emptyDir: {} }]),
  })
  .map(({ inits, agents, mode, labels, volumes }) => ({
    metadata: { labels, annotations: { 'egret.dev/mode': mode } },
    spec: {
      containers: agents,
      ...(inits === undefined ? {} : { initContainers: inits }),
      ...(volumes === undefined ? {} : { volumes }),
    },
  }))
  // As it comes over the wire.
  .map((one) => JSON.parse(JSON.stringify(one)) as typeof one);

const using = options({ modes: ['transparent', 'explicit'] });

void test('injection of an injected pod changes nothing', () => {
  fc.assert(
    fc.property(pods, (given) => {
      const answer = inject(injected(given, using), using);
      assert.equal(answer.kind === 'skip' && answer.reason, 'already_injected');
    }),
    { numRuns: 200 },
  );
});

void test('no variable that the user set has another value afterwards', () => {
  fc.assert(
    fc.property(pods, (given) => {
      const result = injected(given, using);
      const status = JSON.parse(result.metadata.annotations['egret.dev/status'] ?? '') as Json;
      for (const [at, agent] of given.spec.containers.entries()) {
        const after = result.spec.containers[at]?.['env'] as Json[] | undefined;
        for (const one of agent.env ?? []) {
          assert.deepEqual(
            after?.filter(({ name }) => name === one.name),
            [one],
          );
          const kept = ((status['kept'] ?? {}) as Record<string, string[]>)[agent.name] ?? [];
          const ours = using.config.trustDirectory;
          if (one.name === 'SSL_CERT_FILE' && !one.value.startsWith(ours)) {
            assert.ok(kept.includes(one.name));
          }
        }
      }
    }),
    { numRuns: 200 },
  );
});

void test('a sidecar that somebody changed or moved is made good, whatever the status says', () => {
  const whole = injected(pod(), using);
  const moved = structuredClone(whole);
  moved.spec.initContainers.reverse();
  assert.deepEqual(injected(moved, using), whole);
  const forged = structuredClone(whole);
  forged.spec.initContainers = [{ name: 'egret', image: 'evil.example/none', command: ['sleep'] }];
  assert.deepEqual(injected(forged, using), whole);
  const before = structuredClone(whole);
  before.spec.initContainers.unshift({ name: 'early', image: 'mesh.example/init:1' });
  const names = injected(before, using).spec.initContainers.map(({ name }) => name);
  assert.deepEqual(names, ['egret-init', 'egret', 'early']);
});

void test('a patch makes the one document of the other', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (from, to) => {
      const plain = JSON.parse(JSON.stringify([from, to])) as [unknown, unknown];
      assert.deepEqual(applied(plain[0], patchBetween(plain[0], plain[1])), plain[1]);
      assert.deepEqual(patchBetween(plain[0], structuredClone(plain[0])), []);
    }),
    { numRuns: 500 },
  );
});

void test('a patch of arrays keeps what both begin and end with', () => {
  const numbers = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 6 });
  fc.assert(
    fc.property(numbers, numbers, (from, to) => {
      assert.deepEqual(applied(from, patchBetween(from, to)), to);
    }),
  );
  assert.deepEqual(patchBetween([1, 2], [0, 1, 2]), [{ op: 'add', path: '/0', value: 0 }]);
});
