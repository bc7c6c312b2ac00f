/**
 * A GraphQL schema: the definitions of a document with those that every schema has, extensions merged in, checked by
 * the rules of the library that OPA uses. Pure.
 */
import type { RegoValue } from '../rego-value.ts';
import {
  child,
  children,
  fail,
  flag,
  KIND,
  type Node,
  named,
  node,
  text,
  texts,
  typeName,
} from './node.ts';
import { parseSchema } from './schema-parser.ts';

/** What is implicit in every schema. */
const PRELUDE = `
scalar Int scalar Float scalar String scalar Boolean scalar ID
directive @defer(if: Boolean = true, label: String) on FRAGMENT_SPREAD | INLINE_FRAGMENT
directive @include(if: Boolean!) on FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT
directive @skip(if: Boolean!) on FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT
directive @deprecated(reason: String = "No longer supported")
  on FIELD_DEFINITION | ARGUMENT_DEFINITION | INPUT_FIELD_DEFINITION | ENUM_VALUE
directive @specifiedBy(url: String!) on SCALAR
directive @oneOf on INPUT_OBJECT
type __Schema {
  description: String types: [__Type!]! queryType: __Type! mutationType: __Type
  subscriptionType: __Type directives: [__Directive!]!
}
type __Type {
  kind: __TypeKind! name: String description: String specifiedByURL: String
  fields(includeDeprecated: Boolean = false): [__Field!]
  interfaces: [__Type!] possibleTypes: [__Type!]
  enumValues(includeDeprecated: Boolean = false): [__EnumValue!]
  inputFields(includeDeprecated: Boolean = false): [__InputValue!]
  ofType: __Type isOneOf: Boolean
}
enum __TypeKind { SCALAR OBJECT INTERFACE UNION ENUM INPUT_OBJECT LIST NON_NULL }
type __Field {
  name: String! description: String args(includeDeprecated: Boolean = false): [__InputValue!]!
  type: __Type! isDeprecated: Boolean! deprecationReason: String
}
type __InputValue {
  name: String! description: String type: __Type! defaultValue: String
  isDeprecated: Boolean! deprecationReason: String
}
type __EnumValue {
  name: String! description: String isDeprecated: Boolean! deprecationReason: String
}
type __Directive {
  name: String! description: String isRepeatable: Boolean!
  locations: [__DirectiveLocation!]! args(includeDeprecated: Boolean = false): [__InputValue!]!
}
enum __DirectiveLocation {
  QUERY MUTATION SUBSCRIPTION FIELD FRAGMENT_DEFINITION FRAGMENT_SPREAD INLINE_FRAGMENT
  VARIABLE_DEFINITION SCHEMA SCALAR OBJECT FIELD_DEFINITION ARGUMENT_DEFINITION INTERFACE UNION
  ENUM ENUM_VALUE INPUT_OBJECT INPUT_FIELD_DEFINITION
}
`;

const BUILTIN_DIRECTIVES = ['include', 'skip', 'deprecated', 'specifiedBy', 'defer', 'oneOf'];

const INTROSPECTION: readonly Node[] = [
  node({ Name: '__schema', Type: node({ NamedType: '__Schema', NonNull: true }) }),
  node({
    Name: '__type',
    Type: node({ NamedType: '__Type', NonNull: false }),
    Arguments: [node({ Name: 'name', Type: node({ NamedType: 'String', NonNull: true }) })],
  }),
];

export interface Schema {
  readonly types: ReadonlyMap<string, Node>;
  readonly directives: ReadonlyMap<string, Node>;
  /** Names of the objects that a type can be. */
  readonly possible: ReadonlyMap<string, readonly string[]>;
  /** Root types by operation. */
  readonly roots: ReadonlyMap<string, Node>;
}

type Charge = (steps: number) => void;
const STEPS_PER_DEFINITION = 5000;

/** @throws GraphqlError when the document is no schema. */
export function buildSchema(document: Node, charge: Charge): Schema {
  const prelude = parseSchema(PRELUDE, charge);
  const all = (field: string) => [...children(prelude, field), ...children(document, field)];
  const types = mergedTypes(all('Definitions'), all('Extensions'), charge);
  const directives = new Map<string, Node>();
  for (const directive of all('Directives')) {
    const name = text(directive, 'Name');
    if (directives.has(name) && !BUILTIN_DIRECTIVES.includes(name)) fail(`second @${name}`);
    directives.set(name, directive);
  }
  const schema = { types, directives, possible: possibleTypes(types), roots: new Map() };
  const definitions = children(document, 'Schema');
  if (definitions.length > 1) fail('two schema definitions');
  const roots = new Map<string, string>();
  for (const definition of [...definitions, ...children(document, 'SchemaExtension')]) {
    for (const one of children(definition, 'OperationTypes')) {
      if (!types.has(text(one, 'Type'))) fail('root of an unknown type');
      roots.set(text(one, 'Operation'), text(one, 'Type'));
    }
    checkDirectives(schema, children(definition, 'Directives'), 'SCHEMA');
  }
  const builtIn = new Set(children(prelude, 'Definitions').map((type) => text(type, 'Name')));
  for (const [name, type] of types) checkType(schema, type, builtIn.has(name), charge);
  for (const [name, directive] of directives) {
    checkName(name);
    checkArguments(schema, children(directive, 'Arguments'), name);
  }
  return withRoots(schema, definitions.length > 0, roots);
}

