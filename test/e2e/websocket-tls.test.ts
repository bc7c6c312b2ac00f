/** WebSockets inside TLS that the sidecar opened: the tool's certificate is verified before anything is asked of it. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createCertificateAuthority } from '../../src/tls/certificate-authority.ts';
import { eventually } from './agent.ts';
import { outcomesOf, readLeaves } from './audit-log.ts';
import { newDirectory } from './sidecar-process.ts';
import { auditOf, removeAfter, stageSidecar } from './stage.ts';
import { publishedBundle, tlsTo } from './tls-stage.ts';
import { frame, masked, opening, openOn, reasonIn, stageWebSocketTool } from './websocket-peer.ts';

const HOST = 'tool.example';
const OTHER = 'untrusted.example';

void test('frames pass inside TLS on both sides, and a certificate of nobody opens nothing', async (t) => {
  const nowMs = Date.now();
  const authority = await createCertificateAuthority({ names: [], validHours: 24, nowMs });
  const { certificatePem: cert, keyPem: key } = await authority.issue(HOST, nowMs);
  const tool = await stageWebSocketTool(t, { tls: { cert, key } });
  const directory = removeAfter(t, newDirectory());
  const caFile = join(directory, 'tool-ca.pem');
  writeFileSync(caFile, authority.certificatePem);
  const at = `127.0.0.1:${tool.port}`;
  const sidecar = await stageSidecar(t, {
    config: {
      enforcement: 'dryrun',
      tls: { trustDirectory: join(directory, 'trust') },
      upstream: {
        hosts: { [`${HOST}:443`]: at, [`${OTHER}:443`]: at },
        caFiles: { [`${HOST}:443`]: caFile },
        webSockets: ['*.example:443'],
      },
    },
  });
  const ca = publishedBundle({ directory });
  const { proxy: port } = sidecar.ports;
  const socket = await tlsTo({ port, connect: `${HOST}:443`, servername: HOST, ca });
  const agent = await openOn(socket, opening(HOST));
  assert.match(agent.head, /^HTTP\/1\.1 101 /);
  const [server] = tool.peers;
  agent.send(masked('hello'));
  await eventually(() => server?.frames[0]?.text === 'hello');
  server?.send(frame('back'));
  await eventually(() => agent.frames[0]?.text === 'back');
  socket.destroy();
  await eventually(() => server?.ended === true);

  const other = await tlsTo({ port, connect: `${OTHER}:443`, servername: OTHER, ca });
  const refused = await openOn(other, opening(OTHER));
  assert.equal(reasonIn(refused), 'upstream.certificate_invalid');
  other.destroy();
  assert.equal(tool.peers.length, 1);
  const outcomes = () => outcomesOf(readLeaves(auditOf(sidecar)));
  await eventually(() => outcomes().length === 2);
  const reasons = outcomes().map(({ egret }) => egret.outcome?.reason);
  assert.deepEqual(reasons, [null, 'upstream.certificate_invalid']);
});
