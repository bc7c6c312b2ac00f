/** The policy in force: swaps, refusals with the last good revision kept, status, and reloads under load. */
import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { ActivePolicy, type ActivePolicyOptions } from '../../src/bundle/active-policy.ts';
import { bundleError } from '../../src/bundle/bundle-error.ts';
import { DirectorySource } from '../../src/bundle/directory-source.ts';
import { bundleFiles, contentOf, MANIFEST, tarOf } from './bundle-files.ts';

const config = (word: string) => ({ config: { first: word, second: word, tool: 'gmail.send' } });
const version = (word: string) => ({
  'data.json': config(word),
  '.manifest': { ...MANIFEST, revision: word },
});

function policyOf(t: TestContext, options: Partial<ActivePolicyOptions<unknown>> = {}) {
  let nowMs = 1_795_341_600_000;
  const policy = new ActivePolicy({
    name: 'main',
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    ...options,
  });
  t.after(() => {
    policy.current()?.engine.close();
    policy.previous()?.engine.close();
  });
  const pass = (ms: number) => {
    nowMs += ms;
  };
  return { policy, pass };
}

test('nothing is in force before the first bundle', (t) => {
  const { policy } = policyOf(t);
  assert.deepEqual([policy.current(), policy.previous(), policy.ageMs()], [null, null, null]);
  assert.deepEqual(policy.status(), {
    name: 'main',
    active_revision: null,
    active_digest: null,
    last_successful_activation: null,
    last_successful_request: null,
    code: null,
    message: null,
    errors: [],
    activations: 0,
  });
});

test('a new bundle takes over, the same one does not, and the one before is kept', (t) => {
  const activated: string[] = [];
  const { policy } = policyOf(t, {
    onActivated: ({ ref }, before) => activated.push(`${before?.ref.revision}>${ref.revision}`),
  });
  const bundles = ['a', 'b'].map((word) => bundleFiles(t, version(word)));
  const [a, b] = bundles;
  if (!a || !b) return;
  for (const files of [a, a, b, b, a]) policy.offer(contentOf(files));
  assert.deepEqual(activated, ['undefined>a', 'a>b', 'b>a']);
  assert.equal(policy.current()?.ref.revision, 'a');
  assert.equal(policy.previous()?.ref.revision, 'b');
  assert.equal(policy.status().activations, 3);
});

test('a refused bundle leaves the last good one in force and says why, once', (t) => {
  const rejected: string[] = [];
  const { policy, pass } = policyOf(t, {
    onRejected: (errors, digest) => rejected.push(`${errors[0]?.code} ${digest?.slice(0, 7)}`),
  });
  const good = bundleFiles(t, version('a'));
  const bad = bundleFiles(t, { '.manifest': '{' });
  if (!good || !bad) return;
  policy.offer(contentOf(good));
  const before = policy.current();
  pass(5000);
  policy.offer(contentOf(bad));
  policy.offer(contentOf(bad));
  policy.confirm();
  assert.equal(policy.current(), before);
  assert.deepEqual(rejected, ['manifest_invalid sha256:']);
  const status = policy.status();
  assert.deepEqual([status.code, status.active_revision], ['bundle_error', 'a']);
  assert.match(status.message ?? '', /^\.manifest: found text that is no JSON/);
  assert.equal(status.last_successful_activation, '2026-11-22T10:00:00.000Z');
  assert.equal(policy.ageMs(), 5000, 'what is refused does not refresh what is in force');
  policy.offer(contentOf(good));
  assert.deepEqual(
    [policy.status().code, policy.ageMs(), policy.status().activations],
    [null, 0, 1],
  );
});

test('a source that fails is in the status until it works again', (t) => {
  const { policy, pass } = policyOf(t);
  const good = bundleFiles(t, version('a'));
  if (!good) return;
  policy.offer(contentOf(good));
  pass(100);
  policy.confirm();
  assert.equal(policy.ageMs(), 0);
  policy.fail([bundleError('source_missing', { file: 'bundle' }, 'ENOENT', 'a directory')]);
  pass(100);
  policy.confirm();
  assert.deepEqual([policy.ageMs(), policy.status().errors[0]?.code], [100, 'source_missing']);
  assert.equal(policy.status().last_successful_request, '2026-11-22T10:00:00.100Z');
  policy.offer(contentOf(good));
  assert.deepEqual([policy.ageMs(), policy.status().code], [0, null]);
});

test('a hundred reloads a second: every call sees one whole revision and no error', async (t) => {
  const words = Array.from({ length: 120 }, (_, i) => `v${i}`);
  const archives = words.map((word) => {
    const files = bundleFiles(t, version(word));
    if (files === null) return null;
    const entries = [...files].map(([path, content]) => ({ path: `/${path}`, content }));
    return gzipSync(tarOf(entries), { level: 1 });
  });
  if (archives.includes(null)) return;
  const directory = mkdtempSync(join(tmpdir(), 'egret-reload-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const publish = (archive: Uint8Array) => {
    writeFileSync(join(directory, 'next'), archive);
    renameSync(join(directory, 'next'), join(directory, 'bundle.tar.gz'));
  };
  const rejected: string[] = [];
  const { policy } = policyOf(t, {
    onRejected: (errors) => rejected.push(errors.map(({ message }) => message).join()),
  });
  const source = new DirectorySource({
    directory,
    pollMs: 5,
    onContent: (content) => policy.offer(content),
    onError: (errors) => rejected.push(errors.map(({ message }) => message).join()),
  });
  t.after(() => source.close());
  publish(archives[0] as Uint8Array);
  await source.start();

  const seen = new Set<string>();
  let evaluations = 0;
  const evaluate = () => {
    const revision = policy.current();
    const evaluation = revision?.engine.evaluate('{"tool":"gmail.send"}', 0n);
    assert.ok(revision && evaluation?.ok);
    const { allowed, message } = evaluation.value as { allowed: boolean; message: string };
    assert.equal(allowed, true);
    assert.equal(message, `${revision.ref.revision}/${revision.ref.revision}`);
    seen.add(message);
    evaluations++;
  };
  for (const archive of archives) {
    publish(archive as Uint8Array);
    const until = performance.now() + 10;
    while (performance.now() < until) {
      for (let i = 0; i < 20; i++) evaluate();
      await new Promise(setImmediate);
    }
  }
  while (policy.current()?.ref.revision !== words.at(-1)) {
    evaluate();
    await pause(1);
  }
  assert.deepEqual(rejected, []);
  assert.ok(seen.size > 10 && evaluations > 1000, `${seen.size} revisions, ${evaluations} calls`);
});
