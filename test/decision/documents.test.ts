/** Host builtins on documents and times beside the real OPA: the same calls, the same results. */
import { test } from 'node:test';
import fc from 'fast-check';
import { canonicalRego, type RegoValue } from '../../src/decision/rego-value.ts';
import { type BuiltinCall, compareWithOpa, every, sample } from './opa-oracle.ts';

const object = (fields: Readonly<Record<string, RegoValue>>): RegoValue =>
  new Map(Object.entries(fields));
test('JSON documents are patched and written as in OPA', (t) => {
  const document = object({ a: [1, object({ b: null })], 'c/d': 'x' });
  const paths = ['/a/0', 'a/-', '/a/1/b', '/c~1d', '/z', '/a/9', '/a/01', '', '/a/1/b/c'];
  const operation = (op: string, path: string, more: Record<string, RegoValue>) =>
    [object({ op, path, ...more })] as RegoValue;
  const operations = paths.flatMap((path) => [
    operation('add', path, { value: 'u' }),
    // OPA itself fails when all of the document is removed.
    ...(path === '' ? [] : [operation('remove', path, {})]),
    operation('replace', path, { value: [2] }),
    operation('test', path, { value: 1 }),
    operation('move', path, { from: '/a/0' }),
    operation('copy', path, { from: '/c~1d' }),
  ]);
  const written = object({ 'b<&>': [1, [], object({})], a: [2, 1], '\u2028': null });
  const options = [
    object({}),
    object({ pretty: true }),
    object({ indent: '  ' }),
    object({ prefix: '>', pretty: true }),
    object({ pretty: false, indent: '  ' }),
    object({ x: 1 }),
  ];
  compareWithOpa(t, [
    ...operations.map((one) => ['json.patch', document, one] as BuiltinCall),
    ...options.map((one) => ['json.marshal_with_options', written, one] as BuiltinCall),
  ]);
});

test('numbers, quantities and parts of texts agree with OPA', (t) => {
  const sizes = [
    '1',
    '10Mi',
    '5m',
    '5M',
    '1.5k',
    '0.1',
    '1e3',
    '-2Gi',
    '1000m',
    '1e-12',
    '5mI',
    'x',
    '',
  ];
  compareWithOpa(t, [
    ...every('units.parse', [...sizes, '3 k', '"4"', '1.e2K', '.5e']),
    ...every('numbers.range_step', [0, 5, -3, 1.5], [0, 7, -7], [1, 2, 0, -1]),
    ...every('strings.split_n', ['a,b,c', '', 'abc'], [',', ''], [-9, -2, -1, 0, 1, 2, 9]),
  ]);
});

const INSTANTS = [0n, 1_795_341_600_123_456_789n, -1n, 1_711_846_799_999_999_999n];

test('times are written, read and subtracted by Go layouts as in OPA', (t) => {
  const layouts = [
    '',
    'ANSIC',
    'UnixDate',
    'RubyDate',
    'RFC822',
    'RFC822Z',
    'RFC850',
    'RFC1123Z',
    'RFC3339',
    '2006-01-02 15:04:05.000 -07:00',
    '02/01/06 3:04PM',
    '_2 Jan 2006 03:04:05.999pm',
    '002 __2 Monday January',
    'Month Janet 2006x ,000 Z07',
  ];
  const zones = ['UTC', 'Europe/Zurich', 'America/New_York', 'Asia/Kathmandu'];
  const moments = zones.flatMap((zone) => INSTANTS.map((ns): RegoValue => [ns, zone]));
  const named = (layout: string) => /MST|UnixDate|RFC822$|RFC850/.test(layout);
  const written = zones.flatMap((zone) =>
    layouts
      .filter((layout) => zone !== 'Asia/Kathmandu' || !named(layout))
      .flatMap((layout) => INSTANTS.map((ns): RegoValue => [ns, zone, layout])),
  );
  const texts = [
    ['RFC3339', '2026-11-22T10:00:00+01:00'],
    ['2006-01-02', '2026-02-30'],
    ['2006-01-02', '2026-2-03'],
    ['2006-1-2', '2026-02-3'],
    ['Jan _2 2006', 'feb  3 2026'],
    ['January 2 06', 'MARCH 4 69'],
    ['15:04:05 2006', '10:11:12.5 2026'],
    ['03:04PM 2006', '12:30AM 2026'],
    ['03:04PM 2006', '12:30pm 2026'],
    ['2006 002', '2024 366'],
    ['2006 002', '2025 366'],
    ['2006 MST', '2026 CEST'],
    ['2006 MST', '2026 GMT+3'],
    ['2006 MST', '2026 abc'],
    ['2006 -0700', '2026 +2500'],
    ['2006 Z0700', '2026 Z'],
    ['2006.000', '2026.12'],
    ['2006,999', '2026'],
    ['RFC1123', 'Mon, 02 Jan 2006 15:04:05 UTC'],
    ['2006  01', '2026 01'],
    ['x', 'x'],
  ];
  compareWithOpa(t, [
    ...written.map((one) => ['time.format', one] as BuiltinCall),
    ...INSTANTS.map((one) => ['time.format', one] as BuiltinCall),
    ...texts.map((pair) => ['time.parse_ns', ...pair] as BuiltinCall),
    ...every('time.diff', moments, moments),
  ]);
});

