/**
 * The reference host, @open-policy-agent/opa-wasm, as a second opinion: it runs the module as OPA built it, without our
 * step counter and with its own memory handling. Builtins are ours, because it has nearly none and those it has are not
 * Go's. Arguments cross its boundary as JSON, so sets arrive there as arrays; a difference after that is a doubt.
 * Shell: owns one WebAssembly instance.
 */
import { isArray } from '../decision/builtin.ts';
import { BUILTINS } from '../decision/builtins.ts';
import { parseRego, type RegoValue, renderRego } from '../decision/rego-value.ts';
import type { Answer, Opinion } from './opinion.ts';

export const REFERENCE_HOST = '@open-policy-agent/opa-wasm';
const PAGE_BYTES = 65_536;
const MEMORY_BYTES = 64 * 1024 * 1024;
const SET_DOUBT = 'a list given to a host builtin may have been a set';

interface Reference {
  readonly entrypoints: Readonly<Record<string, number>>;
  setData(data: ArrayBuffer): void;
  evaluate(input: ArrayBuffer, entrypoint: string): readonly { readonly result: unknown }[];
}

interface Calls {
  timeNs: bigint;
  doubt: string | undefined;
}

/**
 * @param data JSON text of the whole of `data`.
 * @returns null when the package is not installed.
 */
export async function referenceHost(
  wasm: Uint8Array,
  data: string,
  builtins: readonly string[],
): Promise<Opinion | null> {
  const loadPolicy = await loader();
  if (loadPolicy === null) return null;
  const calls: Calls = { timeNs: 0n, doubt: undefined };
  const pages = MEMORY_BYTES / PAGE_BYTES;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: 16 * pages });
  const { renamed, functions } = hostFunctions(wasm, builtins, calls);
  const policy = await loadPolicy(renamed, memory, functions);
  policy.setData(bytesOf(data));
  return {
    name: REFERENCE_HOST,
    answer(entrypoint, input, timeNs) {
      calls.timeNs = timeNs;
      calls.doubt = undefined;
      return { ...evaluated(policy, entrypoint, input), doubt: calls.doubt };
    },
  };
}

type LoadPolicy = (
  wasm: ArrayBuffer,
  memory: WebAssembly.Memory,
  builtins: Readonly<Record<string, (...args: unknown[]) => unknown>>,
) => Promise<Reference>;

async function loader(): Promise<LoadPolicy | null> {
  try {
    const { loadPolicy } = await import('@open-policy-agent/opa-wasm');
    return loadPolicy as unknown as LoadPolicy;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    return null;
  }
}

function evaluated(policy: Reference, entrypoint: string, input: string): Answer {
  try {
    const [first] = policy.evaluate(bytesOf(input), entrypoint);
    return first === undefined ? { kind: 'undefined' } : { kind: 'value', value: first.result };
  } catch (error) {
    // It throws strings and plain objects.
    const { message = String(error) } = error as { message?: string };
    return { kind: 'failed', detail: message.slice(0, 300) };
  }
}

function bytesOf(text: string): ArrayBuffer {
  const bytes = new TextEncoder().encode(text);
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
}

/**
 * The package prefers its own builtins over ours when the names are equal, so in the module's list of names ours are
 * spelled with another first letter.
 */
function hostFunctions(wasm: Uint8Array, builtins: readonly string[], calls: Calls) {
  const module = Buffer.from(wasm);
  const functions: Record<string, (...args: unknown[]) => unknown> = {};
  for (const name of builtins) {
    const other = `_${name.slice(1)}`;
    // The texts of the policy stand before the names of builtins, so the last one is the name.
    const at = module.lastIndexOf(Buffer.from(`\0${name}\0`, 'latin1'));
    if (at !== -1) module.write('_', at + 1, 'latin1');
    functions[other] = (...args) => called(name, args, calls);
  }
  const { buffer, byteOffset, length } = module;
  return { renamed: buffer.slice(byteOffset, byteOffset + length) as ArrayBuffer, functions };
}

function called(name: string, args: readonly unknown[], calls: Calls): unknown {
  const builtin = BUILTINS.get(name);
  if (builtin === undefined) throw new Error(`no builtin ${name}`);
  const values = args.map((arg) => parseRego(JSON.stringify(arg)));
  // The second argument of sprintf is always a list; what is in it counts.
  const inside = name === 'sprintf' && isArray(values[1]) ? [values[0], ...values[1]] : values;
  if (inside.some((value) => holdsList(value as RegoValue))) calls.doubt = SET_DOUBT;
  const result = builtin(values, { timeNs: calls.timeNs, charge: () => undefined });
  if (result === undefined) return undefined;
  if (holdsSet(result)) calls.doubt = SET_DOUBT;
  return JSON.parse(renderRego(withoutSets(result))) as unknown;
}

const holdsList = (value: RegoValue): boolean =>
  isArray(value) || (value instanceof Map && [...value.values()].some(holdsList));

const holdsSet = (value: RegoValue): boolean =>
  value instanceof Set ||
  (isArray(value) && value.some(holdsSet)) ||
  (value instanceof Map && [...value.values()].some(holdsSet));

function withoutSets(value: RegoValue): RegoValue {
  if (value instanceof Map) {
    return new Map([...value].map(([key, item]) => [key, withoutSets(item)]));
  }
  const list = value instanceof Set ? [...value] : value;
  return isArray(list) ? list.map(withoutSets) : list;
}
