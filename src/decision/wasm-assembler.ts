/**
 * Assembles the few instructions of WebAssembly that the fast paths use from words of its text format: labels are
 * written `@name`, locals `$name`, functions by their names, an offset follows a load or store. Pure.
 */
import { OP } from './wasm-binary.ts';
import { ByteSink } from './wasm-sink.ts';

type Operand = 'none' | 'label' | 'local' | 'function' | 'offset' | 'i32' | 'i64';

const INSTRUCTIONS: Readonly<Record<string, readonly [number, Operand]>> = {
  block: [OP.block, 'label'],
  loop: [OP.loop, 'label'],
  if: [OP.if, 'label'],
  end: [OP.end, 'none'],
  br: [OP.br, 'label'],
  br_if: [OP.brIf, 'label'],
  return: [0x0f, 'none'],
  call: [OP.call, 'function'],
  drop: [0x1a, 'none'],
  'local.get': [0x20, 'local'],
  'local.set': [0x21, 'local'],
  'local.tee': [0x22, 'local'],
  'i32.load': [0x28, 'offset'],
  'i64.load': [0x29, 'offset'],
  'i32.load8_s': [0x2c, 'offset'],
  'i32.load8_u': [0x2d, 'offset'],
  'i64.load8_u': [0x31, 'offset'],
  'i64.load32_u': [0x35, 'offset'],
  'i32.store': [0x36, 'offset'],
  'i64.store': [0x37, 'offset'],
  'i32.store8': [0x3a, 'offset'],
  'i32.const': [OP.i32Const, 'i32'],
  'i64.const': [0x42, 'i64'],
  'i32.eqz': [0x45, 'none'],
  'i32.eq': [0x46, 'none'],
  'i32.ne': [0x47, 'none'],
  'i32.lt_s': [OP.i32LtS, 'none'],
  'i32.lt_u': [0x49, 'none'],
  'i32.gt_u': [0x4b, 'none'],
  'i32.le_u': [0x4d, 'none'],
  'i32.ge_u': [0x4f, 'none'],
  'i64.eqz': [0x50, 'none'],
  'i32.add': [0x6a, 'none'],
  'i32.sub': [OP.i32Sub, 'none'],
  'i64.ctz': [0x7a, 'none'],
  'i64.add': [0x7c, 'none'],
  'i64.sub': [0x7d, 'none'],
  'i64.mul': [0x7e, 'none'],
  'i64.and': [0x83, 'none'],
  'i64.or': [0x84, 'none'],
  'i64.xor': [0x85, 'none'],
  'i64.shr_u': [0x88, 'none'],
  'i32.wrap_i64': [0xa7, 'none'],
};

/**
 * @param locals by name, parameters included.
 * @param functions the index for a name, -1 when there is none.
 * @throws TypeError for a word that is not known.
 */
export function assemble(
  text: string,
  locals: readonly string[],
  functions: (name: string) => number,
): Uint8Array {
  const out = new ByteSink(512);
  const labels: string[] = [];
  const words = text.split(/\s+/).filter((word) => word !== '');
  const found = (index: number, word: string | undefined): number => {
    if (index < 0) throw new TypeError(`unknown word ${word}`);
    return index;
  };
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    const [opcode, operand] = INSTRUCTIONS[word] ?? [found(-1, word), 'none' as const];
    out.byte(opcode);
    if (word === 'end') labels.pop();
    if (operand === 'none') continue;
    const next = words[++i] ?? '';
    if (operand === 'offset') out.byte(0).u32(Number(next));
    else if (operand === 'i32') out.s32(Number(next));
    else if (operand === 'i64') out.s64(BigInt(next));
    else if (operand === 'local') out.u32(found(locals.indexOf(next), next));
    else if (operand === 'function') out.u32(found(functions(next), next));
    else if (word.startsWith('br'))
      out.u32(labels.length - 1 - found(labels.lastIndexOf(next), next));
    else {
      out.byte(OP.emptyType);
      labels.push(next);
    }
  }
  return out.done();
}
