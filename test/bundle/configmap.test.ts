/** Bundles as ConfigMaps: any bundle comes back byte for byte, no object is too large, no piece can be lost or mixed up. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseAllDocuments } from 'yaml';
import { BundleRefused } from '../../src/bundle/bundle-error.ts';
import {
  CHUNK_BYTES_DEFAULT,
  CHUNK_BYTES_MAX,
  readConfigMaps,
  renderConfigMaps,
} from '../../src/bundle/configmap.ts';

const OPTIONS = {
  name: 'policy',
  namespace: 'agents',
  revision: 'r-1: "x"\n',
  chunkBytes: CHUNK_BYTES_DEFAULT,
  immutable: false,
};
const OBJECT_BYTES_MAX = 1024 * 1024;
const ANNOTATIONS_BYTES_MAX = 256 * 1024;

interface ConfigMap {
  readonly apiVersion: string;
  readonly kind: string;
  readonly immutable?: boolean;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels: Record<string, string>;
    readonly annotations: Record<string, string>;
  };
  readonly binaryData: Record<string, string>;
}

const objectsOf = (yaml: string) =>
  [...parseAllDocuments(yaml)].map((document) => document.toJS() as ConfigMap);

function codeOf(yaml: string): string {
  try {
    readConfigMaps(yaml, 'maps.yaml');
    return 'accepted';
  } catch (error) {
    assert.ok(error instanceof BundleRefused, String(error));
    return `${error.errors[0]?.code}: ${error.errors[0]?.found}`;
  }
}

test('any bytes in pieces of any size come back as they were', () => {
  const size = fc.integer({ min: 1, max: 300 });
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 2000 }), size, (bytes, chunkBytes) => {
      const yaml = renderConfigMaps(bytes, { ...OPTIONS, chunkBytes });
      assert.deepEqual(new Uint8Array(readConfigMaps(yaml, 'maps.yaml')), bytes);
      assert.equal(objectsOf(yaml).length, Math.ceil(bytes.length / chunkBytes));
    }),
    { numRuns: 200 },
  );
});

test('a small bundle is one ConfigMap with the key that a mounted volume needs', () => {
  const yaml = renderConfigMaps(Buffer.from('archive'), { ...OPTIONS, immutable: true });
  const [map, second] = objectsOf(yaml);
  assert.ok(map);
  assert.equal(second, undefined);
  assert.deepEqual([map.apiVersion, map.kind, map.immutable], ['v1', 'ConfigMap', true]);
  assert.deepEqual([map.metadata.name, map.metadata.namespace], ['policy', 'agents']);
  assert.equal(map.metadata.annotations['egret.dev/bundle-revision'], OPTIONS.revision);
  assert.match(map.metadata.annotations['egret.dev/bundle-digest'] ?? '', /^sha256:[0-9a-f]{64}$/);
  assert.deepEqual(Object.keys(map.binaryData), ['bundle.tar.gz']);
});

for (const chunkBytes of [CHUNK_BYTES_DEFAULT, CHUNK_BYTES_MAX]) {
  test(`three megabytes in pieces of ${chunkBytes} stay below what Kubernetes takes`, () => {
    const archive = randomBytes(3_000_000);
    const yaml = renderConfigMaps(archive, { ...OPTIONS, chunkBytes });
    const maps = objectsOf(yaml);
    assert.equal(maps.length, Math.ceil(3_000_000 / chunkBytes));
    const sizes = maps.map((map) => JSON.stringify(map).length);
    assert.ok(Math.max(...sizes) < OBJECT_BYTES_MAX, String(sizes));
    // What client-side apply writes: the whole object into an annotation.
    const applied = Math.max(...sizes) < ANNOTATIONS_BYTES_MAX;
    assert.equal(applied, chunkBytes === CHUNK_BYTES_DEFAULT);
    assert.ok(Buffer.from(readConfigMaps(yaml, 'maps.yaml')).equals(archive));
  });
}

test('names and labels stay within their limits', () => {
  const name = `${'a'.repeat(62)}-${'b'.repeat(100)}`;
  const [map] = objectsOf(renderConfigMaps(Buffer.from('x'), { ...OPTIONS, name }));
  assert.equal(map?.metadata.name, name);
  assert.equal(map?.metadata.labels['egret.dev/bundle'], 'a'.repeat(62));
  const [ofSet] = objectsOf(renderConfigMaps(Buffer.from('x'), { ...OPTIONS, name, set: 'main' }));
  assert.equal(ofSet?.metadata.labels['egret.dev/bundle'], 'main');
});

test('pieces that are missing, doubled, mixed or changed are refused', () => {
  const pieces = (seed: string) =>
    renderConfigMaps(Buffer.from(seed.repeat(30)), { ...OPTIONS, chunkBytes: 100 })
      .split(/^---\n/m)
      .slice(1)
      .map((text) => `---\n${text}`);
  const [a, b, c] = pieces('first bundle') as [string, string, string];
  const [x] = pieces('other bundle') as [string];
  assert.equal(codeOf(c + a + b + pieces('first bundle')[3]), 'accepted');
  const all = pieces('first bundle').join('');
  const changed = all.replace(/bundle\.tar\.gz\.000: ./, 'bundle.tar.gz.000: A');
  const rows: readonly (readonly [string, string])[] = [
    [a + c + pieces('first bundle')[3], 'configmap_invalid: no piece 1'],
    [all + b, 'configmap_invalid: piece 1 twice'],
    [x + b + c, 'configmap_invalid: pieces of several bundles'],
    ['kind: Service\n', 'configmap_invalid: no piece of a bundle'],
    ['a: [', 'configmap_invalid: broken YAML'],
    ['', 'configmap_invalid: no piece of a bundle'],
  ];
  for (const [yaml, expected] of rows) assert.equal(codeOf(yaml), expected);
  assert.match(codeOf(changed), /^digest_mismatch/);
});
