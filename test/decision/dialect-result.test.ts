/** Answers of policies that speak another dialect, as verdicts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type DialectName, dialectOf } from '../../src/decision/dialect.ts';
import { OBLIGATION_KINDS } from '../../src/decision/obligation.ts';
import { verdictOf } from '../../src/decision/verdict-from-result.ts';

const POLICY = { set: 'main', revision: 'r1', digest: 'sha256:00' };
const ENTRYPOINT = 'envoy/authz/allow';

const verdict = (name: DialectName, value: unknown) =>
  verdictOf(
    dialectOf(name, ENTRYPOINT).answer({ ok: true, value, fuel: 7 }),
    POLICY,
    1,
    OBLIGATION_KINDS,
  );

const undefinedVerdict = (name: DialectName) =>
  verdictOf(
    dialectOf(name, ENTRYPOINT).answer({
      ok: false,
      reason: 'policy.undefined',
      detail: 'no result',
      fuel: 7,
    }),
    POLICY,
    1,
    OBLIGATION_KINDS,
  );

const ALLOWED = { allowed: true };
const DENIED = { allowed: false };

const TABLE: readonly (readonly [sentence: string, value: unknown, reason: string])[] = [
  ['true allows', true, 'policy.allowed'],
  ['false means that nothing allows', false, 'policy.no_match'],
  ['an object that allows', ALLOWED, 'policy.allowed'],
  ['an object that denies', DENIED, 'policy.denied'],
  ['null', null, 'policy.invalid_result'],
  ['a text', 'true', 'policy.invalid_result'],
  ['a number', 1, 'policy.invalid_result'],
  ['a list', [true], 'policy.invalid_result'],
  ['an empty object', {}, 'policy.invalid_result'],
  ['allowed as a text', { allowed: 'true' }, 'policy.invalid_result'],
  ['allowed as a number', { allowed: 1 }, 'policy.invalid_result'],
  ['a status of an allow is not used', { ...ALLOWED, http_status: 200 }, 'policy.allowed'],
  ['the lowest status', { ...DENIED, http_status: 100 }, 'policy.denied'],
  ['the highest status', { ...DENIED, http_status: 599 }, 'policy.denied'],
  ['a status below', { ...DENIED, http_status: 99 }, 'policy.invalid_result'],
  ['a status above', { ...ALLOWED, http_status: 600 }, 'policy.invalid_result'],
  ['a broken status', { ...ALLOWED, http_status: 200.5 }, 'policy.invalid_result'],
  ['a status as a text', { ...ALLOWED, http_status: '200' }, 'policy.invalid_result'],
  ['a null status', { ...ALLOWED, http_status: null }, 'policy.invalid_result'],
  ['a body that is no text', { ...ALLOWED, body: { a: 1 } }, 'policy.invalid_result'],
  ['headers', { ...ALLOWED, headers: { 'x-a': 'b' } }, 'policy.allowed'],
  ['headers as a list', { ...ALLOWED, headers: [{ 'x-a': 'b' }, {}] }, 'policy.allowed'],
  ['a header twice', { ...ALLOWED, headers: { 'x-a': ['b', 'c'] } }, 'policy.unknown_obligation'],
  [
    'a header twice, spelled differently',
    { ...ALLOWED, headers: [{ 'x-a': 'b' }, { 'X-A': 'c' }] },
    'policy.unknown_obligation',
  ],
  ['headers as a text', { ...ALLOWED, headers: 'x-a: b' }, 'policy.invalid_result'],
  ['a header that is a number', { ...ALLOWED, headers: { 'x-a': 1 } }, 'policy.invalid_result'],
  ['also in a denial', { ...DENIED, headers: { 'x-a': [1] } }, 'policy.invalid_result'],
  ['headers to remove', { ...ALLOWED, request_headers_to_remove: ['x-a'] }, 'policy.allowed'],
  ['none to remove', { ...ALLOWED, request_headers_to_remove: [] }, 'policy.allowed'],
  [
    'one to remove, as a text',
    { ...ALLOWED, request_headers_to_remove: 'x-a' },
    'policy.invalid_result',
  ],
  [
    'headers for the answer',
    { ...ALLOWED, response_headers_to_add: { 'x-a': 'b' } },
    'policy.unknown_obligation',
  ],
  ['no headers for the answer', { ...ALLOWED, response_headers_to_add: {} }, 'policy.allowed'],
  [
    'parameters to set',
    { ...ALLOWED, query_parameters_to_set: { a: 'b' } },
    'policy.unknown_obligation',
  ],
  [
    'parameters to set, as a list',
    { ...ALLOWED, query_parameters_to_set: [{ a: 'b' }] },
    'policy.invalid_result',
  ],
  [
    'parameters to remove',
    { ...ALLOWED, query_parameters_to_remove: ['a'] },
    'policy.unknown_obligation',
  ],
  ['metadata', { ...ALLOWED, dynamic_metadata: { a: 1 } }, 'policy.unknown_obligation'],
  ['no metadata', { ...ALLOWED, dynamic_metadata: {} }, 'policy.allowed'],
  ['metadata that are a list', { ...ALLOWED, dynamic_metadata: [] }, 'policy.invalid_result'],
  ['a denial needs none of it', { ...DENIED, dynamic_metadata: { a: 1 } }, 'policy.denied'],
];

for (const [sentence, value, reason] of TABLE) {
  test(`dialect envoy: ${sentence}: ${reason}`, () => {
    const { outcome, reason: found } = verdict('envoy', value);
    assert.deepEqual([outcome, found], [reason === 'policy.allowed' ? 'allow' : 'deny', reason]);
  });
}

test('an undefined rule means that nothing allows, in every dialect but our own', () => {
  assert.equal(undefinedVerdict('envoy').reason, 'policy.no_match');
  assert.equal(undefinedVerdict('bool').reason, 'policy.no_match');
  assert.equal(undefinedVerdict('egret').reason, 'policy.undefined');
});

test('a policy that fails denies with the reason of the failure', () => {
  for (const name of ['envoy', 'bool'] as const) {
    for (const reason of ['policy.error', 'policy.fuel_exhausted'] as const) {
      const failed = { ok: false, reason, detail: '', fuel: 9 } as const;
      const { outcome, reason: found } = verdictOf(
        dialectOf(name, ENTRYPOINT).answer(failed),
        POLICY,
        1,
        OBLIGATION_KINDS,
      );
      assert.deepEqual([outcome, found], ['deny', reason]);
    }
  }
});

test('headers of an allow become obligations, and fields without a meaning a warning', () => {
  const { obligations, warnings } = verdict('envoy', {
    allowed: true,
    headers: { 'x-a': 'b', 'x-c': ['d'] },
    id: 1,
  });
  assert.deepEqual(obligations, [
    { kind: 'header', name: 'x-a', value: 'b' },
    { kind: 'header', name: 'x-c', value: 'd' },
  ]);
  assert.deepEqual(warnings, ['result field id has no meaning']);
});

test('a denial keeps its text, and its status among the reasons', () => {
  const { message, reasons, obligations, warnings } = verdict('envoy', {
    allowed: false,
    http_status: 429,
    body: 'Enough for today.',
    headers: { 'retry-after': '60' },
    request_headers_to_remove: ['x-a'],
  });
  assert.equal(message, 'Enough for today.');
  assert.deepEqual(reasons, [
    {
      code: 'http_status.429',
      policy: ENTRYPOINT,
      rule: 'allowed',
      message: 'Enough for today.',
    },
  ]);
  assert.deepEqual(obligations, []);
  assert.deepEqual(warnings, []);
});

const refusalFor = (result: object, name: DialectName = 'envoy') =>
  dialectOf(name, ENTRYPOINT).refusal({
    ok: true,
    value: { allowed: false, ...result },
    fuel: 7,
  });
const warningsFor = (result: object) => verdict('envoy', { allowed: false, ...result }).warnings;

test('what a denial shows is stated by the policy, or else the same as ever', () => {
  assert.equal(refusalFor({}), null);
  assert.equal(refusalFor({ body: '', headers: {} }), null);
  assert.deepEqual(refusalFor({ body: 'no' }), { status: 403, headers: [], body: 'no' });
  assert.deepEqual(refusalFor({ http_status: 503, headers: [{ 'x-a': ['b', 'c'] }] }), {
    status: 503,
    headers: [
      ['x-a', 'b'],
      ['x-a', 'c'],
    ],
    body: '',
  });
  assert.equal(refusalFor({ body: 'no' }, 'egret'), null);
  assert.equal(refusalFor({ body: 'no' }, 'bool'), null);
});

test('only 400 to 599 are sent; any other status is 403 with a warning', () => {
  for (const status of [400, 403, 451, 599]) {
    assert.equal(refusalFor({ http_status: status })?.status, status);
    assert.deepEqual(warningsFor({ http_status: status }), []);
  }
  for (const status of [100, 101, 200, 204, 302, 399]) {
    assert.equal(refusalFor({ http_status: status })?.status, 403);
    assert.deepEqual(warningsFor({ http_status: status }), [
      `http_status ${status} is not sent, 403 is`,
    ]);
  }
});

for (const [sentence, name, value] of [
  ['a length', 'Content-Length', '1'],
  ['a coding of the body', 'content-encoding', 'gzip'],
  ['a coding of the message', 'transfer-encoding', 'chunked'],
  ['a header of the connection', 'Connection', 'close'],
  ['an upgrade', 'upgrade', 'websocket'],
  ['a question for proxy credentials', 'proxy-authenticate', 'Basic'],
  ['a cookie', 'set-cookie', 'a=b'],
  ['another place', 'location', 'https://evil.example/'],
  ['a header of ours', 'x-egret-reason', 'policy.allowed'],
  ['a session', 'mcp-session-id', 'a'],
  ['a second line', 'x-a', 'b\r\nset-cookie: a=b'],
  ['a value beyond ASCII', 'x-a', 'ä'],
  ['a value without end', 'x-a', 'a'.repeat(1025)],
  ['no name', '', 'a'],
  ['a name of two words', 'x a', 'a'],
  ['a name with a line', 'x\r\nb', 'a'],
] as const) {
  test(`a denial does not send ${sentence} as a header, and the verdict says so`, () => {
    const result = { body: 'no', headers: { [name]: value, 'x-kept': 'yes' } };
    assert.deepEqual(refusalFor(result)?.headers, [['x-kept', 'yes']]);
    assert.deepEqual(warningsFor(result), [`header ${name} is not sent`]);
  });
}

test('one content type with a text, none without, and at most 32 headers', () => {
  const types = [{ 'Content-Type': 'text/html' }, { 'content-type': 'text/plain' }];
  assert.deepEqual(refusalFor({ body: 'no', headers: types })?.headers, [
    ['Content-Type', 'text/html'],
  ]);
  assert.deepEqual(refusalFor({ headers: types })?.headers, []);
  const many = Object.fromEntries(Array.from({ length: 40 }, (_, at) => [`x-${at}`, '1']));
  assert.equal(refusalFor({ headers: many })?.headers.length, 32);
  assert.equal(warningsFor({ headers: many }).length, 8);
});

test('a text is cut after 64 KiB, at a whole character, and the verdict says so', () => {
  const whole = 'a'.repeat(64 * 1024);
  assert.equal(refusalFor({ body: whole })?.body, whole);
  const cut = refusalFor({ body: `${whole.slice(1)}ä` })?.body;
  assert.equal(cut, whole.slice(1));
  assert.deepEqual(warningsFor({ body: `${whole}b` }), [
    'body is cut, it has more than 65536 bytes',
  ]);
  assert.equal(refusalFor({ body: 'a\ud800' })?.body, 'a\ufffd');
});

test('headers to remove come after headers to set, as in Envoy', () => {
  const { obligations } = verdict('envoy', {
    request_headers_to_remove: ['x-a', 'x-b'],
    headers: { 'x-a': '1' },
    allowed: true,
  });
  assert.deepEqual(obligations, [
    { kind: 'header', name: 'x-a', value: '1' },
    { kind: 'request_header_remove', name: 'x-a' },
    { kind: 'request_header_remove', name: 'x-b' },
  ]);
});

for (const [value, reason] of [
  [true, 'policy.allowed'],
  [false, 'policy.no_match'],
  [{ allowed: true }, 'policy.invalid_result'],
  ['true', 'policy.invalid_result'],
  [1, 'policy.invalid_result'],
  [null, 'policy.invalid_result'],
] as const) {
  test(`dialect bool: ${JSON.stringify(value)}: ${reason}`, () => {
    assert.equal(verdict('bool', value).reason, reason);
  });
}

test('nothing but true, or an object with allowed: true and sound fields, is an allow', () => {
  const field = fc.constantFrom(
    'allowed',
    'http_status',
    'body',
    'headers',
    'request_headers_to_remove',
    'response_headers_to_add',
    'query_parameters_to_set',
    'dynamic_metadata',
    'outcome',
    '__proto__',
  );
  const value = fc.oneof(
    fc.jsonValue(),
    fc.dictionary(field, fc.oneof(fc.boolean(), fc.jsonValue())),
  );
  fc.assert(
    fc.property(value, (given) => {
      const found = verdict('envoy', given).outcome;
      const says = given === true || (given as { allowed?: unknown } | null)?.allowed === true;
      assert.ok(found === 'deny' || says, JSON.stringify(given));
      assert.equal(verdict('bool', given).outcome === 'allow', given === true);
    }),
    { numRuns: 2000 },
  );
});
