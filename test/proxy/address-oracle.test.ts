/**
 * Random addresses beside an independent library: whatever it calls special is never public here, and what is refused
 * here although the library calls it ordinary is so for a reason that stands in a list. EGRET_TEST_ADDRESSES says how
 * many, EGRET_TEST_SEED which.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import ipaddr from 'ipaddr.js';
import { classify, classifyAddress } from '../../src/proxy/address.ts';
import { SPECIAL_BLOCKS } from '../../src/proxy/address-table.ts';

const ADDRESSES = Number(process.env['EGRET_TEST_ADDRESSES'] ?? 1_000_000);
const SEED = Number(process.env['EGRET_TEST_SEED'] ?? 20_261_122);

/** Blocks that the library calls ordinary. */
const STRICTER = [
  '168.63.129.16/32',
  '192.31.196.0/24',
  '192.52.193.0/24',
  '192.175.48.0/24',
  '2620:4f:8000::/48',
  '2001::/23',
  '3fff::/20',
].map((cidr) => ipaddr.parseCIDR(cidr));
const GLOBAL = ipaddr.parseCIDR('2000::/3');

/** Mulberry32: small, seeded, the same everywhere. @returns integers from 0 below 2^32. */
function randomSource(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

const EDGES = SPECIAL_BLOCKS.map(([cidr]) => {
  const [address, bits] = ipaddr.parseCIDR(cidr);
  return { bytes: address.toByteArray(), bits };
});
/** The high bytes of prefixes under which an IPv6 address carries an IPv4 one. */
const CARRIERS = [
  '::',
  '::ffff:0:0',
  '::ffff:0:0:0',
  '64:ff9b::',
  '64:ff9b:1::',
  '2002::',
  '2001::',
];

/** Uniform, close to the edge of a special block, or an IPv4 address inside an IPv6 one. */
function randomAddress(next: () => number): Uint8Array {
  const random = (length: number) => Uint8Array.from({ length }, () => next() & 0xff);
  switch (next() % 5) {
    case 0:
      return random(4);
    case 1:
      return random(16);
    case 2:
      return nearEdge(next, random);
    case 3: {
      const bytes = random(16);
      bytes[0] = 0x20 | ((bytes[0] ?? 0) & 0x1f);
      return bytes;
    }
    default: {
      const prefix = CARRIERS[next() % CARRIERS.length] as string;
      const bytes = Uint8Array.from(ipaddr.parse(prefix).toByteArray());
      bytes.set(nearEdge(next, random).subarray(0, 4), next() % 2 === 0 ? 12 : 2 + (next() % 8));
      return bytes;
    }
  }
}

/** A random address in a special block, or one bit of the prefix beside it. */
function nearEdge(next: () => number, random: (length: number) => Uint8Array): Uint8Array {
  const edge = EDGES[next() % EDGES.length] as (typeof EDGES)[number];
  const bytes = random(edge.bytes.length);
  for (let bit = 0; bit < edge.bits; bit += 1) {
    const mask = 0x80 >> (bit & 7);
    const at = bit >> 3;
    bytes[at] = ((bytes[at] ?? 0) & ~mask) | ((edge.bytes[at] ?? 0) & mask);
  }
  if (edge.bits > 0 && next() % 2 === 0) {
    const bit = next() % edge.bits;
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (0x80 >> (bit & 7));
  }
  return bytes;
}

/** What the library and the lists say: may an agent go there without being told? */
function publicByTwin(address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  if (address.range() !== 'unicast') return false;
  if (STRICTER.some((block) => address.kind() === block[0].kind() && address.match(block))) {
    return false;
  }
  if (address.kind() === 'ipv4') return true;
  const parts = (address as ipaddr.IPv6).parts;
  const isatap = (parts[4] === 0 || parts[4] === 0x200) && parts[5] === 0x5efe;
  return address.match(GLOBAL) && !isatap;
}

void test(`${ADDRESSES} random addresses are public exactly where an independent library and a list say so`, () => {
  const next = randomSource(SEED);
  const seen = { public: 0, refused: 0 };
  for (let count = 0; count < ADDRESSES; count += 1) {
    const bytes = randomAddress(next);
    const address = ipaddr.fromByteArray([...bytes]);
    const ours = classify(bytes) === 'public';
    if (ours !== publicByTwin(address)) {
      assert.fail(`${address.toString()}: ${classify(bytes)} here, ${address.range()} there`);
    }
    if (count % 16 === 0) assert.equal(classifyAddress(address.toString()), classify(bytes));
    seen[ours ? 'public' : 'refused'] += 1;
  }
  // A generator that only ever makes one kind proves nothing.
  assert.ok(seen.public > ADDRESSES / 10 && seen.refused > ADDRESSES / 10, JSON.stringify(seen));
});
