/** The fast paths of the runtime: the answers of the runtime as it came, for every length and every odd byte. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { BUILTINS } from '../../src/decision/builtins.ts';
import { type InstanceParts, OpaInstance } from '../../src/decision/opa-instance.ts';
import { parseWasm } from '../../src/decision/wasm-binary.ts';
import { addFastPaths } from '../../src/decision/wasm-fast-paths.ts';
import { addFuel } from '../../src/decision/wasm-fuel.ts';
import { compileRego } from './compiled-policy.ts';
import { ECHO } from './policies.ts';

const TEXTS = `package egret

decision := {
  "contains": contains(input.text, input.needle),
  "replaced": replace(input.text, input.needle, input.other),
  "count": count(input.text),
  "joined": concat(input.needle, [input.text, input.other, input.text]),
  "same": input.text == input.other,
  "parts": split(input.text, "a"),
  "raw": contains(base64.decode(input.bytes), input.needle),
  "rawCount": count(base64.decode(input.bytes)),
  "rest": replace(base64.decode(input.bytes), input.needle, ""),
}
`;
/** Functions of the runtime that have a fast path: contains, replace, count, memcpy, malloc and two of the parser. */
const ALL = 7;

/** Enough for every text here; replacing an empty text uses it up in either way. */
const FUEL = 5_000_000;

type Evaluate = (input: string) => string;

/** One way to run a module. What fails gives the kind of its failure; the instance is made anew then. */
function runner(wasm: Uint8Array): Evaluate {
  const module = new WebAssembly.Module(new Uint8Array(addFuel(wasm)));
  const builtins = BUILTINS;
  const rest = {
    data: '{}',
    builtins,
    memoryPages: 64,
    heapBytesKept: 0,
    onPrint: () => undefined,
  };
  const parts: InstanceParts = { module, ...rest };
  const fresh = () => {
    const made = new OpaInstance(parts);
    made.load();
    return made;
  };
  let instance = fresh();
  return (input) => {
    try {
      return instance.evaluate(0, { input, timeNs: 0n, fuel: FUEL });
    } catch (error) {
      // A text that is not read leaves the instance as it was; making one for each of them takes minutes.
      if (!(error instanceof SyntaxError)) instance = fresh();
      return `${(error as Error).name}: ${(error as Error).message}`;
    }
  };
}

function runners(t: TestContext, rego: string): readonly [Evaluate, Evaluate] | null {
  const wasm = compileRego(t, [rego]);
  return wasm && [runner(addFastPaths(wasm)), runner(wasm)];
}

const functions = (wasm: Uint8Array) => parseWasm(wasm).bodies.length;

test('the runtime of the OPA that builds policies has every fast path', (t) => {
  const wasm = compileRego(t, [TEXTS]);
  if (wasm === null) return;
  assert.equal(functions(addFastPaths(wasm)) - functions(wasm), ALL);
});

test('a function that is not known to the last byte has none, nor has what calls it', (t) => {
  const wasm = compileRego(t, [TEXTS]);
  if (wasm === null) return;
  const { bodies, importedFunctions } = parseWasm(wasm);
  const added = (index: number) => {
    const changed = new Uint8Array(wasm);
    const { end } = bodies[index - importedFunctions] as { end: number };
    changed[end - 2] = (changed[end - 2] as number) ^ 1;
    return functions(addFastPaths(changed)) - functions(wasm);
  };
  assert.equal(added(159), ALL - 1, 'contains');
  assert.equal(added(320), ALL - 3, 'memcpy, which the paths of replace and of the parser call');
});

test('texts are searched, counted and copied as before, at every length and place', (t) => {
  const both = runners(t, TEXTS);
  if (both === null) return;
  const [fast, plain] = both;
  let compared = 0;
  const compare = (text: string, needle: string, other: string) => {
    const bytes = Buffer.from(text).toString('base64');
    const input = JSON.stringify({ text, needle, other, bytes });
    assert.equal(fast(input), plain(input), input);
    compared += 1;
  };
  compare('bbb', '', 'x');
  for (let length = 0; length <= 26; length += 1) {
    const text = 'b'.repeat(length);
    for (const needle of ['a', 'ab', 'bba', 'bbbbbbbba', 'é']) {
      compare(text, needle, 'x'.repeat(length));
      for (let at = 0; at <= length; at += 1) {
        compare(text.slice(0, at) + needle + text.slice(at + needle.length), needle, 'yy');
      }
    }
  }
  assert.ok(compared > 2000);
});