function withRoots(schema: Schema, defined: boolean, names: ReadonlyMap<string, string>): Schema {
  const types = new Map(schema.types);
  const nameOf = (operation: string, usual: string) =>
    names.get(operation) ?? (defined ? undefined : usual);
  const query = types.get(nameOf('query', 'Query') ?? '');
  if (query !== undefined) {
    const Fields: RegoValue = [...children(query, 'Fields'), ...INTROSPECTION];
    types.set(text(query, 'Name'), new Map([...query, ['Fields', Fields]]));
  }
  const roots = new Map<string, Node>();
  for (const [operation, usual] of [
    ['query', 'Query'],
    ['mutation', 'Mutation'],
    ['subscription', 'Subscription'],
  ] as const) {
    const root = types.get(nameOf(operation, usual) ?? '');
    if (root !== undefined) roots.set(operation, root);
  }
  return { ...schema, types, roots };
}

const MERGED = ['Directives', 'Interfaces', 'Fields', 'Types', 'EnumValues'];

function mergedTypes(
  definitions: readonly Node[],
  extensions: readonly Node[],
  charge: Charge,
): Map<string, Node> {
  const types = new Map<string, Node>();
  for (const definition of definitions) {
    const name = text(definition, 'Name');
    if (types.has(name)) fail(`second type ${name}`);
    types.set(name, definition);
  }
  for (const extension of extensions) {
    const name = text(extension, 'Name');
    const kind = text(extension, 'Kind');
    const base = types.get(name) ?? node({ Kind: kind, Name: name });
    if (text(base, 'Kind') !== kind) fail(`extension of ${name} as another kind`);
    const merged = new Map(base);
    for (const field of MERGED) {
      const items = [...((base.get(field) ?? []) as Iterable<RegoValue>)];
      charge(items.length * 10 + STEPS_PER_DEFINITION);
      const more = [...((extension.get(field) ?? []) as Iterable<RegoValue>)];
      if (items.length + more.length > 0) merged.set(field, [...items, ...more]);
    }
    types.set(name, merged);
  }
  return types;
}

function possibleTypes(types: ReadonlyMap<string, Node>): ReadonlyMap<string, readonly string[]> {
  const possible = new Map<string, string[]>();
  const add = (abstract: string, name: string) =>
    possible.set(abstract, [...(possible.get(abstract) ?? []), name]);
  for (const [name, type] of types) {
    const kind = text(type, 'Kind');
    if (kind === 'UNION') for (const member of texts(type, 'Types')) add(name, member);
    if (!['OBJECT', 'INPUT_OBJECT', 'INTERFACE'].includes(kind)) continue;
    for (const one of texts(type, 'Interfaces')) add(one, name);
    if (kind !== 'INTERFACE') add(name, name);
  }
  return possible;
}

const checkName = (name: string) => {
  if (name.startsWith('__')) fail(`reserved name ${name}`);
};

const kindOf = ({ types }: Schema, type: Node) => {
  const definition = types.get(typeName(type));
  return definition === undefined
    ? fail(`unknown type ${typeName(type)}`)
    : text(definition, 'Kind');
};

const INPUT_KINDS = ['SCALAR', 'ENUM', 'INPUT_OBJECT'];

function checkType(schema: Schema, type: Node, builtIn: boolean, charge: Charge): void {
  const kind = text(type, 'Kind');
  const fields = children(type, 'Fields');
  const values = children(type, 'EnumValues');
  const members = texts(type, 'Types');
  charge(STEPS_PER_DEFINITION * (fields.length + values.length + members.length));
  for (const field of fields) {
    checkName(text(field, 'Name'));
    kindOf(schema, typeOf(field));
    checkArguments(schema, children(field, 'Arguments'), null);
    const input = kind === 'INPUT_OBJECT';
    const location = input ? 'INPUT_FIELD_DEFINITION' : 'FIELD_DEFINITION';
    checkDirectives(schema, children(field, 'Directives'), location);
  }
  for (const name of members) {
    const member = schema.types.get(name);
    if (member === undefined || text(member, 'Kind') !== 'OBJECT') fail(`member ${name}`);
  }
  for (const name of texts(type, 'Interfaces')) checkImplements(schema, type, name, charge);
  if (kind === 'OBJECT' || kind === 'INTERFACE' || kind === 'INPUT_OBJECT') {
    if (fields.length === 0) fail('no fields');
    const input = kind === 'INPUT_OBJECT';
    for (const field of fields) {
      const fieldKind = kindOf(schema, typeOf(field));
      if (input ? !INPUT_KINDS.includes(fieldKind) : fieldKind === 'INPUT_OBJECT') {
        fail('field of a kind that does not fit');
      }
    }
  }
  if (kind === 'ENUM' && values.length === 0) fail('no values');
  for (const value of values) {
    if (['true', 'false', 'null'].includes(text(value, 'Name'))) fail('value that is no name');
    checkDirectives(schema, children(value, 'Directives'), 'ENUM_VALUE');
  }
  unique(fields.map((field) => text(field, 'Name')));
  unique(values.map((value) => text(value, 'Name')));
  unique(members);
  if (!builtIn) checkName(text(type, 'Name'));
  checkDirectives(schema, children(type, 'Directives'), kind, { once: false });
}

