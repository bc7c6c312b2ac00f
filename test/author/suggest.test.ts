/** `egret suggest`: a policy from observed traffic that allows exactly what went through. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { Observation } from '../../src/author/observed.ts';
import { formatRego } from '../../src/author/opa.ts';
import { loadPolicy } from '../../src/author/policy-source.ts';
import { fits, profileOf } from '../../src/author/profile.ts';
import { decided } from '../../src/author/replay.ts';
import { suggestionOf } from '../../src/author/suggestion.ts';
import { buildBundle } from '../../src/bundle/build.ts';
import { parseCatalogue } from '../../src/call/catalogue.ts';
import { mailInput } from '../audit/records.ts';
import { needsOpa, sourceDirectory } from '../policy/opa.ts';
import { directory, egret, ROOT } from './egret.ts';
import { commonLog, recordedLog } from './recorded-log.ts';

test('the suggestion allows the mails that went through and no other of the log', async (t) => {
  if (!needsOpa(t)) return;
  const { audit, openings } = await commonLog(t);
  const out = join(directory(t), 'policy');
  const ran = egret(['suggest', audit, '--openings', openings, '--out', out]);
  assert.equal(ran.status, 0, ran.stderr);
  assert.match(ran.stderr, /9 decisions: 4 went through, 4 were refused, 1 never reached policy/);
  assert.match(ran.stderr, /^the suggestion allows exactly what went through$/m);
  const rego = readFileSync(join(out, 'policies/suggested.rego'), 'utf8');
  assert.match(rego, /REVIEW/);
  assert.match(rego, /file\.source in \["explicit_user_upload"\]/);
  const replay = ['replay', audit, '--bundle', out, '--openings', openings, '--missing', 'ignore'];
  const again = egret([...replay, '--fail-on', 'newly_allowed>0,newly_denied>0,error>0', '--json']);
  assert.equal(again.status, 0, again.stdout + again.stderr);
  const { tools } = JSON.parse(again.stdout);
  assert.equal(tools.find(({ tool }: { tool: string }) => tool === 'gmail.send').newly_allowed, 0);
  assert.equal(
    egret(['suggest', audit, '--out', out]).status,
    2,
    'a directory with files is left alone',
  );
});

test('tools that no catalogue names get an entry, and the policy fits the calls under their new names', async (t) => {
  if (!needsOpa(t)) return;
  const everything = `package policies.everything

allow contains "anything that is no mail" if input.tool.name != "gmail.send"

log contains "full"
`;
  const sources = [
    join(ROOT, 'rego/egret'),
    sourceDirectory(t, { 'policies/all.rego': everything }),
  ];
  const { audit, openings } = await recordedLog(t, { bundle: await buildBundle({ sources }) });
  const out = join(directory(t), 'policy');
  const ran = egret(['suggest', audit, '--openings', openings, '--out', out, '--json']);
  assert.equal(ran.status, 0, ran.stdout + ran.stderr);
  const { tools, catalogue, incomplete } = JSON.parse(ran.stdout);
  assert.equal(incomplete, 0);
  assert.deepEqual(
    tools.map(({ tool }: { tool: string }) => tool),
    ['mcp.tools.list', 'mail.archive_mail', 'http.get'],
  );
  parseCatalogue(catalogue, 'tools.yaml');
  assert.match(catalogue, /path: \/labels\/42/);
  const { url } = placeOf(readFileSync(join(out, 'policies/suggested.rego'), 'utf8'));
  const http = (path: string) => ({
    listener: 'gateway',
    url: `http://localhost/tools/gmail/${path}`,
  });
  const expect = (outcome: string) => ({ outcome });
  const scenarios = [
    { name: 'as seen', http: http('labels/42?limit=7'), expect: expect('allow') },
    { name: 'another label', http: http('labels/43?limit=7'), expect: expect('deny') },
    { name: 'another limit', http: http('labels/42?limit=8'), expect: expect('deny') },
  ];
  const file = { tools: { gmail: { url } }, facts: { agent: 'receipts-bot' }, scenarios };
  const place = directory(t, { 's.yaml': stringify(file) });
  const played = egret(['simulate', out, join(place, 's.yaml')]);
  assert.equal(played.status, 0, played.stdout + played.stderr);
});

test('from a sidecar that only watches comes a policy that allows all it has seen', async (t) => {
  if (!needsOpa(t)) return;
  const watching = 'package policies.watching\n\nlog contains "full"\n';
  const sources = [join(ROOT, 'rego/egret'), sourceDirectory(t, { 'policies/w.rego': watching })];
  const bundle = await buildBundle({ sources });
  const { audit, openings } = await recordedLog(t, { bundle, config: { enforcement: 'dryrun' } });
  const ran = egret(['suggest', audit, '--openings', openings, '--json']);
  assert.equal(ran.status, 0, ran.stdout + ran.stderr);
  const { tools, checked } = JSON.parse(ran.stdout);
  assert.deepEqual([checked.through, checked.refused, checked.wrong], [8, 0, []]);
  assert.equal(tools.length, 4);
});

const placeOf = (rego: string) => {
  const [, scheme, host, port] = /\["(http)", "(127\.0\.0\.1)", (\d+)\]/.exec(rego) ?? [];
  return { url: `${scheme}://${host}:${port}` };
};

/** Calls as they could stand in a log, some of them equal but for one thing. */
const call = fc.record({
  to: fc.array(fc.constantFrom('a@x.example', 'b@x.example', 'c@y.example'), { maxLength: 2 }),
  subject: fc.oneof(fc.constantFrom('one', 'two'), fc.string()),
  amount: fc.option(fc.integer({ min: 0, max: 20 }), { nil: undefined }),
  agent: fc.constantFrom('bot', 'other'),
  through: fc.boolean(),
});

