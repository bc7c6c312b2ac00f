/**
 * Measures one policy engine on one policy and one input: JSON text in, the decision as a value out. A process of its
 * own, so that no engine runs in the heap of another: node bench/engine-part.ts ENGINE POLICY SECONDS, where POLICY is
 * JSON of a `Measured`; prints one line of JSON. Shell: owns an engine, or one kept connection to OPA's server.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { loadPolicy } from '@open-policy-agent/opa-wasm';
import { compilePolicy, createEngine } from '../src/decision/opa-wasm.ts';
import { findAnswer } from './answer.ts';
import type { Measured, PartEngine } from './engine-policy.ts';
import { renderRequest } from './request.ts';

type Call = () => unknown;

const WARM_UP_SHARE = 0.5;
const CALLS_MAX = 1_000_000;

const textOf = (directory: string, file: string) => readFileSync(join(directory, file), 'utf8');

/** Our host with its step counter and memory maximum, as in the sidecar. */
function egret({ directory, entrypoint, inputFile }: Measured): Call {
  const wasm = readFileSync(join(directory, 'policy.wasm'));
  const engine = createEngine(compilePolicy(wasm, textOf(directory, 'data.json')));
  const input = readFileSync(inputFile, 'utf8');
  return () => {
    const evaluation = engine.evaluateEntrypoint(entrypoint, input, 0n);
    if (!evaluation.ok) throw new Error(`${evaluation.reason}: ${evaluation.detail}`);
    return evaluation.value;
  };
}

/** The package takes JSON as bytes: for it the cheapest way in, because it need not render what was parsed. */
async function npm({ directory, entrypoint, inputFile }: Measured): Promise<Call> {
  const wasm = new Uint8Array(readFileSync(join(directory, 'policy.wasm')));
  const policy = await loadPolicy(wasm.buffer);
  policy.setData(JSON.parse(textOf(directory, 'data.json')) as object);
  const input = readFileSync(inputFile, 'utf8');
  const encoder = new TextEncoder();
  return () => {
    const bytes = encoder.encode(input);
    const results = policy.evaluate(bytes.buffer, entrypoint) as { readonly result: unknown }[];
    return results[0]?.result;
  };
}

async function server({ entrypoint, inputFile, port }: Measured): Promise<Call> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  await once(socket, 'connect');
  const body = `{"input":${readFileSync(inputFile, 'utf8')}}`;
  const request = renderRequest(`127.0.0.1:${port}`, `/v1/data/${entrypoint}`, body);
  return async () => {
    const text = await exchange(socket, request);
    return (JSON.parse(text) as { readonly result: unknown }).result;
  };
}

function exchange(socket: Socket, request: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    let pending: Buffer = Buffer.alloc(0);
    const settle = (finish: () => void) => {
      socket.off('data', onData).off('close', onClose).off('error', onClose);
      finish();
    };
    const onClose = () => settle(() => reject(new Error('the server closed the connection')));
    const onData = (chunk: Buffer) => {
      pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
      const answer = findAnswer(pending);
      if (answer === null) return;
      const text = pending.toString('utf8', pending.indexOf('\r\n\r\n') + 4, answer.end);
      if (answer.status === 200) settle(() => resolve(text));
      else settle(() => reject(new Error(`status ${answer.status}: ${text.slice(0, 200)}`)));
    };
    socket.on('data', onData).once('close', onClose).once('error', onClose);
    socket.write(request);
  });
}

const ENGINES: Readonly<Record<PartEngine, (policy: Measured) => Call | Promise<Call>>> = {
  egret,
  npm,
  'opa-server': server,
};

/** @returns microseconds of one call, the median: a shared machine stretches a mean by what others do. */
async function timed(call: Call, seconds: number): Promise<number> {
  const micros = new Float64Array(CALLS_MAX);
  const end = performance.now() + seconds * 1000;
  let calls = 0;
  while (calls < CALLS_MAX && performance.now() < end) {
    const start = process.hrtime.bigint();
    const made = call();
    // Waiting for what is no promise would cost the engines that answer at once.
    if (made instanceof Promise) await made;
    micros[calls] = Number(process.hrtime.bigint() - start) / 1000;
    calls += 1;
  }
  return micros.subarray(0, calls).sort()[Math.floor(calls / 2)] ?? Number.NaN;
}

const [key, policyJson, seconds] = process.argv.slice(2);
if (key === undefined || policyJson === undefined || !Object.hasOwn(ENGINES, key)) {
  throw new Error('usage: engine-part.ts ENGINE POLICY SECONDS');
}
const call = await ENGINES[key as PartEngine](JSON.parse(policyJson) as Measured);
const value: unknown = await call();
await timed(call, Number(seconds) * WARM_UP_SHARE);
console.log(JSON.stringify({ us: await timed(call, Number(seconds)), value }));
process.exit(0);
