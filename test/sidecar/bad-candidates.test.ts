/**
 * Candidates that are bad in every way, through the real gate and the real engine: in shadow and in guarded mode they
 * never change what stable would have answered.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { BundleContent } from '../../src/bundle/activation.ts';
import { builtInCatalogue } from '../../src/bundle/built-in.ts';
import { decide } from '../../src/decision/decide.ts';
import type { PolicyInput } from '../../src/decision/input.ts';
import type { ReasonCode } from '../../src/decision/reason.ts';
import type { Verdict } from '../../src/decision/verdict.ts';
import { verdictUnder } from '../../src/proxy/judgement.ts';
import type { Directive } from '../../src/rollout/directive.ts';
import { reportSchema } from '../../src/rollout/report.ts';
import { FollowedPolicy, stateOf } from '../../src/sidecar/followed-policy.ts';
import { withAbiMinor } from '../bundle/abi-patch.ts';
import { contentOf, type Files, filesOf, MANIFEST } from '../bundle/bundle-files.ts';
import { keyPair, signed, verificationWith } from '../bundle/signature-keys.ts';
import { compileRego } from '../decision/compiled-policy.ts';
import { directiveOf } from '../source/directives.ts';

const answer = (outcome: string, code: string, obligations = '[]') =>
  `{"allowed": ${outcome === 'allow'}, "outcome": "${outcome}", "code": "${code}", "message": "m", "reasons": [], "obligations": ${obligations}, "warnings": []}`;
const DENY = answer('deny', 'policy.no_match');
const ALLOW = answer('allow', 'policy.allowed');
const STABLE = `package egret

default decision := ${DENY}
decision := ${ALLOW} if input.tool.name == "gmail.send"
`;
/** Denies an empty input, and goes wrong in its own way as soon as there is a call. */
const badly = (rule: string) => `package egret

decision := ${DENY} if not input.tool
${rule}
`;
const ENDLESS =
  'count([1 | some a in numbers.range(1, 100000); some b in numbers.range(1, 100000); a * b == input.never])';
const BOMB =
  'count([s | some i in numbers.range(1, 2000); s := concat("", [x | some j in numbers.range(1, 400); x := concat("-", ["0123456789012345678901234567890123456789", format_int(i * j, 10)])])])';

/** What goes wrong when a call comes. */
const FAILING: Readonly<Record<string, readonly [ReasonCode, string]>> = {
  'a trap': [
    'policy.error',
    `decision := ${ALLOW} if input.tool\ndecision := ${DENY} if input.tool`,
  ],
  'an endless loop': ['policy.fuel_exhausted', `decision := ${ENDLESS} if input.tool`],
  'a memory bomb': ['policy.memory_exhausted', `decision := ${BOMB} if input.tool`],
  'a result of the wrong shape': ['policy.invalid_result', 'decision := "yes" if input.tool'],
  'an allow that is no boolean': [
    'policy.invalid_result',
    'decision := {"allowed": "true", "outcome": "allow"} if input.tool',
  ],
  'no answer': ['policy.undefined', 'decision := data.config.there if input.tool'],
  'an obligation that nobody knows': [
    'policy.unknown_obligation',
    `decision := ${answer('allow', 'policy.allowed', '[{"kind": "unheard_of"}]')} if input.tool`,
  ],
};

/** What the gate refuses. */
const REFUSED: Readonly<Record<string, (wasm: Uint8Array) => Files>> = {
  'another ABI': (wasm) => ({ 'policy.wasm': withAbiMinor(wasm, 9) }),
  'no policy': () => ({ 'policy.wasm': '' }),
  'half of a policy': (wasm) => ({ 'policy.wasm': wasm.subarray(0, wasm.length >> 1) }),
  'data that is none': () => ({ 'data.json': '{' }),
  'data outside of its roots': () => ({ 'data.json': { elsewhere: 1 } }),
  'a signature that nobody can check': () => ({ '.signatures.json': { signatures: ['x.y.z'] } }),
};
const REFUSED_POLICIES: Readonly<Record<string, string>> = {
  'an endless loop in the warm-up': `package egret\n\ndecision := ${ENDLESS}\n`,
  'a memory bomb in the warm-up': `package egret\n\ndecision := ${BOMB}\n`,
  'an allow for nothing': `package egret\n\ndecision := ${ALLOW}\n`,
};

