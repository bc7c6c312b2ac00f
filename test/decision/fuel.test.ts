/** The fuel pass: changes no answer, stops every endless loop and recursion, and refuses what it cannot meter. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WasmFormatError } from '../../src/decision/wasm-binary.ts';
import { addFuel, FUEL_EXPORT } from '../../src/decision/wasm-fuel.ts';
import { compileRego } from './compiled-policy.ts';
import * as policies from './policies.ts';

const HEADER = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
/** Unsigned LEB128 below 2^14. */
const u32 = (n: number) => (n < 0x80 ? [n] : [(n & 0x7f) | 0x80, n >> 7]);
const section = (id: number, ...content: number[]) => [id, ...u32(content.length), ...content];
/** A module of functions of type () -> (), the first exported as `f`, its global as `g`; its table holds `inTable`. */
const moduleOf = (bodies: number[][], inTable: number[] = []) =>
  Uint8Array.from([
    ...HEADER,
    ...section(1, 1, 0x60, 0, 0),
    ...section(3, bodies.length, ...bodies.map(() => 0)),
    ...section(4, 1, 0x70, 0, 4),
    ...section(6, 1, 0x7f, 1, 0x41, 0, 0x0b),
    ...section(7, 2, 1, 0x66, 0, 0, 1, 0x67, 3, 0),
    ...(inTable.length > 0 ? section(9, 1, 0, 0x41, 0, 0x0b, inTable.length, ...inTable) : []),
    ...section(
      10,
      bodies.length,
      ...bodies.flatMap((body) => [...u32(body.length + 1), 0, ...body]),
    ),
  ]);

const END = 0x0b;
const call = (index: number) => [0x10, ...u32(index)];
/** Global 0 counts up: what an agent would see as work. */
const COUNT = [0x23, 0, 0x41, 1, 0x6a, 0x24, 0];
const COUNT_STEPS = 4;

function run(module: Uint8Array, fuel: number): { trapped: boolean; left: number; work: number } {
  const instrumented = new WebAssembly.Module(new Uint8Array(addFuel(module)));
  const { exports } = new WebAssembly.Instance(instrumented, {});
  const counter = exports[FUEL_EXPORT] as WebAssembly.Global;
  const work = () => (exports['g'] as WebAssembly.Global).value;
  counter.value = fuel;
  try {
    (exports['f'] as () => void)();
    return { trapped: false, left: counter.value, work: work() };
  } catch (error) {
    assert.ok(error instanceof WebAssembly.RuntimeError, String(error));
    return { trapped: true, left: counter.value, work: work() };
  }
}

const BIG = Array.from({ length: 20 }, () => COUNT).flat();

const ENDLESS: readonly (readonly [string, Uint8Array])[] = [
  ['a small loop', moduleOf([[0x03, 0x40, 0x0c, 0, END, END]])],
  ['a small loop that works', moduleOf([[0x03, 0x40, ...COUNT, 0x0c, 0, END, END]])],
  ['a big loop', moduleOf([[0x03, 0x40, ...BIG, 0x0c, 0, END, END]])],
  ['a loop with a condition', moduleOf([[0x03, 0x40, 0x41, 1, 0x0d, 0, END, END]])],
  ['a loop with a jump table', moduleOf([[0x03, 0x40, 0x41, 0, 0x0e, 1, 0, 0, END, END]])],
  [
    'a loop left through inner blocks',
    moduleOf([[0x03, 0x40, 0x02, 0x40, 0x02, 0x40, 0x0c, 2, END, END, END, END]]),
  ],
  [
    'loops in loops',
    moduleOf([[0x03, 0x40, 0x03, 0x40, 0x03, 0x40, 0x41, 1, 0x0d, 2, END, END, END, END]]),
  ],
  [
    'a loop around a small function',
    moduleOf([
      [0x03, 0x40, ...call(1), 0x0c, 0, END, END],
      [...COUNT, END],
    ]),
  ],
];

test('every endless loop stops', () => {
  for (const [name, module] of ENDLESS) {
    const { trapped, left } = run(module, 1_000_000);
    assert.ok(trapped && left < 0 && left > -10_000, name);
  }
});

test('every recursion pays for each of its calls', () => {
  const chains: readonly (readonly [string, Uint8Array])[] = [
    ['of one function', moduleOf([[...call(0), END]])],
    [
      'of two functions',
      moduleOf([
        [...call(1), END],
        [...call(0), END],
      ]),
    ],
    [
      'of three functions',
      moduleOf([
        [...call(1), END],
        [...call(2), END],
        [...call(0), END],
      ]),
    ],
    ['through a table', moduleOf([[0x41, 0, 0x11, 0, 0, END]], [0])],
  ];
  for (const [name, module] of chains) {
    const { trapped, left } = run(module, 1000);
    assert.ok(trapped && left < 0, name);
  }
});

test('a chain of calls longer than what is folded pays', () => {
  const length = 120;
  const chain = (i: number) => (i + 1 < length ? [...call(i + 1), END] : [END]);
  const bodies = Array.from({ length }, (_, i) => (i === 0 ? [...BIG, ...chain(0)] : chain(i)));
  const { trapped, left } = run(moduleOf(bodies), 10_000);
  assert.equal(trapped, false);
  assert.equal(10_000 - left, 20 * 4 + length * 2 - 1);
});

