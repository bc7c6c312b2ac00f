/** The Merkle tree beside a naive recursive twin; tiles, checkpoints and proofs as text. */
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  openCheckpoint,
  parseVerifierKey,
  renderVerifierKey,
  signCheckpoint,
} from '../../src/audit/checkpoint.ts';
import { parseProof, renderProof, verifyProof } from '../../src/audit/proof.ts';
import {
  decodeBundle,
  decodeTile,
  encodeBundle,
  encodeTile,
  nodesFromTiles,
  parseTilePath,
  tilePath,
} from '../../src/audit/tile.ts';
import {
  consistencyProof,
  EMPTY_ROOT,
  emptyFrontier,
  grow,
  type Hash,
  hashLeaf,
  inclusionProof,
  perfectRoot,
  rootOf,
  verifyConsistency,
  verifyInclusion,
} from '../../src/audit/tree.ts';

const leaf = (i: number) => Buffer.from(`leaf ${i}`);
const sha = (...parts: Uint8Array[]) =>
  parts.reduce((h, part) => h.update(part), createHash('sha256')).digest();

/** RFC 6962 2.1 word by word. */
function naiveRoot(leaves: readonly Buffer[]): Buffer {
  const [only] = leaves;
  if (only === undefined) return sha();
  if (leaves.length === 1) return sha(Buffer.of(0), only);
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return sha(Buffer.of(1), naiveRoot(leaves.slice(0, k)), naiveRoot(leaves.slice(k)));
}

const leaves = Array.from({ length: 1100 }, (_, i) => leaf(i));
const naive = new Map<number, Buffer>();
const rootAt = (size: number) => {
  const known = naive.get(size) ?? naiveRoot(leaves.slice(0, size));
  naive.set(size, known);
  return known;
};
const nodeAt = (level: number, index: number): Hash =>
  naiveRoot(leaves.slice(index * 2 ** level, (index + 1) * 2 ** level));
const size = fc.oneof(
  fc.integer({ min: 1, max: 40 }),
  fc.integer({ min: 250, max: 260 }),
  fc.integer({ min: 1, max: 1100 }),
);

test('the frontier has the root of the naive tree at every size', () => {
  const frontier = emptyFrontier();
  assert.deepEqual(rootOf(frontier), EMPTY_ROOT);
  const tiles: string[] = [];
  leaves.forEach((bytes, i) => {
    for (const tile of grow(frontier, hashLeaf(bytes))) {
      tiles.push(`${tile.level}/${tile.index}`);
      assert.equal(tile.hashes.length, 256);
    }
    if (i < 70 || i % 17 === 0 || i % 256 > 253 || i % 256 < 2)
      assert.deepEqual(rootOf(frontier), rootAt(i + 1), `size ${i + 1}`);
  });
  assert.deepEqual(tiles, ['0/0', '0/1', '0/2', '0/3']);
});

test('a level-1 tile fills after 65536 leaves', () => {
  const frontier = emptyFrontier();
  const full: string[] = [];
  const hash = hashLeaf(leaf(0));
  for (let i = 0; i < 65_537; i += 1)
    for (const t of grow(frontier, hash)) full.push(`${t.level}/${t.index}`);
  assert.deepEqual(full.slice(-2), ['0/255', '1/0']);
  assert.deepEqual(
    frontier.levels.map((edge) => edge.length),
    [1, 0, 1],
  );
  const same = Array.from({ length: 256 }, () => hash);
  const block = Array.from({ length: 256 }, () => perfectRoot(same, 0, 256));
  assert.deepEqual(frontier.levels[2]?.[0], perfectRoot(block, 0, 256));
});

test('inclusion proofs verify for their leaf and for no other', () => {
  fc.assert(
    fc.property(size, fc.nat(), fc.nat(), (n, pick, other) => {
      const index = pick % n;
      const proof = inclusionProof(index, n, nodeAt);
      const tree = { size: n, root: rootAt(n) };
      assert.ok(verifyInclusion({ hash: hashLeaf(leaf(index)), index }, tree, proof));
      const wrong = other % n;
      if (wrong !== index)
        assert.ok(!verifyInclusion({ hash: hashLeaf(leaf(index)), index: wrong }, tree, proof));
      assert.ok(!verifyInclusion({ hash: hashLeaf(leaf(index + 1)), index }, tree, proof));
      assert.ok(
        !verifyInclusion({ hash: hashLeaf(leaf(index)), index }, tree, [...proof, EMPTY_ROOT]),
      );
    }),
    { numRuns: 60 },
  );
});

