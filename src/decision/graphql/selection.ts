/**
 * Fields and fragments in the selections of a GraphQL query. Pure.
 */
import { children, type Node, named, node } from './node.ts';

/** How a selection is to be read. A document that a policy hands over has fields only, as in OPA. */
export type SelectionKind = 'field' | 'spread' | 'inline';
export const selectionKind = (selection: Node, decoded: boolean): SelectionKind => {
  if (decoded || selection.has('Alias')) return 'field';
  return selection.has('Name') ? 'spread' : 'inline';
};

/** A field as the walk sees it. */
export interface FieldFacts {
  readonly field: Node;
  readonly parent: Node | undefined;
  readonly definition: Node | undefined;
}

const TYPENAME = node({
  Name: '__typename',
  Type: node({ NamedType: 'String', NonNull: false }),
});

/** The definition of a field; undefined when the type has none of that name. */
export function fieldDefinition(parent: Node | undefined, name: string): Node | undefined {
  return name === '__typename' ? TYPENAME : named(children(parent, 'Fields'), name);
}