test('one more round of a loop costs the same as every other', () => {
  // Counts global 0 up to `n` in a loop with a condition.
  const loop = (n: number) =>
    moduleOf([[0x03, 0x40, ...COUNT, 0x23, 0, 0x41, n, 0x48, 0x0d, 0, END, END]]);
  const costs = [1, 2, 3, 4, 50].map((n) => 10_000 - run(loop(n), 10_000).left);
  const round = (costs[1] as number) - (costs[0] as number);
  assert.ok(round >= 8);
  assert.deepEqual(
    costs,
    [1, 2, 3, 4, 50].map((n) => (costs[0] as number) + (n - 1) * round),
  );
});

type Statement =
  | { readonly kind: 'work' | 'call' | 'br' | 'br_if'; readonly n: number }
  | { readonly kind: 'block' | 'loop' | 'if'; readonly n: number; readonly inside: Statement[] };

const statement = fc.letrec<{ one: Statement }>((tie) => ({
  one: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.record({
      kind: fc.constantFrom(
        'work' as const,
        'work' as const,
        'call' as const,
        'br_if' as const,
        'br' as const,
      ),
      n: fc.nat(30),
    }),
    fc.record({
      kind: fc.constantFrom('loop' as const, 'block' as const, 'if' as const),
      n: fc.nat(7),
      inside: fc.array(tie('one'), { maxLength: 6 }),
    }),
  ),
})).one;

/** What a condition reads changes with the work done, so that paths vary and many programs never end. */
const condition = (n: number) => [0x23, 0, 0x41, 1 << (n % 4), 0x71];
const OPENERS = { block: [0x02, 0x40], loop: [0x03, 0x40], if: [0x04, 0x40] };

function coded(statements: readonly Statement[], functions: number, depth = 0): number[] {
  return statements.flatMap((one) => {
    if (!('inside' in one)) {
      if (one.kind === 'work') return COUNT;
      if (one.kind === 'call') return call(one.n % functions);
      const label = one.n % (depth + 1);
      return one.kind === 'br' ? [0x0c, label] : [...condition(one.n), 0x0d, label];
    }
    const before = one.kind === 'if' ? condition(one.n) : [];
    return [...before, ...OPENERS[one.kind], ...coded(one.inside, functions, depth + 1), END];
  });
}

test('no program of loops, branches and calls does more work than it pays for, and each ends', () => {
  const any = fc.array(statement, { minLength: 1, maxLength: 8 });
  // Short functions of nothing but work, which their callers pay for.
  const work: Statement = { kind: 'work', n: 0 };
  const leaf = fc
    .integer({ min: 4, max: 14 })
    .map((count) => Array.from({ length: count }, () => work));
  const bodies = fc
    .tuple(any, fc.array(fc.oneof(any, leaf), { minLength: 1, maxLength: 3 }))
    .map(([first, others]) => [first, ...others]);
  const ends = { stopped: 0, done: 0 };
  fc.assert(
    fc.property(bodies, (programs: Statement[][]) => {
      const module = moduleOf(programs.map((program) => [...coded(program, programs.length), END]));
      const fuel = 5000;
      const once = run(module, fuel);
      assert.deepEqual(run(module, fuel), once);
      // The host calls the first function, which is free outside of its loops when it is small.
      assert.ok(once.work * COUNT_STEPS <= fuel - once.left + 64);
      assert.equal(once.trapped, once.left < 0);
      ends[once.trapped ? 'stopped' : 'done'] += 1;
    }),
    { numRuns: 1500 },
  );
  assert.ok(ends.stopped > 50 && ends.done > 50, JSON.stringify(ends));
});

test('a module cannot name the counter', () => {
  for (const access of [0x23, 0x24]) {
    const body = [0x41, 0x7f, access, 1, END];
    assert.throws(() => addFuel(moduleOf([body])), WasmFormatError);
  }
});

test('instructions that cannot be metered are refused', () => {
  const refused: readonly (readonly [string, number[]])[] = [
    ['memory.copy', [0xfc, 10, 0, 0, END]],
    ['memory.fill', [0xfc, 11, 0, END]],
    ['a vector instruction', [0xfd, 12, END]],
    ['an atomic instruction', [0xfe, 0, END]],
    ['a tail call', [0x12, 0, END]],
    ['ref.func', [0xd2, 0, 0x1a, END]],
    ['try', [0x06, 0x40, END, END]],
  ];
  for (const [name, body] of refused) {
    assert.throws(() => addFuel(moduleOf([body])), /unknown instruction/, name);
  }
});

test('broken bytes end in WasmFormatError or in a module the compiler judges, never in a hang', (t) => {
  const wasm = compileRego(t, [policies.ECHO]);
  if (wasm === null) return;
  const patch = fc.tuple(fc.nat(wasm.length - 1), fc.nat(255));
  fc.assert(
    fc.property(fc.array(patch, { minLength: 1, maxLength: 4 }), fc.nat(20), (patches, cut) => {
      const bytes = new Uint8Array(wasm.subarray(0, cut === 0 ? patches[0]?.[0] : wasm.length));
      for (const [at, value] of patches) if (at < bytes.length) bytes[at] = value;
      try {
        addFuel(bytes);
      } catch (error) {
        assert.ok(error instanceof WasmFormatError, String(error));
      }
    }),
    { numRuns: 150 },
  );
});
