/** Hosts and ports as agents write them: which are one destination, and which are refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseAuthority, sameAuthority } from '../../src/call/authority.ts';

const ACCEPTED: [text: string, host: string, port: number][] = [
  ['example.com', 'example.com', 443],
  ['Example.COM:8443', 'example.com', 8443],
  ['example.com.', 'example.com', 443],
  ['xn--bcher-kva.example:80', 'xn--bcher-kva.example', 80],
  ['XN--BCHER-KVA.Example', 'xn--bcher-kva.example', 443],
  ['xn--fiqs8s', 'xn--fiqs8s', 443],
  ['r3---sn-4g5e.example', 'r3---sn-4g5e.example', 443],
  ['localhost:1', 'localhost', 1],
  ['a-b.c1:65535', 'a-b.c1', 65_535],
  ['127.0.0.1:80', '127.0.0.1', 80],
  ['255.255.255.255', '255.255.255.255', 443],
  ['[::1]:8080', '::1', 8080],
  ['[::1]', '::1', 443],
  ['[2001:DB8:0:0:1:0:0:1]', '2001:db8::1:0:0:1', 443],
  ['[::ffff:127.0.0.1]', '::ffff:7f00:1', 443],
  ['[1:2:3:4:5:6:7:8]', '1:2:3:4:5:6:7:8', 443],
  ['[0:0:0:0:0:0:0:0]', '::', 443],
];

for (const [text, host, port] of ACCEPTED) {
  void test(`${text} is ${host} port ${port}`, () => {
    const parsed = parseAuthority(text, 443);
    assert.ok(parsed.ok);
    assert.deepEqual([parsed.host, parsed.port], [host, port]);
  });
}

const REFUSED: [sentence: string, text: string][] = [
  ['an empty text', ''],
  ['only a port', ':80'],
  ['user info', 'user@example.com'],
  ['user info with a password', 'a:b@example.com:80'],
  ['a path', 'example.com/x'],
  ['a URL', 'http://example.com:80/'],
  ['a percent sign', 'exa%6dple.com'],
  ['an underscore', 'a_b.example'],
  ['an empty label', 'a..b'],
  ['two trailing dots', 'example.com..'],
  ['a leading dot', '.example.com'],
  ['only a dot', '.'],
  ['a label that begins with a hyphen', '-a.example'],
  ['a label that ends with a hyphen', 'a-.example'],
  ['a bare A-label prefix', 'xn--.example'],
  ['an A-label that is plain ASCII', 'xn--localhost-.example'],
  ['an A-label that does not decode', 'xn--a.example'],
  ['an A-label that decodes to nothing valid', 'xn--a-ecp.example'],
  ['an A-label that has another spelling', 'xn---mzp.example'],
  ['an A-label of Latin and Cyrillic letters', 'xn--pple-43d.example'],
  ['an A-label as top level that is plain ASCII', 'a.xn--com-'],
  ['a label over 63 characters', `${'a'.repeat(64)}.example`],
  ['a name over 253 characters', `${'a.'.repeat(127)}ab`],
  ['a space', 'exa mple.com'],
  ['a NUL', 'example.com\0.evil.org'],
  ['an ideographic full stop', '127\u30020\u30020\u30021'],
  ['a full-width digit', '\uff11.0.0.1'],
  ['a Kelvin sign that lower-cases to k', 'ey\u212a.example'],
  ['an umlaut', 'b\u00fccher.example'],
  ['an octal address', '0177.0.0.1'],
  ['a hexadecimal address', '0x7f.0.0.1'],
  ['a hexadecimal last label', 'a.0x7f'],
  ['a bare 0x', 'a.0x'],
  ['a short address', '127.1'],
  ['an integer address', '2130706433'],
  ['an address with an octet over 255', '127.0.0.256'],
  ['an address with a trailing dot', '127.0.0.1.'],
  ['a number as last label', 'example.1'],
  ['port 0', 'example.com:0'],
  ['a port with a leading zero', 'example.com:080'],
  ['a port over 65535', 'example.com:65536'],
  ['a named port', 'example.com:http'],
  ['an empty port', 'example.com:'],
  ['a signed port', 'example.com:+80'],
  ['brackets around a name', '[example.com]'],
  ['brackets around an IPv4 address', '[127.0.0.1]'],
  ['doubled brackets', '[[::1]]'],
  ['an open bracket', '[::1'],
  ['an IPv6 address without brackets', '::1'],
  ['a zone', '[fe80::1%25eth0]'],
  ['a zone with a plain percent sign', '[fe80::1%eth0]'],
  ['two double colons', '[1::2::3]'],
  ['seven groups', '[1:2:3:4:5:6:7]'],
  ['nine groups', '[1:2:3:4:5:6:7:8:9]'],
  ['eight groups and a double colon', '[1:2:3:4::5:6:7:8]'],
  ['five digits in a group', '[12345::]'],
  ['a dotted quad in front', '[127.0.0.1::1]'],
  ['a dotted quad before a double colon', '[1:127.0.0.1::]'],
  ['an octal dotted quad', '[::ffff:0177.0.0.1]'],
  ['text after the brackets', '[::1]x'],
];

for (const [sentence, text] of REFUSED) {
  void test(`refused: ${sentence}`, () => {
    const parsed = parseAuthority(text, 443);
    assert.deepEqual(parsed.ok ? parsed.host : parsed.reason, 'call.bad_authority');
  });
}

void test('without a default port the port must be written', () => {
  assert.equal(parseAuthority('example.com', null).ok, false);
  assert.equal(parseAuthority('example.com:443', null).ok, true);
});

void test('spellings of one place are the same authority', () => {
  const [a, b, c] = ['EXAMPLE.com.', 'example.com:443', 'example.com:80'].map((text) =>
    parseAuthority(text, 443),
  );
  assert.ok(a?.ok && b?.ok && c?.ok);
  assert.ok(sameAuthority(a, b));
  assert.ok(!sameAuthority(a, c));
});

void test('an accepted host is its own canonical form', () => {
  const character = fc.constantFrom(...'abxn019.-:[]%@ffA0 '.split(''), '::', '127.', '0x', 'xn--');
  fc.assert(
    fc.property(fc.array(character, { maxLength: 12 }), (characters) => {
      const once = parseAuthority(characters.join(''), 443);
      if (!once.ok) return;
      const text = once.kind === 'ipv6' ? `[${once.host}]` : once.host;
      assert.deepEqual(parseAuthority(`${text}:${once.port}`, 1), once);
    }),
    { numRuns: 5000 },
  );
});

void test('a name in another script has one spelling, its A-labels, and they read as in a URL', () => {
  const letter = fc.constantFrom(
    ...'äßçñøабвгπρσאבתعغ中国日本の가나ค'.split(''),
    'a',
    'b',
    '-',
    '1',
  );
  fc.assert(
    fc.property(fc.array(letter, { minLength: 1, maxLength: 8 }), (letters) => {
      const text = `${letters.join('')}.example`;
      fc.pre(URL.canParse(`http://${text}`));
      const { hostname } = new URL(`http://${text}`);
      if (hostname !== text) assert.equal(parseAuthority(text, 80).ok, false, text);
      const parsed = parseAuthority(hostname, 80);
      const word = letters.join('');
      const mixed = /[abäßçñø]/.test(word) && /[абвгπρσ]/.test(word);
      if (parsed.ok) assert.equal(parsed.host, hostname);
      else assert.ok(mixed || /^-|-$/.test(word), word);
      if (mixed) assert.equal(parsed.ok, false, word);
    }),
    { numRuns: 2000 },
  );
});

void test('an IPv6 address reads as in a URL', () => {
  const group = fc.integer({ min: 0, max: 0xffff }).map((n) => n.toString(16));
  const sparse = fc.oneof(fc.constant('0'), fc.constant('0'), group);
  fc.assert(
    fc.property(fc.array(sparse, { minLength: 8, maxLength: 8 }), (groups) => {
      const text = `[${groups.join(':')}]`;
      const parsed = parseAuthority(text, 80);
      assert.ok(parsed.ok);
      assert.equal(`[${parsed.host}]`, new URL(`http://${text}`).hostname);
    }),
  );
});

void test('an accepted name reads as in a URL', () => {
  fc.assert(
    fc.property(fc.domain(), (domain) => {
      const parsed = parseAuthority(domain, 80);
      if (parsed.ok) assert.equal(parsed.host, new URL(`http://${domain}`).hostname);
    }),
  );
});
