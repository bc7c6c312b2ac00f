/** Which names may be asked for, and what each kind of name and type is answered. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseCatalogue } from '../../src/call/catalogue.ts';
import { answerFor, createZone, NEGATIVE_TTL_SECONDS_MAX } from '../../src/dns/answer.ts';
import { decodeQuery } from '../../src/dns/message.ts';
import { createNames, type NameKind, patternsOf } from '../../src/dns/names.ts';
import { A, AAAA, ANY, HTTPS, NS, NULL, optBytes, PTR, queryBytes, SVCB, TXT } from './wire.ts';

const names = createNames([
  'api.example.com',
  'Upper.Example.ORG.',
  '*.tools.example.net',
  '_dav.example.com',
  'localhost',
  '10.0.0.1',
  '[::1]',
  '*',
  'a..b',
  'https://example.edu',
  'x'.repeat(64),
]);

const TABLE: readonly (readonly [string, NameKind, string])[] = [
  ['api.example.com', 'listed', ''],
  ['upper.example.org', 'listed', ''],
  ['_dav.example.com', 'listed', ''],
  ['one.tools.example.net', 'listed', 'one.tools.example.net'],
  ['two.one.tools.example.net', 'listed', 'two.one.tools.example.net'],
  ['tools.example.net', 'ancestor', ''],
  ['example.com', 'ancestor', ''],
  ['com', 'ancestor', ''],
  ['', 'ancestor', ''],
  ['localhost', 'loopback', ''],
  ['app.localhost', 'loopback', ''],
  ['notlocalhost', 'unlisted', 'notlocalhost'],
  ['other.example.com', 'unlisted', 'other.example.com'],
  ['sub.api.example.com', 'unlisted', 'sub.api.example.com'],
  ['xapi.example.com', 'unlisted', 'xapi.example.com'],
  ['faketools.example.net', 'unlisted', 'faketools.example.net'],
  ['api.example.com.evil.org', 'expansion', 'evil.org'],
  ['api.example.com.default.svc.cluster.local', 'expansion', 'default.svc.cluster.local'],
  ['a.tools.example.net.corp', 'expansion', 'corp'],
  ['4.3.2.1.in-addr.arpa', 'reverse', ''],
  ['1.0.0.0.ip6.arpa', 'reverse', ''],
  ['in-addr.arpa', 'reverse', ''],
  ['10.0.0.1', 'unlisted', '10.0.0.1'],
  ['a\\046pi.example.com', 'unlisted', 'a\\046pi.example.com'],
  ['api\\046example.com', 'unlisted', 'api\\046example.com'],
];

for (const [name, kind, own] of TABLE) {
  test(`the name ${name || '(root)'} is ${kind}`, () => {
    assert.deepEqual(names.look(name), { kind, own });
  });
}

test('a search domain below a listed pattern does not make the whole name the wording of the agent', () => {
  const cluster = createNames(['api.example.com', '*.cluster.local']);
  assert.deepEqual(cluster.look('api.example.com.svc.cluster.local'), {
    kind: 'listed',
    own: 'svc.cluster.local',
  });
});

test('a name of many labels is looked at in bounded steps and is no expansion', () => {
  const long = [...Array<string>(17).fill('a'), 'api', 'example', 'com', 'x'].join('.');
  assert.equal(createNames(['*.example.com']).look(long).kind, 'unlisted');
});

test('names are listed, or stand above listed ones, exactly when a plain comparison says so', () => {
  const label = fc.constantFrom('a', 'b', 'c', '*');
  const pattern = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
  const name = fc
    .array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 5 })
    .map((labels) => labels.join('.'));
  const property = fc.property(fc.array(pattern, { maxLength: 6 }), name, (patterns, asked) => {
    const valid = patterns.filter((one) => /^(\*\.)?[abc](\.[abc])*$/.test(one));
    const listed = valid.some((one) =>
      one.startsWith('*.') ? asked.endsWith(one.slice(1)) : asked === one,
    );
    const above = valid.some((one) => one.endsWith(`.${asked}`));
    const { kind } = createNames(patterns).look(asked);
    assert.equal(kind === 'listed', listed);
    assert.equal(kind === 'ancestor', above && !listed);
  });
  fc.assert(property, { numRuns: 5000 });
});

test('every host of a catalogue may be asked for', () => {
  const tool = (name: string, host: string) =>
    `  - {name: ${name}, operation: read, risk: low, http: {hosts: ["${host}"], methods: [GET], path: /a}}`;
  const text = [
    'apiVersion: egret.dev/v1',
    'kind: ToolCatalogue',
    'tools:',
    tool('one', 'one.example.com'),
    tool('two', '*.two.example.com'),
    tool('three', '10.1.2.3'),
  ].join('\n');
  const patterns = patternsOf(parseCatalogue(text, 'tools.yaml'));
  assert.deepEqual(patterns.toSorted(), ['*.two.example.com', '10.1.2.3', 'one.example.com']);
  const catalogued = createNames(patterns);
  assert.equal(catalogued.look('one.example.com').kind, 'listed');
  assert.equal(catalogued.look('any.two.example.com').kind, 'listed');
  assert.equal(catalogued.look('10.1.2.3').kind, 'unlisted');
});

const zone = createZone({ ipv4: '198.18.0.1', ipv6: 'fd00::18', ttlSeconds: 60 });
const only4 = createZone({ ipv4: '198.18.0.1', ttlSeconds: 2 });
const FD00_18 = [0xfd, ...Array<number>(14).fill(0), 0x18];

function answered(kind: NameKind, type: number, more: { class?: number; version?: number } = {}) {
  const behind = optBytes(undefined, { version: more.version ?? 0 });
  const decoded = decodeQuery(queryBytes({ name: 'a', type, class: more.class ?? 1, behind }));
  assert.ok(decoded.ok);
  const answer = answerFor(decoded.query, kind, zone);
  return 'address' in answer ? [...answer.address] : answer.kind;
}

const LOOPBACK6 = [...Array<number>(15).fill(0), 1];
const ANSWERS: readonly (readonly [NameKind, number, number[] | string])[] = [
  ['listed', A, [198, 18, 0, 1]],
  ['listed', AAAA, FD00_18],
  ['listed', HTTPS, 'no_data'],
  ['listed', SVCB, 'no_data'],
  ['listed', PTR, 'no_data'],
  ['loopback', A, [127, 0, 0, 1]],
  ['loopback', AAAA, LOOPBACK6],
  ['loopback', HTTPS, 'no_data'],
  ['ancestor', A, 'no_data'],
  ['unlisted', A, 'no_name'],
  ['unlisted', AAAA, 'no_name'],
  ['unlisted', HTTPS, 'no_name'],
  ['expansion', A, 'no_name'],
  ['expansion', AAAA, 'no_name'],
  ['reverse', PTR, 'no_name'],
  ['reverse', A, 'no_name'],
];

for (const [kind, type, expected] of ANSWERS) {
  test(`type ${type} of a name that is ${kind} is answered ${String(expected)}`, () => {
    assert.deepEqual(answered(kind, type), expected);
  });
}

test('every type that can carry data is refused, whatever the name', () => {
  const given: ReadonlySet<number> = new Set([A, AAAA, PTR, SVCB, HTTPS]);
  const kinds: NameKind[] = ['listed', 'loopback', 'ancestor', 'reverse', 'expansion', 'unlisted'];
  for (let type = 0; type <= 0xffff; type += type < 300 ? 1 : 97) {
    for (const kind of kinds) {
      if (!given.has(type)) assert.equal(answered(kind, type), 'refused', `type ${type}`);
    }
  }
  for (const type of [NS, NULL, TXT, ANY]) assert.equal(answered('listed', type), 'refused');
});

test('other classes are refused, among them the one that tells versions of servers', () => {
  for (const other of [0, 2, 3, 4, 254, 255]) {
    assert.equal(answered('listed', A, { class: other }), 'refused');
    assert.equal(answered('unlisted', TXT, { class: other }), 'refused');
  }
});

test('a later version of EDNS is answered as such before anything else', () => {
  assert.equal(answered('listed', A, { version: 1 }), 'bad_version');
  assert.equal(answered('unlisted', TXT, { version: 255 }), 'bad_version');
});

test('without an IPv6 address names have none, and a no is not kept longer than an address', () => {
  const decoded = decodeQuery(queryBytes({ name: 'a', type: AAAA }));
  assert.ok(decoded.ok);
  assert.deepEqual(answerFor(decoded.query, 'listed', only4), { kind: 'no_data', ttlSeconds: 2 });
  const kept = answerFor(decoded.query, 'unlisted', zone);
  assert.deepEqual(kept, { kind: 'no_name', ttlSeconds: NEGATIVE_TTL_SECONDS_MAX });
});

test('addresses of the configuration are read in every spelling, and nothing else is', () => {
  const bytes = (ipv6: string) => [
    ...(createZone({ ipv4: '1.2.3.4', ipv6, ttlSeconds: 1 }).ipv6 ?? []),
  ];
  assert.deepEqual(bytes('::'), Array(16).fill(0));
  assert.deepEqual(bytes('::1'), LOOPBACK6);
  assert.deepEqual(bytes('FD00:0:0::18'), FD00_18);
  assert.deepEqual(bytes('1:2:3:4:5:6:7:8'), [0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8]);
  assert.deepEqual(bytes('::ffff:1.2.3.4').slice(10), [255, 255, 1, 2, 3, 4]);
  assert.deepEqual(bytes('fd00::').slice(0, 3), [0xfd, 0, 0]);
  for (const wrong of ['', '1.2.3.4', 'fd00::1::2', 'fe80::1%eth0', '::1]/[', 'g::']) {
    assert.throws(() => bytes(wrong), RangeError, wrong);
  }
  for (const wrong of ['', '1.2.3', '1.2.3.256', '01.2.3.4', '1.2.3.4.5', '::1', 'a.b.c.d']) {
    assert.throws(() => createZone({ ipv4: wrong, ttlSeconds: 1 }), RangeError, wrong);
  }
});
