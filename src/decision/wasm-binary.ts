/**
 * Reads the binary format of WebAssembly 1.0 (with sign extension and saturating truncation) far enough to rewrite
 * function bodies: sections, counts, and the length of every instruction. Trusts nothing: each read is checked
 * against its section, and an instruction it does not know is an error, never a guess. Pure.
 */

/** The module is not well formed, or uses a feature that cannot be metered. `offset` is in bytes from its start. */
export class WasmFormatError extends Error {
  readonly offset: number;
  constructor(message: string, offset: number) {
    super(`${message} at byte ${offset}`);
    this.name = 'WasmFormatError';
    this.offset = offset;
  }
}

export const SECTION = {
  custom: 0,
  import: 2,
  function: 3,
  global: 6,
  export: 7,
  element: 9,
  code: 10,
} as const;

export const OP = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  brTable: 0x0e,
  call: 0x10,
  globalGet: 0x23,
  globalSet: 0x24,
  i32Const: 0x41,
  i32LtS: 0x48,
  i32Sub: 0x6b,
  emptyType: 0x40,
} as const;

/** A position in the module; every read moves it and throws WasmFormatError past `end`. */
export class WasmCursor {
  readonly bytes: Uint8Array;
  readonly end: number;
  position: number;

  constructor(bytes: Uint8Array, position: number, end: number) {
    this.bytes = bytes;
    this.position = position;
    this.end = end;
  }

  byte(): number {
    if (this.position >= this.end) throw new WasmFormatError('unexpected end', this.position);
    return this.bytes[this.position++] as number;
  }

  /** Unsigned LEB128 of at most 32 bits. */
  u32(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      if (shift === 28 && byte > 0x0f) break;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new WasmFormatError('number of more than 32 bits', this.position);
  }

  skip(bytes: number): void {
    if (bytes > this.end - this.position) {
      throw new WasmFormatError('length past the end', this.position);
    }
    this.position += bytes;
  }

  /** Skips a LEB128 number of at most `bytesMax` bytes. */
  skipNumber(bytesMax: number): void {
    for (let read = 0; read < bytesMax; read++) if (this.byte() < 0x80) return;
    throw new WasmFormatError('number too long', this.position);
  }

  /** A cursor over the next `bytes`, which this one skips. */
  sub(bytes: number): WasmCursor {
    const start = this.position;
    this.skip(bytes);
    return new WasmCursor(this.bytes, start, this.position);
  }

  name(): string {
    const part = this.sub(this.u32());
    return Buffer.from(
      this.bytes.buffer,
      this.bytes.byteOffset + part.position,
      part.end - part.position,
    ).toString();
  }
}

export interface WasmSection {
  readonly id: number;
  /** Content without the id and the size. */
  readonly start: number;
  readonly end: number;
}

export interface WasmModule {
  readonly bytes: Uint8Array;
  readonly sections: readonly WasmSection[];
  readonly importedFunctions: number;
  readonly importedGlobals: number;
  readonly definedGlobals: number;
  /** Limits of the imported memory in pages of 64 KiB; null when no memory is imported. */
  readonly memoryPages: { readonly min: number; readonly max: number | null } | null;
  /** Indices of functions that a table may hold, so that anybody may call them indirectly. */
  readonly tableFunctions: ReadonlySet<number>;
  /** One cursor per function body, in order. */
  readonly bodies: readonly WasmCursor[];
  /** The custom section `name`; null when it is missing. */
  readonly names: WasmSection | null;
}

const MAGIC = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];

/** @throws WasmFormatError. Checks structure only; whether the code is valid is for the compiler to say. */
export function parseWasm(bytes: Uint8Array): WasmModule {
  if (!MAGIC.every((byte, i) => bytes[i] === byte)) {
    throw new WasmFormatError('no WebAssembly 1 header', 0);
  }
  const sections = readSections(bytes);
  const cursorOf = (id: number) => {
    const section = sections.find((s) => s.id === id);
    return section ? new WasmCursor(bytes, section.start, section.end) : null;
  };
  const imports = readImports(cursorOf(SECTION.import));
  const names = sections.find(
    (s) => s.id === SECTION.custom && new WasmCursor(bytes, s.start, s.end).name() === 'name',
  );
  return {
    bytes,
    sections,
    ...imports,
    definedGlobals: cursorOf(SECTION.global)?.u32() ?? 0,
    tableFunctions: readElements(cursorOf(SECTION.element)),
    bodies: readBodies(cursorOf(SECTION.code)),
    names: names ?? null,
  };
}

function readSections(bytes: Uint8Array): WasmSection[] {
  const cursor = new WasmCursor(bytes, MAGIC.length, bytes.length);
  const sections: WasmSection[] = [];
  let last = 0;
  while (cursor.position < cursor.end) {
    const id = cursor.byte();
    const content = cursor.sub(cursor.u32());
    if (id > 11) throw new WasmFormatError(`unknown section ${id}`, content.position);
    if (id !== SECTION.custom && id <= last) {
      throw new WasmFormatError(`section ${id} out of order`, content.position);
    }
    if (id !== SECTION.custom) last = id;
    sections.push({ id, start: content.position, end: content.end });
  }
  return sections;
}

