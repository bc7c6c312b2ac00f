/** Of several checked addresses the next is tried when the first cannot be connected to, and the record says which. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startNameServer } from '../proxy/name-server.ts';
import { stageSidecar, stageTool } from './stage.ts';
import { exchange } from './wire.ts';

void test('when nobody listens at the first address of a name, the next one is tried', async (t) => {
  const tool = await stageTool(t);
  const names = await startNameServer(({ type }) =>
    type === 'A' ? [{ value: '127.0.0.3' }, { value: '127.0.0.1' }] : [],
  );
  t.after(() => names.close());
  const sidecar = await stageSidecar(t, {
    config: {
      enforcement: 'dryrun',
      tools: { local: { url: `http://localhost:${tool.port}` } },
      upstream: {
        privateAddresses: ['127.0.0.0/8'],
        ports: [tool.port],
        dnsServers: [names.address],
      },
    },
  });
  const authority = `two.example:${tool.port}`;
  const answer = await exchange(
    sidecar.ports.proxy,
    `GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`,
    { untilClosed: true },
  );
  assert.equal(answer.status, 200, answer.raw);
  assert.equal(tool.received.length, 1);
  const trusted = await exchange(
    sidecar.ports.gateway,
    'GET /tools/local/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n',
    { untilClosed: true },
  );
  assert.equal(trusted.status, 200, trusted.raw);
  assert.equal(tool.received.length, 2);
});
