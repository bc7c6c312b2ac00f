/**
 * The rule of GraphQL that fields of one name in an answer must be one field. Compares pairs, so every comparison
 * charges. Pure.
 */
import { child, children, fail, flag, type Node, text, typeName } from './node.ts';
import type { Schema } from './schema.ts';
import { type FieldFacts, fieldDefinition, selectionKind } from './selection.ts';

const STEPS_PER_PAIR = 20_000;

/** @throws GraphqlError */
export function checkMergeable(
  schema: Schema,
  fragments: ReadonlyMap<string, Node>,
  decoded: boolean,
  parent: Node | undefined,
  of: Node,
  charge: (steps: number) => void,
): void {
  new Merging(schema, fragments, decoded, charge).check([{ parent, of }]);
}

interface SelectionSet {
  readonly parent: Node | undefined;
  readonly of: Node | undefined;
}

class Merging {
  readonly #schema: Schema;
  readonly #fragments: ReadonlyMap<string, Node>;
  readonly #decoded: boolean;
  readonly #charge: (steps: number) => void;

  constructor(
    schema: Schema,
    fragments: ReadonlyMap<string, Node>,
    decoded: boolean,
    charge: (steps: number) => void,
  ) {
    this.#schema = schema;
    this.#fragments = fragments;
    this.#decoded = decoded;
    this.#charge = charge;
  }

  /** All fields that the sets put into one object. */
  check(sets: readonly SelectionSet[]): void {
    const byName = new Map<string, FieldFacts[]>();
    const seen = new Set<string>();
    for (const set of sets) this.#collect(set, byName, seen);
    for (const fields of byName.values()) {
      for (const [i, a] of fields.entries()) {
        for (const b of fields.slice(i + 1)) this.#checkPair(a, b);
      }
      this.check(fields.map(({ field, definition }) => this.#selectionsOf(field, definition)));
    }
  }

  #selectionsOf(field: Node, definition: Node | undefined): SelectionSet {
    const type = child(definition, 'Type');
    return { parent: type && this.#schema.types.get(typeName(type)), of: field };
  }

  #collect(
    { parent, of }: SelectionSet,
    byName: Map<string, FieldFacts[]>,
    seen: Set<string>,
  ): void {
    for (const selection of children(of, 'SelectionSet')) {
      this.#charge(STEPS_PER_PAIR);
      const kind = selectionKind(selection, this.#decoded);
      if (kind === 'field') {
        const name = text(selection, 'Alias') || text(selection, 'Name');
        const definition = fieldDefinition(parent, text(selection, 'Name'));
        const fields = byName.get(name) ?? [];
        fields.push({ field: selection, parent, definition });
        byName.set(name, fields);
        continue;
      }
      const name = text(selection, 'Name');
      const target = kind === 'inline' ? selection : this.#fragments.get(name);
      if (kind === 'spread' && seen.has(name)) continue;
      if (kind === 'spread') seen.add(name);
      const condition = text(target, 'TypeCondition');
      const type = condition === '' ? parent : this.#schema.types.get(condition);
      this.#collect({ parent: type, of: target }, byName, seen);
    }
  }

  #checkPair(a: FieldFacts, b: FieldFacts): void {
    this.#charge(STEPS_PER_PAIR);
    if (a.parent === undefined || b.parent === undefined) return;
    if (!exclusive(a, b)) {
      if (text(a.field, 'Name') !== text(b.field, 'Name')) fail('one name for two fields');
      if (!sameArguments(a.field, b.field)) fail('one name for two calls');
    }
    const [x, y] = [child(a.definition, 'Type'), child(b.definition, 'Type')];
    if (x !== undefined && y !== undefined && this.#conflict(x, y)) fail('one name for two types');
  }

  #conflict(a: Node, b: Node): boolean {
    const [x, y] = [child(a, 'Elem'), child(b, 'Elem')];
    if (x !== undefined && y !== undefined) return this.#conflict(x, y);
    if (x !== undefined || y !== undefined) return true;
    if (flag(a, 'NonNull') !== flag(b, 'NonNull')) return true;
    const leaf = (type: Node) => {
      const kind = text(this.#schema.types.get(text(type, 'NamedType')), 'Kind');
      return kind === 'SCALAR' || kind === 'ENUM';
    };
    return leaf(a) && leaf(b) && text(a, 'NamedType') !== text(b, 'NamedType');
  }
}

/** Fields of two object types never meet. */
function exclusive(a: FieldFacts, b: FieldFacts): boolean {
  const objects = [a, b].every(
    ({ parent, definition }) => text(parent, 'Kind') === 'OBJECT' && definition !== undefined,
  );
  return objects && text(a.parent, 'Name') !== text(b.parent, 'Name');
}

function sameArguments(a: Node, b: Node): boolean {
  const [x, y] = [children(a, 'Arguments'), children(b, 'Arguments')];
  if (x.length !== y.length) return false;
  return x.every((one) =>
    y.some((other) => {
      const [v, w] = [child(one, 'Value'), child(other, 'Value')];
      const same = v?.get('Kind') === w?.get('Kind') && v?.get('Raw') === w?.get('Raw');
      return same && one.get('Name') === other.get('Name');
    }),
  );
}