function readImports(cursor: WasmCursor | null) {
  let importedFunctions = 0;
  let importedGlobals = 0;
  let memoryPages: WasmModule['memoryPages'] = null;
  for (let left = cursor?.u32() ?? 0; cursor && left > 0; left--) {
    cursor.name();
    cursor.name();
    const kind = cursor.byte();
    if (kind === 0) {
      cursor.u32();
      importedFunctions++;
    } else if (kind === 2) {
      const bounded = cursor.byte();
      if (bounded > 1) throw new WasmFormatError('shared or 64-bit memory', cursor.position);
      const min = cursor.u32();
      memoryPages = { min, max: bounded === 1 ? cursor.u32() : null };
    } else if (kind === 3) {
      cursor.skip(2);
      importedGlobals++;
    } else {
      throw new WasmFormatError('import that is no function, memory or global', cursor.position);
    }
  }
  return { importedFunctions, importedGlobals, memoryPages };
}

function readElements(cursor: WasmCursor | null): ReadonlySet<number> {
  const functions = new Set<number>();
  for (let left = cursor?.u32() ?? 0; cursor && left > 0; left--) {
    if (cursor.u32() !== 0) throw new WasmFormatError('element segment kind', cursor.position);
    while (true) {
      const opcode = skipInstruction(cursor);
      if (opcode === OP.end) break;
    }
    for (let count = cursor.u32(); count > 0; count--) functions.add(cursor.u32());
  }
  return functions;
}

function readBodies(cursor: WasmCursor | null): WasmCursor[] {
  const bodies: WasmCursor[] = [];
  for (let left = cursor?.u32() ?? 0; cursor && left > 0; left--) {
    bodies.push(cursor.sub(cursor.u32()));
  }
  return bodies;
}

/** Skips the declarations of locals at the start of a function body. @returns how many they declare. */
export function skipLocals(cursor: WasmCursor): number {
  let locals = 0;
  for (let left = cursor.u32(); left > 0; left--) {
    locals += cursor.u32();
    cursor.skip(1);
  }
  return locals;
}

/** What follows an opcode. */
const IMMEDIATE = {
  unknown: 0,
  none: 1,
  index: 2,
  twoIndices: 3,
  number: 4,
  f32: 5,
  f64: 6,
  labels: 7,
  saturating: 8,
} as const;

const IMMEDIATES = Uint8Array.from({ length: 256 }, (_, op) => {
  if (op >= 0x45 && op <= 0xc4) return IMMEDIATE.none; // comparisons, arithmetic, conversions, sign extension
  if (op >= 0x28 && op <= 0x3e) return IMMEDIATE.twoIndices; // loads and stores: alignment and offset
  if (op >= 0x20 && op <= 0x24) return IMMEDIATE.index; // locals and globals
  if (op >= 0x02 && op <= 0x04) return IMMEDIATE.number; // block types
  if (op === 0x3f || op === 0x40) return IMMEDIATE.index; // memory.size, memory.grow
  if (op === OP.br || op === OP.brIf || op === OP.call) return IMMEDIATE.index;
  if (op === 0x11) return IMMEDIATE.twoIndices; // call_indirect: type and table
  if (op === OP.brTable) return IMMEDIATE.labels;
  if (op === OP.i32Const || op === 0x42) return IMMEDIATE.number;
  if (op === 0x43) return IMMEDIATE.f32;
  if (op === 0x44) return IMMEDIATE.f64;
  if (op === 0xfc) return IMMEDIATE.saturating;
  const plain = [0x00, 0x01, 0x05, OP.end, 0x0f, 0x1a, 0x1b]; // unreachable nop else end return drop select
  return plain.includes(op) ? IMMEDIATE.none : IMMEDIATE.unknown;
});

/**
 * Skips one instruction and returns its opcode.
 * @throws WasmFormatError for instructions outside of the known set: bulk memory, references, vectors, threads,
 *   exceptions and tail calls, none of which a count of instructions would meter.
 */
export function skipInstruction(cursor: WasmCursor): number {
  const at = cursor.position;
  const opcode = cursor.byte();
  switch (IMMEDIATES[opcode] ?? IMMEDIATE.unknown) {
    case IMMEDIATE.none:
      break;
    case IMMEDIATE.twoIndices:
      cursor.skipNumber(5);
      cursor.skipNumber(5);
      break;
    case IMMEDIATE.index:
      cursor.skipNumber(5);
      break;
    case IMMEDIATE.number:
      cursor.skipNumber(10);
      break;
    case IMMEDIATE.f32:
      cursor.skip(4);
      break;
    case IMMEDIATE.f64:
      cursor.skip(8);
      break;
    case IMMEDIATE.labels:
      for (let left = cursor.u32() + 1; left > 0; left--) cursor.skipNumber(5);
      break;
    case IMMEDIATE.saturating:
      if (cursor.u32() > 7) throw new WasmFormatError('unknown instruction 0xfc', at);
      break;
    default:
      throw new WasmFormatError(`unknown instruction 0x${opcode.toString(16)}`, at);
  }
  return opcode;
}
