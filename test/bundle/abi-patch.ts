/** A compiled policy that claims another ABI: the initial value of one exported global is changed. Pure. */

const GLOBAL_SECTION = 6;
const EXPORT_SECTION = 7;
const GLOBAL_KIND = 3;
const I32_CONST = 0x41;
const END = 0x0b;

/** Owns the position in one module. */
class Reader {
  readonly #bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  byte(): number {
    return this.#bytes[this.at++] as number;
  }

  unsigned(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  }

  name(): string {
    const length = this.unsigned();
    this.at += length;
    return Buffer.from(this.#bytes.subarray(this.at - length, this.at)).toString();
  }
}

/** @param minor one byte, below 64. */
export function withAbiMinor(wasm: Uint8Array, minor: number): Uint8Array {
  const changed = Uint8Array.from(wasm);
  const at = constantsOf(wasm)[globalNamed(wasm, 'opa_wasm_abi_minor_version')];
  if (at === undefined) throw new Error('no such global');
  changed[at] = minor;
  return changed;
}

function sectionAt(wasm: Uint8Array, id: number): Reader {
  const reader = new Reader(wasm, 8);
  while (reader.at < wasm.length) {
    const found = reader.byte();
    const bytes = reader.unsigned();
    if (found === id) return reader;
    reader.at += bytes;
  }
  throw new Error(`no section ${id}`);
}

function globalNamed(wasm: Uint8Array, wanted: string): number {
  const reader = sectionAt(wasm, EXPORT_SECTION);
  for (let left = reader.unsigned(); left > 0; left--) {
    const name = reader.name();
    const kind = reader.byte();
    const index = reader.unsigned();
    if (kind === GLOBAL_KIND && name === wanted) return index;
  }
  throw new Error(`no export ${wanted}`);
}

/** Where the constant of each global stands. */
function constantsOf(wasm: Uint8Array): number[] {
  const reader = sectionAt(wasm, GLOBAL_SECTION);
  const places: number[] = [];
  for (let left = reader.unsigned(); left > 0; left--) {
    reader.at += 2;
    if (reader.byte() !== I32_CONST) throw new Error('a global that is no i32 constant');
    places.push(reader.at);
    reader.unsigned();
    if (reader.byte() !== END) throw new Error('a long initial value');
  }
  return places;
}
