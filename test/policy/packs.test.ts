/**
 * The policy packs: each is described, tested, builds, and denies without settings, on broken ones and on an empty
 * input; and two hosts agree about it on made-up calls. EGRET_TEST_ROUNDS says how many of those each pack is asked.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { loadPolicy } from '@open-policy-agent/opa-wasm';
import fc from 'fast-check';
import { parse } from 'yaml';
import { z } from 'zod';
import { activate } from '../../src/bundle/activation.ts';
import { readArchive } from '../../src/bundle/archive.ts';
import { buildBundle } from '../../src/bundle/build.ts';
import type { Json, JsonObject } from '../../src/call/tool-call.ts';
import { compilePolicy, createEngine } from '../../src/decision/opa-wasm.ts';
import { needsOpa, opa, ROOT } from './opa.ts';
import { PACKS, type Pack, packDirectory, regoTests, testCalls } from './pack.ts';

const ROUNDS = Number(process.env['EGRET_TEST_ROUNDS'] ?? 300);
const SEED = Number(process.env['EGRET_TEST_SEED'] ?? 5);
/** Percent of the expressions of a pack that its tests must reach. */
const COVERAGE_MIN = 99;
const DECISION = 'egret/decision';

interface Decision {
  readonly outcome: string;
  readonly reasons: readonly { readonly code: string; readonly policy: string }[];
}

const text = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const outcomeOf = (value: unknown) => (value as Decision).outcome;

/** The pack compiled without settings, with a host of either kind for any settings. */
async function compiled(pack: Pack) {
  const sources = [join(ROOT, 'rego/egret'), join(ROOT, packDirectory(pack))];
  const files = readArchive(await buildBundle({ sources }));
  const wasm = files.get('policy.wasm') as Uint8Array;
  const second = await loadPolicy(new Uint8Array(wasm).buffer);
  return {
    files,
    /** Our host. */
    ours(t: TestContext, data: JsonObject) {
      const engine = createEngine(compilePolicy(wasm, JSON.stringify(data)));
      t.after(() => engine.close());
      return (input: string): unknown => {
        const evaluation = engine.evaluate(input, 0n);
        assert.ok(evaluation.ok, JSON.stringify(evaluation));
        return evaluation.value;
      };
    },
    /** The reference host, of which there is one. */
    theirs(data: JsonObject) {
      second.setData(data);
      return (input: string): unknown => {
        const [answer] = second.evaluate(JSON.parse(input), DECISION) as { result: unknown }[];
        assert.ok(answer, input);
        return answer.result;
      };
    },
  };
}

const builds = new Map<Pack, ReturnType<typeof compiled>>();

function compiledOnce(pack: Pack): ReturnType<typeof compiled> {
  const known = builds.get(pack) ?? compiled(pack);
  builds.set(pack, known);
  return known;
}

const configured = ({ key }: Pack, settings: Json): JsonObject => ({
  config: { [key]: settings },
});

/** Paths of every value below `node`. */
function pathsOf(node: Json, path: readonly string[] = []): string[][] {
  if (node === null || typeof node !== 'object') return [[...path]];
  const below = Object.entries(node).flatMap(([key, value]) =>
    pathsOf(value as Json, [...path, key]),
  );
  return path.length === 0 ? below : [[...path], ...below];
}

/** A copy with another value at the path, or none where `value` is undefined. */
function changed(root: JsonObject, path: readonly string[], value: Json | undefined): JsonObject {
  const copy = structuredClone(root) as Record<string, Json>;
  let parent = copy;
  for (const key of path.slice(0, -1)) {
    const next = parent[key];
    if (next === null || typeof next !== 'object') return copy;
    parent = next as Record<string, Json>;
  }
  const last = path.at(-1) as string;
  if (value === undefined) delete parent[last];
  else parent[last] = value;
  return copy;
}

const WRONG: readonly (Json | undefined)[] = [
  ...[undefined, null, true, false, 0, 5, -1, 1e9, '', 'x', '*', '5', 'api_key', '@here'],
  ...[[], [5], [null], [''], {}, { x: 1 }, [[]], ['x']],
];

/** Calls of the Rego tests with up to three parts taken from elsewhere. */
function nearbyCalls(calls: readonly JsonObject[]): fc.Arbitrary<JsonObject> {
  const parts = calls.filter((call) => Object.keys(call).length > 0);
  const paths = parts.flatMap((call) => pathsOf(call));
  const leaves = [...new Set(parts.flatMap((call) => leavesOf(call)))];
  const value = fc.oneof(fc.constantFrom(...WRONG), fc.constantFrom<Json | undefined>(...leaves));
  const change = fc.record({ path: fc.constantFrom(...paths), value });
  return fc
    .record({ call: fc.constantFrom(...parts), changes: fc.array(change, { maxLength: 3 }) })
    .map(({ call, changes }) =>
      changes.reduce((made, { path, value: other }) => changed(made, path, other), call),
    );
}

