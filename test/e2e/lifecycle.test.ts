/**
 * Starting and stopping: calls under way are finished, what cannot start says why, and nothing passes while a policy or
 * room for work is missing.
 */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, renameSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { adminText, eventually, MCP_HEADERS, mailCall, post, sendMail, statusOf } from './agent.ts';
import { assertPaired, assertVerifies, outcomesOf, readLeaves } from './audit-log.ts';
import { receiptsWith } from './bundle-variant.ts';
import { newDirectory, prepared, ROOT, runEgret, type SidecarSetup } from './sidecar-process.ts';
import { auditOf, removeAfter, stageMail, stageSidecar, stageTool } from './stage.ts';
import { type Answer, answerSent } from './tool-server.ts';

/** Starts with this configuration, which cannot work, and gives back how it ended. */
async function failedStart(t: TestContext, setup: SidecarSetup, directory = newDirectory()) {
  removeAfter(t, directory);
  return runEgret(['sidecar', '--config', prepared(directory, setup)]);
}

/** A tool that answers when it is told to. */
function held(): { readonly answer: Answer; readonly release: () => void } {
  const waiting: (() => void)[] = [];
  return {
    answer: (call, response, request) =>
      void waiting.push(() => answerSent(call, response, request)),
    release: () => {
      for (const go of waiting.splice(0)) go();
    },
  };
}

void test('after SIGTERM calls under way are finished, new ones refused, and the log is signed', async (t) => {
  const { answer, release } = held();
  const tool = await stageTool(t, answer);
  const sidecar = await stageSidecar(t, { config: { mcpServers: { mail: { url: tool.url } } } });
  const calls = Array.from({ length: 10 }, () => sendMail(sidecar.ports));
  await eventually(() => tool.received.length === 10);
  const code = sidecar.stop();
  await eventually(async () => (await statusOf(sidecar)).problems.includes('proxy.draining'));
  await assert.rejects(sendMail(sidecar.ports), 'a new connection is not taken');
  release();
  for (const { status, reason, text } of await Promise.all(calls)) {
    assert.deepEqual([status, reason], [200, '']);
    assert.match(text, /sent/);
  }
  assert.equal(await code, 0);
  await assertVerifies(auditOf(sidecar));
  const leaves = readLeaves(auditOf(sidecar));
  assertPaired(leaves);
  assert.equal(leaves.at(-1)?.egret.lifecycle?.event, 'stop');
});

void test('a call that outlasts the drain is cut, and its outcome says so', async (t) => {
  const tool = await stageTool(t, () => undefined);
  const config = { mcpServers: { mail: { url: tool.url } }, limits: { drainMs: 100 } };
  const sidecar = await stageSidecar(t, { config });
  const call = assert.rejects(sendMail(sidecar.ports));
  await eventually(() => tool.received.length === 1);
  assert.equal(await sidecar.stop(), 0);
  await call;
  await assertVerifies(auditOf(sidecar));
  const leaves = readLeaves(auditOf(sidecar));
  assertPaired(leaves);
  assert.notEqual(outcomesOf(leaves)[0]?.egret.outcome?.result, 'completed');
});

void test('a configuration that is wrong ends the start with code 2, file and line', async (t) => {
  const { code, stderr, stdout } = await failedStart(t, { config: { enforcement: 'maybe' } });
  assert.equal(code, 2);
  assert.match(stderr, /egret\.yaml:\d+:\d+: enforcement: found "maybe", /);
  assert.equal(stdout, '');
  const missing = await runEgret([
    'sidecar',
    '--config',
    join(removeAfter(t, newDirectory()), 'none.yaml'),
  ]);
  assert.equal(missing.code, 2);
  assert.match(missing.stderr, /none\.yaml: cannot be read/);
});

