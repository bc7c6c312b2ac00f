/**
 * Whether a value in a GraphQL query fits where it stands. Pure.
 */
import { child, children, fail, flag, KIND, type Node, named, text, typeName } from './node.ts';
import { compatible, type Schema, unique } from './schema.ts';

/** The operation that is being looked at, and the variables seen in it. */
export interface Operation {
  readonly variables: readonly Node[];
  readonly used: Set<string>;
}

/** What a value should be. */
export interface Expected {
  readonly type: Node;
  /** The argument or field has a default that is not null. */
  readonly hasDefault: boolean;
}

const STEPS_PER_VALUE = 5000;
const SPECIFIED = ['Int', 'Float', 'String', 'Boolean', 'ID'];
const INT64 = 2n ** 63n;

/** @throws GraphqlError */
export function checkValue(
  schema: Schema,
  operation: Operation | null,
  value: Node,
  expected: Expected | null,
  charge: (steps: number) => void,
): void {
  charge(STEPS_PER_VALUE);
  const kind = value.get('Kind') ?? KIND.variable;
  const items = children(value, 'Children');
  const definition = expected === null ? undefined : schema.types.get(typeName(expected.type));
  if (kind === KIND.variable) checkVariable(operation, text(value, 'Raw'), expected);
  for (const item of items) {
    const inner = child(item, 'Value') ?? fail('no value');
    checkValue(schema, operation, inner, expectedOf(kind, item, expected, definition), charge);
  }
  if (kind === KIND.object) unique(items.map((item) => text(item, 'Name')));
  if (expected === null || definition === undefined) return;
  if (kind === KIND.null && flag(expected.type, 'NonNull')) fail('null');
  const custom = text(definition, 'Kind') === 'SCALAR';
  if (custom && !SPECIFIED.includes(text(definition, 'Name'))) return;
  if (!fits(kind, value, expected, definition)) fail('value of another type');
  if (kind === KIND.object) checkObject(operation, items, definition);
}

function expectedOf(
  kind: unknown,
  item: Node,
  expected: Expected | null,
  definition: Node | undefined,
): Expected | null {
  if (kind === KIND.list) {
    const type = child(expected?.type, 'Elem');
    return type === undefined ? null : { type, hasDefault: false };
  }
  const field = named(children(definition, 'Fields'), text(item, 'Name'));
  const type = child(field, 'Type');
  const fallback = child(field, 'DefaultValue');
  const hasDefault = fallback !== undefined && fallback.get('Kind') !== KIND.null;
  return type === undefined ? null : { type, hasDefault };
}

function checkVariable(operation: Operation | null, name: string, expected: Expected | null) {
  if (operation === null) return;
  const variable = named(operation.variables, name, 'Variable') ?? fail(`no $${name}`);
  operation.used.add(name);
  if (expected === null) return;
  const fallback = child(variable, 'DefaultValue');
  const mayBeNull =
    expected.hasDefault || (fallback !== undefined && fallback.get('Kind') !== KIND.null);
  const wanted = mayBeNull ? new Map([...expected.type, ['NonNull', false]]) : expected.type;
  if (!compatible(child(variable, 'Type') ?? fail('no type'), wanted)) fail('variable of a type');
}

function fits(kind: unknown, value: Node, expected: Expected, definition: Node): boolean {
  const name = text(definition, 'Name');
  const raw = text(value, 'Raw');
  const isEnum = text(definition, 'Kind') === 'ENUM';
  switch (kind) {
    case KIND.list:
      return child(expected.type, 'Elem') !== undefined;
    case KIND.int:
      return ['Int', 'Float', 'ID'].includes(name) && isInt64(raw);
    case KIND.float:
      return name === 'Float' && Number.isFinite(Number(raw));
    case KIND.string:
    case KIND.block:
      return name === 'String' || name === 'ID';
    case KIND.enum:
      return isEnum && named(children(definition, 'EnumValues'), raw) !== undefined;
    case KIND.boolean:
      return name === 'Boolean';
    default:
      return true;
  }
}

const isInt64 = (raw: string) => {
  const value = /^-?[0-9]{1,20}$/.test(raw) ? BigInt(raw) : INT64;
  return value < INT64 && value >= -INT64;
};

function checkObject(operation: Operation | null, items: readonly Node[], definition: Node): void {
  const fields = children(definition, 'Fields');
  for (const field of fields) {
    const required = flag(child(field, 'Type'), 'NonNull') && !field.has('DefaultValue');
    if (required && named(items, text(field, 'Name')) === undefined) fail('missing field');
  }
  for (const item of items) {
    if (named(fields, text(item, 'Name')) === undefined) fail('unknown field');
  }
  if (named(children(definition, 'Directives'), 'oneOf') === undefined) return;
  const value = items.length === 1 ? child(items[0], 'Value') : fail('not one field');
  if (value?.get('Kind') === KIND.null) fail('one field that is null');
  if (value?.get('Kind') !== KIND.variable || operation === null) return;
  const variable = named(operation.variables, text(value, 'Raw'), 'Variable');
  if (!flag(child(variable, 'Type'), 'NonNull')) fail('one field that may be null');
}
