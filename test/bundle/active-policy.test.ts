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

/** Says which engines were closed, by revision. */
function watched(policy: ActivePolicy, closed: string[]): void {
  for (const revision of [policy.current(), policy.previous(), policy.candidate()]) {
    if (revision === null || Object.hasOwn(revision.engine, 'close')) continue;
    const { engine, ref } = revision;
    const close = engine.close.bind(engine);
    Object.assign(engine, {
      close: () => {
        closed.push(ref.revision);
        close();
      },
    });
  }
}

const candidateOf = (files: ReadonlyMap<string, Uint8Array>) => {
  const content = contentOf(files);
  return { digest: content.digest, content };
};

test('a candidate is held beside what is in force and changes nothing of it', async (t) => {
  const { policy } = policyOf(t);
  const [a, b] = ['a', 'b'].map((word) => bundleFiles(t, version(word)));
  if (!a || !b) return;
  policy.offer(contentOf(a));
  const before = [policy.current(), policy.previous(), policy.status()];
  await policy.tryOut(candidateOf(b));
  assert.deepEqual([policy.current(), policy.previous(), policy.status()], before);
  assert.equal(policy.candidate()?.ref.revision, 'b');
  assert.ok(policy.holds(candidateOf(b).digest));
  await policy.tryOut(null);
  assert.deepEqual([policy.candidate(), policy.holds(candidateOf(b).digest)], [null, false]);
});

test('an engine is closed when its last role ends, and not before', async (t) => {
  const closed: string[] = [];
  const { policy } = policyOf(t);
  const all = ['a', 'b', 'c'].map((word) => bundleFiles(t, version(word)));
  const [a, b, c] = all;
  if (!a || !b || !c) return;
  policy.offer(contentOf(a));
  await policy.tryOut(candidateOf(b));
  watched(policy, closed);
  const engine = policy.candidate()?.engine;
  assert.equal(policy.adopt(contentOf(b).digest), true);
  assert.equal(policy.current()?.engine, engine, 'promoted without another gate');
  await policy.tryOut(candidateOf(a));
  assert.equal(policy.candidate()?.engine, policy.previous()?.engine, 'one engine in two roles');
  policy.offer(contentOf(c));
  watched(policy, closed);
  assert.deepEqual(closed, [], 'a is still the candidate, b the one before');
  await policy.tryOut(null);
  assert.deepEqual(closed, ['a']);
  assert.equal(policy.adopt(contentOf(a).digest), false, 'what is gone is not adopted');
  assert.equal(policy.current()?.ref.revision, 'c');
});

test('what is in force is nothing to try out', async (t) => {
  const { policy } = policyOf(t);
  const [a] = [bundleFiles(t, version('a'))];
  if (!a) return;
  policy.offer(contentOf(a));
  await policy.tryOut(candidateOf(a));
  assert.deepEqual([policy.candidate(), policy.candidateErrors()], [null, []]);
});

test('a refused candidate stays refused without another gate, one that could not be had does not', async (t) => {
  const refused: string[] = [];
  const { policy } = policyOf(t, {
    onCandidateRefused: (errors) => refused.push(errors[0]?.code ?? ''),
  });
  const [a, b] = ['a', 'b'].map((word) => bundleFiles(t, version(word)));
  const bad = bundleFiles(t, { '.manifest': '{' });
  if (!a || !b || !bad) return;
  policy.offer(contentOf(a));
  await policy.tryOut(candidateOf(bad));
  await policy.tryOut(candidateOf(bad));
  await policy.tryOut({ digest: contentOf(bad).digest, content: null });
  assert.deepEqual(refused, ['manifest_invalid']);
  assert.equal(policy.candidateErrors()[0]?.code, 'manifest_invalid');
  const { digest } = contentOf(b);
  const missing = [bundleError('source_unreadable', { file: 'b' }, 'nothing', 'the archive')];
  policy.refuseCandidate(digest, missing);
  policy.refuseCandidate(digest, missing);
  assert.deepEqual(refused, ['manifest_invalid', 'source_unreadable']);
  await policy.tryOut(candidateOf(b));
  assert.deepEqual([policy.candidate()?.ref.revision, policy.candidateErrors()], ['b', []]);
  assert.equal(policy.current()?.ref.revision, 'a');
});
