/** A compiled policy that claims another ABI: the initial value of one exported global is changed. Pure. */
import { OP, parseWasm, SECTION, WasmCursor } from '../../src/decision/wasm-binary.ts';

const GLOBAL_KIND = 3;

/** @param minor one byte, below 64. */
export function withAbiMinor(wasm: Uint8Array, minor: number): Uint8Array {
  const changed = Uint8Array.from(wasm);
  const at = constantsOf(wasm)[globalNamed(wasm, 'opa_wasm_abi_minor_version')];
  if (at === undefined) throw new Error('no such global');
  changed[at] = minor;
  return changed;
}

function cursorOf(wasm: Uint8Array, id: number): WasmCursor {
  const section = parseWasm(wasm).sections.find((one) => one.id === id);
  if (section === undefined) throw new Error(`no section ${id}`);
  return new WasmCursor(wasm, section.start, section.end);
}

function globalNamed(wasm: Uint8Array, wanted: string): number {
  const cursor = cursorOf(wasm, SECTION.export);
  for (let left = cursor.u32(); left > 0; left--) {
    const name = cursor.name();
    const kind = cursor.byte();
    const index = cursor.u32();
    if (kind === GLOBAL_KIND && name === wanted) return index;
  }
  throw new Error(`no export ${wanted}`);
}

/** Where the constant of each global stands. */
function constantsOf(wasm: Uint8Array): number[] {
  const cursor = cursorOf(wasm, SECTION.global);
  const places: number[] = [];
  for (let left = cursor.u32(); left > 0; left--) {
    cursor.skip(2);
    if (cursor.byte() !== OP.i32Const) throw new Error('a global that is no i32 constant');
    places.push(cursor.position);
    cursor.u32();
    if (cursor.byte() !== OP.end) throw new Error('a long initial value');
  }
  return places;
}
