/** Whose verdict is enforced, in each mode and whatever the candidate says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Json } from '../../src/call/tool-call.ts';
import { carryOut } from '../../src/decision/obligation.ts';
import type { Obligation, Verdict } from '../../src/decision/verdict.ts';
import { type Both, enforcedOf } from '../../src/rollout/arm.ts';
import { answered, FAILURES, failing, REVISIONS, verdict } from './verdicts.ts';

const { stable: OLD, candidate: NEW } = REVISIONS;
const anyOf = (policy: Verdict['policy']) => fc.oneof(answered(policy), failing(policy));
const terms = fc.record({
  mode: fc.constantFrom<Both['mode'][]>('guarded', 'candidate'),
  takesPart: fc.boolean(),
  shadow: fc.boolean(),
});

const guarded = (stable: Verdict, candidate: Verdict) =>
  enforcedOf({ stable, candidate, mode: 'guarded', takesPart: true, shadow: false });

const withObligations = (...obligations: Obligation[]) => verdict({ obligations });
const candidateWith = (...obligations: Obligation[]) => verdict({ obligations, policy: NEW });

const TABLE: readonly [string, Verdict, Verdict, 'stable' | 'candidate'][] = [
  ['both allow', verdict(), verdict({ policy: NEW }), 'stable'],
  ['only stable denies', verdict({ outcome: 'deny' }), verdict({ policy: NEW }), 'stable'],
  ['only the candidate denies', verdict(), verdict({ outcome: 'deny', policy: NEW }), 'candidate'],
  [
    'stable denies and the candidate asks a human',
    verdict({ outcome: 'deny' }),
    verdict({ outcome: 'require_approval', policy: NEW }),
    'stable',
  ],
  [
    'stable asks a human and the candidate denies',
    verdict({ outcome: 'require_approval' }),
    verdict({ outcome: 'deny', policy: NEW }),
    'candidate',
  ],
  [
    'only the candidate asks a human',
    verdict(),
    verdict({ outcome: 'require_approval', policy: NEW }),
    'candidate',
  ],
  ['only stable asks a human', verdict({ outcome: 'require_approval' }), verdict(), 'stable'],
];

for (const [sentence, stable, candidate, whose] of TABLE) {
  test(`guarded, ${sentence}: the verdict is that of ${whose}`, () => {
    const { arm, verdict: enforced } = guarded(stable, candidate);
    assert.equal(arm, 'guarded');
    assert.equal(enforced, whose === 'stable' ? stable : candidate);
  });
}

test('guarded never allows what stable or the candidate does not allow', () => {
  fc.assert(
    fc.property(anyOf(OLD), answered(NEW), (stable, candidate) => {
      const { verdict: enforced } = guarded(stable, candidate);
      if (enforced.outcome !== 'allow') return;
      assert.deepEqual([stable.outcome, candidate.outcome], ['allow', 'allow']);
    }),
  );
});

test('guarded, an allow carries out whatever either of them wants', () => {
  fc.assert(
    fc.property(anyOf(OLD), answered(NEW), (stable, candidate) => {
      const { verdict: enforced } = guarded(stable, candidate);
      if (enforced.outcome !== 'allow') return;
      for (const one of [...stable.obligations, ...candidate.obligations]) {
        assert.ok(
          enforced.obligations.some((other) => JSON.stringify(other) === JSON.stringify(one)),
        );
      }
    }),
  );
});

test('in shadow, outside of the weight, and guarded with a candidate that fails, stable answers alone', () => {
  const cases = fc.oneof(
    fc.tuple(
      anyOf(OLD),
      anyOf(NEW),
      terms.map((t) => ({ ...t, shadow: true })),
    ),
    fc.tuple(
      anyOf(OLD),
      anyOf(NEW),
      terms.map((t) => ({ ...t, takesPart: false })),
    ),
    fc.tuple(anyOf(OLD), failing(NEW), terms),
  );
  fc.assert(
    fc.property(cases, ([stable, candidate, how]) => {
      const { arm, verdict: enforced } = enforcedOf({ stable, candidate, ...how });
      assert.equal(enforced, stable, 'the very same verdict');
      assert.notEqual(arm, 'candidate');
    }),
  );
});

test('in candidate mode the candidate decides for those who take part, and never when it fails', () => {
  const how = { mode: 'candidate', takesPart: true, shadow: false } as const;
  fc.assert(
    fc.property(anyOf(OLD), answered(NEW), (stable, candidate) => {
      assert.deepEqual(enforcedOf({ stable, candidate, ...how }), {
        arm: 'candidate',
        verdict: candidate,
      });
    }),
  );
  for (const reason of FAILURES) {
    const candidate = verdict({ outcome: 'deny', reason, policy: NEW });
    assert.deepEqual(enforcedOf({ stable: verdict(), candidate, ...how }), {
      arm: 'stable',
      verdict: verdict(),
    });
  }
});

const redact = (path: string): Obligation => ({ kind: 'redact', path });
const patch = (op: string, path: string, value: Json = 1): Obligation => ({
  kind: 'patch',
  op,
  path,
  value,
});
const header = (name: string, value: string): Obligation => ({ kind: 'header', name, value });

const CONFLICTS: readonly [string, Obligation, Obligation, boolean][] = [
  ['the same twice', redact('/arguments/a'), redact('/arguments/a'), false],
  ['two places', redact('/arguments/a'), patch('replace', '/arguments/b'), false],
  ['one place, two values', patch('add', '/arguments/a', 1), patch('add', '/arguments/a', 2), true],
  ['a whole and its part', redact('/arguments/a/b'), patch('replace', '/arguments/a'), true],
  ['a part and its whole', patch('add', '/arguments/a', {}), redact('/arguments/a/b'), true],
  ['names that begin alike', redact('/arguments/a'), redact('/arguments/ab'), false],
  ['one name written twice', redact('/arguments/a~0'), patch('add', '/arguments/a~'), true],
  ['a list that moves', patch('remove', '/arguments/l/0'), redact('/arguments/l/1'), true],
  ['a list that grows', redact('/arguments/l/1/x'), patch('add', '/arguments/l/-'), true],
  ['two items of a list', redact('/arguments/l/0'), redact('/arguments/l/1'), false],
  ['one header', header('X-A', '1'), header('x-a', '2'), true],
  ['two headers', header('X-A', '1'), header('x-b', '1'), false],
  ['two logs', { kind: 'log', level: 'full' }, { kind: 'log', level: 'none' }, false],
  ['two credentials', { kind: 'credential', ref: 'a' }, { kind: 'credential', ref: 'b' }, true],
  ['a path that is none', { kind: 'redact', path: 7 }, redact('/arguments/a'), true],
];

for (const [sentence, one, other, refused] of CONFLICTS) {
  test(`guarded, ${sentence}: ${refused ? 'refused' : 'both are carried out'}`, () => {
    for (const [first, second] of [
      [one, other],
      [other, one],
    ] as const) {
      const { verdict: enforced } = guarded(withObligations(first), candidateWith(second));
      assert.equal(enforced.reason, refused ? 'policy.obligation_failed' : 'policy.allowed');
      assert.equal(enforced.policy, OLD);
      if (refused) assert.deepEqual(enforced.obligations, []);
    }
  });
}

test('guarded, obligations of both that are carried out leave no value that either one changes', () => {
  const secret = { a: { b: 'secret' }, c: 'secret', l: ['secret', 'other'] };
  fc.assert(
    fc.property(answered(OLD), answered(NEW), (stable, candidate) => {
      const { verdict: enforced } = guarded(stable, candidate);
      if (enforced.outcome !== 'allow') return;
      const alone = (obligations: readonly Obligation[]) =>
        carryOut(obligations, { arguments: secret, headers: [] });
      const both = alone(enforced.obligations);
      const [before, after] = [alone(stable.obligations), alone(candidate.obligations)];
      if (!both.ok || !before.ok || !after.ok) return;
      for (const place of [(x: typeof secret) => x.a?.b, (x: typeof secret) => x.c]) {
        const left = [before, after].map((one) => place(one.arguments as typeof secret));
        if (left.includes('secret') && left.every((value) => value === 'secret')) continue;
        assert.notEqual(place(both.arguments as typeof secret), 'secret');
      }
    }),
    { numRuns: 1000 },
  );
});

test('obligations of the answer that does not count are never carried out', () => {
  const limit = { kind: 'limit', name: 'mails', cost: 1 };
  const stable = withObligations({ kind: 'log', level: 'full' });
  const candidate = candidateWith(limit);
  for (const how of [
    { mode: 'guarded', takesPart: true, shadow: true },
    { mode: 'guarded', takesPart: false, shadow: false },
    { mode: 'candidate', takesPart: false, shadow: false },
  ] as const) {
    const { verdict: enforced } = enforcedOf({ stable, candidate, ...how });
    assert.deepEqual(enforced.obligations, stable.obligations);
  }
  const decided = enforcedOf({
    stable: withObligations(limit),
    candidate: candidateWith(),
    mode: 'candidate',
    takesPart: true,
    shadow: false,
  });
  assert.deepEqual(decided.verdict.obligations, []);
  const shared = guarded(withObligations(limit), candidateWith(limit));
  assert.deepEqual(shared.verdict.obligations, [limit], 'what both want is done once');
});
