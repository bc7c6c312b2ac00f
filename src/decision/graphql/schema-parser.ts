/**
 * Parser of GraphQL type system documents: definitions, extensions and directives. Pure.
 */
import type { RegoValue } from '../rego-value.ts';
import { commentOf, type Node, node } from './node.ts';
import { QueryParser } from './query-parser.ts';

/** @throws GraphqlError */
export function parseSchema(source: string, charge: (steps: number) => void): Node {
  return new SchemaParser(source, charge).schema();
}

const KINDS: Readonly<Record<string, string>> = {
  scalar: 'SCALAR',
  type: 'OBJECT',
  interface: 'INTERFACE',
  union: 'UNION',
  enum: 'ENUM',
  input: 'INPUT_OBJECT',
};

const LOCATIONS = new Set([
  'QUERY',
  'MUTATION',
  'SUBSCRIPTION',
  'FIELD',
  'FRAGMENT_DEFINITION',
  'FRAGMENT_SPREAD',
  'INLINE_FRAGMENT',
  'VARIABLE_DEFINITION',
  'SCHEMA',
  'SCALAR',
  'OBJECT',
  'FIELD_DEFINITION',
  'ARGUMENT_DEFINITION',
  'INTERFACE',
  'UNION',
  'ENUM',
  'ENUM_VALUE',
  'INPUT_OBJECT',
  'INPUT_FIELD_DEFINITION',
]);

interface Described {
  readonly Description: string;
  readonly BeforeDescriptionComment: RegoValue;
}

const NOT_DESCRIBED: Described = { Description: '', BeforeDescriptionComment: null };

class SchemaParser extends QueryParser {
  schema(): Node {
    const { tokens } = this;
    const lists: Record<string, Node[]> = {
      Schema: [],
      SchemaExtension: [],
      Directives: [],
      Definitions: [],
      Extensions: [],
    };
    while (!tokens.is('end')) {
      const described = this.#description();
      const word = tokens.is('name') ? tokens.peek().value : '';
      const comment = tokens.comment;
      tokens.next();
      if (word === 'extend') {
        if (described.Description !== '') tokens.unexpected();
        const extended = tokens.expect('name').value;
        const schema = extended === 'schema';
        const extension = schema
          ? this.#schemaDefinition(NOT_DESCRIBED, comment)
          : this.#definition(extended, NOT_DESCRIBED, comment);
        if (!addsSomething(extension)) tokens.unexpected();
        lists[schema ? 'SchemaExtension' : 'Extensions']?.push(extension);
      } else if (word === 'schema') {
        lists['Schema']?.push(this.#schemaDefinition(described, comment));
      } else if (word === 'directive') {
        lists['Directives']?.push(this.#directiveDefinition(described, comment));
      } else lists['Definitions']?.push(this.#definition(word, described, comment));
    }
    return node({ ...lists, Comment: commentOf(tokens.comment) });
  }

  #description(): Described {
    const { tokens } = this;
    if (!tokens.is('string') && !tokens.is('block')) return NOT_DESCRIBED;
    const comment = commentOf(tokens.comment);
    const Description = tokens.next().value;
    return { Description, BeforeDescriptionComment: comment };
  }

  /** An empty description counts as none. */
  #memberDescription(): Described {
    const described = this.#description();
    return described.Description === '' ? NOT_DESCRIBED : described;
  }

  #schemaDefinition(described: Described, comment: readonly string[]): Node {
    const Directives = this.directives(true);
    const OperationTypes = this.tokens.between('{', '}', () => {
      const Comment = commentOf(this.tokens.comments());
      const Operation = this.operationType();
      this.tokens.expect(':');
      return node({ Operation, Type: this.name(), Comment });
    });
    return node({
      ...described,
      AfterDescriptionComment: commentOf(comment),
      Directives,
      OperationTypes,
      EndOfDefinitionComment: this.#end(OperationTypes),
    });
  }

