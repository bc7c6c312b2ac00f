/** What the operator's blocks open, and what nothing opens. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { block, classify, contains, parseAddress } from '../../src/proxy/address.ts';
import { createGuard, type GuardOptions } from '../../src/proxy/address-guard.ts';

const guard = (options: Partial<GuardOptions>) =>
  createGuard({ privateAddresses: [], clusterNetworks: [], ...options });
const allows = (options: Partial<GuardOptions>, address: string) =>
  guard(options).check(address, []).allowed;

const EVERYTHING = { privateAddresses: ['0.0.0.0/0', '::/0'] };

void test('without a rule only the public internet is open', () => {
  assert.ok(allows({}, '8.8.8.8'));
  assert.ok(allows({}, '2606:4700::1111'));
  for (const address of [
    '10.1.2.3',
    '127.0.0.1',
    '::1',
    '::ffff:8.8.8.8',
    'fd00::1',
    '100.64.0.1',
  ]) {
    assert.equal(allows({}, address), false, address);
  }
});

void test('a private address is open only inside a block that the operator opened', () => {
  const options = { privateAddresses: ['10.1.0.0/16', '127.0.0.0/8'] };
  assert.ok(allows(options, '10.1.2.3'));
  assert.equal(allows(options, '10.2.2.3'), false);
  assert.equal(allows(options, '::1'), false);
});

void test('metadata, link-local, multicast, broadcast and unspecified are opened by no rule', () => {
  const never = [
    ...['169.254.169.254', '169.254.1.1', '168.63.129.16', '100.100.100.200', '192.0.0.192'],
    ...['fd00:ec2::254', 'fe80::1', 'ff02::1', '224.0.0.1', '255.255.255.255', '0.0.0.0', '::'],
    ...['::ffff:169.254.169.254', '64:ff9b::a9fe:a9fe', '2002:a9fe:a9fe::1', '::0.0.0.0'],
    ...['2001:0:808:808::5601:5601', 'fd00::5efe:a9fe:a9fe', 'localhost', '127.1', 'fe80::1%eth0'],
  ];
  for (const address of never) {
    assert.equal(allows(EVERYTHING, address), false, address);
    assert.equal(guard({}).checkFixed(address, []).allowed, false, `fixed ${address}`);
  }
  assert.ok(allows(EVERYTHING, '10.0.0.1'));
  assert.ok(guard({}).checkFixed('10.0.0.1', []).allowed);
});

void test('an address inside another must be open in its own right', () => {
  const nat64 = { privateAddresses: ['64:ff9b::/96'] };
  assert.ok(allows(nat64, '64:ff9b::8.8.8.8'));
  assert.equal(allows(nat64, '64:ff9b::10.0.0.1'), false);
  assert.ok(allows({ privateAddresses: ['64:ff9b::/96', '10.0.0.0/8'] }, '64:ff9b::10.0.0.1'));
  assert.equal(allows({ privateAddresses: ['10.0.0.0/8'] }, '64:ff9b::10.0.0.1'), false);
  const cluster = { ...nat64, clusterNetworks: ['8.8.0.0/16'] };
  assert.equal(allows(cluster, '64:ff9b::8.8.8.8'), false);
});

void test('a network of the cluster is closed even when it is public, and a wider block does not open it', () => {
  const clusterNetworks = ['93.184.0.0/16', '10.96.0.0/12', 'fd12::/48'];
  const rule = (...privateAddresses: string[]) => ({ clusterNetworks, privateAddresses });
  assert.equal(allows(rule(), '93.184.215.14'), false);
  assert.ok(allows(rule(), '93.185.0.1'));
  assert.equal(allows(rule('10.0.0.0/8'), '10.96.0.1'), false);
  assert.ok(allows(rule('10.0.0.0/8'), '10.1.0.1'));
  assert.ok(allows(rule('10.96.0.1/32'), '10.96.0.1'));
  assert.ok(allows(rule('10.96.0.0/12'), '10.96.0.1'));
  assert.equal(allows(rule('fd00::/8'), 'fd12::1'), false);
  assert.deepEqual(guard(rule()).check('93.184.215.14', []), { allowed: false, place: 'cluster' });
});

void test('an address of this machine is closed even when it is public, also inside another', () => {
  const own = [parseAddress('93.184.215.14') as Uint8Array];
  assert.deepEqual(guard({}).check('93.184.215.14', own), { allowed: false, place: 'own' });
  const carried = guard({ privateAddresses: ['64:ff9b::/96'] });
  assert.equal(carried.check('64:ff9b::93.184.215.14', own).allowed, false);
  assert.ok(guard({ privateAddresses: ['93.184.215.14/32'] }).check('93.184.215.14', own).allowed);
});

void test('a named address is refused whatever is opened, also inside another', () => {
  const options = { ...EVERYTHING, neverAddresses: ['198.18.0.1', 'fd99::1'] };
  for (const address of ['198.18.0.1', '::ffff:198.18.0.1', '2002:c612:1::', 'fd99::1']) {
    assert.equal(allows(options, address), false, address);
  }
  assert.ok(allows(options, '198.18.0.2'));
});

void test('a rule opens exactly its block', () => {
  const cidr = fc.tuple(fc.ipV4(), fc.integer({ min: 1, max: 32 })).map(([a, n]) => `${a}/${n}`);
  fc.assert(
    fc.property(cidr, fc.ipV4(), fc.boolean(), (rule, random, atBase) => {
      const address = atBase ? (rule.split('/')[0] as string) : random;
      const bytes = parseAddress(address) as Uint8Array;
      const ipClass = classify(bytes);
      const never = ['metadata', 'link_local', 'multicast', 'broadcast', 'unspecified'];
      const expected =
        ipClass === 'public' || (contains(block(rule), bytes) && !never.includes(ipClass));
      assert.equal(allows({ privateAddresses: [rule] }, address), expected, `${address} ${rule}`);
    }),
    { numRuns: 3000 },
  );
});

void test('a malformed block is refused by name', () => {
  for (const text of ['10.0.0.0', '10.0.0.0/33', 'x/8', '::/129', '10.0.0.0/8/8']) {
    assert.throws(() => guard({ privateAddresses: [text] }), { message: new RegExp(`"${text}"`) });
    assert.throws(() => guard({ clusterNetworks: [text] }), { message: new RegExp(`"${text}"`) });
  }
});
