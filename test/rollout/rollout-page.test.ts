// docs/rollout.md says what the program knows: its example is a set, and every phase, pause, verb and event is in it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PAUSE_REASONS, PHASES } from '../../src/rollout/directive.ts';
import { readPolicySet } from '../../src/rollout/policy-set.ts';
import { VERBS } from '../../src/rollout/state.ts';
import { codeBlocks } from '../docs/page.ts';

const page = readFileSync(join(import.meta.dirname, '../../docs/rollout.md'), 'utf8');

void test('its example is a policy set without problems', () => {
  const block = codeBlocks(page).find(({ path }) => path === 'rollout.yaml');
  const reading = readPolicySet(block?.text ?? '');
  assert.ok(reading.ok, reading.ok ? '' : reading.problems.join('\n'));
  assert.equal(reading.value.spec.steps.length, 5);
});

void test('it names every phase, pause reason and verb', () => {
  for (const name of [...PHASES, ...PAUSE_REASONS, ...VERBS]) {
    assert.match(page, new RegExp(`(^|[^A-Za-z-])${name}([^A-Za-z-]|$)`, 'm'), name);
  }
});