test('consistency proofs verify for their trees and for no others', () => {
  fc.assert(
    fc.property(size, size, fc.nat(), (a, b, at) => {
      const [from, to] = a <= b ? [a, b] : [b, a];
      const proof = consistencyProof(from, to, nodeAt);
      const [older, newer] = [
        { size: from, root: rootAt(from) },
        { size: to, root: rootAt(to) },
      ];
      assert.ok(verifyConsistency(older, newer, proof), `${from} ${to}`);
      assert.ok(!verifyConsistency({ ...older, root: EMPTY_ROOT }, newer, proof));
      assert.ok(!verifyConsistency(older, { ...newer, root: EMPTY_ROOT }, proof));
      const flipped = proof.map((hash, i) => (i === at % proof.length ? sha(hash) : hash));
      if (proof.length > 0) assert.ok(!verifyConsistency(older, newer, flipped));
    }),
    { numRuns: 60 },
  );
});

test('tile names follow tlog-tiles and read back', () => {
  const table: [Parameters<typeof tilePath>[0], string][] = [
    [{ level: 0, index: 1_234_067, width: 256 }, 'tile/0/x001/x234/067'],
    [{ level: 'entries', index: 0, width: 256 }, 'tile/entries/000'],
    [{ level: 2, index: 5, width: 17 }, 'tile/2/005.p/17'],
    [{ level: 0, index: 1000, width: 1 }, 'tile/0/x001/000.p/1'],
  ];
  for (const [name, path] of table) {
    assert.equal(tilePath(name), path);
    assert.deepEqual(parseTilePath(path), name);
  }
  for (const bad of [
    'tile/00/000',
    'tile/0/x000/001',
    'tile/0/000.p/256',
    'tile/0/000.p/0',
    'tile/0/1',
  ]) {
    assert.equal(parseTilePath(bad), null, bad);
  }
});

test('tiles and bundles read back, and any other length is refused', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 }), (items) => {
      const bytes = encodeBundle(items);
      assert.deepEqual(
        decodeBundle(bytes, items.length)?.map((b) => [...b]),
        items.map((b) => [...b]),
      );
      assert.equal(decodeBundle(bytes, items.length + 1), null);
      if (items.length > 0) assert.equal(decodeBundle(bytes.subarray(0, -1), items.length), null);
    }),
  );
  const hashes = leaves.slice(0, 3).map(hashLeaf);
  assert.deepEqual(decodeTile(encodeTile(hashes), 3), hashes);
  assert.equal(decodeTile(encodeTile(hashes), 2), null);
});

const pair = generateKeyPairSync('ed25519');
const vkey = renderVerifierKey('example.com/log', pair.publicKey);
const signer = { name: 'example.com/log', privateKey: pair.privateKey };
const checkpoint = { origin: 'example.com/log', size: 700, root: rootAt(700) };

test('a signed checkpoint opens with its key', () => {
  const verifier = parseVerifierKey(vkey);
  assert.ok(verifier);
  const note = signCheckpoint(checkpoint, signer);
  assert.deepEqual(openCheckpoint(note, verifier), { ok: true, checkpoint });
  const cosigned = `${note}— witness.example ${Buffer.alloc(76, 3).toString('base64')}\n`;
  assert.ok(openCheckpoint(cosigned, verifier).ok);
});

test('a checkpoint with any byte changed is refused', () => {
  const verifier = parseVerifierKey(vkey);
  assert.ok(verifier);
  const note = Buffer.from(signCheckpoint(checkpoint, signer));
  for (let i = 0; i < note.length; i += 1) {
    const bad = Buffer.from(note);
    bad[i] = (bad[i] as number) ^ 1;
    assert.ok(!openCheckpoint(bad.toString(), verifier).ok, `byte ${i}`);
  }
});

test('verifier keys read back and are refused with any character changed', () => {
  assert.ok(parseVerifierKey(`${vkey}\n`));
  for (const i of vkey.slice(0, -1).split('').keys()) {
    const changed = `${vkey.slice(0, i)}${vkey[i] === 'A' ? 'B' : 'A'}${vkey.slice(i + 1)}`;
    const parsed = parseVerifierKey(changed);
    assert.ok(
      parsed === null || renderVerifierKey(parsed.name, parsed.key) === changed,
      `character ${i}`,
    );
    assert.equal(parsed, null, `character ${i}`);
  }
});

test('a proof as text verifies offline for its entry only', () => {
  const verifier = parseVerifierKey(vkey);
  assert.ok(verifier);
  const tiles = (level: number, index: number) => {
    const width = 256 ** level;
    const count = Math.min(256, Math.floor(700 / width) - index * 256);
    return Array.from({ length: count }, (_, i) => nodeAt(level * 8, index * 256 + i));
  };
  const hashes = inclusionProof(300, 700, nodesFromTiles(tiles));
  const text = renderProof({ index: 300, hashes, checkpoint: signCheckpoint(checkpoint, signer) });
  assert.deepEqual(verifyProof(text, leaf(300), verifier), { ok: true, index: 300, size: 700 });
  assert.equal(verifyProof(text, leaf(301), verifier).ok, false);
  assert.equal(verifyProof(text.replace('index 300', 'index 301'), leaf(300), verifier).ok, false);
  assert.equal(parseProof(text.replace('index 300', 'index 0300')), null);
  assert.ok(parseProof(text.replace('\nindex', '\nextra AAAA\nindex')));
});
