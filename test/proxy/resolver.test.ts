/**
 * Where a permitted call goes: real DNS questions to a server that rebinds, mixes, delays and lies. Nothing is dialled.
 */
import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { type TestContext, test } from 'node:test';
import { createResolver, type Resolution, type ResolverOptions } from '../../src/proxy/resolver.ts';
import { type NameReply, type NameServer, type Question, startNameServer } from './name-server.ts';

const PUBLIC = '93.184.215.14';

async function stage(
  t: TestContext,
  answer: (question: Question) => NameReply | Promise<NameReply>,
  options: Partial<ResolverOptions> = {},
) {
  const server: NameServer = await startNameServer(answer);
  t.after(() => server.close());
  return { server, resolve: resolver({ dnsServers: [server.address], ...options }) };
}

const resolver = (options: Partial<ResolverOptions>) =>
  createResolver({
    hosts: {},
    privateAddresses: [],
    clusterNetworks: [],
    ports: [80, 443],
    ownPorts: () => new Set([15_001]),
    dnsServers: [],
    ...options,
  });

const only =
  (type: Question['type'], ...values: string[]) =>
  (question: Question): NameReply =>
    question.type === type ? values.map((value) => ({ value })) : [];

const said = (resolution: Resolution) =>
  resolution.ok ? resolution.addresses.join(' ') : resolution.reason;

void test('a name that rebinds gets its first address once, and nothing when it has moved inside', async (t) => {
  const { resolve, server } = await stage(t, ({ type, before }) =>
    type === 'A' ? [{ value: before === 0 ? PUBLIC : '127.0.0.1', ttl: 0 }] : [],
  );
  assert.equal(said(await resolve('rebind.example', 80)), PUBLIC);
  assert.equal(said(await resolve('rebind.example', 80)), 'upstream.address_denied');
  assert.equal(server.questions.filter(({ type }) => type === 'A').length, 2);
});

void test('one forbidden address among good ones refuses the name, wherever it stands', async (t) => {
  const bad = ['127.0.0.1', '10.0.0.1', '169.254.169.254', '198.18.0.1', '0.0.0.0'];
  const badIpv6 = ['::1', 'fd00:ec2::254', '::ffff:127.0.0.1', '64:ff9b::7f00:1', 'fe80::1', '::'];
  const { resolve } = await stage(t, ({ name, type }) => {
    const [index = 0, first] = name.split('.').map(Number);
    if (type === 'A') {
      const value = bad[index] ?? PUBLIC;
      return first === 1 ? [{ value }, { value: PUBLIC }] : [{ value: PUBLIC }, { value }];
    }
    const value = badIpv6[index - bad.length];
    return value === undefined ? [] : [{ value: '2606:4700::1' }, { value }];
  });
  for (let index = 0; index < bad.length + badIpv6.length; index += 1) {
    for (const first of [0, 1]) {
      const reason = said(await resolve(`${index}.${first}.mixed.example`, 443));
      assert.equal(reason, 'upstream.address_denied', bad[index] ?? badIpv6[index - bad.length]);
    }
  }
  assert.equal(said(await resolve('99.0.mixed.example', 443)), PUBLIC);
});

void test('a chain of aliases counts by the addresses at its end', async (t) => {
  const { resolve } = await stage(t, ({ name, type }) => {
    if (type !== 'A') return [];
    const inside = name.startsWith('inside');
    return [
      { value: 'hop.example', alias: true },
      { name: 'hop.example', value: 'api.default.svc.cluster.local', alias: true },
      { name: 'api.default.svc.cluster.local', value: inside ? '10.96.0.1' : PUBLIC },
    ];
  });
  assert.equal(said(await resolve('inside.example', 443)), 'upstream.address_denied');
  assert.equal(said(await resolve('outside.example', 443)), PUBLIC);
});

void test('an alias without an address, an endless alias and no answer at all are unresolved', async (t) => {
  const { resolve } = await stage(t, ({ name }) => {
    if (name === 'alias.example') return [{ value: 'localhost', alias: true }];
    if (name === 'endless.example') return [{ value: 'endless.example', alias: true }];
    if (name === 'failing.example') return { code: 2 };
    return { code: 3 };
  });
  for (const name of ['alias', 'endless', 'failing', 'unknown']) {
    assert.equal(said(await resolve(`${name}.example`, 80)), 'upstream.unresolved', name);
  }
});