function leavesOf(node: Json): Json[] {
  if (node === null || typeof node !== 'object') return [node];
  return Object.values(node).flatMap((value) => leavesOf(value as Json));
}

for (const pack of PACKS) {
  test(`${pack.name} is described, has scenarios, and a page`, (t) => {
    const { scenarios } = parse(text(`${packDirectory(pack)}/scenarios.yaml`)) as {
      scenarios: readonly { name: string; expect: { outcome: string; reason?: string } }[];
    };
    const outcomes = new Set(scenarios.map(({ expect }) => expect.outcome));
    assert.ok(outcomes.has('allow') && outcomes.has('deny'), 'a good and a bad scenario');
    assert.match(text('docs/packs.md'), new RegExp(`^## ${pack.name}$`, 'm'));
    if (!needsOpa(t)) return;
    const { output } = opa('inspect', '--annotations', '--format', 'json', packDirectory(pack));
    const { annotations } = JSON.parse(output) as {
      annotations: readonly {
        annotations: { scope: string; title?: string; description?: string };
      }[];
    };
    const described = annotations.find(({ annotations: one }) => one.scope === 'package');
    assert.ok(described?.annotations.title, 'a title');
    assert.ok(described.annotations.description?.includes(`data.config.${pack.key}`));
  });

  test(`${pack.name}: its tests in Rego pass and reach all of it`, (t) => {
    if (!needsOpa(t)) return;
    const { passed, output, coverage } = regoTests(pack);
    assert.ok(passed, output.slice(0, 4000));
    assert.ok(coverage >= COVERAGE_MIN, `${coverage} % reached`);
  });

  test(`${pack.name}: two hosts agree on made-up calls, and nothing is allowed by accident`, async (t) => {
    if (!needsOpa(t)) return;
    const { calls, settings } = testCalls(pack);
    const policy = await compiledOnce(pack);
    const ours = policy.ours(t, configured(pack, settings));
    const theirs = policy.theirs(configured(pack, settings));
    const seen = new Map<string, number>();
    const agreed = (call: Json) => {
      const input = JSON.stringify(call);
      const decision = ours(input);
      assert.deepEqual(decision, theirs(input), input);
      const outcome = outcomeOf(decision);
      seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
      return outcome;
    };
    for (const call of calls) agreed(call);
    assert.ok(
      [...seen.keys()].some((outcome) => outcome !== 'deny'),
      'something is not denied',
    );
    for (const nothing of [{}, null, [], '', { tool: null }, { tool: {} }, { tool: { name: '' } }])
      assert.equal(agreed(nothing), 'deny', JSON.stringify(nothing));
    const options = { numRuns: ROUNDS, seed: SEED };
    fc.assert(
      fc.property(nearbyCalls(calls), (call) => void agreed(call)),
      options,
    );
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (call) =>
        assert.equal(agreed(call as Json), 'deny'),
      ),
      options,
    );
  });

  test(`${pack.name} passes the gate without settings, and allows nothing`, async (t) => {
    if (!needsOpa(t)) return;
    const { files, ours } = await compiledOnce(pack);
    const activation = activate({ files, digest: 'sha256:test' }, { set: 'main', nowMs: 0 });
    assert.ok(activation.ok, JSON.stringify(activation));
    activation.revision.engine.close();
    const decide = ours(t, {});
    for (const call of testCalls(pack).calls)
      assert.equal(outcomeOf(decide(JSON.stringify(call))), 'deny', JSON.stringify(call));
  });

  test(`${pack.name}: settings that its schema refuses allow no call that was denied`, async (t) => {
    const schema = z.fromJSONSchema(pack.schema as Parameters<typeof z.fromJSONSchema>[0]);
    const told = schema.safeParse(pack.settings);
    assert.ok(told.success, String(told.error));
    if (!needsOpa(t)) return;
    const { calls, settings } = testCalls(pack);
    const { theirs } = await compiledOnce(pack);
    const sound = theirs(configured(pack, settings));
    const denied = calls
      .map((call) => JSON.stringify(call))
      .filter((input) => outcomeOf(sound(input)) === 'deny');
    let refused = 0;
    for (const path of pathsOf(settings)) {
      for (const value of WRONG) {
        const document = changed(settings, path, value);
        if (schema.safeParse(document).success) continue;
        refused += 1;
        const decide = theirs(configured(pack, document));
        for (const input of denied)
          assert.equal(outcomeOf(decide(input)), 'deny', JSON.stringify({ path, value, input }));
      }
    }
    assert.ok(refused > 0, 'some settings are refused');
  });
}

test('the packs are all here', () => {
  assert.ok(PACKS.length >= 10);
  for (const { name } of PACKS) assert.ok(existsSync(join(ROOT, 'rego/packs', name)));
});