const input = (tool: string, change: Partial<PolicyInput> = {}): PolicyInput =>
  ({
    uid: `decision for ${tool}`,
    time: '2026-11-22T10:00:00Z',
    time_ns: 1_795_341_600_000_000_000n,
    tool: { name: tool, known: true },
    agent: { id: 'a', assurance: 'token' },
    run: { id: 'r', step: 1, trace_id: '0'.repeat(32) },
    workload: { namespace: 'n', pod: 'p', uid: 'u', labels: {} },
    ...change,
  }) as unknown as PolicyInput;
const TOOLS = ['gmail.send', 'gmail.read', 'other', ''];

function bundle(t: TestContext, rego: string, change: (wasm: Uint8Array) => Files = () => ({})) {
  const wasm = compileRego(t, [rego]);
  if (wasm === null) return null;
  const files = { '.manifest': MANIFEST, 'policy.wasm': wasm, 'data.json': { config: {} } };
  return contentOf(filesOf({ ...files, ...change(wasm) }));
}

function followed(verification?: ReturnType<typeof verificationWith>, fuelBase = 50_000_000) {
  const said: string[] = [];
  const policy = new FollowedPolicy({
    name: 'main',
    builtIn: builtInCatalogue(),
    compile: {
      limits: { memoryBytesMax: 4 * 1024 * 1024, fuelBase, fuelPerCharacter: 0 },
    },
    verification,
    trial: {
      monotonicMs: () => 0,
      metrics: {
        tried: () => undefined,
        tripped: () => said.push('tripped metric'),
        policyInRole: () => undefined,
        rolloutWeight: () => undefined,
        reported: () => undefined,
      },
    },
    onActivated: () => undefined,
    onRejected: (errors) => said.push(`rejected ${errors[0]?.code}`),
    onCandidateRefused: (errors) => said.push(`refused ${errors[0]?.code}`),
    onFollowed: () => undefined,
    onTripped: () => said.push('tripped'),
    selected: () => true,
    records: { directory: '', openingsDirectory: null, sealed: () => 0, nowMs: () => 0 },
    onReplayed: () => undefined,
  });
  return { policy, said };
}

type Terms = Pick<Directive, 'mode' | 'weight'>;
const GUARDED: Terms = { mode: 'guarded', weight: 10_000 };
const SHADOW: Terms = { mode: 'guarded', weight: 0 };
const DECIDING: Terms = { mode: 'candidate', weight: 10_000 };

const wordOf = (stable: BundleContent, candidate: BundleContent, terms: Terms) => ({
  stable: { digest: stable.digest, content: stable },
  candidate: { digest: candidate.digest, content: candidate },
  directive: directiveOf(1, 'old', 'new', terms),
});

/** All that can be seen of a verdict, but for how long it took. */
const seen = ({ evalNs: _, ...rest }: Verdict) => rest;

function sameAsAlone(policy: FollowedPolicy) {
  const current = policy.pinned()?.policy;
  assert.ok(current);
  return TOOLS.map((tool) => {
    const alone = decide(current, input(tool), () => 0);
    const { verdict, rollout } = verdictUnder(
      stateOf(policy.pinned(), false),
      input(tool),
      () => 0,
    );
    assert.deepEqual(seen(verdict), seen(alone), tool);
    return rollout;
  });
}

for (const [terms, how] of [
  [SHADOW, 'in shadow'],
  [GUARDED, 'guarded'],
  [DECIDING, 'even in candidate mode'],
] as const) {
  for (const [sentence, [reason, rule]] of Object.entries(FAILING)) {
    test(`${how}, a candidate with ${sentence} changes nothing, and trips`, async (t) => {
      const [stable, candidate] = [bundle(t, STABLE), bundle(t, badly(rule))];
      if (stable === null || candidate === null) return;
      // Memory must end before fuel does.
      const fuel = reason === 'policy.memory_exhausted' ? 400_000_000 : undefined;
      const { policy, said } = followed(undefined, fuel);
      assert.equal(await policy.onWanted(wordOf(stable, candidate, terms)), true);
      assert.deepEqual(policy.active.candidateErrors(), []);
      const facts = sameAsAlone(policy).filter((one) => one !== null);
      assert.ok(facts.length >= 2 && facts.every(({ difference }) => difference === 'error'));
      assert.ok(facts.every((one) => one.candidate.reason === reason));
      assert.ok(
        facts.every(({ arm }) => arm === 'shadow' || arm === 'guarded' || arm === 'stable'),
      );
      assert.deepEqual(said, ['tripped metric', 'tripped']);
      assert.equal(policy.pinned()?.trial, null, 'out of the rollout without asking anybody');
      const rollout = policy.report()?.rollout;
      assert.equal(rollout?.tripped, true);
      assert.equal(rollout?.comparison.error, terms === DECIDING ? 4 : 3, 'counted double there');
    });
  }

  const refused = [
    ...Object.entries(REFUSED).map(([name, change]) => [name, STABLE, change] as const),
    ...Object.entries(REFUSED_POLICIES).map(([name, rego]) => [name, rego, () => ({})] as const),
  ];
  for (const [sentence, rego, change] of refused) {
    test(`${how}, a candidate with ${sentence} is refused and reported`, async (t) => {
      const [stable, candidate] = [bundle(t, STABLE), bundle(t, rego, change)];
      if (stable === null || candidate === null) return;
      const { policy, said } = followed();
      assert.equal(await policy.onWanted(wordOf(stable, candidate, terms)), true);
      assert.deepEqual(sameAsAlone(policy), [null, null, null, null]);
      assert.match(said.join(), /^refused [a-z_]+$/);
      assert.equal(policy.active.status().code, null, 'stable has no problem');
      const report = policy.report();
      assert.ok(
        reportSchema.safeParse({ ...report, sidecar: 's', epoch: 'e', sequence: 1 }).success,
      );
      assert.deepEqual(report?.rollout?.loadErrors, [said[0]?.replace('refused ', '')]);
      assert.equal(report?.rollout?.candidate, null);
      await policy.onWanted(wordOf(stable, candidate, terms));
      assert.equal(said.length, 1, 'it does not go through the gate again');
    });
  }
}