void test('a family that cannot be asked for does not hide the other', async (t) => {
  const { resolve } = await stage(t, ({ name, type }) => {
    const failing = name.startsWith('four') ? 'AAAA' : 'A';
    if (type === failing) return { code: 2 };
    return [{ value: type === 'A' ? PUBLIC : '2606:4700::1' }];
  });
  assert.equal(said(await resolve('four.example', 443)), PUBLIC);
  assert.equal(said(await resolve('six.example', 443)), '2606:4700::1');
});

void test('more answers than an honest name has are none', async (t) => {
  const many = (count: number) => Array.from({ length: count }, (_, at) => `93.184.215.${at}`);
  const { resolve } = await stage(t, ({ name, type }) =>
    only('A', ...many(Number(name.split('.')[0])))({ name, type, before: 0 }),
  );
  const most = await resolve('32.example', 80);
  assert.ok(most.ok);
  assert.deepEqual(most.addresses, many(4));
  assert.equal(said(await resolve('33.example', 80)), 'upstream.unresolved');
});

void test('IPv4 addresses come first, and all of them are pinned', async (t) => {
  const { resolve } = await stage(t, ({ type }) =>
    type === 'A' ? [{ value: PUBLIC }, { value: '93.184.215.15' }] : [{ value: '2606:4700::1' }],
  );
  assert.deepEqual(await resolve('both.example', 443), {
    ok: true,
    address: PUBLIC,
    addresses: [PUBLIC, '93.184.215.15', '2606:4700::1'],
    port: 443,
  });
});

void test('a name is asked for as it stands, for two families, and remembered as long as it may be', async (t) => {
  const { resolve, server } = await stage(t, only('A', PUBLIC));
  await Promise.all(Array.from({ length: 50 }, () => resolve('once.example', 80)));
  await resolve('once.example', 443);
  assert.deepEqual(server.questions.map(({ name, type }) => `${name} ${type}`).sort(), [
    'once.example A',
    'once.example AAAA',
  ]);
});

void test('names of the machine, of clouds and of nothing are not even asked for', async (t) => {
  const { resolve, server } = await stage(t, only('A', PUBLIC), {
    privateAddresses: ['0.0.0.0/0', '::/0'],
  });
  const denied = ['localhost', 'x.localhost', 'metadata', 'metadata.google.internal', 'kubernetes'];
  for (const name of [...denied, 'instance-data', 'host.docker.internal', 'com']) {
    assert.equal(said(await resolve(name, 80)), 'upstream.address_denied', name);
  }
  for (const name of ['nowhere.invalid', 'x.onion', '1.0.0.127.in-addr.arpa']) {
    assert.equal(said(await resolve(name, 80)), 'upstream.unresolved', name);
  }
  assert.deepEqual(server.questions, []);
});

void test('a port that is not listed is refused before anybody is asked', async (t) => {
  const { resolve, server } = await stage(t, only('A', PUBLIC), {
    hosts: { 'tool.example:8443': '10.0.0.9:9443' },
  });
  assert.equal(said(await resolve('other.example', 8443)), 'upstream.port_denied');
  assert.equal(said(await resolve('tool.example', 22)), 'upstream.port_denied');
  assert.equal(said(await resolve(PUBLIC, 25)), 'upstream.port_denied');
  assert.equal(said(await resolve(PUBLIC, 443)), PUBLIC);
  assert.deepEqual(server.questions, []);
});

void test('a fixed place holds for its host and port alone', async (t) => {
  const { resolve } = await stage(t, only('A', PUBLIC), {
    hosts: { 'tool.example:443': '10.0.0.9:8443', '[2001:db8::1]:80': '[::1]:8080' },
  });
  assert.deepEqual(await resolve('tool.example', 443), {
    ok: true,
    address: '10.0.0.9',
    addresses: ['10.0.0.9'],
    port: 8443,
  });
  assert.deepEqual(said(await resolve('2001:db8::1', 80)), '::1');
  assert.equal(said(await resolve('tool.example', 80)), PUBLIC);
  assert.equal(said(await resolve('10.0.0.9', 443)), 'upstream.address_denied');
});

void test('a fixed place is neither cloud metadata nor a listener of the sidecar', async (t) => {
  const { resolve } = await stage(t, only('A', PUBLIC), {
    hosts: {
      'metadata.example:80': '169.254.169.254:80',
      'carried.example:80': '[::ffff:a9fe:a9fe]:80',
      'own.example:80': '127.0.0.1:15001',
      'mapped.example:80': '[::ffff:127.0.0.1]:15001',
    },
  });
  for (const name of ['metadata', 'carried', 'own', 'mapped']) {
    assert.equal(said(await resolve(`${name}.example`, 80)), 'upstream.address_denied', name);
  }
});

