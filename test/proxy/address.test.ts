/** Classes of addresses, beside an independent library. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { block, classifyAddress, parseAddress, sameAddress } from '../../src/proxy/address.ts';

const TABLE: readonly (readonly [string, string])[] = [
  ['8.8.8.8', 'public'],
  ['2606:4700:4700::1111', 'public'],
  ['10.1.2.3', 'private'],
  ['172.31.255.255', 'private'],
  ['172.32.0.1', 'public'],
  ['192.168.0.1', 'private'],
  ['127.0.0.1', 'loopback'],
  ['127.255.255.254', 'loopback'],
  ['169.254.169.254', 'metadata'],
  ['169.254.1.1', 'link_local'],
  ['168.63.129.16', 'metadata'],
  ['100.64.0.1', 'shared'],
  ['100.100.100.200', 'metadata'],
  ['0.0.0.0', 'unspecified'],
  ['255.255.255.255', 'broadcast'],
  ['255.255.255.254', 'reserved'],
  ['240.0.0.1', 'reserved'],
  ['192.0.2.1', 'documentation'],
  ['198.51.100.1', 'documentation'],
  ['203.0.113.1', 'documentation'],
  ['192.88.99.1', 'reserved'],
  ['192.0.0.1', 'reserved'],
  ['192.0.0.192', 'metadata'],
  ['169.254.170.2', 'metadata'],
  ['2001:db8::1', 'documentation'],
  ['3fff::1', 'documentation'],
  ['2001:2::1', 'benchmark'],
  ['2001:20::1', 'reserved'],
  ['100::1', 'reserved'],
  ['fe80::a9fe:a9fe', 'metadata'],
  ['fd00:ec2::23', 'metadata'],
  ['fd20:ce::254', 'metadata'],
  ['224.0.0.1', 'multicast'],
  ['198.18.0.1', 'benchmark'],
  ['::', 'unspecified'],
  ['::1', 'loopback'],
  ['::ffff:127.0.0.1', 'loopback'],
  ['::ffff:8.8.8.8', 'embedded'],
  ['::127.0.0.1', 'loopback'],
  ['64:ff9b::7f00:1', 'loopback'],
  ['2002:7f00:1::', 'loopback'],
  ['2001::1', 'unspecified'],
  ['fc00::1', 'private'],
  ['fd00:ec2::254', 'metadata'],
  ['fe80::1', 'link_local'],
  ['fec0::1', 'site_local'],
  ['fd00::5efe:a9fe:a9fe', 'metadata'],
  ['fd00::5efe:808:808', 'private'],
  ['fec0::5efe:7f00:1', 'site_local'],
  ['ff02::1', 'multicast'],
  ['5f00::1', 'reserved'],
  ['127.1', 'invalid'],
  ['0x7f.0.0.1', 'invalid'],
  ['2130706433', 'invalid'],
  ['01.2.3.4', 'invalid'],
  ['fe80::1%eth0', 'invalid'],
  ['[::1]', 'invalid'],
  ['1::2::3', 'invalid'],
  ['', 'invalid'],
  ['localhost', 'invalid'],
];

for (const [text, ipClass] of TABLE) {
  test(`the address ${text || '(empty)'} is ${ipClass}`, () => {
    assert.equal(classifyAddress(text), ipClass);
  });
}

test('a malformed block is refused by name', () => {
  for (const text of ['10.0.0.0', '10.0.0.0/33', '10.0.0/8', 'x/8', '::/129']) {
    assert.throws(() => block(text), new RegExp(`found "${text}"`.replaceAll('/', '\\/')), text);
  }
});

test('one address in two spellings is one peer, an IPv4 peer of an IPv6 socket included', () => {
  const same = [
    ['127.0.0.1', '::ffff:127.0.0.1'],
    ['::ffff:7f00:1', '127.0.0.1'],
    ['2001:DB8::1', '2001:db8:0:0:0:0:0:1'],
  ] as const;
  for (const [left, right] of same) assert.ok(sameAddress(left, right), `${left} ${right}`);
  const different = [
    ['127.0.0.1', '127.0.0.2'],
    ['127.0.0.1', '::127.0.0.1'],
    ['localhost', 'localhost'],
    ['', ''],
  ] as const;
  for (const [left, right] of different) assert.ok(!sameAddress(left, right), `${left} ${right}`);
});

test('an IPv6 address is as bad as any IPv4 address that can be read out of it', () => {
  const carriers: readonly ((a: number, b: number, c: number, d: number) => string)[] = [
    (a, b, c, d) => `::ffff:${a}.${b}.${c}.${d}`,
    (a, b, c, d) => `::ffff:0:${a}.${b}.${c}.${d}`,
    (a, b, c, d) => `::${a}.${b}.${c}.${d}`,
    (a, b, c, d) => `64:ff9b::${a}.${b}.${c}.${d}`,
    (a, b, c, d) => `64:ff9b:1::${a}.${b}.${c}.${d}`,
    (a, b, c, d) => `64:ff9b:1:${hex(a, b)}:${hex(0, c)}:${hex(d, 0)}::`,
    (a, b, c, d) => `2002:${hex(a, b)}:${hex(c, d)}::1`,
    (a, b, c, d) => `2001:0:${hex(a, b)}:${hex(c, d)}::f7f7:f7f7`,
    (a, b, c, d) => `2001:0:808:808::${hex(255 - a, 255 - b)}:${hex(255 - c, 255 - d)}`,
    (a, b, c, d) => `2606:4700::5efe:${a}.${b}.${c}.${d}`,
    (a, b, c, d) => `2606:4700::200:5efe:${a}.${b}.${c}.${d}`,
  ];
  for (const carrier of carriers) {
    assert.equal(classifyAddress(carrier(127, 0, 0, 1)), 'loopback', carrier(127, 0, 0, 1));
    assert.equal(classifyAddress(carrier(10, 1, 2, 3)), 'private', carrier(10, 1, 2, 3));
    assert.equal(classifyAddress(carrier(169, 254, 169, 254)), 'metadata');
    assert.equal(classifyAddress(carrier(168, 63, 129, 16)), 'metadata');
    assert.equal(classifyAddress(carrier(8, 8, 8, 8)), 'embedded', carrier(8, 8, 8, 8));
  }
});

const hex = (high: number, low: number) => (high * 256 + low).toString(16);

test('an address is parsed to the same bytes as by an independent library', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
      // The library reads `::1.2.3.4` as an IPv4-mapped address, which RFC 4291 writes `::ffff:1.2.3.4`.
      fc.pre(!/^::[0-9.]+$/.test(text));
      const ours = parseAddress(text);
      assert.ok(ours !== null, text);
      assert.deepEqual([...ours], ipaddr.parse(text).toByteArray());
    }),
    { numRuns: 2000 },
  );
});
