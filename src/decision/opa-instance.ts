/**
 * One instance of a compiled policy: OPA's WebAssembly ABI 1.2 and 1.3, spoken by us. Trusts the module with its own
 * memory only: every address and length it hands out is checked by the engine's typed arrays, every call is covered
 * by fuel. Throws; opa-wasm.ts turns that into reasons and drops the instance. Shell: owns one WebAssembly instance.
 */
import type { Builtin, BuiltinContext } from './builtin.ts';
import { parseRego, type RegoValue, renderRego } from './rego-value.ts';
import { FUEL_EXPORT } from './wasm-fuel.ts';

/** What an instance is made of. */
export interface InstanceParts {
  readonly module: WebAssembly.Module;
  /** JSON text of `data`. */
  readonly data: string;
  readonly builtins: ReadonlyMap<string, Builtin>;
  /** Pages of 64 KiB, allocated lazily by the operating system. */
  readonly memoryPages: number;
  /** Reset the heap when this many bytes are in use on top of data; 0 resets before every evaluation. */
  readonly heapBytesKept: number;
  /** Receives lines that the policy prints. */
  readonly onPrint: (line: string) => void;
}

/** The module gave up: a conflict, or no memory. */
export class PolicyAbort extends Error {
  override name = 'PolicyAbort';
}

/** A host function used up the fuel. */
export class FuelExhausted extends Error {
  override name = 'FuelExhausted';
}

interface Exports {
  readonly memory: WebAssembly.Memory;
  readonly [FUEL_EXPORT]: WebAssembly.Global;
  readonly opa_wasm_abi_version: WebAssembly.Global;
  readonly opa_wasm_abi_minor_version: WebAssembly.Global;
  opa_malloc(bytes: number): number;
  opa_heap_ptr_get(): number;
  opa_heap_ptr_set(address: number): void;
  opa_json_parse(address: number, bytes: number): number;
  opa_json_dump(value: number): number;
  opa_value_parse(address: number, bytes: number): number;
  opa_value_dump(value: number): number;
  opa_eval_ctx_new(): number;
  opa_eval_ctx_set_input(context: number, value: number): void;
  opa_eval_ctx_set_data(context: number, value: number): void;
  opa_eval_ctx_set_entrypoint(context: number, entrypoint: number): void;
  opa_eval_ctx_get_result(context: number): number;
  eval(context: number): number;
  builtins(): number;
  entrypoints(): number;
}

/** Names that the module must export; the rest of the ABI is not used. */
export const REQUIRED_EXPORTS: readonly string[] = [
  'memory',
  'opa_wasm_abi_version',
  'opa_wasm_abi_minor_version',
  'opa_malloc',
  'opa_heap_ptr_get',
  'opa_heap_ptr_set',
  'opa_json_parse',
  'opa_json_dump',
  'opa_value_parse',
  'opa_value_dump',
  'opa_eval_ctx_new',
  'opa_eval_ctx_set_input',
  'opa_eval_ctx_set_data',
  'opa_eval_ctx_set_entrypoint',
  'opa_eval_ctx_get_result',
  'eval',
  'builtins',
  'entrypoints',
];

/** The largest budget: the counter is a signed 32-bit number. */
export const FUEL_MAX = 0x7fffffff;

/** Inputs up to this many characters go to a buffer that every evaluation reuses; UTF-8 needs up to 3 bytes each. */
const INPUT_CHARACTERS_KEPT = 16 * 1024;
/** Host builtins pay for parsing and rendering their values: about what the module pays for its own JSON parser. */
const STEPS_PER_CHARACTER = 200;
const STEPS_PER_CALL = 2000;
const MESSAGE_CHARACTERS_MAX = 256;

/** What `evaluate` needs besides the entrypoint. */
export interface EvaluationRequest {
  /** Text of the input; null when the policy shall see no input at all. */
  readonly input: string | null;
  /** What `time.now_ns()` returns. */
  readonly timeNs: bigint;
  /** Steps. */
  readonly fuel: number;
  /** Where `rand.intn` and `uuid.rfc4122` come from; they are refused without. */
  readonly seed?: Uint8Array | undefined;
  /** `rego` reads and writes sets and keys that are not strings. Default `json`. */
  readonly dialect?: 'json' | 'rego';
}

