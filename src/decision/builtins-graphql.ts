/**
 * Host builtins on GraphQL: parsing of queries and schemas into the objects that policies for OPA know, and checking
 * of queries. Pure.
 */
import { type Builtin, isObject, ofText } from './builtin.ts';
import { type Node, pruned } from './graphql/node.ts';
import { parseQuery } from './graphql/query-parser.ts';
import { buildSchema } from './graphql/schema.ts';
import { parseSchema } from './graphql/schema-parser.ts';
import { GraphqlError } from './graphql/token.ts';
import { validateQuery } from './graphql/validate.ts';
import type { RegoValue } from './rego-value.ts';

type Charge = (steps: number) => void;

/** Undefined when the text or document is not valid. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof GraphqlError) return undefined;
    throw error;
  }
}

function queryOf(value: RegoValue | undefined, charge: Charge): Node {
  if (typeof value === 'string') return parseQuery(value, charge);
  if (isObject(value)) return value;
  throw new GraphqlError('expected a text or a document');
}

function schemaOf(value: RegoValue | undefined, charge: Charge): Node {
  if (typeof value === 'string') return parseSchema(value, charge);
  if (isObject(value)) return value;
  throw new GraphqlError('expected a text or a document');
}

/** The query and the schema; undefined when one is not valid or they do not fit. */
function verified(
  queryValue: RegoValue | undefined,
  schemaValue: RegoValue | undefined,
  charge: Charge,
): readonly [RegoValue, RegoValue] | undefined {
  return attempt(() => {
    const query = queryOf(queryValue, charge);
    const schema = schemaOf(schemaValue, charge);
    validateQuery(buildSchema(schema, charge), query, isObject(queryValue), charge);
    return [pruned(query), pruned(schema)] as const;
  });
}

const isText = (value: RegoValue | undefined) => typeof value === 'string' || isObject(value);

export const GRAPHQL_BUILTINS: Readonly<Record<string, Builtin>> = {
  'graphql.parse_query': ofText((text, { charge }) => attempt(() => parseQuery(text, charge))),
  'graphql.parse_schema': ofText((text, { charge }) => attempt(() => parseSchema(text, charge))),
  'graphql.parse': ([query, schema], { charge }) => verified(query, schema, charge),
  'graphql.parse_and_verify': ([query, schema], { charge }) => {
    const found = verified(query, schema, charge);
    return found === undefined ? [false, new Map(), new Map()] : [true, ...found];
  },
  'graphql.is_valid': ([query, schema], { charge }) =>
    isText(query) && verified(query, schema, charge) !== undefined,
  'graphql.schema_is_valid': ([schema], { charge }) =>
    attempt(() => buildSchema(schemaOf(schema, charge), charge)) !== undefined,
};
