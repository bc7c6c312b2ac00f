// What a ClientHello says is read from any fragments of it, and what can be read in two ways is refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HELLO_BYTES_MAX, parseClientHello } from '../../src/tls/client-hello.ts';
import {
  alpn,
  dumbRead,
  type Extension,
  handshake,
  hello,
  helloBody,
  hostName,
  record,
  records,
  serverName,
  vector8,
  vector16,
} from './hello.ts';

const named = (name: string | Uint8Array) => hello(serverName(hostName(name)));
const told = (bytes: Uint8Array) => {
  const found = parseClientHello(bytes);
  return found.ok === false ? found.reason : found.ok === 'more' ? 'more' : found.serverName;
};
const withBody = (body: Uint8Array) => records(handshake(body));

const TABLE: readonly (readonly [string, Uint8Array, string | null])[] = [
  ['a host name is the server name', named('api.example.com'), 'api.example.com'],
  ['upper case is folded, since names have no case', named('API.Example.COM'), 'api.example.com'],
  ['a punycode name stays as it is', named('xn--bcher-kva.example'), 'xn--bcher-kva.example'],
  ['no server name is null', hello(alpn('h2')), null],
  ['no extensions at all, as in TLS 1.2, is no server name', withBody(helloBody(null)), null],
  ['an empty list of extensions is no server name', hello(), null],
  ['a trailing dot is refused', named('api.example.com.'), 'call.bad_server_name'],
  ['a leading dot is refused', named('.example.com'), 'call.bad_server_name'],
  ['an empty label is refused', named('api..example.com'), 'call.bad_server_name'],
  ['a NUL is refused', named('api.example.com\0.evil.test'), 'call.bad_server_name'],
  ['a blank is refused', named('api.example.com '), 'call.bad_server_name'],
  ['UTF-8 is refused', named(Buffer.from('bücher.example')), 'call.bad_server_name'],
  ['an ideographic dot is refused', named(Buffer.from('a。example')), 'call.bad_server_name'],
  ['a Kelvin sign is no k', named(Buffer.from('\u212aube.example')), 'call.bad_server_name'],
  ['a port is refused', named('api.example.com:443'), 'call.bad_server_name'],
  ['a wildcard is refused', named('*.example.com'), 'call.bad_server_name'],
  ['an IPv4 address is refused', named('192.0.2.1'), 'call.bad_server_name'],
  [
    'a number that resolvers take for an address is refused',
    named('0x7f.1'),
    'call.bad_server_name',
  ],
  ['an IPv6 address is refused', named('2001:db8::1'), 'call.bad_server_name'],
  ['an IPv6 address in brackets is refused', named('[::1]'), 'call.bad_server_name'],
  ['a name of 254 characters is refused', named(`${'a.'.repeat(126)}ab`), 'call.bad_server_name'],
  ['a label of 64 characters is refused', named(`${'a'.repeat(64)}.test`), 'call.bad_server_name'],
  ['an empty name is malformed', hello(serverName(hostName(''))), 'call.bad_server_name'],
  [
    'two names in one list are refused',
    hello(serverName(hostName('a.test'), hostName('b.test'))),
    'call.bad_server_name',
  ],
  [
    'the same name twice is refused',
    hello(serverName(hostName('a.test'), hostName('a.test'))),
    'call.bad_server_name',
  ],
  [
    'a name of another type is refused',
    hello(serverName(hostName('a.test', 1))),
    'call.bad_server_name',
  ],
  [
    'a name beside one of another type is refused',
    hello(serverName(hostName('x', 1), hostName('a.test'))),
    'call.bad_server_name',
  ],
  [
    'an empty list of names is malformed',
    hello({ type: 0, data: vector16(Buffer.of()) }),
    'call.not_tls',
  ],
  [
    'an empty server name extension is malformed',
    hello({ type: 0, data: Buffer.of() }),
    'call.not_tls',
  ],
  [
    'bytes after the list of names are malformed',
    hello({ type: 0, data: Buffer.concat([vector16(hostName('a.test')), Buffer.of(0)]) }),
    'call.not_tls',
  ],
  [
    'two server name extensions are refused',
    hello(serverName(hostName('a.test')), serverName(hostName('b.test'))),
    'call.not_tls',
  ],
  [
    'any extension twice is refused',
    hello({ type: 77, data: Buffer.of() }, { type: 77, data: Buffer.of() }),
    'call.not_tls',
  ],
  ['an empty protocol name is malformed', hello(alpn('')), 'call.not_tls'],
  ['a list of no protocols is malformed', hello(alpn()), 'call.not_tls'],
  ['plain HTTP is not TLS', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'call.not_tls'],
  [
    'a hello of SSL 2 is not TLS',
    Buffer.from('802e0100020015000000100100800200', 'hex'),
    'call.not_tls',
  ],
  ['an alert is no hello', record(Buffer.of(2, 40), 21), 'call.not_tls'],
  ['a ServerHello is no ClientHello', records(handshake(helloBody([]), 2)), 'call.not_tls'],
  [
    'a record of another major version is not TLS',
    Buffer.from('1602030005', 'hex'),
    'call.not_tls',
  ],
  [
    'an empty handshake record is refused',
    Buffer.concat([record(Buffer.of()), named('a.test')]),
    'call.not_tls',
  ],
  [
    'application data amid the hello is refused',
    Buffer.concat([record(named('a.test').subarray(5, 20)), record(Buffer.of(1), 23)]),
    'call.not_tls',
  ],
  [
    'bytes after the hello in its record are refused',
    records(Buffer.concat([handshake(helloBody([])), Buffer.of(0)])),
    'call.not_tls',
  ],
  [
    'a second hello in the same record is refused',
    records(Buffer.concat([handshake(helloBody([])), handshake(helloBody([]))])),
    'call.not_tls',
  ],
  [
    'bytes after the extensions are malformed',
    withBody(Buffer.concat([helloBody([]), Buffer.of(0)])),
    'call.not_tls',
  ],
  [
    'an odd number of bytes in the cipher suites is malformed',
    withBody(helloBody([], { ciphers: Buffer.of(1, 2, 3) })),
    'call.not_tls',
  ],
  [
    'no cipher suites are malformed',
    withBody(helloBody([], { ciphers: Buffer.of() })),
    'call.not_tls',
  ],
  [
    'a session id of 33 bytes is malformed',
    withBody(helloBody([], { sessionId: Buffer.alloc(33) })),
    'call.not_tls',
  ],
  [
    'an announced 16 MiB is refused at once',
    record(Buffer.of(1, 0xff, 0xff, 0xff)),
    'call.not_tls',
  ],
  [
    'one byte of a record in 65 records is refused',
    Buffer.concat(
      Array.from({ length: 65 }, (_, at) =>
        record(handshake(helloBody([serverName(hostName('a.test'))])).subarray(at, at + 1)),
      ),
    ),
    'call.not_tls',
  ],
];