export class OpaInstance {
  readonly #exports: Exports;
  readonly #memory: WebAssembly.Memory;
  readonly #parts: InstanceParts;
  readonly #byId = new Map<number, Builtin>();
  readonly #context: {
    timeNs: bigint;
    seed: Uint8Array | undefined;
    charge: (steps: number) => void;
  };
  #bytes: Buffer;
  #data = 0;
  #inputAddress = 0;
  /** Heap above this belongs to evaluations. */
  #base = 0;

  /** Instantiates the module. Call `load` before `evaluate`. */
  constructor(parts: InstanceParts) {
    this.#parts = parts;
    this.#memory = new WebAssembly.Memory({
      initial: parts.memoryPages,
      maximum: parts.memoryPages,
    });
    this.#bytes = Buffer.from(this.#memory.buffer);
    this.#context = { timeNs: 0n, seed: undefined, charge: (steps) => this.#charge(steps) };
    const call = (id: number, _context: number, ...args: number[]) => this.#builtin(id, args);
    const env = {
      memory: this.#memory,
      opa_abort: (address: number) => {
        throw new PolicyAbort(this.#text(address));
      },
      opa_println: (address: number) => this.#parts.onPrint(this.#text(address)),
      opa_builtin0: call,
      opa_builtin1: call,
      opa_builtin2: call,
      opa_builtin3: call,
      opa_builtin4: call,
    };
    this.#exports = new WebAssembly.Instance(parts.module, { env }).exports as unknown as Exports;
  }

  /** Parses data and binds the builtins; `fuelLeft` afterwards says what that cost. */
  load(): void {
    const wasm = this.#exports;
    this.refuel(FUEL_MAX);
    for (const [name, id] of this.requiredBuiltins()) {
      const builtin = this.#parts.builtins.get(name);
      if (builtin !== undefined) this.#byId.set(id, builtin);
    }
    this.#data = this.#write(this.#parts.data, wasm.opa_json_parse);
    this.#inputAddress = wasm.opa_malloc(INPUT_CHARACTERS_KEPT * 3);
    this.#base = wasm.opa_heap_ptr_get();
    wasm.opa_heap_ptr_set(this.#base); // empties the free lists, so that the first evaluation starts like any other
  }

  get abiVersion(): readonly [number, number] {
    const wasm = this.#exports;
    return [wasm.opa_wasm_abi_version.value, wasm.opa_wasm_abi_minor_version.value];
  }

  /** Steps left; negative when the policy was stopped. */
  get fuelLeft(): number {
    return this.#exports[FUEL_EXPORT].value as number;
  }

  /** Bytes of heap that evaluations use on top of data. */
  get heapBytes(): number {
    return this.#exports.opa_heap_ptr_get() - this.#base;
  }

  requiredBuiltins(): ReadonlyMap<string, number> {
    return this.#names(this.#exports.builtins());
  }

  entrypoints(): ReadonlyMap<string, number> {
    return this.#names(this.#exports.entrypoints());
  }

  refuel(steps: number): void {
    this.#exports[FUEL_EXPORT].value = steps;
  }

  /**
   * Evaluates one entrypoint within `fuel` steps.
   * @returns the text of OPA's result set: `[]` (`set()` in Rego) when undefined, else `[{"result": …}]`.
   * @throws PolicyAbort, FuelExhausted, BuiltinRefused, WebAssembly.RuntimeError (fuel when `fuelLeft` is negative),
   *   RangeError (stack), SyntaxError when the input is no JSON. The instance must not be used again after that.
   */
  evaluate(entrypoint: number, request: EvaluationRequest): string {
    const wasm = this.#exports;
    const { input, dialect = 'json' } = request;
    this.refuel(request.fuel);
    this.#context.timeNs = request.timeNs;
    this.#context.seed = request.seed;
    const { heapBytesKept } = this.#parts;
    if (heapBytesKept === 0 || this.heapBytes >= heapBytesKept) wasm.opa_heap_ptr_set(this.#base);
    const context = wasm.opa_eval_ctx_new();
    if (input !== null) wasm.opa_eval_ctx_set_input(context, this.#input(input, dialect));
    wasm.opa_eval_ctx_set_data(context, this.#data);
    wasm.opa_eval_ctx_set_entrypoint(context, entrypoint);
    wasm.eval(context);
    const result = wasm.opa_eval_ctx_get_result(context);
    const dump = dialect === 'json' ? wasm.opa_json_dump : wasm.opa_value_dump;
    return this.#text(dump(result), Infinity);
  }

  #input(text: string, dialect: 'json' | 'rego'): number {
    const parse = dialect === 'json' ? this.#exports.opa_json_parse : this.#exports.opa_value_parse;
    return text.length <= INPUT_CHARACTERS_KEPT
      ? this.#parseAt(this.#inputAddress, INPUT_CHARACTERS_KEPT * 3, text, parse)
      : this.#write(text, parse);
  }

  #names(address: number): ReadonlyMap<string, number> {
    const names = JSON.parse(this.#text(this.#exports.opa_json_dump(address), Infinity));
    return new Map(Object.entries(names as Record<string, number>));
  }

  #builtin(id: number, addresses: readonly number[]): number {
    const wasm = this.#exports;
    const builtin = this.#byId.get(id);
    if (builtin === undefined) throw new PolicyAbort('builtin that was not declared');
    this.#charge(STEPS_PER_CALL);
    const args = addresses.map((address) => this.#read(wasm.opa_value_dump(address)));
    const result = builtin(args, this.#context as BuiltinContext);
    if (result === undefined) return 0;
    const text = renderRego(result);
    this.#charge(text.length * STEPS_PER_CHARACTER);
    return this.#write(text, wasm.opa_value_parse);
  }

  #read(address: number): RegoValue {
    const text = this.#text(address, Infinity);
    this.#charge(text.length * STEPS_PER_CHARACTER);
    return parseRego(text);
  }

  #charge(steps: number): void {
    const left = this.fuelLeft - Math.min(FUEL_MAX, Math.ceil(steps));
    this.refuel(Math.max(-1, left));
    if (left < 0) throw new FuelExhausted('a builtin used up the fuel');
  }

  /** Copies text into new memory and parses it there. */
  #write(text: string, parse: (address: number, bytes: number) => number): number {
    const bytesMax = text.length * 3;
    return this.#parseAt(this.#exports.opa_malloc(bytesMax), bytesMax, text, parse);
  }

  #parseAt(
    address: number,
    bytesMax: number,
    text: string,
    parse: (address: number, bytes: number) => number,
  ): number {
    const value = parse(address, this.#view().write(text, address, bytesMax));
    if (value === 0) throw new SyntaxError('text that the engine cannot parse');
    return value;
  }

  /** A view of memory that is valid now: growing the memory detaches the old one. */
  #view(): Buffer {
    if (this.#bytes.length === 0) this.#bytes = Buffer.from(this.#memory.buffer);
    return this.#bytes;
  }

  /** The C string at an address. */
  #text(address: number, charactersMax = MESSAGE_CHARACTERS_MAX): string {
    const view = this.#view();
    const end = view.indexOf(0, address);
    return view.toString('utf8', address, Math.min(end, address + charactersMax));
  }
}
