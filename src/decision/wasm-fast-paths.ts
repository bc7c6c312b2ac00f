/**
 * Puts small, faster functions in front of a few of OPA's runtime that read texts byte by byte: they answer the common
 * cases eight bytes at a time and call the function as it was for everything else. Each function, and each that the
 * new code calls, is known by the SHA-256 of its body, so the runtime of another OPA runs as it came. This happens
 * before the fuel pass, which charges the new code like any other. Pure.
 */
import { createHash } from 'node:crypto';
import { assemble } from './wasm-assembler.ts';
import { OP, parseWasm, SECTION, WasmCursor, type WasmSection } from './wasm-binary.ts';
import { ByteSink, codeSection, writeSection } from './wasm-sink.ts';

interface FastPath {
  /** Name in RUNTIME. */
  readonly of: string;
  readonly parameters: readonly string[];
  /** Further locals. */
  readonly i32: readonly string[];
  readonly i64: readonly string[];
  /** Returns, or ends with the parameters as they were: then the function goes on as it was. */
  readonly text: string;
}

/** Index and SHA-256 of the body in the runtime of OPA 1.19.1: what is given a fast path, and what fast paths call. */
const RUNTIME: Readonly<Record<string, readonly [number, string | null]>> = {
  contains: [159, '07051e9762da347d35c723b2aa8ba2de5e3b64fda7e22f36d11f3fed2ec767bf'],
  replace: [163, 'b3fa7b727e6a22676a2c04144e6d4f7bf7c1e1bd7fc374186afb4a07355b795b'],
  count: [6, '41eff59b31b209a8a7527b56b0a18a973e70a57be1989edb66519a7e63e84ef4'],
  memcpy: [320, '24eeb3002e3b44c53e39fbdba3bc3451cf77f27aa8943dc40c41ec3774b1c95f'],
  lexString: [68, 'ecabdc6aa4ccd82d6b3a85b0a79b841c188efb700db5734442802f7b8292f65b'],
  parseString: [70, 'eec7a81e8279a6d52cb965be863174e18e7237ec3bbe8d94ba98cbc59625dbd0'],
  malloc: [96, '9a1191664e2768f69105cacfdd57efb1284e0c41312f35ae3ad723c6d5a99e76'],
  type: [197, '53f3cbb244d4881e193e14e5afa857962cb039f2c7b07af46938fb049c1ac87d'],
  boolean: [222, null], // of each policy its own; called by what is known, in the same way
  number: [224, 'c696332632b288e4ce3710a4653397a648dd8d0fac77faf62a48c7b972c3a0b4'],
  string: [238, 'b2fb7aee01276e7bc75cd46c9f8a5a1f5bf0b0a65c20adc4455aea71beb613ff'],
};

const STRING = 4;
/** Of a string: its bytes' count and address. */
const [LENGTH, BYTES] = [4, 8];
/** Of the lexer: where its text starts, how long it is, where the token starts and ends, and what comes next. */
const [TEXT, SIZE, TOKEN, TOKEN_END, NEXT] = [0, 4, 8, 12, 16];
/** Token of a string without escapes and of ASCII only. */
const PLAIN_STRING = 6;

const splat = (byte: number) => `0x${byte.toString(16).padStart(2, '0').repeat(8)}`;
const ONES = splat(1);
const HIGH = splat(0x80);

const advance = (local: string, by: number) =>
  `local.get ${local} i32.const ${by} i32.add local.set ${local}`;
/** Moves to the lowest byte of $hits whose high bit is set. Bits above it may be wrong, which does not matter. */
const ADVANCE_TO_HIT = `local.get $at local.get $hits i64.ctz i64.const 3 i64.shr_u i32.wrap_i64 i32.add local.set $at`;
const unlessString = (local: string) =>
  `local.get ${local} call type i32.const ${STRING} i32.ne br_if @slow`;
/** High bits of the bytes of $word that are zero; bits above the first may be wrong. */
const ZEROS_OF_WORD = `local.get $word i64.const ${ONES} i64.sub
  local.get $word i64.const -1 i64.xor i64.and`;