const inputOf = ({
  agent,
  amount,
  to,
  subject,
}: typeof call extends fc.Arbitrary<infer T> ? T : never) => {
  const args = { to, subject, ...(amount === undefined ? {} : { amount }) };
  const input = mailInput('id', args);
  return { ...input, agent: { ...input.agent, id: agent } };
};

test('no profile fits a refused call, and unless there is none every call that went through fits', () => {
  fc.assert(
    fc.property(fc.array(call, { minLength: 1, maxLength: 30 }), (calls) => {
      const observation = new Observation();
      for (const one of calls) observation.add(inputOf(one), [], one.through);
      for (const tool of observation.tools.values()) {
        const profile = profileOf(tool);
        const fitting = (seen: typeof tool.allowed) =>
          [...seen.values()].filter((observed) => fits(profile, observed.call)).length;
        assert.equal(fitting(tool.refused), 0);
        if (profile.width !== 'none') assert.equal(fitting(tool.allowed), tool.allowed.size);
      }
    }),
  );
});

test('the rendered rules allow what their profiles fit, and nothing else', async (t) => {
  if (!needsOpa(t)) return;
  for (const seed of [1, 2, 3]) {
    const calls = fc.sample(call, { seed, numRuns: 60 });
    const observation = new Observation();
    for (const one of calls.slice(0, 30)) observation.add(inputOf(one), [], one.through);
    const tools = [...observation.tools.values()];
    const profiles = tools.map(profileOf);
    const place = directory(t, { 'policies/suggested.rego': suggestionOf(tools).rego });
    const policy = await loadPolicy(place);
    for (const one of calls) {
      const asked = new Observation();
      const input = inputOf(one);
      asked.add(input, [], true);
      const [observed] = [...asked.tools.values()].flatMap(({ allowed }) => [...allowed.values()]);
      assert.ok(observed !== undefined);
      const expected = profiles.some((profile) => fits(profile, observed.call));
      const found = decided(policy, input)?.outcome === 'allow';
      assert.equal(found, expected, JSON.stringify([seed, one]));
    }
    policy.engine.close();
  }
});

test('whatever the log holds, the suggestion is Rego that says no more than data', async (t) => {
  if (!needsOpa(t)) return;
  const hostile = [
    '"}\n\nallow contains "all" if true\n#',
    '\u2028\\',
    '{{x}}',
    '$"{input}"',
    '\r\ntrue',
  ];
  const observation = new Observation();
  for (const text of hostile) {
    const input = mailInput('id', { [text]: text, to: [text], nested: { [text]: [1e300, text] } });
    const tool = { ...input.tool, name: text, server: text, known: false };
    const seen = { ...input, tool, agent: { ...input.agent, id: text } };
    observation.add(seen, [], true);
    observation.add(
      { ...seen, destination: { ...seen.destination, host: text, path: `/${text}` }, mcp: null },
      [],
      true,
    );
  }
  const { rego, catalogue } = suggestionOf(observation.tools.values());
  const formatted = await formatRego(rego);
  assert.equal(formatted.match(/^allow contains /gm)?.length, hostile.length);
  assert.ok(!/^allow contains "all"/m.test(formatted));
  if (catalogue !== null) parseCatalogue(catalogue, 'tools.yaml');
});