for (const [sentence, bytes, expected] of TABLE) {
  test(sentence, () => assert.equal(told(bytes), expected));
}

test('a whole hello with everything says name, protocols and whether a name may be hidden', () => {
  const bytes = hello(
    { type: 0x0a0a, data: Buffer.of() },
    serverName(hostName('api.example.com')),
    alpn('h2', 'http/1.1'),
    { type: 43, data: vector8(Buffer.from('0304', 'hex')) },
  );
  assert.deepEqual(parseClientHello(bytes), {
    ok: true,
    serverName: 'api.example.com',
    alpn: ['h2', 'http/1.1'],
    encryptedHello: false,
  });
});

for (const type of [0xfe0d, 0xfe08, 0xffce]) {
  test(`extension 0x${type.toString(16)} is an encrypted hello, whatever it holds`, () => {
    for (const data of [Buffer.of(), Buffer.of(0, 0, 1, 0, 1, 5, 0, 0), Buffer.alloc(200, 3)]) {
      const found = parseClientHello(hello(serverName(hostName('cdn.test')), { type, data }));
      assert.equal(found.ok === true && found.encryptedHello, true);
    }
  });
}

test('bytes of early data after the record with the hello are left alone', () => {
  const bytes = Buffer.concat([named('a.test'), record(Buffer.alloc(40), 23)]);
  assert.equal(told(bytes), 'a.test');
});

