/**
 * The disk of the audit log is full: no call passes, the sidecar says so and lives, and it goes on by itself when there
 * is space again. Needs a file system of its own, so it runs only where one may be mounted.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually, sendMail, statusOf } from './agent.ts';
import { assertPaired, assertVerifies, decisionsOf, readLeaves } from './audit-log.ts';
import { newDirectory } from './sidecar-process.ts';
import { stageMail } from './stage.ts';

const MiB = 1024 * 1024;

const run = (command: string, args: readonly string[]) =>
  spawnSync(command, args, { stdio: 'ignore' }).status === 0;

function mounted(directory: string): boolean {
  const options = ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', directory];
  return run('mount', options);
}

void test('a full disk stops every call and nothing else', { timeout: 60_000 }, async (t) => {
  const parent = newDirectory();
  const directory = join(parent, 'disk');
  mkdirSync(directory);
  t.after(() => {
    run('umount', ['-l', directory]);
    rmSync(parent, { recursive: true, force: true });
  });
  if (!mounted(directory)) {
    t.skip('SKIPPED: a tmpfs cannot be mounted here, so a full disk is not tested');
    return;
  }
  const { sidecar, tool } = await stageMail(t, { config: { audit: { directory } } });
  assert.equal((await sendMail(sidecar.ports)).reason, '');

  const filler = join(directory, 'filler');
  fill(filler);
  await eventually(async () => (await sendMail(sidecar.ports)).reason === 'audit.unavailable');
  const forwarded = tool.received.length;
  assert.equal((await sendMail(sidecar.ports)).reason, 'audit.unavailable');
  assert.equal(tool.received.length, forwarded, 'nothing is forwarded');
  // What was cut back may leave room for the small record that asks whether there is space; the next call shows.
  await eventually(async () => {
    await sendMail(sidecar.ports);
    const { ready, audit } = await statusOf(sidecar);
    return !ready && !audit.healthy;
  });
  assert.equal(tool.received.length, forwarded, 'nothing is forwarded');

  rmSync(filler);
  await eventually(async () => (await statusOf(sidecar)).ready);
  assert.equal((await sendMail(sidecar.ports)).reason, '');
  assert.equal(await sidecar.stop(), 0);
  await assertVerifies(directory);
  const leaves = readLeaves(directory);
  assertPaired(leaves);
  const traces = new Set(decisionsOf(leaves).map((leaf) => leaf.trace_id));
  assert.ok(tool.received.every((call) => traces.has(call.traceId)));
});

/** Writes until not one byte more fits. */
function fill(file: string): void {
  for (let bytes = MiB; bytes >= 1; bytes = Math.floor(bytes / 2)) {
    try {
      for (;;) writeFileSync(file, Buffer.alloc(bytes), { flag: 'a' });
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
    }
  }
  assert.equal(statfsSync(file).bavail, 0);
}
