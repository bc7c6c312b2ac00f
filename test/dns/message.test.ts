/** What the decoder takes for a query, what it refuses, and what an answer looks like, for any bytes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  ANSWER_BYTES_MAX,
  type Answer,
  decodeQuery,
  encodeAnswer,
  QUERY_BYTES_MAX,
  type Query,
} from '../../src/dns/message.ts';
import { A, AAAA, nameBytes, optBytes, queryBytes, readReply } from './wire.ts';

const FORMERR = 1;
const NOTIMP = 4;
const LONGEST_NAME = [63, 63, 63, 61].map((n) => 'a'.repeat(n)).join('.');
const COOKIE = Buffer.from('000a00080102030405060708', 'hex');

function decoded(bytes: Uint8Array): Query {
  const result = decodeQuery(bytes);
  assert.ok(result.ok);
  return result.query;
}

test('a query of a resolver is read whole', () => {
  const query = decoded(
    queryBytes({
      name: 'API.Example.com',
      type: AAAA,
      id: 7,
      flags: 0x0110,
      behind: optBytes(COOKIE),
    }),
  );
  assert.deepEqual(
    { ...query, question: Buffer.from(query.question).toString('latin1') },
    {
      id: 7,
      recursionDesired: true,
      checkingDisabled: true,
      name: 'api.example.com',
      type: AAAA,
      class: 1,
      question: '\x03API\x07Example\x03com\x00\x00\x1c\x00\x01',
      edns: { version: 0 },
    },
  );
});

const ACCEPTED: readonly (readonly [string, Buffer, string])[] = [
  ['without EDNS', queryBytes({ name: 'a.b' }), 'a.b'],
  ['for the root', queryBytes({ name: '' }), ''],
  ['with the longest name', queryBytes({ name: LONGEST_NAME }), LONGEST_NAME],
  ['with a label of 63 bytes', queryBytes({ name: 'x'.repeat(63) }), 'x'.repeat(63)],
  ['with authentic data asked for', queryBytes({ name: 'a', flags: 0x0120 }), 'a'],
  [
    'with odd bytes in a label',
    queryBytes({ name: 'a b\u00e9\u0000\\' }),
    'a\\032b\\233\\000\\092',
  ],
  ['with a dot inside a label', raw('\x03a.b\x00'), 'a\\046b'],
  [
    'of a later EDNS version',
    queryBytes({ name: 'a', behind: optBytes(undefined, { version: 1 }) }),
    'a',
  ],
];

function raw(name: string): Buffer {
  const whole = queryBytes({ name: '' });
  return Buffer.concat([whole.subarray(0, 12), Buffer.from(name, 'latin1'), whole.subarray(13)]);
}

for (const [sentence, bytes, name] of ACCEPTED) {
  test(`a query ${sentence} is read`, () => assert.equal(decoded(bytes).name, name));
}

const REFUSED: readonly (readonly [string, Buffer, number | null])[] = [
  ['nothing', Buffer.alloc(0), null],
  ['half a header', queryBytes({ name: 'a' }).subarray(0, 11), null],
  ['an answer', queryBytes({ name: 'a', flags: 0x8100 }), null],
  ['a header alone', queryBytes({ name: 'a' }).subarray(0, 12), FORMERR],
  ['an update', queryBytes({ name: 'a', flags: 0x2800 }), NOTIMP],
  ['a status question', queryBytes({ name: 'a', flags: 0x1000 }), NOTIMP],
  ['an inverse question', queryBytes({ name: 'a', flags: 0x0800 }), NOTIMP],
  ['a truncated query', queryBytes({ name: 'a', flags: 0x0300 }), FORMERR],
  ['a query that says it is authoritative', queryBytes({ name: 'a', flags: 0x0500 }), FORMERR],
  ['a query with recursion available', queryBytes({ name: 'a', flags: 0x0180 }), FORMERR],
  ['a query with the reserved bit', queryBytes({ name: 'a', flags: 0x0140 }), FORMERR],
  ['a query with a response code', queryBytes({ name: 'a', flags: 0x0103 }), FORMERR],
  ['two OPT that are not there', queryBytes({ name: 'a', counts: [1, 0, 0, 2] }), FORMERR],
  [
    'an OPT with a byte for a name',
    queryBytes({ name: 'a', behind: Buffer.concat([Buffer.of(5), optBytes().subarray(1)]) }),
    FORMERR,
  ],
  ['no question', queryBytes({ name: 'a', counts: [0, 0, 0, 0] }), FORMERR],
  ['two questions', twoQuestions(), FORMERR],
  ['an announced answer', queryBytes({ name: 'a', counts: [1, 1, 0, 0] }), FORMERR],
  ['an announced authority', queryBytes({ name: 'a', counts: [1, 0, 1, 0] }), FORMERR],
  ['an announced OPT that is not there', queryBytes({ name: 'a', counts: [1, 0, 0, 1] }), FORMERR],
  [
    'an OPT that is not announced',
    queryBytes({ name: 'a', counts: [1, 0, 0, 0], behind: optBytes() }),
    FORMERR,
  ],
  [
    'two additional records',
    queryBytes({
      name: 'a',
      counts: [1, 0, 0, 2],
      behind: Buffer.concat([optBytes(), optBytes()]),
    }),
    FORMERR,
  ],
  [
    'an additional record of another type',
    queryBytes({ name: 'a', behind: optBytes(undefined, { type: 250 }) }),
    FORMERR,
  ],
  [
    'an OPT with a name',
    queryBytes({ name: 'a', behind: Buffer.concat([nameBytes('x'), optBytes().subarray(1)]) }),
    FORMERR,
  ],
  ['an OPT cut short', queryBytes({ name: 'a', behind: optBytes().subarray(0, 10) }), FORMERR],
  [
    'an OPT that promises more than there is',
    queryBytes({ name: 'a', behind: optBytes(COOKIE, { length: 200 }) }),
    FORMERR,
  ],
  [
    'an option that promises more than there is',
    queryBytes({ name: 'a', behind: optBytes(Buffer.from('000affff00', 'hex')) }),
    FORMERR,
  ],
  [
    'half an option',
    queryBytes({ name: 'a', behind: optBytes(Buffer.from('000a00', 'hex')) }),
    FORMERR,
  ],
  [
    'garbage behind the question',
    queryBytes({ name: 'a', counts: [1, 0, 0, 0], behind: Buffer.of(0) }),
    FORMERR,
  ],
  [
    'garbage behind the OPT',
    queryBytes({ name: 'a', behind: Buffer.concat([optBytes(), Buffer.of(0)]) }),
    FORMERR,
  ],
  [
    'a name without an end',
    Buffer.concat([queryBytes({ name: '' }).subarray(0, 12), Buffer.from('\x03abc')]),
    FORMERR,
  ],
  ['a label longer than the message', raw('\x3fabc\x00'), FORMERR],
  ['a name without type and class', queryBytes({ name: 'a' }).subarray(0, 17), FORMERR],
  ['a label of 64 bytes', queryBytes({ name: 'x'.repeat(64) }), FORMERR],
  ['a name of 256 bytes', queryBytes({ name: `${LONGEST_NAME}a` }), FORMERR],
  ['a name of 300 bytes', queryBytes({ name: Array(150).fill('a').join('.') }), FORMERR],
  ['a pointer to itself', raw('\xc0\x0c'), FORMERR],
  ['a pointer to a pointer back', raw('\x01a\xc0\x10\xc0\x0c'), FORMERR],
  ['a pointer into the header', raw('\xc0\x00'), FORMERR],
  ['a pointer forward', raw('\xc0\x10\x00'), FORMERR],
  ['a label of the kind 01', raw('\x41a\x00'), FORMERR],
  ['a label of the kind 10', raw('\x81a\x00'), FORMERR],
  [
    'a query of more than 512 bytes',
    queryBytes({ name: 'a', behind: optBytes(padding(600)) }),
    FORMERR,
  ],
];

function padding(bytes: number): Buffer {
  const option = Buffer.alloc(4 + bytes);
  option.writeUInt16BE(12, 0);
  option.writeUInt16BE(bytes, 2);
  return option;
}

function twoQuestions(): Buffer {
  const one = queryBytes({ name: 'a', counts: [2, 0, 0, 0] });
  return Buffer.concat([one, one.subarray(12)]);
}

for (const [sentence, bytes, rcode] of REFUSED) {
  test(`${sentence} is ${rcode === null ? 'not answered' : `answered by code ${rcode} alone`}`, () => {
    const result = decodeQuery(bytes);
    assert.equal(result.ok, false);
    if (rcode === null) {
      assert.equal(result.reply, null);
      return;
    }
    assert.ok(result.reply !== null);
    const reply = readReply(result.reply);
    assert.equal(reply.rcode, rcode);
    assert.equal(reply.id, bytes.readUInt16BE(0));
    assert.equal(reply.question, null);
    assert.equal(reply.flags & 0x8000, 0x8000);
    assert.equal(result.reply.length, 12);
  });
}

const answers: readonly Answer[] = [
  { kind: 'address', address: Uint8Array.of(198, 18, 0, 1), ttlSeconds: 60 },
  { kind: 'address', address: new Uint8Array(16).fill(9), ttlSeconds: 3600 },
  { kind: 'no_data', ttlSeconds: 5 },
  { kind: 'no_name', ttlSeconds: 5 },
  { kind: 'refused' },
  { kind: 'bad_version' },
];
const RCODES = { address: 0, no_data: 0, no_name: 3, refused: 5, bad_version: 0 };

const anyName = fc
  .array(
    fc.string({
      unit: fc
        .integer({ min: 1, max: 255 })
        .filter((byte) => byte !== 0x2e)
        .map((byte) => String.fromCharCode(byte)),
      minLength: 1,
      maxLength: 63,
    }),
    { maxLength: 8 },
  )
  .map((labels) => labels.join('.'))
  .filter((name) => nameBytes(name).length <= 255);

test('every answer is whole, small, never truncated, and echoes the question letter by letter', () => {
  const property = fc.property(
    anyName,
    fc.nat(0xffff),
    fc.nat(0xffff),
    fc.boolean(),
    fc.constantFrom(...answers),
    (name, id, type, edns, answer) => {
      const behind = edns ? optBytes() : Buffer.alloc(0);
      const bytes = queryBytes({ name, id, type, behind });
      const encoded = encodeAnswer(decoded(bytes), answer);
      const reply = readReply(encoded);
      assert.equal(reply.id, id);
      assert.deepEqual(reply.question, { name, type, class: 1 });
      assert.equal(reply.flags & 0xfff0, 0x8180);
      assert.equal(reply.rcode, RCODES[answer.kind]);
      assert.equal(reply.answers.length, answer.kind === 'address' ? 1 : 0);
      assert.equal(reply.authorities.length, answer.kind.startsWith('no_') ? 1 : 0);
      assert.equal(reply.additional.length, edns ? 1 : 0);
      assert.ok(encoded.length <= ANSWER_BYTES_MAX);
      assert.ok(encoded.length <= bytes.length + 50);
    },
  );
  fc.assert(property, { numRuns: 3000 });
});

test('the longest answer has exactly the bytes that are promised', () => {
  const query = decoded(queryBytes({ name: LONGEST_NAME, behind: optBytes() }));
  const longest = Math.max(...answers.map((answer) => encodeAnswer(query, answer).length));
  assert.equal(longest, ANSWER_BYTES_MAX);
});

test('an address comes with its type, owner and time to live', () => {
  const query = decoded(queryBytes({ name: 'Api.Example.com' }));
  const [four, six] = answers.slice(0, 2).map((answer) => readReply(encodeAnswer(query, answer)));
  const [a] = four?.answers ?? [];
  const [aaaa] = six?.answers ?? [];
  assert.deepEqual(a, {
    owner: 'Api.Example.com',
    type: A,
    class: 1,
    ttl: 60,
    data: Buffer.of(198, 18, 0, 1),
  });
  assert.equal(aaaa?.type, AAAA);
  assert.equal(aaaa?.ttl, 3600);
  assert.equal(aaaa?.data.length, 16);
});

test('a no says how long it may be kept, in both places that resolvers look at', () => {
  const query = decoded(queryBytes({ name: 'a', behind: optBytes() }));
  const { authorities, additional } = readReply(
    encodeAnswer(query, { kind: 'no_name', ttlSeconds: 5 }),
  );
  const [soa] = authorities;
  assert.equal(soa?.type, 6);
  assert.equal(soa?.owner, '');
  assert.equal(soa?.ttl, 5);
  assert.equal(soa?.data.readUInt32BE(soa.data.length - 4), 5);
  // Extended error 15: blocked.
  assert.deepEqual(additional[0]?.data, Buffer.from('000f0002000f', 'hex'));
});

test('a later EDNS version is answered with code 16, in two halves', () => {
  const query = decoded(queryBytes({ name: 'a', behind: optBytes(undefined, { version: 1 }) }));
  const reply = readReply(encodeAnswer(query, { kind: 'bad_version' }));
  assert.equal(reply.rcode, 0);
  assert.equal((reply.additional[0]?.ttl ?? 0) >>> 24, 1);
});

test('100000 mutated messages: no throw, and what is read is what a second reader reads', () => {
  const bases = [...ACCEPTED, ...REFUSED].map(([, bytes]) => bytes).filter((b) => b.length > 0);
  const property = fc.property(
    fc.constantFrom(...bases),
    fc.array(fc.tuple(fc.nat(4), fc.nat(700), fc.nat(255)), { minLength: 1, maxLength: 4 }),
    (base, mutations) => {
      const bytes = mutations.reduce(mutated, base);
      const result = decodeQuery(bytes);
      if (result.ok) {
        assert.ok(bytes.length <= QUERY_BYTES_MAX);
        const { question, name, id, type } = result.query;
        assert.equal(id, bytes.readUInt16BE(0));
        assert.deepEqual(Buffer.from(question), bytes.subarray(12, 12 + question.length));
        assert.deepEqual({ name, type }, secondReading(bytes));
      } else assert.ok(result.reply === null || result.reply.length === 12);
    },
  );
  fc.assert(property, { numRuns: 100_000 });
});

test('random bytes are read without a throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 700 }), (bytes) => {
      decodeQuery(bytes);
    }),
    { numRuns: 5000 },
  );
});

function mutated(bytes: Buffer, [kind, at, value]: readonly [number, number, number]): Buffer {
  const place = bytes.length === 0 ? 0 : at % bytes.length;
  switch (kind) {
    case 0:
      return bytes.subarray(0, place);
    case 1:
      return Buffer.concat([bytes.subarray(0, place), Buffer.of(value), bytes.subarray(place)]);
    case 2:
      return Buffer.concat([bytes, Buffer.alloc(at, value)]);
    case 3:
      return Buffer.concat([bytes.subarray(0, place), bytes.subarray(place + 1)]);
    default: {
      const copy = Buffer.from(bytes);
      if (copy.length > 0) copy[place] = value;
      return copy;
    }
  }
}

/** Name and type, read in the simplest way, of a query known to be well formed. */
function secondReading(bytes: Buffer): { name: string; type: number } {
  const labels: string[] = [];
  let at = 12;
  for (; bytes[at] !== 0; at += 1 + bytes.readUInt8(at)) {
    const label = bytes.toString('latin1', at + 1, at + 1 + bytes.readUInt8(at));
    const odd = (one: string) => `\\${String(one.charCodeAt(0)).padStart(3, '0')}`;
    labels.push(label.replace(/[A-Z]/g, (one) => one.toLowerCase()).replace(/[^a-z0-9_-]/g, odd));
  }
  return { name: labels.join('.'), type: bytes.readUInt16BE(at + 1) };
}
