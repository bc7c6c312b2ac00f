/** Any message in, a whole and small reply or none out; and the rate that bounds it all. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createResponder, type DnsResult } from '../../src/dns/responder.ts';
import { createTokenBucket } from '../../src/dns/token-bucket.ts';
import { A, AAAA, HTTPS, optBytes, queryBytes, readReply } from './wire.ts';

function responder(queriesPerSecond = 1_000_000) {
  const results: DnsResult[] = [];
  const { respond } = createResponder(
    {
      ipv4: '198.18.0.1',
      ipv6: 'fd00::18',
      ttlSeconds: 60,
      queriesPerSecond,
      names: ['api.example.com', '*.tools.example.net'],
      counted: (result) => results.push(result),
      signed: () => undefined,
      suspected: () => undefined,
    },
    0,
  );
  return { respond, results };
}

test('of 30000 broken, odd and good messages each is counted once and gets a whole reply or none', () => {
  const { respond, results } = responder();
  const label = fc.constantFrom(
    'api',
    'example',
    'com',
    'x.tools',
    'net',
    'a'.repeat(63),
    '\u0000\u00ff',
    'arpa',
  );
  const name = fc.oneof(
    fc.constantFrom('api.example.com', 'x.tools.example.net', 'example.com'),
    fc.array(label, { maxLength: 5 }).map((labels) => labels.join('.')),
  );
  const type = fc.oneof(fc.constantFrom(A, AAAA, HTTPS), fc.nat(300));
  const query = fc
    .tuple(name, type, fc.nat(1), fc.nat(3))
    .map(([asked, kindOfRecord, version, kind]) =>
      queryBytes({
        name: asked,
        type: kindOfRecord,
        class: kind === 3 ? 3 : 1,
        behind: kind === 0 ? Buffer.alloc(0) : optBytes(undefined, { version }),
      }),
    );
  const change = fc.option(fc.tuple(fc.nat(400), fc.nat(255)));
  let messages = 0;
  const property = fc.property(query, change, (bytes, changed) => {
    if (changed !== null) bytes[changed[0] % bytes.length] = changed[1];
    const reply = respond(bytes, 'agent', messages);
    messages += 1;
    assert.equal(results.length, messages);
    if (reply === null) {
      assert.equal(results.at(-1), 'malformed');
      return;
    }
    assert.ok(reply.length <= Math.min(512, bytes.length + 50));
    const { id, flags } = readReply(reply);
    assert.equal(id, bytes.readUInt16BE(0));
    assert.equal(flags & 0x8000, 0x8000);
  });
  fc.assert(property, { numRuns: 30_000 });
  const kinds = ['address', 'no_data', 'no_name', 'refused', 'bad_version', 'malformed'] as const;
  for (const kind of kinds) assert.ok(results.includes(kind), kind);
});

test('beyond the rate a query is refused whatever it asks, and what is no query gets nothing', () => {
  const { respond, results } = responder(1);
  const asked = queryBytes({ name: 'api.example.com' });
  const rcode = (reply: Uint8Array | null) => (reply === null ? null : readReply(reply).rcode);
  assert.deepEqual(
    [0, 0, 0].map((nowMs) => rcode(respond(asked, 'agent', nowMs))),
    [0, 0, 5],
  );
  assert.equal(respond(asked.subarray(0, 20), 'agent', 0), null);
  assert.equal(rcode(respond(queryBytes({ name: 'nope' }), 'other', 999)), 5);
  assert.equal(rcode(respond(asked, 'agent', 1000)), 0);
  assert.deepEqual(results.toSpliced(0, 2), ['limited', 'malformed', 'limited', 'address']);
});

test('a bucket gives what a plain count gives, and nothing for a clock that goes back', () => {
  const property = fc.property(
    fc.integer({ min: 1, max: 50 }),
    fc.array(fc.integer({ min: -200, max: 400 }), { maxLength: 200 }),
    (perSecond, steps) => {
      const bucket = createTokenBucket(perSecond, 0);
      // In thousandths of a token, so that the count is exact.
      let [tokens, now, latest] = [perSecond * 2000, 0, 0];
      for (const step of steps) {
        now += step;
        tokens = Math.min(perSecond * 2000, tokens + Math.max(0, now - latest) * perSecond);
        latest = Math.max(latest, now);
        const gives = tokens >= 1000;
        // Where the fraction decides, one of the two may be a rounding apart.
        if (Math.abs(tokens - 1000) > 1) assert.equal(bucket.take(now), gives);
        else if (bucket.take(now) !== gives) return;
        if (gives) tokens -= 1000;
      }
    },
  );
  fc.assert(property, { numRuns: 2000 });
});
