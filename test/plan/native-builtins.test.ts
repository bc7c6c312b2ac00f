/** Builtins that WebAssembly brings with it: the plan engine's own beside OPA's, on random arguments. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compilePolicy, createEngine } from '../../src/decision/opa-wasm.ts';
import { canonicalRego, parseRego, type RegoValue } from '../../src/decision/rego-value.ts';
import { evaluatePlan } from '../../src/plan/evaluate.ts';
import { NATIVE_BUILTINS } from '../../src/plan/native-builtins.ts';
import { compilePlan } from './compiled-plan.ts';

const RUNS = Number(process.env['EGRET_TEST_ROUNDS'] ?? 2000);

/** Calls by the number of arguments; `x - y` and the like are builtins, too. Sets come out sorted. */
const CALLS: Readonly<Record<number, readonly string[]>> = {
  1: `abs array.flatten array.reverse base64.encode base64url.encode bits.negate ceil count floor is_array is_boolean is_null is_number is_object is_string
    lower max min product regex.is_valid round sort strings.reverse sum to_number
    trim_space type_name upper`.split(/\s+/),
  2: `array.concat bits.and bits.lsh bits.or bits.rsh bits.xor concat contains endswith format_int indexof net.cidr_contains net.cidr_intersects numbers.range object.filter object.remove object.union
    regex.match split startswith strings.replace_n trim trim_left trim_prefix trim_right
    trim_suffix`.split(/\s+/),
  3: `array.slice object.get substring`.split(/\s+/),
};

const OPERATORS = '+ - * % < <= > >= == !='.split(' ');
/** On sets, which JSON has not, made from lists; and what needs a condition. */
const SETS: readonly (readonly [string, string])[] = [
  ['union', 'sort(as_set(input.a) | as_set(input.b))'],
  ['intersection', 'sort(as_set(input.a) & as_set(input.b))'],
  ['difference', 'sort(as_set(input.a) - as_set(input.b))'],
  ['union of all', 'sort(union({as_set(input.a), as_set(input.b)}))'],
  ['intersection of all', 'sort(intersection({as_set(input.a), as_set(input.b)}))'],
  ['keys', 'sort(object.keys(input.a))'],
  ['object.union_n', 'object.union_n([input.a, input.b, input.c])'],
  ['walk', 'sort([x | walk(input.a, x)])'],
  ['reachable', 'sort(graph.reachable(input.a, as_set(input.b)))'],
  ['member', 'input.a in input.b'],
  ['member of set', 'input.a in as_set(input.b)'],
  ['member with key', 'input.a, input.b in input.c'],
  ['count of set', 'count(as_set(input.a))'],
  ['is_set', 'is_set(as_set(input.a))'],
  [
    'concat of set',
    'concat("", {x | some x in as_set(input.a); is_string(x); count(as_set(input.a)) < 2})',
  ],
  ['sum of set', 'sum(as_set(input.a))'],
  ['max of set', 'max(as_set(input.a))'],
  ['object with any key', 'count({x: 1 | some x in as_list(input.a)})'],
  [
    'text of value',
    '[$"{x}" | some x in as_list(input.a); object.get({"string": 1, "number": 1}, type_name(x), 0) == 1]',
  ],
  // WebAssembly takes brackets in a glob for a group, any negative number but -1 for 0, and traps on an empty path.
  ['glob.match', '[y | not contains(a, "("); y := glob.match(a, b, c)]'],
  // Zero by zero stops it, and it never ends when an empty text is to be replaced.
  ['replace', '[y | b != ""; y := replace(a, b, c)]'],
  ['/', '[y | [a, b] != [0, 0]; y := a / b]'],
  ['find_all', '[y | c >= -1; y := regex.find_all_string_submatch_n(a, b, c)]'],
  ['json.filter', '[y | count({x | some x in b; count(x) == 0}) == 0; y := json.filter(a, b)]'],
  ['json.remove', '[y | count({x | some x in b; count(x) == 0}) == 0; y := json.remove(a, b)]'],
];

const MODULE = `package t

as_list(x) := x if is_array(x)

as_list(x) := [x] if not is_array(x)

as_set(x) := {y | some y in as_list(x)}

a := input.a

b := input.b

c := input.c
${[
  ...Object.entries(CALLS).flatMap(([count, names]) =>
    names.map(
      (name) => [name, `${name}(${['a', 'b', 'c'].slice(0, Number(count)).join(', ')})`] as const,
    ),
  ),
  ...OPERATORS.map((operator) => [operator, `(a ${operator} b)`] as const),
  ...SETS,
]
  .map(([name, call]) => `\ndecision[${JSON.stringify(name)}] := ${call}\n`)
  .join('')}`;