test('YAML is read and written as in OPA', (t) => {
  const texts = [
    'a: 1',
    'a: yes\nb: No\nc: on',
    '- 010\n- 0o10\n- 0x1F\n- 1_000\n- 1e3\n- .5\n- 190:20:30',
    'a: ~\nb:\nc: null',
    'a: &x {b: 1}\nc: *x',
    'a: &x {b: 1}\nc:\n  <<: *x\n  d: 2',
    'a: 1\na: 2',
    '1: x\ntrue: y',
    '2001-12-14',
    '"a\\u00e9": |\n  x\n  y\n',
    '[1,2,3',
    'a: b: c',
    '',
    '---\na: 1\n---\nb: 2',
    '{"a": [1, "x"]}',
    'a: >-\n  x\n  y',
    '\t- a',
    'a: .inf',
  ];
  const scalars = fc.oneof(
    fc.integer({ min: -5, max: 5 }),
    fc.boolean(),
    fc.constant(null),
    fc.constantFrom('', 'a b', 'yes', '1', '1.5', ' x', 'x ', 'a: b', '# c', '- d', '"q"', "it's"),
    fc.constantFrom(
      'a\nb',
      'a\n',
      '\n',
      'é😀',
      '\t',
      '{x',
      'null',
      '2026-01-01',
      'a #b',
      ':',
      '?',
      '-',
    ),
  );
  const tree: fc.Arbitrary<RegoValue> = fc.letrec<{ tree: RegoValue }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 3 },
      scalars,
      fc.array(tie('tree'), { maxLength: 3 }),
      fc
        .dictionary(fc.constantFrom('a', 'b10', 'b2', 'yes', '1', 'x y'), tie('tree'), {
          maxKeys: 3,
        })
        .map((fields) => object(fields)),
    ),
  })).tree;
  compareWithOpa(t, [
    ...every('yaml.unmarshal', texts),
    ...every('yaml.is_valid', texts),
    ...sample(tree, 400).map((value) => ['yaml.marshal', value] as BuiltinCall),
  ]);
});

test('documents are checked against JSON Schema as in OPA, with the same words', (t) => {
  const schemas: RegoValue[] = [
    '{"type": "object", "required": ["a"], "properties": {"a": {"type": ["string", "null"]}}}',
    '{"properties": {"a": {"minLength": 2, "pattern": "^x"}}, "additionalProperties": false}',
    '{"items": {"type": "integer", "minimum": 2, "exclusiveMaximum": 5, "multipleOf": 0.5}}',
    '{"items": [{"const": 1}, {"enum": ["a", 2]}], "additionalItems": false, "minItems": 2}',
    '{"anyOf": [{"type": "array"}, {"required": ["b"]}], "not": {"maxProperties": 0}}',
    '{"oneOf": [{"type": "object"}, {"minProperties": 1}]}',
    '{"allOf": [{"$ref": "#/definitions/x"}], "definitions": {"x": {"type": "object"}}}',
    '{"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"maxProperties": 1}}',
    '{"properties": {"a": {"format": "date-time"}, "b": {"format": "ipv4"}}}',
    '{"dependencies": {"a": ["b"]}, "propertyNames": {"maxLength": 1}}',
    '{"uniqueItems": true, "maxItems": 3, "contains": {"type": "string"}}',
    '{"type": "nonsense"}',
    '{"pattern": "["}',
    'nope',
    '{"required": "a"}',
  ];
  const documents: RegoValue[] = [
    '{}',
    '{"a": "x"}',
    '{"a": "xy", "b": 1}',
    '{"b": "1.2.3.4", "cc": null}',
    '[1, 2, 2]',
    '[]',
    '["a", 5, 3]',
    '{"a": "2026-01-01T00:00:00Z"}',
    '{"b": 1, "c": 2, "d": 3, "e": 4, "f": 5}',
  ];
  const verdicts = every('json.verify_schema', schemas.slice(0, 12));
  const matches = every('json.match_schema', documents, schemas);
  compareWithOpa(t, [...verdicts, ...matches], faultsInOrder);
});

