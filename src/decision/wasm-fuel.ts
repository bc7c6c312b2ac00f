/**
 * Gives a WebAssembly module a deterministic step budget. Rewritten code counts an upper bound of the instructions
 * it executes down on an exported i32 global and traps when that falls below zero, so an endless policy stops after
 * the same step on every machine. Every loop round and every recursion pays, and the module cannot name the counter.
 *
 * What pays where (measurements: docs/adr/0002-fuel.md):
 * - a function pays for its code outside of loops on entry, or its callers pay when it is small;
 * - a small loop pays for its first round with the code around it and for each further round on the way back;
 * - a big loop pays in its header for each round.
 *
 * Free are small functions that the host itself calls, and host functions: for those the host subtracts from the
 * global. Pure.
 */
import {
  OP,
  parseWasm,
  SECTION,
  skipInstruction,
  skipLocals,
  WasmCursor,
  WasmFormatError,
  type WasmModule,
} from './wasm-binary.ts';
import { ByteSink, codeSection, writeSection } from './wasm-sink.ts';

/** Name of the exported mutable i32 global. The host sets it before a call; below zero means: stopped by it. */
export const FUEL_EXPORT = 'egret_fuel';

/** Above this cost a function or loop pays for itself: a check costs about ten instructions. */
const SMALL_COST_MAX = 64;

/** Keeps every single charge far below 2^31, so that the counter cannot wrap around. */
export const WASM_BYTES_MAX = 16 * 1024 * 1024;

/** One-byte block types: none, f64, f32, i64, i32. Any other is an index into the types. */
const VALUE_TYPES: ReadonlySet<number> = new Set([OP.emptyType, 0x7c, 0x7d, 0x7e, 0x7f]);

/** The code of a function outside of loops, or the code of one loop outside of the loops in it. */
interface Region {
  readonly parent: number;
  /** Instructions. */
  steps: number;
  /** Functions called, once per call site. */
  readonly calls: number[];
  /** A jump table leads back to it, or it takes values: it can only pay in its header. */
  header: boolean;
  /** Charge for one pass, with what is folded in. */
  cost: number;
}

interface FunctionCost {
  /** Region 0 is the body; the loops follow in the order of their headers. */
  readonly regions: readonly Region[];
  /** True when the callers pay for region 0. */
  folded: boolean;
}

/**
 * @returns the instrumented module. Function indices, types, imports and the name section stay as they are.
 * @throws WasmFormatError when the module is malformed, too large, or uses what cannot be metered.
 */
export function addFuel(wasm: Uint8Array): Uint8Array {
  if (wasm.length > WASM_BYTES_MAX) {
    throw new WasmFormatError(`module larger than ${WASM_BYTES_MAX} bytes`, WASM_BYTES_MAX);
  }
  const module = parseWasm(wasm);
  const globals = module.importedGlobals + module.definedGlobals;
  const costs = module.bodies.map((body) => measure(body, globals));
  settle(module, costs);
  const bodies = module.bodies.map((body, i) => rewrite(body, costs[i] as FunctionCost, globals));
  return assemble(module, globals, bodies);
}

/** First walk over a body: which instructions and calls belong to which region. */
function measure(body: WasmCursor, globals: number): FunctionCost {
  const cursor = new WasmCursor(body.bytes, body.position, body.end);
  skipLocals(cursor);
  const regions: Region[] = [newRegion(-1)];
  /** Region of each open block, and whether the block is that region's loop header. */
  const open: { region: number; loop: boolean }[] = [{ region: 0, loop: false }];
  while (open.length > 0) {
    const at = cursor.position;
    const opcode = skipInstruction(cursor);
    const top = open[open.length - 1] as { region: number; loop: boolean };
    const region = regions[top.region] as Region;
    region.steps++;
    switch (opcode) {
      case OP.loop: {
        const loop = newRegion(top.region);
        loop.header = !VALUE_TYPES.has(body.bytes[at + 1] as number); // else it may take values
        open.push({ region: regions.push(loop) - 1, loop: true });
        break;
      }
      case OP.block:
      case OP.if:
        open.push({ region: top.region, loop: false });
        break;
      case OP.end:
        open.pop();
        break;
      case OP.call:
        region.calls.push(operandAt(body, at));
        break;
      case OP.globalGet:
      case OP.globalSet:
        if (operandAt(body, at) >= globals) throw new WasmFormatError('unknown global', at);
        break;
      case OP.brTable:
        for (const label of labelsAt(body, at)) {
          const target = open[open.length - 1 - label];
          if (target?.loop) (regions[target.region] as Region).header = true;
        }
        break;
    }
  }
  if (cursor.position !== cursor.end) throw new WasmFormatError('code after end', cursor.position);
  return { regions, folded: false };
}

const newRegion = (parent: number): Region => ({
  parent,
  steps: 0,
  calls: [],
  header: false,
  cost: 0,
});

const operandAt = (body: WasmCursor, at: number) =>
  new WasmCursor(body.bytes, at + 1, body.end).u32();

function labelsAt(body: WasmCursor, at: number): number[] {
  const cursor = new WasmCursor(body.bytes, at + 1, body.end);
  return Array.from({ length: cursor.u32() + 1 }, () => cursor.u32());
}

/**
 * Decides which functions are folded into their callers and prices every region. A function that a table holds, or
 * that is on a cycle of calls at the place where the cycle closes, is never folded: so every recursion pays.
 */