void test('whatever keeps it from starting is told with the file of the configuration and the place', async (t) => {
  const credential = { id: 'agent', tokenEnv: 'EGRET_NOT_THERE', may: 'review' };
  for (const [config, place] of [
    [{ decisionApi: { clients: [credential] } }, 'decisionApi.clients'],
    [{ upstream: { rootsFile: 'none.pem' } }, 'upstream.rootsFile'],
    [{ upstream: { caFiles: { 'a.example:443': 'none.pem' } } }, 'upstream.caFiles'],
    [{ tls: { trustDirectory: 'egret.yaml' } }, 'tls.trustDirectory'],
    [{ audit: { directory: 'egret.yaml' } }, 'audit.directory'],
    [{ audit: { directory: 'audit', keyFile: 'none.pem' } }, 'audit.directory'],
    [{ listen: { admin: { host: '203.0.113.7', port: 0 } } }, 'listen.admin'],
  ] as const) {
    const { code, stderr } = await failedStart(t, { config });
    assert.equal(code, 2, stderr);
    assert.match(stderr, new RegExp(`^\\S*/egret\\.yaml: ${place}: .+\n$`));
  }
});

void test('a port or an audit log that is in use ends the start with code 2', async (t) => {
  const { sidecar } = await stageMail(t);
  const directory = newDirectory();
  const free = { port: 0 };
  const listen = {
    proxy: free,
    gateway: { port: sidecar.ports.gateway },
    decision: free,
    admin: free,
  };
  const taken = await failedStart(t, { config: { listen } }, directory);
  assert.equal(taken.code, 2);
  assert.match(taken.stderr, /listen\.gateway: .*EADDRINUSE/);
  // What was started before is ended in order: the next start finds nothing to recover.
  await assertVerifies(join(directory, 'audit'));
  assert.equal(readLeaves(join(directory, 'audit')).at(-1)?.egret.lifecycle?.event, 'stop');

  const audit = { directory: auditOf(sidecar) };
  const locked = await failedStart(t, { config: { audit } });
  assert.equal(locked.code, 2);
  assert.match(locked.stderr, /audit\.directory: .*expected one sidecar for each log/);
  assert.equal((await sendMail(sidecar.ports)).status, 200, 'the first one goes on');
});

void test('a bundle that is refused at the start ends it with code 2, its file and what was expected', async (t) => {
  const directory = newDirectory();
  const { code, stderr } = await failedStart(t, { bundle: Buffer.from('no archive') }, directory);
  assert.equal(code, 2);
  const place = `${directory}/egret.yaml: bundles.0.directory: ${directory}/bundles: bundle.tar.gz: `;
  assert.equal(stderr.startsWith(place), true, stderr);
  assert.match(stderr, /found no gzip header, expected a tar archive packed with gzip\n$/);
  await assertVerifies(join(directory, 'audit'));
  const events = readLeaves(join(directory, 'audit')).map(({ egret }) => egret.lifecycle?.event);
  assert.deepEqual(events, ['start', 'bundle_rejected', 'stop']);

  const wrong = receiptsWith('tools.yaml', 'tools: [{name: 5}]\n');
  const catalogue = await failedStart(t, { bundle: wrong });
  assert.equal(catalogue.code, 2);
  assert.match(catalogue.stderr, /^\S+egret\.yaml: .*tools\.yaml:1:16: tools\.0\.name: found 5, /m);
});

void test('without a policy nothing passes; as soon as there is one, calls pass', async (t) => {
  const { sidecar, tool } = await stageMail(t, { bundle: null });
  const refused = await sendMail(sidecar.ports);
  assert.deepEqual([refused.status, refused.reason], [503, 'bundle.missing']);
  assert.match(await adminText(sidecar.ports, '/readyz'), /bundle\.missing/);
  assert.equal(tool.received.length, 0);
  const bundles = join(sidecar.directory, 'bundles');
  const draft = join(sidecar.directory, 'draft');
  copyFileSync(join(ROOT, 'rego/dist/receipts.tar.gz'), draft);
  renameSync(draft, join(bundles, 'bundle.tar.gz'));
  await eventually(async () => (await statusOf(sidecar)).ready);
  assert.deepEqual((await sendMail(sidecar.ports)).reason, '');
});