  #end(items: readonly Node[]): RegoValue {
    return items.length === 0 ? null : commentOf(this.tokens.endComment);
  }

  #definition(word: string, described: Described, comment: readonly string[]): Node {
    const Kind = Object.hasOwn(KINDS, word) ? (KINDS[word] as string) : this.tokens.unexpected();
    const Name = this.name();
    const implementing = Kind === 'OBJECT' || Kind === 'INTERFACE';
    const Interfaces = implementing ? this.#interfaces() : [];
    const Directives = this.directives(Kind !== 'INPUT_OBJECT');
    const Types = Kind === 'UNION' ? this.#members() : [];
    const EnumValues = Kind === 'ENUM' ? this.#braced(() => this.#enumValue()) : [];
    let Fields: readonly Node[] = [];
    if (implementing) Fields = this.#braced(() => this.#field());
    if (Kind === 'INPUT_OBJECT') Fields = this.#braced(() => this.#inputValue());
    return node({
      Kind,
      ...described,
      Name,
      Directives,
      Interfaces,
      Fields,
      Types,
      EnumValues,
      BuiltIn: false,
      AfterDescriptionComment: commentOf(comment),
      EndOfDefinitionComment: this.#end([...Fields, ...EnumValues]),
    });
  }

  #braced(item: () => Node): readonly Node[] {
    return this.tokens.between('{', '}', item);
  }

  #interfaces(): readonly string[] {
    if (!this.tokens.is('name', 'implements')) return [];
    this.tokens.next();
    this.tokens.skip('&');
    const names = [this.name()];
    while (this.tokens.skip('&')) names.push(this.name());
    return names;
  }

  #members(): readonly string[] {
    if (!this.tokens.skip('=')) return [];
    this.tokens.skip('|');
    const names = [this.name()];
    while (this.tokens.skip('|')) names.push(this.name());
    return names;
  }

  #field(): Node {
    const described = this.#memberDescription();
    const comment = this.tokens.comments();
    const Name = this.name();
    const Arguments = this.parenthesised(() => this.#inputValue());
    this.tokens.expect(':');
    return node({
      ...described,
      Name,
      Arguments,
      Type: this.typeReference(),
      Directives: this.directives(true),
      AfterDescriptionComment: commentOf(comment),
    });
  }

  /** An argument, or a field of an input object. */
  #inputValue(): Node {
    const described = this.#memberDescription();
    const comment = this.tokens.comments();
    const Name = this.name();
    this.tokens.expect(':');
    return node({
      ...described,
      Name,
      Type: this.typeReference(),
      DefaultValue: this.tokens.skip('=') ? this.value(true) : null,
      Directives: this.directives(true),
      AfterDescriptionComment: commentOf(comment),
    });
  }

  #enumValue(): Node {
    const described = this.#memberDescription();
    const comment = this.tokens.comments();
    return node({
      ...described,
      Name: this.name(),
      Directives: this.directives(true),
      AfterDescriptionComment: commentOf(comment),
    });
  }

  #directiveDefinition(described: Described, comment: readonly string[]): Node {
    const { tokens } = this;
    tokens.expect('@');
    const Name = this.name();
    const Arguments = this.parenthesised(() => this.#inputValue());
    const IsRepeatable = tokens.is('name', 'repeatable');
    if (IsRepeatable) tokens.next();
    tokens.expect('name', 'on');
    tokens.skip('|');
    const Locations = [this.#location()];
    while (tokens.skip('|')) Locations.push(this.#location());
    const AfterDescriptionComment = commentOf(comment);
    return node({
      ...described,
      Name,
      Arguments,
      Locations,
      IsRepeatable,
      AfterDescriptionComment,
    });
  }

  #location(): string {
    const name = this.name();
    return LOCATIONS.has(name) ? name : this.tokens.unexpected();
  }
}

/** An extension must add something. */
const addsSomething = (extension: Node) =>
  ['Directives', 'Interfaces', 'Fields', 'Types', 'EnumValues', 'OperationTypes'].some((field) =>
    extension.has(field),
  );