/** Letters that meet often, and what borders on the limits of the tricks with bits: 0x01, 0x7f, 0x80, quotes. */
const letter = fc.constantFrom(
  'a',
  'b',
  'a',
  'ab',
  '\u0001',
  '\u0000',
  '\u007f',
  '"',
  '\\',
  '\u0080',
  'ÿ',
  '€',
  '😀',
  ' ',
  '!',
  '#',
);
const text = fc.array(letter, { maxLength: 60 }).map((letters) => letters.join(''));
const piece = fc.array(letter, { minLength: 1, maxLength: 4 }).map((letters) => letters.join(''));

test('random texts give the same answers with and without the fast paths', (t) => {
  const both = runners(t, TEXTS);
  if (both === null) return;
  const [fast, plain] = both;
  const raw = fc.uint8Array({ maxLength: 40 });
  fc.assert(
    fc.property(text, piece, text, raw, (hay, needle, other, bytes) => {
      const base64 = Buffer.from(bytes).toString('base64');
      const input = JSON.stringify({ text: hay + needle + hay, needle, other, bytes: base64 });
      assert.equal(fast(input), plain(input));
    }),
    { numRuns: 4000 },
  );
});

test('every byte at every place of a JSON text is read as before, broken texts included', (t) => {
  const both = runners(t, ECHO);
  if (both === null) return;
  const [fast, plain] = both;
  // Raw control characters and the last of ASCII decide between the ways to read a text.
  for (const odd of [
    '"',
    '\\',
    '\\n',
    '\\u00e9',
    '\u001f',
    '\u0000',
    ' ',
    '\u007f',
    '~',
    'é',
    '€',
    '😀',
    '\t',
  ]) {
    for (let length = 0; length <= 18; length += 1) {
      for (let at = 0; at <= length; at += 1) {
        const body = 'k'.repeat(at) + odd + 'k'.repeat(length - at);
        for (const json of [`"${body}"`, `{"${body}":1}`, `["${body}`, `["${body}"`]) {
          assert.equal(fast(json), plain(json), JSON.stringify(json));
        }
      }
    }
  }
});

test('random and broken JSON is read as before', (t) => {
  const both = runners(t, ECHO);
  if (both === null) return;
  const [fast, plain] = both;
  const json = fc
    .jsonValue({ maxDepth: 4, stringUnit: letter })
    .map((value) => JSON.stringify(value));
  fc.assert(
    fc.property(json, fc.nat(), fc.integer({ min: 1, max: 0x7f }), (valid, place, code) => {
      const at = place % (valid.length + 1);
      const broken = valid.slice(0, at) + String.fromCharCode(code) + valid.slice(at + 1);
      for (const one of [valid, broken, valid.slice(0, at)]) assert.equal(fast(one), plain(one));
    }),
    { numRuns: 4000 },
  );
});

test('equal inputs cost equal fuel, and searching pays for every step it takes', (t) => {
  const wasm = compileRego(t, [TEXTS]);
  if (wasm === null) return;
  const module = new WebAssembly.Module(new Uint8Array(addFuel(addFastPaths(wasm))));
  const rest = { data: '{}', builtins: BUILTINS, memoryPages: 64, heapBytesKept: 0 };
  const instance = new OpaInstance({ module, ...rest, onPrint: () => undefined });
  instance.load();
  const cost = (length: number) => {
    const input = JSON.stringify({ text: 'b'.repeat(length), needle: 'a', other: '', bytes: '' });
    instance.evaluate(0, { input, timeNs: 0n, fuel: FUEL });
    return FUEL - instance.fuelLeft;
  };
  const [short, middle, long] = [cost(1000), cost(2000), cost(4000)] as const;
  assert.equal(cost(2000), middle);
  assert.ok(middle - short >= 1000, 'at least a step for each byte');
  assert.ok(long - middle >= 2 * 1000 && long - middle <= 3 * (middle - short), 'in proportion');
});
