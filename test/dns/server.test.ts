/** The name server on real sockets: both protocols, hostile clients, bounds, names that change. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { listenDns } from '../../src/dns/server.ts';
import { framed, stage, tcpClient, udpClient, until } from './client.ts';
import { A, AAAA, NULL, optBytes, queryBytes, readReply, TXT } from './wire.ts';

const LISTED = queryBytes({ name: 'api.example.com' });
const REFUSED = 5;
const NXDOMAIN = 3;

test('UDP and TCP on both loopback addresses share one port and give one answer', async (t) => {
  const { server } = await stage(t, { hosts: ['127.0.0.1', '::1'], ipv6: 'fd00::18' });
  assert.equal(new Set(server.addresses.map(({ port }) => port)).size, 1);
  assert.deepEqual(
    server.addresses.map(({ host }) => host),
    ['127.0.0.1', '::1'],
  );
  for (const { host, port } of server.addresses) {
    const tcp = await tcpClient(t, port, host);
    tcp.socket.write(framed(LISTED));
    const overTcp = await tcp.next();
    const overUdp = await udpClient(t, port, host).ask(LISTED);
    assert.deepEqual(overTcp, overUdp);
    const [answer] = readReply(overUdp).answers;
    assert.equal(answer?.type, A);
    assert.deepEqual(answer?.data, Buffer.of(198, 18, 0, 1));
    const [six] = readReply(
      await udpClient(t, port, host).ask(queryBytes({ name: 'api.example.com', type: AAAA })),
    ).answers;
    assert.equal(six?.data.toString('hex'), `fd${'00'.repeat(14)}18`);
  }
});

test('a reply comes from the address that was asked, which is what the redirect needs', async (t) => {
  const { port } = await stage(t, { hosts: ['127.0.0.1', '::1'] });
  for (const host of ['127.0.0.1', '::1']) {
    const socket = createSocket(host === '::1' ? 'udp6' : 'udp4');
    t.after(() => socket.close());
    await new Promise<void>((resolve) => socket.connect(port, host, resolve));
    const reply = once(socket, 'message');
    socket.send(LISTED);
    await reply;
  }
});

test('a port that is taken ends the start, names the address and leaves nothing open', async (t) => {
  const taken = createSocket('udp4');
  t.after(() => taken.close());
  await new Promise<void>((resolve) => taken.bind(0, '127.0.0.1', resolve));
  const { port } = taken.address();
  await assert.rejects(
    stage(t, { port }),
    (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' && error.message.includes('127.0.0.1'),
  );
  const tcp = createServer();
  t.after(() => tcp.close());
  await new Promise<void>((resolve, reject) => {
    tcp.once('error', reject);
    tcp.listen(port, '127.0.0.1', resolve);
  });
});

test('a configured address that is none ends the start before anything is open', async (t) => {
  await assert.rejects(stage(t, { ipv4: '198.18.0' }), RangeError);
});

test('after close the port is free again and open connections are gone', async (t) => {
  const options = {
    hosts: ['127.0.0.1'],
    port: 0,
    ipv4: '198.18.0.1',
    ttlSeconds: 1,
    queriesPerSecond: 10,
    names: [],
    counted: () => undefined,
    signed: () => undefined,
    suspected: () => undefined,
  };
  const first = await listenDns(options);
  const port = first.addresses[0]?.port ?? 0;
  const client = await tcpClient(t, port);
  await first.close();
  assert.equal(await client.next(), null);
  const second = await listenDns({ ...options, port });
  await second.close();
});

test('names are swapped while queries come: each is answered by the old or the new set', async (t) => {
  const { server, port } = await stage(t, { names: ['old.example.com', 'both.example.com'] });
  const client = udpClient(t, port);
  const rcode = async (name: string) => readReply(await client.ask(queryBytes({ name }))).rcode;
  assert.deepEqual([await rcode('old.example.com'), await rcode('new.example.com')], [0, NXDOMAIN]);
  let swaps = 0;
  const swap = setInterval(() => {
    swaps += 1;
    server.setNames([swaps % 2 === 0 ? 'old.example.com' : 'new.example.com', 'both.example.com']);
  }, 1);
  t.after(() => clearInterval(swap));
  while (swaps < 50) assert.equal(await rcode('both.example.com'), 0);
  clearInterval(swap);
  server.setNames(['new.example.com']);
  assert.deepEqual([await rcode('old.example.com'), await rcode('new.example.com')], [NXDOMAIN, 0]);
});

test('beyond the rate queries are refused and broken messages dropped, for all clients together', async (t) => {
  let nowMs = 0;
  const { port, counts } = await stage(t, { queriesPerSecond: 10, nowMs: () => nowMs });
  const [one, two] = [udpClient(t, port), udpClient(t, port)];
  const rcodes: number[] = [];
  for (let n = 0; n < 30; n += 1) {
    rcodes.push(readReply(await (n % 2 === 0 ? one : two).ask(LISTED)).rcode);
  }
  assert.deepEqual(rcodes, [...Array(20).fill(0), ...Array(10).fill(REFUSED)]);
  assert.equal(counts.get('limited'), 10);
  one.send(LISTED.subarray(0, 20));
  await until(() => counts.get('malformed') === 1);
  nowMs += 500;
  const later: number[] = [];
  for (let n = 0; n < 6; n += 1) later.push(readReply(await one.ask(LISTED)).rcode);
  assert.deepEqual(later, [0, 0, 0, 0, 0, REFUSED]);
  assert.equal(one.replies.length, 15 + 6);
});

test('a flood of datagrams is answered or counted, and the next second is as any other', async (t) => {
  let nowMs = 0;
  const { port, counts } = await stage(t, { queriesPerSecond: 100, nowMs: () => nowMs });
  const client = udpClient(t, port);
  for (let n = 0; n < 5000; n += 1) {
    client.send(queryBytes({ name: `x${n}.evil.example`, id: n }));
    if (n % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await until(() => (counts.get('limited') ?? 0) > 100);
  assert.equal(counts.get('no_name'), 200);
  const fresh = udpClient(t, port);
  // As resolvers do: what the kernel dropped, or what came behind the rest of the flood, is asked again.
  const again = setInterval(() => {
    nowMs += 1000;
    fresh.send(LISTED);
  }, 20);
  t.after(() => clearInterval(again));
  await until(() => fresh.replies.some((reply) => readReply(reply).rcode === 0));
});

test('no reply is longer than 512 bytes or 50 more than the query, for any type, with and without EDNS', async (t) => {
  const { port } = await stage(t, { ipv6: 'fd00::18' });
  const client = udpClient(t, port);
  const names = [
    'api.example.com',
    'a.tools.example.net',
    'nope.example',
    '',
    'a'.repeat(63),
    '4.3.2.1.in-addr.arpa',
  ];
  for (const name of names) {
    for (const type of [
      1, 2, 5, 6, 10, 12, 15, 16, 28, 33, 41, 43, 46, 48, 64, 65, 252, 255, 257,
    ]) {
      for (const behind of [Buffer.alloc(0), optBytes(undefined, { payload: 65_535 })]) {
        const query = queryBytes({ name, type, behind });
        const reply = await client.ask(query);
        assert.ok(
          reply.length <= Math.min(512, query.length + 50),
          `${name} ${type}: ${reply.length}`,
        );
        assert.equal(readReply(reply).flags & 0x0200, 0, 'not truncated');
      }
    }
  }
});

test('what is no query gets at most a header back, and answers get nothing', async (t) => {
  const { port, counts } = await stage(t);
  const client = udpClient(t, port);
  client.send(Buffer.alloc(0));
  client.send(Buffer.from('hello'));
  client.send(queryBytes({ name: 'api.example.com', flags: 0x8180 }));
  client.send(Buffer.alloc(9000, 0x41));
  const loop = queryBytes({ name: '', counts: [1, 0, 0, 0] });
  const pointer = Buffer.concat([loop.subarray(0, 12), Buffer.from('c00c00010001', 'hex')]);
  client.send(pointer);
  await until(() => counts.get('malformed') === 5);
  client.send(LISTED);
  await until(() => client.replies.length === 3);
  // The 9000 bytes say that they are a query; 0x4141 has the operation code 8.
  assert.deepEqual(
    client.replies.map((reply) => [reply.length, readReply(reply).rcode]),
    [
      [12, 4],
      [12, 1],
      [LISTED.length + 16, 0],
    ],
  );
});

test('half a message over TCP is waited for, then cut; other clients are served meanwhile', async (t) => {
  const { port } = await stage(t, { idleMs: 150 });
  const slow = await tcpClient(t, port);
  slow.socket.write(framed(LISTED).subarray(0, 7));
  const other = await tcpClient(t, port);
  other.socket.write(framed(LISTED));
  assert.ok((await other.next()) !== null);
  assert.equal(await slow.next(), null);
});

test('a client that drips one byte after another is cut as well: only whole queries count', async (t) => {
  const { port } = await stage(t, { idleMs: 150 });
  const slow = await tcpClient(t, port);
  let sent = 0;
  const drip = setInterval(() => {
    if (!slow.socket.destroyed) slow.socket.write(framed(LISTED).subarray(sent, sent + 1));
    sent += 1;
  }, 20);
  t.after(() => clearInterval(drip));
  assert.equal(await slow.next(), null);
  assert.ok(sent < LISTED.length);
});

test('a query in single bytes, quickly, is answered', async (t) => {
  const { port } = await stage(t);
  const client = await tcpClient(t, port);
  for (const byte of framed(LISTED)) {
    client.socket.write(Buffer.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(readReply((await client.next()) ?? Buffer.alloc(0)).rcode, 0);
});

test('many queries in one write are answered in their order', async (t) => {
  const { port } = await stage(t);
  const client = await tcpClient(t, port);
  const queries = Array.from({ length: 3000 }, (_, id) =>
    framed(queryBytes({ name: 'api.example.com', id })),
  );
  client.socket.write(Buffer.concat(queries));
  for (let id = 0; id < queries.length; id += 1) {
    assert.equal((await client.next())?.readUInt16BE(0), id);
  }
});

test('from a client that reads no answers no more than a bounded number of queries is taken', async (t) => {
  const { port, counts } = await stage(t, { idleMs: 600 });
  const client = await tcpClient(t, port);
  client.socket.pause();
  const block = Buffer.concat(Array.from({ length: 2000 }, () => framed(LISTED)));
  let blocks = 0;
  const write = () => {
    while (!client.socket.destroyed && blocks < 2000) {
      blocks += 1;
      if (!client.socket.write(block)) break;
    }
  };
  client.socket.on('drain', write);
  const closed = new Promise((resolve) => client.socket.once('close', resolve));
  write();
  await closed;
  // Four million were offered; what fits into buffers of the kernel was taken.
  assert.ok((counts.get('address') ?? 0) < 500_000, `${counts.get('address')} queries`);
});

const NO_QUERIES: readonly (readonly [string, Buffer])[] = [
  ['of length 0', Buffer.of(0, 0)],
  ['shorter than a header', Buffer.of(0, 11)],
  ['longer than any query', Buffer.of(2, 1)],
  ['of 65535 bytes', Buffer.of(255, 255)],
  ['that is an HTTP request', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ['that is TLS', Buffer.from('160301020001', 'hex')],
  ['that is an answer', framed(queryBytes({ name: 'a', flags: 0x8180 }))],
];

for (const [sentence, bytes] of NO_QUERIES) {
  test(`a TCP message ${sentence} ends the connection at its length`, async (t) => {
    const { port, counts } = await stage(t);
    const client = await tcpClient(t, port);
    client.socket.write(bytes);
    assert.equal(await client.next(), null);
    assert.equal(counts.get('malformed'), 1);
  });
}

test('connections beyond the bound are closed, and there is room again when one ends', async (t) => {
  const { port, counts } = await stage(t, { connectionsMax: 2 });
  const [one, two] = [await tcpClient(t, port), await tcpClient(t, port)];
  const three = await tcpClient(t, port);
  assert.equal(await three.next(), null);
  assert.equal(counts.get('dropped'), 1);
  one.socket.write(framed(LISTED));
  assert.ok((await one.next()) !== null);
  two.socket.destroy();
  await served(t, port);
});

/** Tries until a connection is taken: the end of another one takes its time to arrive. */
async function served(t: TestContext, port: number): Promise<void> {
  for (;;) {
    const client = await tcpClient(t, port);
    client.socket.write(framed(LISTED));
    if ((await client.next()) !== null) return;
  }
}

test('signs of tunnelling are counted and reported per client, over both protocols', async (t) => {
  const { port, signs, suspicions } = await stage(t, { hosts: ['127.0.0.1', '::1'] });
  const secret = 'k7a2'.repeat(15);
  const name = `${secret}.t.evil.example`;
  const udp = udpClient(t, port);
  assert.equal(readReply(await udp.ask(queryBytes({ name, type: TXT }))).rcode, REFUSED);
  assert.equal(readReply(await udp.ask(queryBytes({ name, type: NULL }))).rcode, REFUSED);
  const tcp = await tcpClient(t, port, '::1');
  tcp.socket.write(framed(queryBytes({ name })));
  assert.equal(readReply((await tcp.next()) ?? Buffer.alloc(0)).rcode, NXDOMAIN);
  assert.equal(signs.get('long_name'), 3);
  assert.deepEqual(
    suspicions.map(({ client, parent }) => `${client} ${parent}`),
    ['127.0.0.1 evil.example', '::1 evil.example'],
  );
  assert.ok(!JSON.stringify(suspicions).includes('k7a2'));
});
