/**
 * What a policy demands is done to the call before it leaves, over MCP and over plain HTTP; the modes warn and dryrun;
 * and a policy that does not end is stopped while other calls go on. Needs the policy compiler.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { buildBundle } from '../../src/bundle/build.ts';
import { MCP_HEADERS, mailCall, post, sendMail } from './agent.ts';
import { assertVerifies, decisionsOf, readLeaves } from './audit-log.ts';
import { newDirectory, ROOT } from './sidecar-process.ts';
import { auditOf, removeAfter, stageMail } from './stage.ts';

const compiler = spawnSync('opa', ['version'], { stdio: 'ignore' }).status === 0;
const skip = compiler ? false : 'SKIPPED: no opa on PATH, so obligations are not tested end to end';

/** A bundle of the library and one policy. */
async function bundleOf(t: TestContext, rules: string): Promise<Uint8Array> {
  const directory = join(removeAfter(t, newDirectory()), 'policy');
  mkdirSync(directory);
  writeFileSync(join(directory, 'policy.rego'), `package policies.stage\n\n${rules}\n`);
  return buildBundle({ sources: [join(ROOT, 'rego/egret'), directory] });
}

const CHANGES = `
allow contains "anything" if input.tool.name != ""

redact contains "/arguments/body" if input.arguments.secret == true

patch contains {"op": "replace", "path": "/arguments/subject", "value": "changed"} if input.arguments.patch == "replace"

patch contains {"op": "add", "path": "/arguments/added", "value": {"by": "policy"}} if input.arguments.patch == "add"

patch contains {"op": "remove", "path": "/arguments/other"} if input.arguments.patch == "remove"

patch contains {"op": "remove", "path": "/arguments/nowhere"} if input.arguments.patch == "impossible"

header contains {"name": "x-policy", "value": "seen"} if input.arguments.header == "good"

header contains {"name": "authorization", "value": "stolen"} if input.arguments.header == "protected"

label contains "money" if input.arguments.label == true
`;

interface Change {
  readonly sentence: string;
  readonly given: Readonly<Record<string, unknown>>;
  readonly arrives: Readonly<Record<string, unknown>>;
}

const CHANGED: readonly Change[] = [
  {
    sentence: 'what is redacted does not arrive',
    given: { secret: true, body: 'the secret' },
    arrives: { secret: true, body: '[redacted by policy]' },
  },
  {
    sentence: 'a value is replaced',
    given: { patch: 'replace', subject: 'a' },
    arrives: { patch: 'replace', subject: 'changed' },
  },
  {
    sentence: 'a value is added',
    given: { patch: 'add' },
    arrives: { patch: 'add', added: { by: 'policy' } },
  },
  {
    sentence: 'a value is removed',
    given: { patch: 'remove', other: 1 },
    arrives: { patch: 'remove' },
  },
];

const REFUSED: readonly (readonly [string, Readonly<Record<string, unknown>>, string])[] = [
  ['a change that cannot be made', { patch: 'impossible' }, 'policy.obligation_failed'],
  ['a header that policy may not set', { header: 'protected' }, 'policy.obligation_failed'],
  ['a demand nobody here can meet', { label: true }, 'policy.unknown_obligation'],
];

void test('obligations change what the tool receives', { skip, timeout: 60_000 }, async (t) => {
  const { sidecar, tool } = await stageMail(t, { bundle: await bundleOf(t, CHANGES) });
  const at = (path: string) => `http://127.0.0.1:${sidecar.ports.gateway}${path}`;
  const mcp = (given: object) => ({
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: { name: 'any', arguments: given },
  });
  const ways = [
    ['MCP', '/mcp/mail', mcp, (body: string) => JSON.parse(body).params.arguments as unknown],
    [
      'HTTP',
      '/tools/gmail/x',
      (given: object) => given,
      (body: string) => JSON.parse(body) as unknown,
    ],
  ] as const;
  for (const [way, path, wrap, unwrap] of ways) {
    const call = (given: object) => post(at(path), JSON.stringify(wrap(given)), MCP_HEADERS);
    for (const { sentence, given, arrives } of CHANGED) {
      await t.test(`${way}: ${sentence}`, async () => {
        assert.equal((await call(given)).reason, '');
        assert.deepEqual(unwrap(tool.received.at(-1)?.body ?? ''), arrives);
      });
    }
    await t.test(`${way}: a header is set`, async () => {
      assert.equal((await call({ header: 'good' })).reason, '');
      assert.equal(tool.received.at(-1)?.headers['x-policy'], 'seen');
    });
    for (const [sentence, given, reason] of REFUSED) {
      await t.test(`${way}: ${sentence} refuses the call: ${reason}`, async () => {
        const before = tool.received.length;
        assert.equal((await call(given)).reason, reason);
        assert.equal(tool.received.length, before);
      });
    }
  }
  await t.test(
    'HTTP: an argument that stands in the query cannot be changed: refused',
    async () => {
      const answer = await post(at('/tools/gmail/x?secret=1'), '{"patch":"replace"}', MCP_HEADERS);
      assert.equal(answer.reason, 'policy.obligation_failed');
    },
  );
  assert.equal(await sidecar.stop(), 0);
  await assertVerifies(auditOf(sidecar));
});