test('a candidate signed with another key is refused, and stable goes on', async (t) => {
  const [stable, candidate] = [bundle(t, STABLE), bundle(t, STABLE.replace('send', 'read'))];
  if (stable === null || candidate === null) return;
  const { policy, said } = followed(verificationWith('ES256'));
  const good = contentOf(await signed(stable.files, 'ES256'));
  const bad = contentOf(
    await signed(candidate.files, 'ES256', { pair: keyPair('ES256', 'other') }),
  );
  assert.equal(await policy.onWanted(wordOf(good, bad, GUARDED)), true);
  assert.deepEqual(sameAsAlone(policy), [null, null, null, null]);
  assert.match(said.join(), /^refused signature_/);
});

test('stable that the gate refuses leaves stable and candidate as they were', async (t) => {
  const [stable, candidate] = [bundle(t, STABLE), bundle(t, STABLE.replace('send', 'read'))];
  const broken = bundle(t, STABLE, () => ({ 'data.json': '{' }));
  if (stable === null || candidate === null || broken === null) return;
  const { policy } = followed();
  await policy.onWanted(wordOf(stable, candidate, SHADOW));
  const before = policy.pinned();
  assert.equal(await policy.onWanted(wordOf(broken, candidate, DECIDING)), false);
  assert.equal(policy.pinned()?.policy, before?.policy);
  assert.equal(policy.pinned()?.trial, before?.trial, 'the terms before still hold');
});

test('promotion is one swap: the candidate is in force without another gate, and the way back is, too', async (t) => {
  const [stable, candidate] = [bundle(t, STABLE), bundle(t, STABLE.replace('send', 'read'))];
  if (stable === null || candidate === null) return;
  const { policy } = followed();
  await policy.onWanted(wordOf(stable, candidate, GUARDED));
  const engine = policy.active.candidate()?.engine;
  const [old, promoted] = [stable, candidate].map(({ digest }) => ({ digest, content: null }));
  assert.ok(old && promoted && engine);
  const after = { candidate: null, directive: directiveOf(2, 'new') };
  assert.equal(await policy.onWanted({ stable: promoted, ...after }), true);
  assert.equal(policy.pinned()?.policy.engine, engine);
  assert.equal(policy.pinned()?.trial, null);
  assert.equal(policy.report()?.rollout, null);
  assert.equal(await policy.onWanted({ stable: old, ...after }), true);
  assert.equal(policy.pinned()?.policy.ref.digest, stable.digest);
});

test('both are asked about the same text at the same frozen time', async (t) => {
  const clock = `package egret

default decision := ${DENY}
decision := ${ALLOW} if { input.tool; time.now_ns() == 1795341600000000000; input.time_ns == time.now_ns() }
`;
  const [stable, candidate] = [bundle(t, clock), bundle(t, `${clock}\n# new\n\nother := 1\n`)];
  if (stable === null || candidate === null) return;
  const { policy } = followed();
  await policy.onWanted(wordOf(stable, candidate, GUARDED));
  const { verdict, rollout } = verdictUnder(stateOf(policy.pinned(), false), input('x'), () => 0);
  assert.equal(verdict.outcome, 'allow');
  assert.deepEqual([rollout?.difference, rollout?.candidate.outcome], ['same', 'allow']);
});