const texts = fc.constantFrom(
  ...'|a|b|ab|abc|a.b|a.b.c|*|a*|**.c|[a-z]+|(a)(b)?|a{1,2}|{a,b}.c|[!a]b|[a|\\|\\d|é|É|ß|😀x|  a\u00a0|YWI=|YWI|YWJj|{"a":[1]}|[1,]|1|-2|1e3|0x1|10.0.0.0/8|10.1.2.3|10.1.0.0/16|2001:db8::/32|::1|/a/b|a/0'.split(
    '|',
  ),
);
const numbers = fc.oneof(
  fc.integer({ min: -5, max: 20 }),
  fc.constantFrom(0.1, 0.2, 0.5, 1.5, -2.5, 2, 8, 10, 16, 1e3, 4096),
);
const scalar = fc.oneof(texts, numbers, fc.boolean(), fc.constant(null));
/** Objects of one key: a text of more would show the order of a hash table. */
const value: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { weight: 6, arbitrary: scalar },
    { weight: 2, arbitrary: fc.array(texts, { maxLength: 3 }) },
    { weight: 2, arbitrary: fc.array(numbers, { maxLength: 3 }) },
    { weight: 2, arbitrary: fc.array(tie('value'), { maxLength: 3 }) },
    {
      weight: 2,
      arbitrary: fc.dictionary(fc.constantFrom('a', 'b', 'ab', '0'), tie('value'), { maxKeys: 1 }),
    },
  ),
})).value;

const inputs = fc.record({ a: value, b: value, c: value });

/** OPA reads these strictly and WebAssembly does not; the plan engine does as OPA. */
const STRICT: readonly (readonly [
  name: string,
  argument: string,
  result: RegoValue | undefined,
])[] = [
  ['base64.decode', '', ''],
  ['base64.decode', 'YWI=', 'ab'],
  ['base64.decode', 'YW\nI=', 'ab'],
  ['base64.decode', 'YWI', undefined],
  ['base64.decode', 'YW-_', undefined],
  ['base64.decode', '0x1', undefined],
  ['base64.is_valid', '', true],
  ['base64.is_valid', 'YWI', false],
  ['base64url.decode', 'YWI', 'ab'],
  ['base64url.decode', 'YWI=', 'ab'],
  ['base64url.decode', 'a.b', undefined],
  ['json.unmarshal', '{"a": 1}', new Map([['a', 1]])],
  ['json.unmarshal', '0x1', undefined],
  ['json.is_valid', '[1,]', false],
  ['json.is_valid', '1 2', false],
  ['json.is_valid', '"a"', true],
];

for (const [name, argument, result] of STRICT) {
  test(`${name} of ${JSON.stringify(argument)} is what OPA says`, () => {
    const context = { timeNs: 0n, charge: () => {} };
    const said = NATIVE_BUILTINS.get(name)?.([argument], context);
    const shown = (value: RegoValue | undefined) =>
      value === undefined ? undefined : canonicalRego(value);
    assert.equal(shown(said), shown(result));
  });
}

test('every native builtin is called here, by its name or that of its operator', () => {
  const others =
    `all any and div equal gt gte internal.member_2 internal.member_3 internal.template_string
    intersection is_set json.filter json.marshal json.remove graph.reachable lt lte minus mul neq net.cidr_overlap
    glob.match object.keys object.union_n or plus re_match regex.find_all_string_submatch_n rem replace union walk`.split(
      /\s+/,
    );
  const called = new Set([
    ...Object.values(CALLS).flat(),
    ...STRICT.map(([name]) => name),
    ...others,
  ]);
  assert.deepEqual(
    [...NATIVE_BUILTINS.keys()].filter((name) => !called.has(name)),
    [],
  );
});

test('native builtins give what WebAssembly gives, for arguments of any type', (t) => {
  const built = compilePlan(t, { 'calls.rego': MODULE });
  if (built === null) return;
  const host = createEngine(compilePolicy(built.wasm, '{}'));
  t.after(() => host.close());
  const seed = Number(process.env['EGRET_TEST_SEED'] ?? Date.now() % 2 ** 31);
  console.log(`native builtins: seed ${seed}, ${RUNS} rounds`);
  fc.assert(
    fc.property(inputs, (input) => {
      const text = JSON.stringify(input);
      const ours = evaluatePlan(built.plan, 't/decision', parseRego(text, 'json'), new Map());
      const theirs = host.evaluateEntrypoint('t/decision', text, 0n);
      assert.deepEqual(
        ours.ok ? ours.value : ours.reason,
        theirs.ok ? theirs.value : theirs.reason,
      );
    }),
    { seed, numRuns: RUNS },
  );
});