export function unique(names: readonly string[]): void {
  if (new Set(names).size !== names.length) fail('a name twice');
}

const typeOf = (of: Node): Node => child(of, 'Type') ?? fail('no type');

function checkArguments(schema: Schema, args: readonly Node[], directive: string | null): void {
  for (const argument of args) {
    checkName(text(argument, 'Name'));
    if (!INPUT_KINDS.includes(kindOf(schema, typeOf(argument)))) fail('argument that is no input');
    const used = children(argument, 'Directives');
    if (directive !== null && named(used, directive) !== undefined) fail('directive of itself');
    checkDirectives(schema, used, 'ARGUMENT_DEFINITION');
  }
}

function checkDirectives(
  schema: Schema,
  directives: readonly Node[],
  location: string,
  { once } = { once: true },
): void {
  const seen = new Set<string>();
  for (const directive of directives) {
    const name = text(directive, 'Name');
    checkName(name);
    const definition = schema.directives.get(name);
    if (definition === undefined) fail(`unknown directive ${name}`);
    if (once && seen.has(name) && !flag(definition, 'IsRepeatable')) fail(`@${name} twice`);
    seen.add(name);
    if (!texts(definition, 'Locations').includes(location)) fail(`@${name} on ${location}`);
    const known = children(definition, 'Arguments');
    const given = children(directive, 'Arguments');
    for (const argument of given) {
      if (named(known, text(argument, 'Name')) === undefined) fail('unknown argument');
    }
    for (const argument of known.filter(isRequired)) {
      const value = child(named(given, text(argument, 'Name')), 'Value');
      if (value === undefined || value.get('Kind') === KIND.null) fail('missing argument');
    }
  }
}

/** Neither null nor left out. */
export const isRequired = (argument: Node) =>
  flag(child(argument, 'Type'), 'NonNull') && child(argument, 'DefaultValue') === undefined;

function checkImplements(schema: Schema, type: Node, name: string, charge: Charge): void {
  const contract = schema.types.get(name);
  if (contract === undefined || text(contract, 'Kind') !== 'INTERFACE') fail('no interface');
  const own = children(type, 'Fields');
  for (const required of children(contract, 'Fields')) {
    charge(own.length * 20 + STEPS_PER_DEFINITION);
    const field = named(own, text(required, 'Name')) ?? fail('missing field');
    if (!covariant(schema, typeOf(required), typeOf(field))) fail('field of another type');
    const [wanted, given] = [children(required, 'Arguments'), children(field, 'Arguments')];
    for (const argument of wanted) {
      const same = named(given, text(argument, 'Name')) ?? fail('missing argument');
      if (!compatible(typeOf(argument), typeOf(same))) fail('argument of another type');
    }
    for (const argument of given) {
      const extra = named(wanted, text(argument, 'Name')) === undefined;
      if (extra && isRequired(argument)) fail('additional argument that is required');
    }
  }
  const implemented = texts(type, 'Interfaces');
  for (const inherited of texts(contract, 'Interfaces')) {
    if (!implemented.includes(inherited)) fail('interface of an interface');
  }
}

function covariant(schema: Schema, required: Node, actual: Node): boolean {
  if (flag(required, 'NonNull') && !flag(actual, 'NonNull')) return false;
  const name = text(required, 'NamedType');
  const own = text(actual, 'NamedType');
  if (name !== '') return name === own || (schema.possible.get(name)?.includes(own) ?? false);
  const [elements, ownElements] = [child(required, 'Elem'), child(actual, 'Elem')];
  if (elements === undefined || ownElements === undefined) return false;
  return covariant(schema, elements, ownElements);
}

/** A value of one type fits where the other is expected. */
export function compatible(type: Node, expected: Node): boolean {
  if (text(type, 'NamedType') !== text(expected, 'NamedType')) return false;
  const [elements, others] = [child(type, 'Elem'), child(expected, 'Elem')];
  if (elements !== undefined && (others === undefined || !compatible(elements, others))) {
    return false;
  }
  return !flag(expected, 'NonNull') || flag(type, 'NonNull');
}
