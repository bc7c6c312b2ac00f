/**
 * The policy engine (PDP): evaluates OPA policies compiled to WebAssembly within a step budget and a memory maximum,
 * with a frozen clock and a closed list of builtins. Guarantees that nothing throws and nothing runs on: whatever
 * goes wrong is a reason code. An instance that failed is never used again; a warm one takes over.
 * Shell: owns WebAssembly instances and a bounded cache of compiled modules.
 */
import { createHash } from 'node:crypto';
import { BuiltinRefused } from './builtin.ts';
import { BUILTINS } from './builtins.ts';
import type { Engine, Evaluation } from './engine.ts';
import {
  FUEL_MAX,
  FuelExhausted,
  type InstanceParts,
  OpaInstance,
  PolicyAbort,
  REQUIRED_EXPORTS,
} from './opa-instance.ts';
import type { ReasonCode } from './reason.ts';
import { parseWasm, WasmFormatError } from './wasm-binary.ts';
import { addFastPaths } from './wasm-fast-paths.ts';
import { addFuel } from './wasm-fuel.ts';

export const DECISION_ENTRYPOINT = 'egret/decision';

export interface EngineLimits {
  /** Steps for any input, about one per WebAssembly instruction. Default 200 million (a few milliseconds). */
  readonly fuelBase: number;
  /** Further steps per character of the input. Default 8000: searching long texts takes up to 7000. The sum never exceeds 2^31-1. */
  readonly fuelPerCharacter: number;
  /** Memory of one instance in bytes, data included. Default 128 MiB. More stops the evaluation. */
  readonly memoryBytesMax: number;
  /** Lines a policy may print per second; more are dropped. Default 10. */
  readonly printLinesPerSecondMax: number;
}

export const DEFAULT_LIMITS: EngineLimits = {
  fuelBase: 200_000_000,
  fuelPerCharacter: 8000,
  memoryBytesMax: 128 * 1024 * 1024,
  printLinesPerSecondMax: 10,
};

export interface CompileOptions {
  readonly limits?: Partial<EngineLimits>;
  /** Receives what the policy prints: text of the policy author that may hold parts of the call. Default: dropped. */
  readonly onPrint?: (line: string) => void;
}

export type PolicyLoadCode =
  | 'wasm_invalid'
  | 'wasm_unsupported'
  | 'abi_unsupported'
  | 'builtin_unknown'
  | 'memory_too_large'
  | 'data_invalid';

/** The policy cannot be loaded. */
export class PolicyLoadError extends Error {
  readonly code: PolicyLoadCode;
  readonly found: string;
  readonly expected: string;
  constructor(code: PolicyLoadCode, found: string, expected: string) {
    super(`found ${found}, expected ${expected}`);
    this.name = 'PolicyLoadError';
    this.code = code;
    this.found = found;
    this.expected = expected;
  }
}

export interface CompiledPolicy {
  readonly parts: InstanceParts;
  readonly limits: EngineLimits;
  /** Names of the entrypoints with the numbers that the module gives them. */
  readonly entrypoints: ReadonlyMap<string, number>;
  /** Host builtins that the policy needs, sorted. */
  readonly builtins: readonly string[];
  /** Lower-case hex of the module before instrumentation. */
  readonly wasmSha256: string;
}

export interface PolicyEngine extends Engine {
  readonly entrypoints: ReadonlyMap<string, number>;
  /** As `evaluate`, for any entrypoint; `policy.undefined` when there is none of that name. */
  evaluateEntrypoint(name: string, input: string, timeNs: bigint, seed?: Uint8Array): Evaluation;
  /** Gives up the spare instance. Evaluating afterwards still works. */
  close(): void;
}

const PAGE_BYTES = 65_536;
/** Heap that policies with regular expressions may keep, because a reset makes them compile every pattern again. */
const HEAP_BYTES_KEPT = 16 * 1024 * 1024;
/** Above this much data a spare instance costs more memory than the wait after a failure is worth. */
const SPARE_DATA_CHARACTERS_MAX = 1024 * 1024;

/**
 * Instruments, compiles and inspects a policy.
 * @param data JSON text of an object: what the policy sees as `data`.
 * @throws PolicyLoadError
 */