void test('a policy whose source is gone too long decides nothing any more, until it is back', async (t) => {
  const directory = newDirectory();
  const bundles = [
    { name: 'main', directory: join(directory, 'bundles'), pollMs: 20, maxStalenessSeconds: 1 },
  ];
  removeAfter(t, directory);
  const { sidecar, tool } = await stageMail(t, { config: { bundles } });
  mkdirSync(join(directory, 'bundles'));
  copyFileSync(join(ROOT, 'rego/dist/receipts.tar.gz'), join(directory, 'bundles/bundle.tar.gz'));
  await eventually(async () => (await statusOf(sidecar)).ready);
  assert.equal((await sendMail(sidecar.ports)).reason, '');
  renameSync(join(directory, 'bundles'), join(directory, 'away'));
  await eventually(async () => (await statusOf(sidecar)).problems.includes('bundle.stale'));
  const before = tool.received.length;
  const refused = await sendMail(sidecar.ports);
  assert.equal(refused.reason, 'bundle.stale');
  assert.equal(tool.received.length, before);
  renameSync(join(directory, 'away'), join(directory, 'bundles'));
  await eventually(async () => (await statusOf(sidecar)).ready);
  assert.equal((await sendMail(sidecar.ports)).reason, '');
});

void test('calls over callsMax are turned away while those under way go on', async (t) => {
  const { answer, release } = held();
  const tool = await stageTool(t, answer);
  const config = { mcpServers: { mail: { url: tool.url } }, limits: { callsMax: 3 } };
  const sidecar = await stageSidecar(t, { config });
  const under = Array.from({ length: 3 }, () => sendMail(sidecar.ports));
  await eventually(() => tool.received.length === 3);
  const refused = await sendMail(sidecar.ports);
  assert.deepEqual([refused.status, refused.reason], [503, 'call.overloaded']);
  assert.equal(refused.decisionId, '', 'an id that no record has');
  release();
  for (const { reason } of await Promise.all(under)) assert.equal(reason, '');
  assert.match(await adminText(sidecar.ports, '/metrics'), /egret_shed_total\{[^}]*\} 1/);
});

void test('a flood of connections is bounded, and the admin listener still answers', async (t) => {
  const { sidecar } = await stageMail(t, { config: { limits: { connectionsMax: 20 } } });
  const sockets: Socket[] = [];
  let closed = 0;
  for (let count = 0; count < 60; count += 1) {
    const socket = connect({ port: sidecar.ports.gateway, host: '127.0.0.1' });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      closed += 1;
    });
    socket.resume();
    sockets.push(socket);
  }
  await eventually(() => closed === 40);
  assert.equal((await statusOf(sidecar)).ready, true);
  for (const socket of sockets) socket.destroy();
  await eventually(async () => {
    const answer = await sendMail(sidecar.ports).catch(() => null);
    return answer?.reason === '';
  });
});

void test('keys in headers and bodies that mean something to objects harm nothing', async (t) => {
  const { sidecar, tool } = await stageMail(t);
  const url = `http://127.0.0.1:${sidecar.ports.gateway}/mcp/mail`;
  const body = mailCall().replace(
    '"subject"',
    '"__proto__":{"to":["evil@example.com"]},"constructor":1,"subject"',
  );
  const answer = await post(url, body, { ...MCP_HEADERS, 'x-constructor': 'a' });
  assert.equal(answer.reason, '');
  assert.equal(tool.received[0]?.body, body, 'what policy saw is what was sent, byte for byte');
  assert.equal(
    (await sendMail(sidecar.ports, { to: ['evil@example.com'] })).reason,
    'policy.denied',
  );
});
