/**
 * Nodes of GraphQL documents: Rego objects with the field names that policies for OPA know. Nothing empty is in
 * them: no null, no list without items. A document may also come from a policy, so nothing here trusts its shape.
 * Pure.
 */
import { isArray, isObject } from '../builtin.ts';
import type { RegoObject, RegoValue } from '../rego-value.ts';
import { GraphqlError } from './token.ts';

export type Node = RegoObject;

export const KIND = {
  variable: 0,
  int: 1,
  float: 2,
  string: 3,
  block: 4,
  boolean: 5,
  null: 6,
  enum: 7,
  list: 8,
  object: 9,
} as const;

export function node(fields: Readonly<Record<string, RegoValue>>): Node {
  return new Map(Object.entries(fields).filter(([, value]) => !isEmpty(value)));
}

const isEmpty = (value: RegoValue) =>
  value === null || (isArray(value) && value.length === 0) || (isObject(value) && value.size === 0);

/** A group of comments, if there are any. */
export const commentOf = (comments: readonly string[]): RegoValue =>
  comments.length === 0 ? null : node({ List: comments.map((Value) => node({ Value })) });

/** Drops what is empty, and positions, as OPA does with a document that is handed back. */
export function pruned(value: RegoValue): RegoValue {
  if (isArray(value)) return value.map(pruned).filter((item) => !isEmpty(item));
  if (!isObject(value)) return value;
  const fields = [...value]
    .filter(([key]) => key !== 'Position')
    .map(([key, item]): [RegoValue, RegoValue] => [key, pruned(item)]);
  return new Map(fields.filter(([, item]) => !isEmpty(item)));
}

/** A text field; empty when it is not there. */
export function text(of: Node | undefined, field: string): string {
  const value = of?.get(field) ?? '';
  if (typeof value !== 'string') throw new GraphqlError(`${field} is no text`);
  return value;
}

export function flag(of: Node | undefined, field: string): boolean {
  const value = of?.get(field) ?? false;
  if (typeof value !== 'boolean') throw new GraphqlError(`${field} is no boolean`);
  return value;
}

export function child(of: Node | undefined, field: string): Node | undefined {
  const value = of?.get(field) ?? undefined;
  if (value !== undefined && !isObject(value)) throw new GraphqlError(`${field} is no object`);
  return value;
}

export function children(of: Node | undefined, field: string): readonly Node[] {
  const value = of?.get(field) ?? [];
  if (!isArray(value) || !value.every(isObject)) throw new GraphqlError(`${field} is no list`);
  return value;
}

export function texts(of: Node | undefined, field: string): readonly string[] {
  const value = of?.get(field) ?? [];
  if (!isArray(value) || !value.every((item) => typeof item === 'string')) {
    throw new GraphqlError(`${field} is no list of texts`);
  }
  return value;
}

export const named = (nodes: readonly Node[], name: string, field = 'Name') =>
  nodes.find((one) => one.get(field) === name);

/** The name of a type inside of its lists. */
export function typeName(type: Node | undefined): string {
  if (type === undefined) throw new GraphqlError('no type');
  const name = text(type, 'NamedType');
  return name === '' ? typeName(child(type, 'Elem')) : name;
}

export function fail(why: string): never {
  throw new GraphqlError(why);
}
