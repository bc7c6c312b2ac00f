/**
 * Thousands of spellings of places where no agent may go. Each is either no authority at all, or is recognised as what
 * it is; none needs a DNS server to be refused, and none is refused by chance only because nothing answers.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { parseAuthority } from '../../src/call/authority.ts';
import { createResolver } from '../../src/proxy/resolver.ts';
import {
  type Spelling,
  spellingsOfIpv4,
  spellingsOfIpv6,
  spellingsOfName,
} from './address-spellings.ts';
import { type NameServer, startNameServer } from './name-server.ts';

const IPV4 = [
  ...['127.0.0.1', '127.127.127.127', '0.0.0.0', '10.0.0.1', '172.16.0.1', '192.168.1.1'],
  ...['169.254.169.254', '169.254.170.2', '169.254.170.23', '100.100.100.200', '168.63.129.16'],
  ...['100.64.0.1', '192.0.0.192', '198.18.0.1', '224.0.0.1', '255.255.255.255', '192.0.2.1'],
];
const IPV6 = [
  ...['::1', '::', 'fd00:ec2::254', 'fd00:ec2::23', 'fd20:ce::254', 'fe80::1', 'fc00::1'],
  ...['fe80::a9fe:a9fe', 'fec0::1', 'ff02::1', '2001:db8::1', '100::1', '5f00::1', '3fff::1'],
];
const NAMES = [
  ...['localhost', 'a.localhost', 'localhost.localdomain', 'ip6-localhost', 'broadcasthost'],
  ...['metadata', 'metadata.google.internal', 'a.metadata.google.internal', 'metadata.goog'],
  ...['instance-data', 'instance-data.ec2.internal', 'metadata.packet.net', 'rancher-metadata'],
  ...['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'printer.local', 'router.lan'],
  ...['kubernetes.default.svc.cluster.local', 'host.docker.internal', 'vault.internal', 'db.corp'],
];

/** A public address for every name, so that a name that gets through is found out. */
const server: NameServer = await startNameServer(({ type }) =>
  type === 'A' ? [{ value: '93.184.215.14' }] : [],
);
after(() => server.close());
const resolve = createResolver({
  hosts: {},
  privateAddresses: [],
  clusterNetworks: [],
  ports: [80, 443],
  ownPorts: () => new Set(),
  dnsServers: [server.address],
});

/** @returns the reason code, or where the call would go. */
async function fate({ text }: Spelling): Promise<string> {
  const authority = parseAuthority(text, 80);
  if (!authority.ok) return authority.reason;
  const place = await resolve(authority.host, authority.port);
  return place.ok ? `reaches ${place.address}` : place.reason;
}

const tested = new Set<string>();

async function assertRefused(place: string, spellings: readonly Spelling[]): Promise<void> {
  for (const spelling of spellings) {
    const named = `${place}, ${spelling.name}: ${JSON.stringify(spelling.text)}`;
    const reason = await fate(spelling);
    assert.ok(
      ['call.bad_authority', 'upstream.address_denied'].includes(reason),
      `${named} ${reason}`,
    );
    tested.add(spelling.text);
  }
}

for (const [kind, places, spellingsOf] of [
  ['IPv4 address', IPV4, spellingsOfIpv4],
  ['IPv6 address', IPV6, spellingsOfIpv6],
  ['name', NAMES, spellingsOfName],
] as const) {
  for (const place of places) {
    void test(`no spelling of the ${kind} ${place} is reached`, async () => {
      await assertRefused(place, spellingsOf(place));
    });
  }
}

void test('at least 2000 different spellings were tried, and no name server was asked', () => {
  assert.ok(tested.size >= 2000, String(tested.size));
  assert.deepEqual(server.questions, []);
});

void test('the plain spelling of a good place is reached, so refusing is not all this can do', async () => {
  assert.equal(await fate({ name: 'name', text: 'api.example.com' }), 'reaches 93.184.215.14');
  assert.equal(await fate({ name: 'address', text: '93.184.215.15:443' }), 'reaches 93.184.215.15');
});

void test('what a URL parser would read as a forbidden IPv4 address is refused before it is parsed', () => {
  const read = IPV4.flatMap(spellingsOfIpv4).filter(({ text }) => {
    const host = URL.canParse(`http://${text}`) ? new URL(`http://${text}`).hostname : '';
    return IPV4.includes(host) && text !== host && !text.endsWith(':80');
  });
  assert.ok(read.length > 200, String(read.length));
  for (const { name, text } of read)
    assert.equal(parseAuthority(text, 80).ok, false, `${name} ${text}`);
});