for (const mode of ['warn', 'dryrun'] as const) {
  void test(`mode ${mode} lets a denied call pass and records that it would be denied`, async (t) => {
    const { sidecar, tool } = await stageMail(t, { config: { enforcement: mode } });
    const response = await fetch(`http://127.0.0.1:${sidecar.ports.gateway}/mcp/mail`, {
      method: 'POST',
      headers: MCP_HEADERS,
      body: mailCall({ to: ['somebody@else.example'] }),
    });
    await response.text();
    const warned = mode === 'warn' ? 'policy.denied' : null;
    assert.equal(response.headers.get('x-egret-warning'), warned);
    assert.equal(tool.received.length, 1);
    const [leaf] = decisionsOf(readLeaves(auditOf(sidecar)));
    const { action, would_deny: wouldDeny } = leaf?.egret.enforcement ?? {};
    assert.deepEqual([action, wouldDeny], ['forward', true]);
    const malformed = await post(`http://127.0.0.1:${sidecar.ports.gateway}/mcp/mail`, '[]');
    assert.equal(malformed.reason, 'call.batch_unsupported', 'no mode lets a malformed call pass');
  });
}

const ENDLESS = `
allow contains "short calls" if input.arguments.subject != "endless"

allow contains "never" if {
	input.arguments.subject == "endless"
	count([1 | some i in numbers.range(1, 100000); some j in numbers.range(1, 100000); i * j < 0]) > 0
}
`;

void test('a policy that does not end is stopped, and other calls go on', {
  skip,
  timeout: 60_000,
}, async (t) => {
  const { sidecar, tool } = await stageMail(t, {
    bundle: await bundleOf(t, ENDLESS),
    config: { limits: { fuelMax: 20_000_000 } },
  });
  const calls = Array.from({ length: 20 }, async (_, call) => {
    const subject = call % 4 === 0 ? 'endless' : 'short';
    return [subject, (await sendMail(sidecar.ports, { subject })).reason] as const;
  });
  for (const [subject, reason] of await Promise.all(calls)) {
    assert.equal(reason, subject === 'endless' ? 'policy.fuel_exhausted' : '');
  }
  assert.equal(tool.received.length, 15);
  assert.ok(tool.received.every(({ body }) => !body.includes('endless')));
});

void test('no mode lets a call pass that the policy could not judge', { skip }, async (t) => {
  const { sidecar, tool } = await stageMail(t, {
    bundle: await bundleOf(t, ENDLESS),
    config: { limits: { fuelMax: 5_000_000 }, enforcement: 'dryrun' },
  });
  assert.equal(
    (await sendMail(sidecar.ports, { subject: 'endless' })).reason,
    'policy.fuel_exhausted',
  );
  assert.equal(tool.received.length, 0);
});

void test('a long mail is searched whole: 800 kB of ASCII, 200 kB beyond', async (t) => {
  const { sidecar } = await stageMail(t);
  const ascii = 'the receipts of this month: train 48.20 '.repeat(20_000);
  const beyond = 'die Belege für März – Züge 48.20 '.repeat(6000);
  for (const body of [ascii, beyond]) {
    assert.equal((await sendMail(sidecar.ports, { body })).reason, '');
    assert.equal(
      (await sendMail(sidecar.ports, { body: `${body} api_key` })).reason,
      'policy.denied',
    );
  }
});
