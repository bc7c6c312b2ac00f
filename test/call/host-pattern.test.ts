// Host patterns of policies and configuration: which names they match, beside a dumb twin.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hostMatcher } from '../../src/call/host-pattern.ts';

test('a name stands for itself, a star for every name below and not for the name itself', () => {
  const matches = hostMatcher(['api.example.com', '*.example.org']);
  assert.equal(matches('api.example.com'), true);
  assert.equal(matches('x.api.example.com'), false);
  assert.equal(matches('a.example.org'), true);
  assert.equal(matches('a.b.example.org'), true);
  assert.equal(matches('example.org'), false);
  assert.equal(matches('notexample.org'), false);
  assert.equal(hostMatcher([])('example.org'), false);
});

test('the matcher agrees with one that compares text', () => {
  const label = fc.constantFrom('a', 'b', 'ab');
  const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
  const pattern = fc.tuple(fc.boolean(), name).map(([star, text]) => (star ? `*.${text}` : text));
  const dumb = (patterns: string[], host: string) =>
    patterns.some((text) => (text.startsWith('*') ? host.endsWith(text.slice(1)) : host === text));
  fc.assert(
    fc.property(fc.array(pattern), name, (patterns, host) => {
      assert.equal(hostMatcher(patterns)(host), dumb(patterns, host));
    }),
  );
});
