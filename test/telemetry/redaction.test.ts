// What free text may look like after it went through the last fence before a log or a trace.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { printable, redactSecrets } from '../../src/telemetry/redaction.ts';
import { httpMethod, serverSpanName, urlFull } from '../../src/telemetry/semconv.ts';

const SECRET = 'hunter2hunter2';

for (const text of [
  `Authorization: Bearer ${SECRET}`,
  `bearer ${SECRET}`,
  `{"authorization":"Basic ${SECRET}"}`,
  `Authorization: ${SECRET}`,
  `x-api-key=${SECRET}`,
  `api_key: "${SECRET}"`,
  `GET /?access_token=${SECRET}&b=c`,
  `Set-Cookie: sid=${SECRET}`,
  `password = ${SECRET}`,
  `client_secret:${SECRET}`,
  `connect to https://user:${SECRET}@mail.example failed`,
  `key sk-${SECRET}`,
  `token ghp_${SECRET}`,
  `eyJhbGciOiJIUzI1NiJ9.${SECRET}.${SECRET}`,
  `-----BEGIN PRIVATE KEY-----\n${SECRET}\n-----END PRIVATE KEY-----`,
]) {
  test(`the secret is cut out of: ${text.replace(/\s+/g, ' ').slice(0, 40)}`, () => {
    const left = redactSecrets(text);
    assert.ok(!left.includes(SECRET), left);
    assert.match(left, /\[redacted\]/);
  });
}

test('ordinary messages stay as they are', () => {
  for (const text of [
    'connect ECONNREFUSED 127.0.0.1:7001',
    'policy.denied: recipient is not the accountant',
    'sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
    'the bearer of the news',
  ]) {
    assert.equal(printable(text, 2048), text);
  }
});

test('control, invisible and direction-changing characters are shown, not sent', () => {
  assert.equal(
    printable('a\u001b[31mb\r\n\u202ec\u200b\u0085', 99),
    'a\\u001b[31mb\\u000d\\u000a\\u202ec\\u200b\\u0085',
  );
});

test('printable text is bounded, well formed and free of control characters, whatever comes', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
      const left = printable(text, 50);
      assert.ok(left.isWellFormed());
      assert.doesNotMatch(left, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      assert.ok(left.length <= 51 * 8);
    }),
  );
});

test('redaction is quick on text made to slow it down', () => {
  const text = `${'token'.repeat(200)}${'-----BEGIN '.repeat(100)}${'eyJ'.repeat(300)}://${'a'.repeat(500)}`;
  assert.equal(typeof printable(text.repeat(4), 2048), 'string');
});

test('a URL in a span has no user info, query, fragment or path segment that may be a secret', () => {
  assert.equal(urlFull('https://u:p@mail.example/v1/send?key=1#x'), 'https://mail.example/v1/send');
  assert.equal(
    urlFull('https://hooks.example/services/T00/abcdef0123456789XYZ'),
    'https://hooks.example/services/T00/REDACTED',
  );
  assert.equal(
    urlFull('https://api.example/bot12:AAF/sendMessage'),
    'https://api.example/REDACTED/sendMessage',
  );
  assert.equal(urlFull('/relative'), null);
});

test('span names and methods have few different values', () => {
  assert.equal(httpMethod('POST'), 'POST');
  assert.equal(httpMethod('BREW'), '_OTHER');
  assert.equal(serverSpanName('tools/call', 'gmail.send'), 'tools/call gmail.send');
  assert.equal(serverSpanName('GET', null), 'GET');
});