/** OPA walks a hash table over the members of a document, so the order of the faults is another in every run. */
function faultsInOrder(result: RegoValue): RegoValue {
  if (!Array.isArray(result) || !Array.isArray(result[1])) return result;
  const faults = (result[1] as RegoValue[]).map((fault) => [canonicalRego(fault), fault] as const);
  const sorted = faults.sort(([one], [other]) => (one < other ? -1 : 1));
  return [result[0] as RegoValue, sorted.map(([, fault]) => fault)];
}

test('templates are filled in as in OPA', (t) => {
  const values = object({
    name: 'Ann',
    n: 3,
    list: ['a', 'b'],
    empty: [],
    deep: object({ x: true }),
  });
  const templates = [
    'Hello {{.name}}!',
    '{{ .n }} {{- " x" -}}  y',
    '{{if .empty}}a{{else if .list}}b{{else}}c{{end}}',
    '{{range $i, $x := .list}}{{$i}}{{$x}},{{end}}',
    '{{range .empty}}a{{else}}none{{end}}',
    '{{with .deep}}{{.x}}{{end}}{{/* no */}}',
    '{{$v := .n}}{{$v}} {{len .list}} {{index .list 1}}',
    '{{if and (eq .n 3) (not .empty)}}yes{{end}}',
    '{{printf "%s-%v" .name .list}} {{.deep}} {{.list}}',
    '{{.none}} {{.deep.y}}',
    '{{.name | printf "%q"}}',
    '{{.name.x}}',
    '{{',
    '{{end}}',
    '{{if .n}}',
    '{{lt 1 2}} {{ne "a" "b"}} {{or .empty .name}}',
    '{{`raw`}}{{"q\\n"}}',
  ];
  compareWithOpa(
    t,
    templates.map((one) => ['strings.render_template', one, values] as BuiltinCall),
  );
});

test('GraphQL queries are accepted and refused as in OPA', (t) => {
  const schema = `
    interface Node { id: ID! }
    type User implements Node { id: ID! name(short: Boolean = false): String friends(first: Int!): [User] }
    type Bot implements Node { id: ID! owner: User }
    union Actor = User | Bot
    enum Color { RED GREEN }
    input Filter { color: Color! = RED, sizes: [Int!], not: Filter }
    directive @tag(name: String!) repeatable on FIELD
    type Query { me: User actor(id: ID!): Actor nodes(filter: Filter, n: [Int]): [Node!]! }
    type Mutation { rename(name: String!): User }
    type Subscription { tick: Int tock: Int }
  `;
  const queries = [
    '{ me { id name } }',
    '{ me { id nme } }',
    '{ me }',
    '{ me { id { x } } }',
    '{ actor(id: 4) { ... on User { name } ... on Bot { owner { id } } __typename } }',
    '{ actor { __typename } }',
    '{ actor(id: "x", y: 1) { __typename } }',
    '{ nodes(filter: {color: BLUE}) { id } }',
    '{ nodes(filter: {sizes: [1, null]}) { id } }',
    '{ nodes(filter: {sizes: 1, not: {color: GREEN}}, n: 3) { id } }',
    '{ nodes { id ... on User { name } } }',
    'query Q($n: Int!) { me { friends(first: $n) { id } } }',
    'query Q($n: Int) { me { friends(first: $n) { id } } }',
    'query Q($n: Int = 1) { me { friends(first: $n) { id } } }',
    'query Q($n: Int!, $m: Int) { me { friends(first: $n) { id } } }',
    'query Q { me { friends(first: $x) { id } } }',
    '{ a: me { id } a: actor(id: 1) { __typename } }',
    '{ me { name name(short: true) } }',
    'fragment F on User { ...G } fragment G on User { ...F } { me { ...F } }',
    'fragment F on User { id } { me { id } }',
    '{ me { ...F } } fragment F on Bot { id }',
    '{ me { id @skip(if: true) @include(if: "x") } }',
    '{ me { id @tag(name: "a") @tag(name: "b") @nope } }',
    '{ me { id @tag(name: "a") @tag(name: "b") } }',
    'mutation { rename(name: null) { id } }',
    'subscription { tick tock }',
    'subscription { tick }',
    '{ __schema { types { fields { type { fields { name } } } } } }',
    '{ __schema { types { name } } }',
    'query A { me { id } } query A { me { id } }',
    '{ me { id } } query B { me { id } }',
    '{ me { id',
    '',
  ];
  compareWithOpa(t, [
    ...queries.map((query) => ['graphql.is_valid', query, schema] as BuiltinCall),
    ...every('graphql.parse_query', queries),
    ['graphql.parse_schema', schema],
    ['graphql.parse_and_verify', '# a\n{ me { # b\n id } }', schema],
  ]);
});
