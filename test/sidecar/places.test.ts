/** Places in the configuration that could never be reached are errors that name the file and the place in it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError, parseConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/schema.ts';
import { checkPlaces, placesOf } from '../../src/sidecar/places.ts';

const configured = (parts: Record<string, unknown>): Config =>
  parseConfig(
    JSON.stringify({
      apiVersion: 'egret.dev/v1',
      kind: 'SidecarConfig',
      agent: { id: 'a' },
      bundles: [{ name: 'main', directory: 'bundles' }],
      audit: { directory: 'audit' },
      ...parts,
    }),
    'egret.yaml',
  );

/** [sentence, configuration, what is said after the name of the file] */
const TABLE: readonly (readonly [string, Record<string, unknown>, RegExp])[] = [
  [
    'a fixed place in cloud metadata',
    { upstream: { hosts: { 'tool.example:80': '169.254.169.254:80' } } },
    /upstream\.hosts\.tool\.example:80: found "169\.254\.169\.254:80", a metadata address/,
  ],
  [
    'a fixed place in cloud metadata, inside an IPv6 address',
    { upstream: { hosts: { 'tool.example:80': '[::ffff:a9fe:a9fe]:80' } } },
    /upstream\.hosts\.tool\.example:80: found "\[::ffff:a9fe:a9fe\]:80", a metadata address/,
  ],
  [
    'a fixed place that is a name',
    { upstream: { hosts: { 'tool.example:80': 'other.example:80' } } },
    /upstream\.hosts\.tool\.example:80: found "other\.example:80", expected ADDRESS:PORT/,
  ],
  [
    'a fixed place for a host that no call can name',
    { upstream: { hosts: { 'Tool.Example.:80': '10.0.0.1:80' } } },
    /found "Tool\.Example\.:80", expected its normal form "tool\.example:80"/,
  ],
  [
    'a fixed place without a port',
    { upstream: { hosts: { 'tool.example': '10.0.0.1:80' } } },
    /upstream\.hosts\.tool\.example: found "tool\.example", expected HOST:PORT/,
  ],
  [
    'an MCP server in cloud metadata',
    { mcpServers: { mail: { url: 'http://[fd00:ec2::254]/mcp' } } },
    /mcpServers\.mail\.url: found "http:\/\/\[fd00:ec2::254\]\/mcp", a metadata address/,
  ],
  [
    'a tool in cloud metadata, as a URL may write it',
    { tools: { sly: { url: 'http://0xa9fea9fe/' } } },
    /tools\.sly\.url: found "http:\/\/0xa9fea9fe\/", a metadata address/,
  ],
  [
    'a tool under a name of cloud metadata',
    { tools: { sly: { url: 'http://metadata.google.internal/' } } },
    /tools\.sly\.url: .* a name of cloud metadata/,
  ],
  [
    'a block of link-local addresses',
    { upstream: { privateAddresses: ['10.0.0.0/8', '169.254.0.0/16'] } },
    /upstream\.privateAddresses\[1\]: found "169\.254\.0\.0\/16", link_local addresses/,
  ],
  [
    'a block that is none',
    { upstream: { clusterNetworks: ['10.0.0.0/33'] } },
    /upstream\.clusterNetworks\[0\]: found "10\.0\.0\.0\/33", expected a CIDR block/,
  ],
  [
    'a DNS server that is none',
    { upstream: { dnsServers: ['10.0.0.300:53'] } },
    /upstream\.dnsServers\[0\]: found "10\.0\.0\.300:53", expected ADDRESS:PORT/,
  ],
];

for (const [sentence, parts, message] of TABLE) {
  void test(`refused: ${sentence}`, () => {
    assert.throws(
      () => checkPlaces(configured(parts), 'egret.yaml'),
      (error: Error) => {
        assert.ok(error instanceof ConfigError);
        assert.match(error.message, message);
        assert.ok(error.message.startsWith('egret.yaml: '), error.message);
        return true;
      },
    );
  });
}

void test('every wrong place is named at once', () => {
  const upstream = { privateAddresses: ['x/8', 'fe80::/10'], hosts: { a: '127.0.0.1:80' } };
  assert.throws(() => checkPlaces(configured({ upstream }), 'egret.yaml'), {
    message: /^egret\.yaml: upstream\.hosts\.a: .*\n.*Addresses\[0\].*\n.*Addresses\[1\]/,
  });
});

void test('private places that the operator names are fine', () => {
  const config = configured({
    upstream: {
      hosts: { 'tool.example:80': '127.0.0.1:8080', '[::1]:80': '[fd00::1]:80' },
      privateAddresses: ['10.0.0.0/8', '0.0.0.0/0', '::/0', 'fc00::/7'],
      clusterNetworks: ['10.96.0.0/12', '93.184.0.0/16'],
      dnsServers: ['10.96.0.10:53', '[fd00::10]:53'],
    },
    mcpServers: { mail: { url: 'http://localhost:7001/mcp' } },
    tools: { plain: { url: 'https://10.1.2.3/' } },
  });
  assert.doesNotThrow(() => checkPlaces(config, 'egret.yaml'));
});

void test('the ports of the capture may be reached, the addresses of its DNS never', () => {
  const capture = { ports: { '8080': 15_081 }, dns: { ipv4: '198.18.0.9', ipv6: 'fd99::1' } };
  const places = placesOf(configured({ capture, upstream: { ports: [443] } }));
  assert.deepEqual(places.ports, [443, 8080]);
  assert.deepEqual(places.neverAddresses, ['198.18.0.9', 'fd99::1']);
  assert.deepEqual(placesOf(configured({})).ports, [80, 443]);
});