export function compilePolicy(
  wasm: Uint8Array,
  data: string,
  options: CompileOptions = {},
): CompiledPolicy {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  checkData(data);
  const wasmSha256 = createHash('sha256').update(wasm).digest('hex');
  const { module, pagesMin, keepsPatterns } = compiledModule(wasm, wasmSha256);
  const memoryPages = Math.floor(limits.memoryBytesMax / PAGE_BYTES);
  if (pagesMin > memoryPages) {
    const expected = `at most ${limits.memoryBytesMax}`;
    throw new PolicyLoadError('memory_too_large', `${pagesMin * PAGE_BYTES} bytes`, expected);
  }
  const onPrint = printer(options.onPrint, limits.printLinesPerSecondMax);
  const heapBytesKept = keepsPatterns ? Math.min(HEAP_BYTES_KEPT, limits.memoryBytesMax / 4) : 0;
  const parts = { module, data, builtins: BUILTINS, memoryPages, heapBytesKept, onPrint };
  const { entrypoints, builtins } = inspect(parts);
  return { parts, limits, entrypoints, builtins, wasmSha256 };
}

/** @param entrypoint the rule that `evaluate` asks. */
export function createEngine(
  policy: CompiledPolicy,
  entrypoint: string = DECISION_ENTRYPOINT,
): PolicyEngine {
  return new OpaEngine(policy, entrypoint);
}

/** OPA's own parser would take more than JSON for data, so it must not be the only one that looks. */
function checkData(data: string): void {
  try {
    const value: unknown = JSON.parse(data);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new PolicyLoadError('data_invalid', 'data that is no JSON object', 'a JSON object');
}

interface ModuleFacts {
  readonly module: WebAssembly.Module;
  readonly pagesMin: number;
  /** The module holds the RE2 library. */
  readonly keepsPatterns: boolean;
}

/** By SHA-256, oldest use first. Reloads mostly change data only. */
const modules = new Map<string, ModuleFacts>();
const MODULES_MAX = 4;

function compiledModule(wasm: Uint8Array, sha256: string): ModuleFacts {
  const facts = modules.get(sha256) ?? compile(wasm);
  modules.delete(sha256);
  modules.set(sha256, facts);
  for (const oldest of modules.keys()) {
    if (modules.size <= MODULES_MAX) break;
    modules.delete(oldest);
  }
  return facts;
}

function compile(wasm: Uint8Array): ModuleFacts {
  try {
    const { memoryPages, names } = parseWasm(wasm);
    if (memoryPages === null) {
      throw new PolicyLoadError('abi_unsupported', 'no imported memory', 'env.memory');
    }
    const module = new WebAssembly.Module(new Uint8Array(addFuel(addFastPaths(wasm))));
    checkInterface(module);
    // Without names nobody knows, and keeping patterns is right for every policy.
    const named = names && Buffer.from(wasm.subarray(names.start, names.end));
    return { module, pagesMin: memoryPages.min, keepsPatterns: named?.includes('re2::') ?? true };
  } catch (error) {
    if (error instanceof WasmFormatError) {
      throw new PolicyLoadError('wasm_unsupported', error.message, 'a module that OPA builds');
    }
    if (error instanceof WebAssembly.CompileError) {
      const found = error.message.slice(0, 200);
      throw new PolicyLoadError('wasm_invalid', found, 'a valid WebAssembly module');
    }
    throw error;
  }
}

const HOST_FUNCTION = /^(opa_abort|opa_println|opa_builtin[0-4]|memory)$/;

function checkInterface(module: WebAssembly.Module): void {
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    if (from === 'env' && HOST_FUNCTION.test(name)) continue;
    throw new PolicyLoadError('abi_unsupported', `import ${from}.${name}`, "only OPA's imports");
  }
  const exported = new Set(WebAssembly.Module.exports(module).map(({ name }) => name));
  const missing = REQUIRED_EXPORTS.find((name) => !exported.has(name));
  if (missing === undefined) return;
  throw new PolicyLoadError('abi_unsupported', `no export ${missing}`, "all exports of OPA's ABI");
}

function inspect(parts: InstanceParts) {
  try {
    const instance = new OpaInstance(parts);
    const [major, minor] = instance.abiVersion;
    if (major !== 1 || minor < 2 || minor > 3) {
      throw new PolicyLoadError('abi_unsupported', `ABI ${major}.${minor}`, 'ABI 1.2 or 1.3');
    }
    const builtins = [...instance.requiredBuiltins().keys()].sort();
    const unknown = builtins.filter((name) => !parts.builtins.has(name));
    if (unknown.length > 0) {
      const expected = 'builtins of WebAssembly or of the closed host list';
      throw new PolicyLoadError('builtin_unknown', unknown.join(', '), expected);
    }
    return { builtins, entrypoints: instance.entrypoints() };
  } catch (error) {
    if (error instanceof PolicyLoadError) throw error;
    const found = `failure on start: ${String(error).slice(0, 200)}`;
    throw new PolicyLoadError('wasm_invalid', found, 'a module that starts');
  }
}

function printer(sink: ((line: string) => void) | undefined, linesMax: number) {
  let second = 0;
  let lines = 0;
  return (line: string) => {
    const now = Math.floor(performance.now() / 1000);
    if (now !== second) [second, lines] = [now, 0];
    if (lines++ < linesMax) sink?.(line);
  };
}