/** Looks for $needle in $text: at @found when it is there, and after @none when it is not. */
const search = (none: string, found: string) => `
  local.get $needle i32.load ${LENGTH} local.tee $length i32.eqz br_if @slow
  local.get $text i32.load ${LENGTH} local.get $length i32.lt_u br_if @slow
  local.get $text i32.load ${BYTES} local.tee $at
  local.get $text i32.load ${LENGTH} i32.add local.get $length i32.sub local.set $last
  local.get $needle i32.load ${BYTES} local.tee $start
  i64.load8_u 0 i64.const ${ONES} i64.mul local.set $first
  block @found
    block @none
      loop @next
        block @candidate
          local.get $at i32.const 7 i32.add local.get $last i32.le_u
          if @word
            local.get $at i64.load 0 local.get $first i64.xor local.set $word
            ${ZEROS_OF_WORD} i64.const ${HIGH} i64.and local.tee $hits i64.eqz
            if @nothing ${advance('$at', 8)} br @next end
            ${ADVANCE_TO_HIT}
            br @candidate
          end
          local.get $at local.get $last i32.gt_u br_if @none
          local.get $at i32.load8_u 0 local.get $start i32.load8_u 0 i32.eq br_if @candidate
          ${advance('$at', 1)}
          br @next
        end
        i32.const 1 local.set $i
        loop @rest
          local.get $i local.get $length i32.ge_u br_if @found
          local.get $at local.get $i i32.add i32.load8_u 0
          local.get $start local.get $i i32.add i32.load8_u 0 i32.eq
          if @same ${advance('$i', 1)} br @rest end
        end
        ${advance('$at', 1)}
        br @next
      end
    end
    ${none} return
  end
  ${found}`;

const SEARCH_LOCALS = {
  i32: ['$length', '$at', '$last', '$start', '$i', '$copy'],
  i64: ['$first', '$word', '$hits'],
};

