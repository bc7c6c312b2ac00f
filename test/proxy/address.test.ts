/** Classes of addresses, beside an independent library. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { addressAllowed, block, classifyAddress, parseAddress } from '../../src/proxy/address.ts';

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
  ['255.255.255.255', 'reserved'],
  ['224.0.0.1', 'multicast'],
  ['198.18.0.1', 'reserved'],
  ['::', 'unspecified'],
  ['::1', 'loopback'],
  ['::ffff:127.0.0.1', 'embedded'],
  ['::ffff:8.8.8.8', 'embedded'],
  ['::127.0.0.1', 'embedded'],
  ['64:ff9b::7f00:1', 'embedded'],
  ['2002:7f00:1::', 'embedded'],
  ['2001::1', 'reserved'],
  ['fc00::1', 'private'],
  ['fd00:ec2::254', 'metadata'],
  ['fe80::1', 'link_local'],
  ['fec0::1', 'reserved'],
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

test('metadata, unspecified and invalid addresses are opened by no rule', () => {
  const everything = ['0.0.0.0/0', '::/0'];
  for (const address of ['169.254.169.254', 'fd00:ec2::254', '0.0.0.0', '::', 'localhost']) {
    assert.equal(addressAllowed(address, everything), false, address);
  }
  assert.equal(addressAllowed('10.0.0.1', everything), true);
});

test('a private address is reachable only inside a block that the operator opened', () => {
  assert.equal(addressAllowed('10.1.2.3', []), false);
  assert.equal(addressAllowed('10.1.2.3', ['10.1.0.0/16']), true);
  assert.equal(addressAllowed('10.2.2.3', ['10.1.0.0/16']), false);
  assert.equal(addressAllowed('::1', ['127.0.0.0/8']), false);
});

test('a malformed block is refused by name', () => {
  for (const text of ['10.0.0.0', '10.0.0.0/33', '10.0.0/8', 'x/8', '::/129']) {
    assert.throws(() => block(text), new RegExp(`found "${text}"`.replaceAll('/', '\\/')), text);
  }
});

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

test('nothing that the independent library calls special is public here', () => {
  const special = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc
      .tuple(fc.constantFrom(10, 100, 127, 169, 172, 192, 198, 203, 224, 240), fc.ipV4())
      .map(([first, text]) => `${first}.${text.split('.').slice(1).join('.')}`),
  );
  fc.assert(
    fc.property(special, (text) => {
      if (ipaddr.parse(text).range() !== 'unicast') {
        assert.notEqual(classifyAddress(text), 'public', text);
      }
    }),
    { numRuns: 5000 },
  );
});
