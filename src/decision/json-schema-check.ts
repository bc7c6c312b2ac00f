/**
 * Whether a document is a JSON Schema that can be used here: the keywords have the right types, patterns are valid,
 * references stay inside. Errors read as those of OPA's library. Pure.
 */
import { isArray, isNumber, isObject } from './builtin.ts';
import { compileRegex } from './linear-regex.ts';
import type { RegoObject, RegoValue } from './rego-value.ts';

type Charge = (steps: number) => void;

const STEPS_PER_SCHEMA = 5000;

/** The schema is not one. */
export class SchemaError extends Error {
  override name = 'SchemaError';
}

const TYPES = ['array', 'boolean', 'integer', 'number', 'null', 'object', 'string'];

/** Keywords that hold one schema, a list of them, or schemas by name. */
const INNER: Readonly<Record<string, 'one' | 'list' | 'named' | 'either'>> = {
  additionalItems: 'one',
  additionalProperties: 'one',
  allOf: 'list',
  anyOf: 'list',
  contains: 'one',
  definitions: 'named',
  else: 'one',
  if: 'one',
  items: 'either',
  not: 'one',
  oneOf: 'list',
  patternProperties: 'named',
  properties: 'named',
  propertyNames: 'one',
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
  then: 'one',
};
const COUNTS = ['minLength', 'maxLength', 'minItems', 'maxItems', 'minProperties', 'maxProperties'];
const LIMITS = ['minimum', 'maximum', 'multipleOf'];

/**
 * Checks the keywords of a schema and of all schemas in it.
 * @throws SchemaError
 */
export function checkSchema(schema: RegoValue, charge: Charge): void {
  charge(STEPS_PER_SCHEMA);
  if (typeof schema === 'boolean') return;
  if (!isObject(schema)) throw new SchemaError('schema must be of type object');
  const reference = schema.get('$ref');
  if (reference !== undefined && !/^#(?:\/.*)?$/s.test(String(reference))) {
    throw new SchemaError('a reference to elsewhere');
  }
  checkTypes(schema.get('type'));
  for (const key of COUNTS) {
    const count = schema.get(key);
    const valid = isNumber(count) && count >= 0 && Number.isInteger(Number(count));
    if (count !== undefined && !valid) throw new SchemaError(`${key} must be of an integer`);
  }
  for (const key of LIMITS) {
    const limit = schema.get(key);
    if (limit !== undefined && !isNumber(limit))
      throw new SchemaError(`${key} must be of a number`);
  }
  const required = schema.get('required');
  const texts = required === undefined || (isArray(required) && required.every(isText));
  if (!texts) throw new SchemaError('required items must be string');
  const patterns = isObject(schema.get('patternProperties'))
    ? [...(schema.get('patternProperties') as RegoObject).keys()]
    : [];
  for (const pattern of [schema.get('pattern') ?? '', ...patterns]) {
    if (typeof pattern !== 'string') throw new SchemaError('pattern must be of type string');
    if (compileRegex(pattern, charge) === null) {
      throw new SchemaError(`Invalid regex pattern '${pattern}'`);
    }
  }
  for (const [key, kind] of Object.entries(INNER)) {
    const inner = schema.get(key);
    if (inner !== undefined)
      for (const one of innerSchemas(key, kind, inner)) checkSchema(one, charge);
  }
}

const isText = (value: RegoValue) => typeof value === 'string';

function checkTypes(type: RegoValue | undefined): void {
  if (type === undefined) return;
  const names = isArray(type) ? type : [type];
  for (const name of names) {
    if (typeof name !== 'string') throw new SchemaError('type must be of type string or array');
    if (TYPES.includes(name)) continue;
    const expected = `Expected valid values are:[${TYPES.join(' ')}]`;
    throw new SchemaError(`has a primitive type that is NOT VALID -- given: /${name}/ ${expected}`);
  }
}

function innerSchemas(key: string, kind: string, value: RegoValue): readonly RegoValue[] {
  const named = kind === 'named';
  if (named && isObject(value)) return [...value.values()];
  if ((kind === 'list' || kind === 'either') && isArray(value)) return value;
  if (!named && kind !== 'list') return [value];
  throw new SchemaError(`${key} must be of type ${named ? 'object' : 'array'}`);
}