const FAST_PATHS: readonly FastPath[] = [
  {
    // The addresses are those of the known body: sizes of blocks with their free lists, and the end of the heap.
    of: 'malloc', // (size) of a fixed size of which no block is free, without a stack frame
    parameters: ['$size'],
    i32: ['$class', '$bytes', '$block', '$next'],
    i64: [],
    text: `block @slow
      block @chosen
        i32.const 119232 local.set $class
        local.get $size i32.const 0 i32.load 119236 i32.le_u br_if @chosen
        i32.const 119264 local.set $class
        local.get $size i32.const 0 i32.load 119268 i32.le_u br_if @chosen
        i32.const 119296 local.set $class
        local.get $size i32.const 0 i32.load 119300 i32.le_u br_if @chosen
        i32.const 119328 local.set $class
        local.get $size i32.const 0 i32.load 119332 i32.gt_u br_if @slow
      end
      local.get $class i32.load8_u 0 i32.const 1 i32.ne br_if @slow
      local.get $class i32.load 16 local.get $class i32.const 20 i32.add i32.ne br_if @slow
      i32.const 0 i32.load 119712 local.tee $block
      local.get $class i32.load 4 local.tee $bytes i32.const 12 i32.add i32.add local.tee $next
      i32.const 0 i32.load 119716 i32.ge_u br_if @slow
      i32.const 0 local.get $next i32.store 119712
      local.get $block i64.const 0 i64.store 4
      local.get $block local.get $bytes i32.store 0
      local.get $block i32.const 12 i32.add return
    end`,
  },
  {
    of: 'contains', // contains(text, needle)
    parameters: ['$text', '$needle'],
    ...SEARCH_LOCALS,
    text: `block @slow
      ${unlessString('$text')} ${unlessString('$needle')}
      ${search('i32.const 0 call boolean', 'i32.const 1 call boolean return')}
    end`,
  },
  {
    of: 'replace', // replace(text, needle, new) where the needle is not in the text: a copy
    parameters: ['$text', '$needle', '$new'],
    ...SEARCH_LOCALS,
    text: `block @slow
      ${unlessString('$text')} ${unlessString('$needle')} ${unlessString('$new')}
      ${search(
        `local.get $text i32.load ${LENGTH} local.tee $length i32.const 1 i32.add call malloc
         local.tee $copy local.get $text i32.load ${BYTES} local.get $length call memcpy drop
         local.get $copy local.get $length i32.add i32.const 0 i32.store8 0
         local.get $copy local.get $length call string`,
        '',
      )}
    end`,
  },
  {
    of: 'count', // count(value) of a text of ASCII: its bytes
    parameters: ['$value'],
    i32: ['$at', '$end'],
    i64: [],
    text: `block @slow
      ${unlessString('$value')}
      local.get $value i32.load ${BYTES} local.tee $at
      local.get $value i32.load ${LENGTH} i32.add local.set $end
      loop @word
        local.get $at i32.const 8 i32.add local.get $end i32.le_u
        if @inside
          local.get $at i64.load 0 i64.const ${HIGH} i64.and i64.eqz i32.eqz br_if @slow
          ${advance('$at', 8)}
          br @word
        end
      end
      loop @byte
        local.get $at local.get $end i32.lt_u
        if @inside
          local.get $at i32.load8_s 0 i32.const 0 i32.lt_s br_if @slow
          ${advance('$at', 1)}
          br @byte
        end
      end
      local.get $value i64.load32_u ${LENGTH} call number return
    end`,
  },
  {
    of: 'memcpy', // memcpy(to, from, length)
    parameters: ['$to', '$from', '$length'],
    i32: ['$i'],
    i64: [],
    text: `block @slow
      local.get $length i32.const 8 i32.lt_u br_if @slow
      local.get $to local.get $from i32.sub local.get $length i32.lt_u br_if @slow
      local.get $from local.get $to i32.sub local.get $length i32.lt_u br_if @slow
      local.get $length i32.const 8 i32.sub local.set $length
      loop @word
        local.get $to local.get $i i32.add
        local.get $from local.get $i i32.add i64.load 0 i64.store 0
        ${advance('$i', 8)}
        local.get $i local.get $length i32.lt_u br_if @word
      end
      local.get $to local.get $length i32.add
      local.get $from local.get $length i32.add i64.load 0 i64.store 0
      local.get $to return
    end`,
  },
  {
    of: 'lexString', // the string of a JSON text without escapes, of ASCII
    parameters: ['$lexer'],
    i32: ['$quote', '$at', '$end', '$byte'],
    i64: ['$raw', '$word', '$hits'],
    text: `block @slow
      local.get $lexer i32.load ${NEXT} local.tee $quote i32.load8_u 0 i32.const 34 i32.ne
      br_if @slow
      local.get $quote i32.const 1 i32.add local.set $at
      local.get $lexer i32.load ${TEXT} local.get $lexer i32.load ${SIZE} i32.add local.set $end
      block @stop
        loop @words
          local.get $at i32.const 8 i32.add local.get $end i32.le_u
          if @inside
            local.get $at i64.load 0 local.tee $raw i64.const ${splat(34)} i64.xor local.set $word
            ${ZEROS_OF_WORD} local.set $hits
            local.get $raw i64.const ${splat(92)} i64.xor local.set $word
            ${ZEROS_OF_WORD} local.get $hits i64.or
            local.get $raw i64.const ${splat(32)} i64.sub i64.or
            local.get $raw i64.or
            local.get $raw i64.const ${ONES} i64.add i64.or
            i64.const ${HIGH} i64.and local.tee $hits i64.eqz
            if @nothing ${advance('$at', 8)} br @words end
            ${ADVANCE_TO_HIT}
            br @stop
          end
        end
        loop @bytes
          local.get $at local.get $end i32.ge_u br_if @slow
          local.get $at i32.load8_u 0 local.tee $byte i32.const 34 i32.eq br_if @stop
          local.get $byte i32.const 92 i32.eq br_if @slow
          local.get $byte i32.const 32 i32.sub i32.const 94 i32.gt_u br_if @slow
          ${advance('$at', 1)}
          br @bytes
        end
      end
      local.get $at i32.load8_u 0 i32.const 34 i32.ne br_if @slow
      local.get $lexer local.get $quote i32.const 1 i32.add i32.store ${TOKEN}
      local.get $lexer local.get $at i32.store ${TOKEN_END}
      local.get $lexer local.get $at i32.const 1 i32.add i32.store ${NEXT}
      i32.const ${PLAIN_STRING} return
    end`,
  },
  {
    of: 'parseString', // the value of such a string
    parameters: ['$token', '$from', '$length'],
    i32: ['$copy'],
    i64: [],
    text: `block @slow
      local.get $token i32.const ${PLAIN_STRING} i32.ne br_if @slow
      local.get $length i32.const 1 i32.lt_s br_if @slow
      local.get $length call malloc local.tee $copy
      local.get $from local.get $length call memcpy drop
      local.get $copy local.get $length call string return
    end`,
  },
];