function settle(module: WasmModule, costs: readonly FunctionCost[]): void {
  const state: ('new' | 'open' | 'done')[] = costs.map(() => 'new');
  const unfoldable = new Set(module.tableFunctions);
  const visit = (defined: number, depth: number) => {
    const index = defined + module.importedFunctions;
    const cost = costs[defined] as FunctionCost;
    state[defined] = 'open';
    priceRegions(cost.regions, (callee) => price(callee, depth + 1));
    state[defined] = 'done';
    cost.folded = !unfoldable.has(index) && (cost.regions[0] as Region).cost <= SMALL_COST_MAX;
  };
  /** What a call to this function adds to the caller. */
  const price = (index: number, depth: number): number => {
    const defined = index - module.importedFunctions;
    const cost = costs[defined];
    if (cost === undefined || (cost.regions[0] as Region).steps > SMALL_COST_MAX) return 0;
    // A chain of calls longer than this costs too much to be folded; not following it bounds the recursion here.
    if (state[defined] === 'open' || depth > SMALL_COST_MAX) unfoldable.add(index);
    else if (state[defined] === 'new') visit(defined, depth);
    return cost.folded ? (cost.regions[0] as Region).cost : 0;
  };
  for (let defined = 0; defined < costs.length; defined++) {
    if (state[defined] === 'new') visit(defined, 0);
  }
}

/** Inner loops come after the regions around them, so going backwards prices them first. */
function priceRegions(regions: readonly Region[], callee: (index: number) => number): void {
  for (const region of regions) region.cost = region.steps;
  for (let i = regions.length - 1; i >= 0; i--) {
    const region = regions[i] as Region;
    for (const index of region.calls) region.cost += callee(index);
    region.header ||= region.cost > SMALL_COST_MAX;
    if (i > 0 && !region.header) (regions[region.parent] as Region).cost += region.cost;
  }
}

/** Second walk: copies a body and puts the charges in. */
function rewrite(body: WasmCursor, cost: FunctionCost, fuelGlobal: number): Uint8Array {
  const out = new ByteSink(body.end - body.position + 64);
  const cursor = new WasmCursor(body.bytes, body.position, body.end);
  skipLocals(cursor);
  let copied = body.position;
  const copyUpTo = (end: number) => {
    out.bytes(body.bytes.subarray(copied, end));
    copied = end;
  };
  copyUpTo(cursor.position);
  if (!cost.folded) charge(out, fuelGlobal, (cost.regions[0] as Region).cost);
  const open: (Region | null)[] = [null];
  let loops = 0;
  while (open.length > 0) {
    const at = cursor.position;
    const opcode = skipInstruction(cursor);
    if (opcode === OP.end) open.pop();
    else if (opcode === OP.block || opcode === OP.if) open.push(null);
    else if (opcode === OP.loop) {
      const region = cost.regions[++loops] as Region;
      open.push(region);
      copyUpTo(cursor.position);
      if (region.header) charge(out, fuelGlobal, region.cost);
    } else if (opcode === OP.br || opcode === OP.brIf) {
      const label = operandAt(body, at);
      const loop = open[open.length - 1 - label];
      if (!loop || loop.header) continue;
      copyUpTo(at);
      copied = cursor.position;
      if (opcode === OP.brIf) out.byte(OP.if).byte(OP.emptyType);
      charge(out, fuelGlobal, loop.cost);
      out.byte(OP.br).u32(opcode === OP.brIf ? label + 1 : label);
      if (opcode === OP.brIf) out.byte(OP.end);
    }
  }
  copyUpTo(body.end);
  return out.done();
}

/** Stack-neutral and without locals: the counter goes down by `cost`; below zero the module traps. */
function charge(out: ByteSink, fuelGlobal: number, cost: number): void {
  out.byte(OP.globalGet).u32(fuelGlobal).byte(OP.i32Const).s32(cost).byte(OP.i32Sub);
  out.byte(OP.globalSet).u32(fuelGlobal).byte(OP.globalGet).u32(fuelGlobal);
  out.byte(OP.i32Const).s32(0).byte(OP.i32LtS);
  out.byte(OP.if).byte(OP.emptyType).byte(OP.unreachable).byte(OP.end);
}

function assemble(module: WasmModule, fuelGlobal: number, bodies: readonly Uint8Array[]) {
  const { bytes, sections } = module;
  const out = new ByteSink(bytes.length * 1.25);
  out.bytes(bytes.subarray(0, 8));
  const global = new ByteSink(16)
    .bytes([0x7f, 0x01, OP.i32Const])
    .s32(0x7fffffff)
    .byte(OP.end)
    .done();
  const name = new TextEncoder().encode(FUEL_EXPORT);
  const exported = new ByteSink(32).u32(name.length).bytes(name).byte(0x03).u32(fuelGlobal).done();
  const added = new Map<number, Uint8Array>([
    [SECTION.global, global],
    [SECTION.export, exported],
  ]);
  for (const { id, start, end } of sections) {
    for (const [section, entry] of added) {
      if (id <= section || id === SECTION.custom) continue;
      writeSection(out, section, new ByteSink(64).u32(1).bytes(entry).done());
      added.delete(section);
    }
    const entry = added.get(id);
    if (id === SECTION.code) {
      writeSection(out, id, codeSection(bodies));
    } else if (entry) {
      writeSection(out, id, withEntry(new WasmCursor(bytes, start, end), entry));
      added.delete(id);
    } else {
      writeSection(out, id, bytes.subarray(start, end));
    }
  }
  return out.done();
}

function withEntry(section: WasmCursor, entry: Uint8Array): Uint8Array {
  const out = new ByteSink(section.end - section.position + entry.length + 5).u32(
    section.u32() + 1,
  );
  return out.bytes(section.bytes.subarray(section.position, section.end)).bytes(entry).done();
}