void test('the operator may name what no agent may, but no metadata and no listener of the sidecar', async () => {
  const resolve = resolver({});
  assert.equal(said(await resolve('127.0.0.1', 7001, 'operator')), '127.0.0.1');
  assert.equal(said(await resolve('10.1.2.3', 7001, 'operator')), '10.1.2.3');
  const named = await resolve('localhost', 7001, 'operator');
  assert.ok(named.ok && ['127.0.0.1', '::1'].includes(named.address), said(named));
  for (const address of ['169.254.169.254', 'fd00:ec2::254', '168.63.129.16', '0.0.0.0']) {
    assert.equal(said(await resolve(address, 80, 'operator')), 'upstream.address_denied', address);
  }
  assert.equal(said(await resolve('localhost', 15_001, 'operator')), 'upstream.address_denied');
});

void test('names of the private network lead only into blocks that the operator opened', async (t) => {
  const address = ({ name }: Question) =>
    name.startsWith('open') ? '10.7.0.1' : name.startsWith('closed') ? '10.8.0.1' : PUBLIC;
  const answer = (question: Question) => only('A', address(question))(question);
  const { resolve } = await stage(t, answer, { privateAddresses: ['10.7.0.0/16'] });
  for (const suffix of ['corp.internal', 'tools.svc', 'tools.svc.cluster.local', 'local']) {
    assert.equal(said(await resolve(`open.${suffix}`, 80)), '10.7.0.1', suffix);
    assert.equal(said(await resolve(`closed.${suffix}`, 80)), 'upstream.address_denied', suffix);
    assert.equal(said(await resolve(`public.${suffix}`, 80)), 'upstream.address_denied', suffix);
  }
  const shut = await stage(t, answer);
  assert.equal(said(await shut.resolve('open.corp.internal', 80)), 'upstream.address_denied');
  assert.deepEqual(shut.server.questions, []);
});

void test('what the own DNS hands out is no destination, whatever is opened', async (t) => {
  const { resolve } = await stage(t, only('A', '198.18.0.1'), {
    privateAddresses: ['198.18.0.0/15'],
    neverAddresses: ['198.18.0.1'],
  });
  assert.equal(said(await resolve('captured.example', 443)), 'upstream.address_denied');
  assert.equal(said(await resolve('198.18.0.1', 443)), 'upstream.address_denied');
  assert.equal(said(await resolve('198.18.0.2', 443)), '198.18.0.2');
});

void test('the sidecar’s own listeners are no destination in an open network, by address or by name', async (t) => {
  const { resolve } = await stage(t, only('A', '10.0.0.7'), {
    privateAddresses: ['0.0.0.0/0', '::/0'],
    ports: [80, 15_001],
  });
  for (const address of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:7f00:1', '10.0.0.7']) {
    assert.equal(said(await resolve(address, 15_001)), 'upstream.address_denied', address);
    assert.equal(said(await resolve(address, 80)), address);
  }
  assert.equal(said(await resolve('api.example', 15_001)), 'upstream.address_denied');
  assert.equal(said(await resolve('api.example', 80)), '10.0.0.7');
  assert.equal(said(await resolve(PUBLIC, 15_001)), PUBLIC);
});

void test('the addresses of this machine are no destination of an agent', async () => {
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  assert.ok(own.length > 0);
  const resolve = resolver({});
  for (const { address } of own) {
    assert.equal(said(await resolve(address, 443)), 'upstream.address_denied', address);
  }
});

void test('a server that never answers ends the question in bounded time', async (t) => {
  const { resolve, server } = await stage(t, () => 'silence');
  assert.equal(said(await resolve('slow.example', 443)), 'upstream.unresolved');
  assert.ok(server.questions.length >= 2);
});

void test('what is no place is refused when the resolver is made', () => {
  assert.throws(() => resolver({ hosts: { 'tool.example': '10.0.0.1:80' } }), /"tool\.example"/);
  assert.throws(() => resolver({ hosts: { 'a.example:80': 'b.example:80' } }), /"b\.example:80"/);
  assert.throws(() => resolver({ privateAddresses: ['10.0.0.0'] }), /"10\.0\.0\.0"/);
  assert.throws(() => resolver({ dnsServers: ['nonsense'] }), /nonsense/);
});
