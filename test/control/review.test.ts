/** What the decision API reads of a review, and who may ask it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authenticate, loadClients } from '../../src/control/credential.ts';
import { reviewedCall } from '../../src/control/review.ts';

test('a review with only a tool name is filled up with the most cautious values', () => {
  const reviewed = reviewedCall({ request: { tool: { name: 'gmail.send' } } });
  assert.ok(reviewed.ok);
  assert.equal(reviewed.call.tool.known, false);
  assert.equal(reviewed.call.tool.risk, 'high');
  assert.equal(reviewed.call.tool.operation, 'unknown');
});

test('what a caller may not say about itself is left out', () => {
  const reviewed = reviewedCall({
    request: { tool: { name: 'x' }, agent: { id: 'root' }, user: { id: 'me' }, time_ns: 1 },
  });
  assert.ok(reviewed.ok);
  assert.equal('agent' in reviewed.call, false);
});

test("in OPA's data API the same request stands under input, and its problems are named there", () => {
  const read = reviewedCall({ input: { tool: { name: 'gmail.send' } } }, 'input');
  assert.ok(read.ok);
  assert.equal(read.call.tool.name, 'gmail.send');
  const broken = reviewedCall({ input: { tool: {} } }, 'input');
  assert.ok(!broken.ok);
  assert.ok(broken.detail.startsWith('input.tool.name: '), broken.detail);
});

for (const [sentence, document, path] of [
  ['nothing', null, '(document)'],
  ['no request', {}, 'request'],
  ['a tool without a name', { request: { tool: {} } }, 'request.tool.name'],
  [
    'a hash that is none',
    { request: { tool: { name: 'x' }, attachments: [{ sha256: 'ABC' }] } },
    'request.attachments.0.sha256',
  ],
  ['another kind', { kind: 'Pod', request: { tool: { name: 'x' } } }, 'kind'],
] as const) {
  test(`a review with ${sentence} is refused with the path ${path}`, () => {
    const reviewed = reviewedCall(document);
    assert.ok(!reviewed.ok);
    assert.ok(reviewed.detail.startsWith(`${path}: `), reviewed.detail);
  });
}

const TOKEN = 'a-token-of-sixteen-bytes-or-more';
const clients = loadClients([{ id: 'frontend', may: 'upload', tokenEnv: 'T' }], {
  T: `${TOKEN}\n`,
});

test('the right bearer token names its client', () => {
  assert.equal(authenticate(clients, `Bearer ${TOKEN}`)?.id, 'frontend');
});

for (const header of [
  undefined,
  '',
  'Bearer',
  'Bearer ',
  `Basic ${TOKEN}`,
  `Bearer ${TOKEN}x`,
  `Bearer ${TOKEN} `,
]) {
  test(`the credential ${JSON.stringify(header)?.replace(TOKEN, '<token>')} names nobody`, () => {
    assert.equal(authenticate(clients, header), null);
  });
}

test('a missing, short or shared token stops the start without showing the token', () => {
  const one = { id: 'a', may: 'upload', tokenEnv: 'T' } as const;
  assert.throws(() => loadClients([one], {}), /found no environment variable T for "a"/);
  assert.throws(() => loadClients([one], { T: 'short' }), /"a" is shorter than 16 bytes/);
  assert.throws(
    () => loadClients([one, { ...one, id: 'b', may: 'review' }], { T: TOKEN }),
    (error: Error) => /same token/.test(error.message) && !error.message.includes(TOKEN),
  );
});
