/**
 * Host builtins that check or rewrite whole documents: JSON Schema, YAML and text templates. Pure.
 */
import { type Builtin, isArray, isObject, ofText } from './builtin.ts';
import { plainJson } from './go-json.ts';
import { validate } from './json-schema.ts';
import { checkSchema, SchemaError } from './json-schema-check.ts';
import { parseRego, RegoSyntaxError, type RegoValue } from './rego-value.ts';
import { renderTemplate } from './text-template.ts';
import { parseYaml, renderYaml } from './yaml-text.ts';

/** A JSON text, or a document; null when it is neither. */
function documentOf(value: RegoValue | undefined): { readonly document: RegoValue } | null {
  if (isObject(value) || isArray(value)) return { document: plainJson(value) };
  if (typeof value !== 'string') return null;
  try {
    return { document: parseRego(value, 'loose-json') };
  } catch (error) {
    if (error instanceof RegoSyntaxError) return null;
    throw error;
  }
}

const verifySchema: Builtin = ([schema], { charge }) => {
  const given = documentOf(schema);
  if (given === null) {
    const text = typeof schema === 'string';
    const why = text ? 'invalid JSON string' : 'wrong type, expected string or object';
    return [false, `jsonschema: ${why}`];
  }
  try {
    checkSchema(given.document, charge);
    return [true, null];
  } catch (error) {
    if (error instanceof SchemaError) return [false, `jsonschema: ${error.message}`];
    throw error;
  }
};

const matchSchema: Builtin = ([value, schema], { charge }) => {
  const [given, expected] = [documentOf(value), documentOf(schema)];
  if (given === null || expected === null) return undefined;
  try {
    checkSchema(expected.document, charge);
    const violations = validate(expected.document, given.document, charge);
    const errors = violations.map(
      ({ type, field, description }) =>
        new Map([
          ['error', `${field}: ${description}`],
          ['type', type],
          ['field', field],
          ['desc', description],
        ]),
    );
    return [errors.length === 0, errors];
  } catch (error) {
    if (error instanceof SchemaError) return undefined;
    throw error;
  }
};

export const DOCUMENT_BUILTINS: Readonly<Record<string, Builtin>> = {
  'json.verify_schema': verifySchema,
  'json.match_schema': matchSchema,
  'yaml.marshal': ([value]) => (value === undefined ? undefined : renderYaml(plainJson(value))),
  'yaml.unmarshal': ofText((text, { charge }) => parseYaml(text, charge)),
  'yaml.is_valid': ([text], { charge }) =>
    typeof text === 'string' && parseYaml(text, charge) !== undefined,
  'strings.render_template': ([template, values], { charge }) =>
    typeof template === 'string' && isObject(values)
      ? renderTemplate(template, values, charge)
      : undefined,
};
