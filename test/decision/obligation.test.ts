/** What obligations change, and what they can never change. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { JsonObject } from '../../src/call/tool-call.ts';
import { carryOut } from '../../src/decision/obligation.ts';
import type { Obligation } from '../../src/decision/verdict.ts';

const call = (args: JsonObject | null) => ({
  arguments: args,
  headers: [['accept', 'application/json']] as const,
});

test('without obligations nothing changes', () => {
  const given = call({ a: 1 });
  assert.deepEqual(carryOut([], given), { ok: true, ...given });
});

test('a log obligation changes nothing on the way out', () => {
  const given = call({ a: 1 });
  const changed = carryOut([{ kind: 'log', level: 'full' }], given);
  assert.deepEqual(changed.ok && changed.arguments, { a: 1 });
});

test('redact replaces a value that stands deep in the arguments', () => {
  const changed = carryOut(
    [{ kind: 'redact', path: '/arguments/a/1/b~1c' }],
    call({
      a: [0, { 'b/c': 'secret', d: 2 }],
    }),
  );
  assert.deepEqual(changed.ok && changed.arguments, {
    a: [0, { 'b/c': '[redacted by policy]', d: 2 }],
  });
});

test('patch adds, replaces and removes as RFC 6902 says', () => {
  const patches: Obligation[] = [
    { kind: 'patch', op: 'add', path: '/arguments/list/-', value: 3 },
    { kind: 'patch', op: 'add', path: '/arguments/list/0', value: 0 },
    { kind: 'patch', op: 'replace', path: '/arguments/x', value: 'y' },
    { kind: 'patch', op: 'remove', path: '/arguments/gone' },
  ];
  const changed = carryOut(patches, call({ list: [1, 2], x: 1, gone: true }));
  assert.deepEqual(changed.ok && changed.arguments, { list: [0, 1, 2, 3], x: 'y' });
});

test('a header obligation replaces the header whatever its case', () => {
  const changed = carryOut([{ kind: 'header', name: 'Accept', value: 'text/plain' }], call(null));
  assert.deepEqual(changed.ok && changed.headers, [['Accept', 'text/plain']]);
});

test('a header is removed whatever its case, with all its values, and one that is not there is no fault', () => {
  const headers = [
    ['X-A', '1'],
    ['x_b', '2'],
    ['x-a', '3'],
    ['Authorization', 'Basic eDp5'],
    ['x-c', '4'],
  ] as const;
  const removed = ['x-a', 'x_B', 'x-none', 'authorization'].map((name) => ({
    kind: 'request_header_remove',
    name,
  }));
  const changed = carryOut(removed, { ...call(null), headers });
  assert.deepEqual(changed.ok && changed.headers, [['x-c', '4']]);
});

const IMPOSSIBLE: readonly (readonly [string, Obligation])[] = [
  ['an unknown kind', { kind: 'teleport' }],
  ['a path outside the arguments', { kind: 'redact', path: '/tool/name' }],
  ['the arguments as a whole', { kind: 'redact', path: '/arguments' }],
  ['a place that does not exist', { kind: 'redact', path: '/arguments/missing' }],
  ['an index that is no number', { kind: 'redact', path: '/arguments/list/01' }],
  ['an index past the end', { kind: 'patch', op: 'replace', path: '/arguments/list/2', value: 1 }],
  ['a patch without a value', { kind: 'patch', op: 'add', path: '/arguments/x' }],
  ['a patch of an unknown op', { kind: 'patch', op: 'move', path: '/arguments/a', value: 1 }],
  ['a Host header', { kind: 'header', name: 'Host', value: 'evil' }],
  ['a Content-Length header', { kind: 'header', name: 'content-length', value: '0' }],
  ['an Authorization header', { kind: 'header', name: 'authorization', value: 'x' }],
  ['a header value with a line break', { kind: 'header', name: 'x-a', value: 'a\r\nb: c' }],
  ['a header name with a space', { kind: 'header', name: 'x a', value: 'b' }],
  ['removing a name with a space', { kind: 'request_header_remove', name: 'x a' }],
  ['removing nothing', { kind: 'request_header_remove' }],
  ...[
    ...['Host', 'Content-Length', 'content-type', 'content-encoding', 'Transfer-Encoding', 'te'],
    ...[
      'connection',
      'Upgrade',
      'expect',
      'proxy-authorization',
      'mcp-session-id',
      'sec-fetch-site',
    ],
    ...['grpc-timeout', 'x-egret-warning', ':authority'],
  ].map((name): readonly [string, Obligation] => [
    `removing ${name}`,
    { kind: 'request_header_remove', name },
  ]),
];

for (const [sentence, obligation] of IMPOSSIBLE) {
  test(`${sentence} cannot be carried out, so the call is refused`, () => {
    assert.equal(carryOut([obligation], call({ a: 1, list: [1, 2] })).ok, false);
  });
}

test('arguments that are not JSON cannot be changed', () => {
  assert.equal(carryOut([{ kind: 'redact', path: '/arguments/a' }], call(null)).ok, false);
});

test('a redacted value is gone, and nothing else has changed', () => {
  const key = fc.stringMatching(/^[a-z~/_]{1,8}$/);
  fc.assert(
    fc.property(fc.dictionary(key, fc.jsonValue(), { minKeys: 1 }), fc.nat(), (args, pick) => {
      const names = Object.keys(args);
      const name = names[pick % names.length] as string;
      const path = `/arguments/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
      const changed = carryOut(
        [{ kind: 'redact', path, replacement: 'X' }],
        call(args as JsonObject),
      );
      assert.ok(changed.ok);
      const expected = Object.fromEntries(
        Object.entries(args).map(([k, v]) => [k, k === name ? 'X' : v]),
      );
      assert.deepEqual({ ...changed.arguments }, expected);
    }),
  );
});

test('an argument named __proto__ is redacted like any other and pollutes nothing', () => {
  const args = JSON.parse('{"__proto__": {"polluted": 1}}');
  const changed = carryOut(
    [{ kind: 'redact', path: '/arguments/__proto__', replacement: 'X' }],
    call(args),
  );
  assert.ok(changed.ok);
  assert.equal(JSON.stringify(changed.arguments), '{"__proto__":"X"}');
  assert.equal(({} as { polluted?: unknown }).polluted, undefined);
});