/**
 * @returns the module with fast paths where it has the functions; the same bytes when it has none of them.
 * @throws WasmFormatError when the module is malformed.
 */
export function addFastPaths(wasm: Uint8Array): Uint8Array {
  const { bodies, importedFunctions, sections } = parseWasm(wasm);
  const bodyOf = (name: string) => bodies[(RUNTIME[name]?.[0] ?? Infinity) - importedFunctions];
  const known = new Set(
    Object.entries(RUNTIME).flatMap(([name, [, sha256]]) => {
      const body = bodyOf(name);
      return body && (sha256 === null || sha256Of(body) === sha256) ? [name] : [];
    }),
  );
  const code = bodies.map(({ position, end }) => wasm.subarray(position, end));
  const types = readTypes(wasm, sections);
  if (types.length !== bodies.length) return wasm; // which the compiler refuses
  for (const path of FAST_PATHS) {
    const needs = [path.of, ...[...path.text.matchAll(/\bcall (\w+)/g)].map(([, name]) => name)];
    if (!needs.every((name) => known.has(name ?? ''))) continue;
    const at = (RUNTIME[path.of]?.[0] as number) - importedFunctions;
    const slow = code.push(code[at] as Uint8Array) - 1 + importedFunctions;
    types.push(types[at] as number);
    code[at] = fastBody(path, slow);
  }
  if (code.length === bodies.length) return wasm;
  const out = new ByteSink(wasm.length * 1.05);
  out.bytes(wasm.subarray(0, 8));
  for (const { id, start, end } of sections) {
    if (id === SECTION.function) writeSection(out, id, typesSection(types));
    else if (id === SECTION.code) writeSection(out, id, codeSection(code));
    else writeSection(out, id, wasm.subarray(start, end));
  }
  return out.done();
}

/** The type of each function that the module defines. */
function readTypes(wasm: Uint8Array, sections: readonly WasmSection[]): number[] {
  const section = sections.find(({ id }) => id === SECTION.function);
  if (section === undefined) return [];
  const cursor = new WasmCursor(wasm, section.start, section.end);
  return Array.from({ length: cursor.u32() }, () => cursor.u32());
}

function typesSection(types: readonly number[]): Uint8Array {
  const out = new ByteSink(types.length * 2 + 5).u32(types.length);
  for (const type of types) out.u32(type);
  return out.done();
}

const sha256Of = ({ bytes, position, end }: WasmCursor) =>
  createHash('sha256').update(bytes.subarray(position, end)).digest('hex');

const I32 = 0x7f;
const I64 = 0x7e;

/** @param slow index of the function as it was. */
function fastBody(path: FastPath, slow: number): Uint8Array {
  const locals = [...path.parameters, ...path.i32, ...path.i64];
  const rest = `${path.parameters.map((name) => `local.get ${name}`).join(' ')} call slow`;
  const index = (name: string) => (name === 'slow' ? slow : (RUNTIME[name]?.[0] ?? -1));
  return new ByteSink(512)
    .u32(2)
    .u32(path.i32.length)
    .byte(I32)
    .u32(path.i64.length)
    .byte(I64)
    .bytes(assemble(`${path.text} ${rest}`, locals, index))
    .byte(OP.end)
    .done();
}
