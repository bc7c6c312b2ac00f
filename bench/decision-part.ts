/**
 * Measures one decision in the engine alone: the receipts policy on a policy input of about 1 KB, as the sidecar would
 * make it. A process of its own: node bench/decision-part.ts POLICY_DIRECTORY SECONDS; prints one line of JSON.
 * Shell: owns an engine.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderPolicyInput } from '../src/decision/input.ts';
import { compilePolicy, createEngine } from '../src/decision/opa-wasm.ts';
import { sampleInput } from './sample-input.ts';

const WARM_UP = 5000;
const SAMPLES_MAX = 1_000_000;

function main(): void {
  const [directory, seconds] = process.argv.slice(2);
  if (directory === undefined) throw new Error('usage: decision-part.ts POLICY_DIRECTORY SECONDS');
  const wasm = readFileSync(join(directory, 'policy.wasm'));
  const data = readFileSync(join(directory, 'data.json'), 'utf8');
  const engine = createEngine(compilePolicy(wasm, data));
  const sample = sampleInput('019aaf00-0000-7000-8000-000000000001');
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
