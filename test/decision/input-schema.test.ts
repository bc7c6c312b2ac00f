/** The description of the policy input: it has every field of real inputs and no other, in every kind of call. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAuthority } from '../../src/call/authority.ts';
import { parseCatalogue } from '../../src/call/catalogue.ts';
import { recognizeConnect, recognizeHttp } from '../../src/call/recognize.ts';
import { recognizeMcp } from '../../src/call/recognize-mcp.ts';
import type { ToolCall } from '../../src/call/tool-call.ts';
import { type Facts, policyInput, renderPolicyInput } from '../../src/decision/input.ts';
import {
  anyPhaseJsonSchema,
  inputJsonSchema,
  policyInputSchema,
  withoutNulls,
} from '../../src/decision/input-schema.ts';

const catalogue = parseCatalogue(
  `apiVersion: egret.dev/v1
kind: ToolCatalogue
tools:
  - {name: gmail.send, operation: write, risk: high, sink: mail, mcp: {servers: [mail], tools: [send_email]}, arguments: {from: [mcp], mail: {fields: {to: /to, text: /body, attachments: /files}}}}
  - {name: notes.add, operation: write, risk: low, http: {servers: [notes], methods: [POST], path: "/notes/{id}"}}
`,
  'tools.yaml',
);

const UNKNOWN_AGENT: Facts = {
  uid: '019aa000-0000-7000-8000-000000000000',
  timeNs: 1_795_341_600_123_456_789n,
  environment: 'prod',
  run: { id: 'run-1', step: 3, trace_id: '0'.repeat(32) },
  agent: { id: 'bot', verified_by: 'sidecar-config', assurance: 'none', key_thumbprint: null },
  user: null,
  workload: { namespace: null, pod: null, uid: null, service_account: null, labels: { a: 'b' } },
  attachments: [],
  ip: null,
  ipClass: null,
  tlsIntercepted: false,
};
const PROVEN: Facts = {
  ...UNKNOWN_AGENT,
  agent: { ...UNKNOWN_AGENT.agent, assurance: 'signature', key_thumbprint: 'abc' },
  user: { id: 'ada', groups: ['finance'], verified_by: 'token' },
  workload: { namespace: 'a', pod: 'b', uid: 'c', service_account: 'd', labels: {} },
  attachments: [
    {
      name: 'a.pdf',
      media_type: 'application/pdf',
      bytes: 3,
      sha256: '0'.repeat(64),
      source: 'unknown',
      age_minutes: null,
    },
    {
      name: 'b.pdf',
      media_type: 'application/pdf',
      bytes: 3,
      sha256: '1'.repeat(64),
      source: 'explicit_user_upload',
      age_minutes: 1.5,
    },
  ],
  ip: '192.0.2.1',
  ipClass: 'public',
  tlsIntercepted: true,
};

const REQUEST = {
  method: 'POST',
  scheme: 'https',
  host: 'notes.example',
  port: 443,
  target: '/notes/7?tag=a&tag=b',
  headers: [
    ['Content-Type', 'application/json'],
    ['Authorization', 'Bearer x'],
  ],
  body: new TextEncoder().encode('{"text":"hello","deep":{"n":[1,null]}}'),
} as const;

async function realCalls(): Promise<ToolCall[]> {
  const http = await recognizeHttp({ ...REQUEST, server: 'notes' }, catalogue);
  const unknown = await recognizeHttp({ ...REQUEST, server: null, body: null }, catalogue);
  const message = {
    version: '2025-11-25',
    method: 'tools/call',
    params: {},
    toolName: 'send_email',
    args: { to: ['a@example.com'], body: 'hello' },
  };
  const mcp = await recognizeMcp({ ...REQUEST, server: 'mail' }, message, catalogue);
  const authority = parseAuthority('example.com:443', null);
  assert.ok(http.ok && unknown.ok && mcp.ok && authority.ok, JSON.stringify([http, unknown, mcp]));
  return [http.call, unknown.call, mcp.call, recognizeConnect(authority, {})];
}

test('inputs of real calls have exactly the described fields', async () => {
  const calls = await realCalls();
  assert.deepEqual(
    calls.map(({ tool }) => tool.name),
    ['notes.add', 'http.post', 'gmail.send', 'http.connect'],
  );
  for (const call of calls) {
    for (const facts of [UNKNOWN_AGENT, PROVEN]) {
      const input = JSON.parse(renderPolicyInput(policyInput(call, facts))) as Record<
        string,
        unknown
      >;
      // An exact integer in JSON is only rounded by JSON.parse, so it stands for any.
      const parsed = policyInputSchema.safeParse({ ...input, time_ns: 0 });
      assert.deepEqual(parsed.error?.issues ?? [], [], call.tool.name);
      for (const name of Object.keys(input)) {
        const lacking: Record<string, unknown> = { ...input, time_ns: 0 };
        delete lacking[name];
        assert.equal(policyInputSchema.safeParse(lacking).success, false, `${name} is described`);
      }
      assert.equal(policyInputSchema.safeParse({ ...input, time_ns: 0, more: 1 }).success, false);
    }
  }
});

test('the phases differ in the answer only', () => {
  const [request, response] = [inputJsonSchema('request'), inputJsonSchema('response')];
  const names = (schema: object) => Object.keys((schema as { properties: object }).properties);
  assert.deepEqual(names(request), names(response));
  const answer = (schema: object) =>
    (schema as { properties: { response: { type: string } } }).properties.response.type;
  assert.deepEqual([answer(request), answer(response)], ['null', 'object']);
});

test('every field is explained, and without nulls every object has its fields', () => {
  const unexplained = (node: object, path: string): string[] => {
    const {
      properties = {},
      items,
      anyOf,
    } = node as {
      properties?: Record<string, { description?: string }>;
      items?: object;
      anyOf?: object[];
    };
    return [
      ...Object.entries(properties).flatMap(([name, child]) => [
        ...(/^\S.*\.$/.test(child.description ?? '') ? [] : [`${path}.${name}`]),
        ...unexplained(child, `${path}.${name}`),
      ]),
      ...(items === undefined ? [] : unexplained(items, `${path}[]`)),
      ...(anyOf ?? []).flatMap((child) => unexplained(child, path)),
    ];
  };
  assert.deepEqual(unexplained(anyPhaseJsonSchema(), 'input'), []);
  const text = JSON.stringify(withoutNulls(anyPhaseJsonSchema()));
  assert.equal(/"null"|anyOf/.exec(text)?.index, undefined);
  assert.ok(text.includes('"key_thumbprint":{"type":"string"'));
});
