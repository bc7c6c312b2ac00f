/** `egret redirect` against a real kernel: who may install, what stays the same, and that nothing slips through a change. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FencedPod, install, stageFencedPod } from './fenced-pod.ts';
import { AGENT, INIT, OPERATOR, SIDECAR, testFile } from './namespace.ts';

const INTERNET = '203.0.113.10';

const rulesOf = async ({ lab }: FencedPod) =>
  (await lab.inPod(OPERATOR, ['nft', 'list', 'ruleset'])).stdout;

void test('a user that is not root installs with NET_ADMIN alone, and twice is the same as once', async (t) => {
  const pod = await stageFencedPod(t);
  if (pod === null) return;
  await install(pod);
  const once = await rulesOf(pod);
  assert.match(once, /table inet egret/);
  assert.match(once, /hook egress device "eth0"/);
  await install(pod);
  assert.equal(await rulesOf(pod), once);
});

void test('without NET_ADMIN nothing is changed, and the message says what is missing', async (t) => {
  const pod = await stageFencedPod(t);
  if (pod === null) return;
  const refused = await pod.redirect(AGENT, 'install', '--config', pod.config);
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /NET_ADMIN/);
  assert.equal(await rulesOf(pod), '');
  await install(pod);
  const removal = await pod.redirect(AGENT, 'remove', '--open-the-fence');
  assert.equal(removal.code, 2);
  assert.match(await rulesOf(pod), /table inet egret/);
});

void test('verify fails where nothing is installed, succeeds where it is, as anybody, and says so in JSON, too', async (t) => {
  const pod = await stageFencedPod(t);
  if (pod === null) return;
  const before = await pod.redirect(AGENT, 'verify', '--config', pod.config);
  assert.equal(before.code, 1, before.stdout + before.stderr);
  assert.match(before.stdout, /FAIL tcp 192\.0\.2\.1:443 +found a connection to somewhere else/);
  await install(pod);
  for (const actor of [AGENT, SIDECAR, INIT]) {
    const after = await pod.redirect(actor, 'verify', '--config', pod.config);
    assert.equal(after.code, 0, after.stdout + after.stderr);
    assert.match(after.stdout, /The fence stands\.\n$/);
  }
  const { stdout } = await pod.redirect(AGENT, 'verify', '--config', pod.config, '--json');
  const report = JSON.parse(stdout) as { ok: boolean; checks: { name: string; ok: boolean }[] };
  assert.equal(report.ok, true);
  // Two captured ports, one that is not, QUIC and DNS, in both families.
  assert.equal(report.checks.length, 10);
});

void test('remove takes away our tables, nothing else, and only when asked plainly', async (t) => {
  const pod = await stageFencedPod(t);
  if (pod === null) return;
  await pod.lab.inPod(OPERATOR, ['nft', 'add', 'table', 'ip', 'somebody_else']);
  await install(pod);
  assert.equal((await pod.redirect(OPERATOR, 'remove')).code, 2);
  assert.match(await rulesOf(pod), /table inet egret/);
  assert.equal((await pod.redirect(INIT, 'remove', '--open-the-fence')).code, 0);
  assert.equal(await rulesOf(pod), 'table ip somebody_else {\n}\n');
  assert.equal((await pod.redirect(INIT, 'remove', '--open-the-fence')).code, 0);
  assert.match(await pod.attempt(AGENT, 'tcp', INTERNET, '81'), /^HTTP\/1\.1 200/);
});

void test('while the rules are replaced again and again, not one packet of an agent that never stops trying gets out', async (t) => {
  const pod = await stageFencedPod(t);
  if (pod === null) return;
  await install(pod);
  const [attempts, seen] = await pod.seenDuring(async () => {
    const storm = pod.lab.startInPod(AGENT, ['python3', testFile('storm.py'), INTERNET, '81']);
    const printed: string[] = [];
    storm.stdout?.on('data', (chunk: Buffer) => printed.push(chunk.toString()));
    for (let round = 0; round < 10; round += 1) await install(pod);
    const over = new Promise((resolve) => storm.once('close', resolve));
    storm.kill('SIGTERM');
    await over;
    return Number(printed.join(''));
  });
  t.diagnostic(`${attempts} attempts`);
  assert.ok(attempts > 1000, String(attempts));
  assert.deepEqual(seen, []);
});

void test('print shows the rules without any right, and a configuration that cannot be a fence is refused', async (t) => {
  const pod = await stageFencedPod(t);
  if (pod === null) return;
  const printed = await pod.redirect(AGENT, 'print', '--config', pod.config);
  assert.equal(printed.code, 0, printed.stderr);
  assert.match(printed.stdout, /redirect to :tcp dport map \{ 80 : 15080, 443 : 15443 \}/);
  const missing = await pod.redirect(AGENT, 'print', '--config', '/nowhere.yaml');
  assert.equal(missing.code, 2);
  assert.match(missing.stderr, /nowhere\.yaml: cannot be read/);
});