class OpaEngine implements PolicyEngine {
  readonly entrypoints: ReadonlyMap<string, number>;
  readonly #policy: CompiledPolicy;
  readonly #decision: number | undefined;
  #instance: OpaInstance | null;
  #spare: OpaInstance | null = null;
  #making: NodeJS.Immediate | null = null;
  #closed = false;

  constructor(policy: CompiledPolicy, entrypoint: string) {
    this.#policy = policy;
    this.entrypoints = policy.entrypoints;
    this.#decision = policy.entrypoints.get(entrypoint);
    try {
      this.#instance = this.#loaded();
    } catch (error) {
      throw dataError(error);
    }
    this.#prepareSpare();
  }

  evaluate(input: string, timeNs: bigint): Evaluation {
    return this.#run(this.#decision, input, timeNs);
  }

  evaluateEntrypoint(name: string, input: string, timeNs: bigint, seed?: Uint8Array): Evaluation {
    return this.#run(this.entrypoints.get(name), input, timeNs, seed);
  }

  close(): void {
    this.#closed = true;
    if (this.#making !== null) clearImmediate(this.#making);
    this.#making = null;
    this.#spare = null;
  }

  #run(
    entrypoint: number | undefined,
    input: string,
    timeNs: bigint,
    seed?: Uint8Array,
  ): Evaluation {
    const { fuelBase, fuelPerCharacter } = this.#policy.limits;
    const budget = Math.min(FUEL_MAX, fuelBase + fuelPerCharacter * input.length);
    if (entrypoint === undefined) return failed('policy.undefined', 'no such entrypoint', 0);
    let instance: OpaInstance | null = null;
    try {
      instance = this.#instance ?? this.#spare ?? this.#loaded();
      const text = instance.evaluate(entrypoint, { input, timeNs, seed, fuel: budget });
      const fuel = budget - instance.fuelLeft;
      this.#instance = instance;
      const [binding] = JSON.parse(text) as { result: unknown }[];
      if (binding === undefined) return failed('policy.undefined', 'no result', fuel);
      return { ok: true, value: binding.result, fuel };
    } catch (error) {
      this.#replace();
      return explained(error, instance?.fuelLeft ?? budget, budget);
    }
  }

  /** Memory of a failed instance may be in the middle of a change. */
  #replace(): void {
    this.#instance = this.#spare;
    this.#spare = null;
    this.#prepareSpare();
  }

  #prepareSpare(): void {
    const small = this.#policy.parts.data.length <= SPARE_DATA_CHARACTERS_MAX;
    if (this.#closed || this.#making !== null || !small) return;
    this.#making = setImmediate(() => {
      this.#making = null;
      try {
        this.#spare = this.#loaded();
      } catch {
        this.#spare = null; // the next failure makes an instance on the way, or reports why it cannot
      }
    });
    this.#making.unref();
  }

  #loaded(): OpaInstance {
    const instance = new OpaInstance(this.#policy.parts);
    instance.load();
    return instance;
  }
}

function dataError(error: unknown): PolicyLoadError {
  const why = error instanceof Error ? error.message.slice(0, 100) : 'unknown';
  return why.startsWith('opa_malloc')
    ? new PolicyLoadError(
        'memory_too_large',
        'data that does not fit',
        'data within the memory maximum',
      )
    : new PolicyLoadError('data_invalid', `data that the engine cannot read: ${why}`, 'JSON');
}

const failed = (reason: ReasonCode, detail: string, fuel: number): Evaluation => ({
  ok: false,
  reason,
  detail,
  fuel,
});

/** The reason of a failure. The detail holds words of the policy author or the runtime, never the input. */
function explained(error: unknown, fuelLeft: number, budget: number): Evaluation {
  const fuel = Math.min(budget, budget - fuelLeft);
  if (fuelLeft < 0 || error instanceof FuelExhausted) {
    return failed('policy.fuel_exhausted', `more than ${budget} steps`, fuel);
  }
  if (error instanceof PolicyAbort) {
    const memory = error.message.startsWith('opa_malloc');
    return failed(memory ? 'policy.memory_exhausted' : 'policy.error', error.message, fuel);
  }
  if (error instanceof BuiltinRefused) return failed('policy.error', error.message, fuel);
  if (error instanceof RangeError) return failed('policy.error', 'stack overflow', fuel);
  if (error instanceof SyntaxError)
    return failed('policy.error', 'input or result is no JSON', fuel);
  if (error instanceof WebAssembly.RuntimeError) {
    return failed('policy.error', `trap: ${error.message}`, fuel);
  }
  return failed('policy.error', 'the engine failed', fuel);
}