/** Punycode that stands for nothing is no name. */
const label = fc
  .stringMatching(/^[a-zA-Z]([a-zA-Z0-9-]{0,12}[a-zA-Z0-9])?$/)
  .filter((text) => !/^xn--/i.test(text));
const hostnames = fc.array(label, { minLength: 2, maxLength: 5 }).map((labels) => labels.join('.'));
const others = fc.uniqueArray(
  fc.record({
    type: fc.integer({ min: 17, max: 0xfdff }),
    data: fc.uint8Array({ maxLength: 300 }),
  }),
  { selector: ({ type }) => type, maxLength: 12 },
);
const hellos = fc
  .tuple(
    others,
    fc.option(hostnames),
    fc.option(fc.array(fc.stringMatching(/^[\x20-\x7e]{1,20}$/), { minLength: 1, maxLength: 4 })),
  )
  .map(([rest, name, protocols]): Extension[] => [
    ...rest.slice(0, rest.length / 2),
    ...(name === null ? [] : [serverName(hostName(name))]),
    ...(protocols === null ? [] : [alpn(...protocols)]),
    ...rest.slice(rest.length / 2),
  ])
  .map((extensions) => handshake(helloBody(extensions)));
const cuts = fc.array(fc.nat(3000), { maxLength: 20 });

test('every hello in any records says what a dumb reader of the whole finds', () => {
  fc.assert(
    fc.property(hellos, cuts, (message, at) => {
      const bytes = records(message, at);
      const twin = dumbRead(bytes);
      const found = parseClientHello(bytes);
      assert.equal(found.ok, true);
      if (found.ok !== true) return;
      assert.equal(found.serverName, twin.name);
      assert.deepEqual(found.alpn, twin.alpn);
    }),
    { numRuns: 1000 },
  );
});

test('every beginning of a good hello asks for more, and only the whole answers', () => {
  fc.assert(
    fc.property(hellos, cuts, fc.double({ min: 0, max: 1, noNaN: true }), (message, at, part) => {
      const bytes = records(message, at);
      const length = Math.min(bytes.length - 1, Math.floor(part * bytes.length));
      assert.equal(parseClientHello(bytes.subarray(0, length)).ok, 'more');
    }),
    { numRuns: 1000 },
  );
});

test('a refusal stands, whatever bytes follow', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 200 }),
    fc.tuple(hellos, cuts, fc.nat(), fc.nat(255)).map(([message, at, place, value]) => {
      const broken = records(message, at);
      broken[place % broken.length] = value;
      return broken;
    }),
  );
  fc.assert(
    fc.property(bytes, fc.uint8Array({ maxLength: 100 }), (first, more) => {
      const before = parseClientHello(first);
      if (before.ok === 'more') return;
      const after = parseClientHello(Buffer.concat([first, more]));
      assert.deepEqual(after, before);
    }),
    { numRuns: 3000 },
  );
});

test('16 KiB always get an answer', () => {
  const full = fc.oneof(
    fc.uint8Array({ minLength: HELLO_BYTES_MAX, maxLength: HELLO_BYTES_MAX }),
    fc.array(fc.integer({ min: 1, max: 16_384 }), { minLength: 1, maxLength: 80 }).map((sizes) => {
      const start = Buffer.of(1, 0, 0x3f, 0xf0);
      const parts = sizes.map((size, at) =>
        record(at === 0 ? Buffer.concat([start, Buffer.alloc(size)]) : Buffer.alloc(size)),
      );
      return Buffer.concat([...parts, record(Buffer.alloc(16_384))]);
    }),
  );
  fc.assert(
    fc.property(full, (bytes) => {
      assert.notEqual(parseClientHello(bytes.subarray(0, HELLO_BYTES_MAX)).ok, 'more');
    }),
    { numRuns: 300 },
  );
});
