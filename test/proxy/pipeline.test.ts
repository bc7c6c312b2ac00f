/** The path of a call when a part of the sidecar itself fails: the agent learns that, and nothing of why. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createAdmission } from '../../src/proxy/admission.ts';
import type { Incoming, Reply } from '../../src/proxy/exchange.ts';
import { forwardRoute } from '../../src/proxy/forward-route.ts';
import { handleCall } from '../../src/proxy/pipeline.ts';
import type { Parts } from '../../src/proxy/ports.ts';

const incoming: Incoming = {
  method: 'GET',
  target: 'http://tool.example/',
  httpVersion: '1.1',
  headers: [['host', 'tool.example']],
  connection: { id: 'c', remoteAddress: '', calls: 0 },
  bound: null,
  readBody: () => Promise.resolve({ ok: true, bytes: null }),
};

void test('a failing part refuses with proxy.internal, tells the log, and frees its place', async () => {
  const failures: unknown[] = [];
  const admission = createAdmission({ callsMax: 1, bufferedBytesMax: 1, tunnelsMax: 1 });
  const failing = () => {
    throw new Error('a bug with a secret in its message');
  };
  const parts: Partial<Parts> = {
    admission,
    policy: failing,
    failed: (_id, error) => void failures.push(error),
    clock: { wallNs: () => 0n, monotonicMs: () => 0, uuid: () => 'id' },
  };
  const sent: { status: number; body: string }[] = [];
  const reply: Partial<Reply> = {
    started: false,
    send: (status, _headers, body) =>
      void sent.push({ status, body: Buffer.from(body).toString() }),
  };
  await handleCall(parts as Parts, forwardRoute, incoming, reply as Reply);
  assert.equal(sent[0]?.status, 500);
  assert.equal((JSON.parse(sent[0]?.body ?? '') as { reason: string }).reason, 'proxy.internal');
  assert.equal(sent[0]?.body.includes('secret'), false);
  assert.equal(failures.length, 1);
  assert.equal(admission.calls(), 0);
});
