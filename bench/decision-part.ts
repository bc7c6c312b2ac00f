/**
 * Measures one decision in the engine alone: the receipts policy on a policy input of about 1 KB, as the sidecar would
 * make it. A process of its own: node bench/decision-part.ts POLICY_DIRECTORY SECONDS; prints one line of JSON.
 * Shell: owns an engine.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type PolicyInput, renderPolicyInput } from '../src/decision/input.ts';
import { compilePolicy, createEngine } from '../src/decision/opa-wasm.ts';
import { ALLOWED_BODY } from './request.ts';

const WARM_UP = 5000;
const SAMPLES_MAX = 1_000_000;

/** A mail of the request's arguments, on its way through the gateway. */
function sampleInput(): PolicyInput {
  const { params } = JSON.parse(ALLOWED_BODY) as {
    readonly params: { readonly arguments: { readonly subject: string; readonly body: string } };
  };
  const { subject, body } = params.arguments;
  return {
    uid: '019aaf00-0000-7000-8000-000000000001',
    phase: 'request',
    time: '2026-11-22T10:00:00.000Z',
    time_ns: 1_795_341_600_000_000_000n,
    environment: 'prod',
    run: { id: 'connection-1', step: 1, trace_id: '4bf92f3577b34da6a3ce929d0e0e4736' },
    agent: {
      id: 'bench',
      verified_by: 'sidecar-config',
      assurance: 'network',
      key_thumbprint: null,
    },
    user: null,
    workload: { namespace: null, pod: null, uid: null, service_account: null, labels: {} },
    tool: {
      name: 'gmail.send',
      server: 'mail',
      operation: 'write',
      risk: 'high',
      sink: 'mail',
      known: true,
      definition_hash: null,
    },
    arguments: { to: ['accountant@example.com'], cc: [], bcc: [], subject, text: body },
    arguments_state: 'parsed',
    attachments: [],
    destination: {
      scheme: 'http',
      host: '127.0.0.1',
      port: 7001,
      path: '/mcp',
      segments: ['mcp'],
      query: {},
      ip: '127.0.0.1',
      ip_class: 'loopback',
      tls_intercepted: false,
    },
    http: {
      method: 'POST',
      headers: { 'content-type': ['application/json'], 'mcp-protocol-version': ['2025-11-25'] },
    },
    mcp: { version: '2025-11-25', method: 'tools/call' },
    scope: { kind: 'none', id: null },
    context: { labels: [], inputs: [] },
    state: { limits: {}, history: [], approval: null, break_glass: null },
    response: null,
  };
}

function main(): void {
  const [directory, seconds] = process.argv.slice(2);
  if (directory === undefined) throw new Error('usage: decision-part.ts POLICY_DIRECTORY SECONDS');
  const wasm = readFileSync(join(directory, 'policy.wasm'));
  const data = readFileSync(join(directory, 'data.json'), 'utf8');
  const engine = createEngine(compilePolicy(wasm, data));
  const sample = sampleInput();
  const input = renderPolicyInput(sample);
  const evaluation = engine.evaluate(input, sample.time_ns);
  if (!evaluation.ok || (evaluation.value as { allowed?: unknown }).allowed !== true) {
    throw new Error(`expected the policy to allow, got ${JSON.stringify(evaluation)}`);
  }
  for (let turn = 0; turn < WARM_UP; turn += 1) engine.evaluate(input, sample.time_ns);
  const micros = new Float64Array(SAMPLES_MAX);
  let count = 0;
  const end = performance.now() + Number(seconds) * 1000;
  while (count < SAMPLES_MAX && performance.now() < end) {
    const start = process.hrtime.bigint();
    engine.evaluate(input, sample.time_ns);
    micros[count] = Number(process.hrtime.bigint() - start) / 1000;
    count += 1;
  }
  engine.close();
  const sorted = micros.subarray(0, count).sort();
  const at = (share: number) => sorted[Math.floor(count * share)] ?? null;
  const inputBytes = Buffer.byteLength(input);
  console.log(JSON.stringify({ decisionUs: at(0.5), decisionP99Us: at(0.99), inputBytes }));
}

main();
